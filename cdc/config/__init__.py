"""The one configuration object, read from TOML. Unknown keys, wrong types and impossible values are refused in words.

    [source]      path = "data/app.db"
    [target]      dsn = "postgresql://cdc@localhost/app" or "embedded", schema = "public", password_file = "..."
    [state]       dir = ".cdc"
    [replicate]   tables = ["*"], exclude = [], and the tunables of `Replicate`
    [snapshot]    max_writer_pause_seconds = 3.0
    [verify]      stale_after_hours = 168
    [shadow]      baseline = "http://127.0.0.1:8080", candidate = "http://127.0.0.1:8081"
    [cutover]     max_refused_seconds = 5.0, and how the application is told in [[cutover.flags]]
    [legacy]      scripts = ["nas_sync.py"], flags = [], exclude = []
    [metrics]     listen = "127.0.0.1:9464"
    [formats]     timestamptz = "iso utc"
    [tables.NAME] target = "...", skip = ["column"], key = "rowid"
    [tables.NAME.columns.COLUMN] target = "...", type = "jsonb", expression = "substr(id, 4)"

Relative paths are relative to the configuration file.
"""

from cdc.config.changes import changed_keys
from cdc.config.cutover import (
    CheckSection,
    CommandFlag,
    CutoverSection,
    EnvFlag,
    ExpectedValue,
    FileFlag,
    FlagSection,
    FollowedSwitch,
    HttpFlag,
    ProxyFlag,
)
from cdc.config.load import DEFAULT_FILE, KINDS, config_path, decode_config, load_config, plain_type
from cdc.config.sections import (
    EMBEDDED,
    AlertsSection,
    ColumnOptions,
    Config,
    Expectation,
    Formats,
    LegacySection,
    MetricsSection,
    ReferenceOptions,
    ReplicateSection,
    SnapshotSection,
    SourceSection,
    StateSection,
    TableOptions,
    TargetSection,
    TombstonesSection,
    VerifySection,
)
from cdc.config.shadow import ExpectedDifference, PagedList, ProxyRate, ProxySection, ShadowRule, ShadowSection

__all__ = [
    "DEFAULT_FILE",
    "EMBEDDED",
    "KINDS",
    "AlertsSection",
    "CheckSection",
    "ColumnOptions",
    "CommandFlag",
    "Config",
    "CutoverSection",
    "EnvFlag",
    "Expectation",
    "ExpectedDifference",
    "ExpectedValue",
    "FileFlag",
    "FlagSection",
    "FollowedSwitch",
    "Formats",
    "HttpFlag",
    "LegacySection",
    "MetricsSection",
    "PagedList",
    "ProxyFlag",
    "ProxyRate",
    "ProxySection",
    "ReferenceOptions",
    "ReplicateSection",
    "ShadowRule",
    "ShadowSection",
    "SnapshotSection",
    "SourceSection",
    "StateSection",
    "TableOptions",
    "TargetSection",
    "TombstonesSection",
    "VerifySection",
    "changed_keys",
    "config_path",
    "decode_config",
    "load_config",
    "plain_type",
]
