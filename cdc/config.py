"""The one configuration object, read from TOML. Unknown keys, wrong types and impossible values are refused in words.

    [source]      path = "data/app.db"
    [target]      dsn = "postgresql://cdc@localhost/app" or "embedded", schema = "public", password_file = "..."
    [state]       dir = ".cdc"
    [replicate]   tables = ["*"], exclude = [], and the tunables of `Replicate`
    [snapshot]    max_writer_pause_seconds = 3.0
    [verify]      stale_after_hours = 168
    [metrics]     listen = "127.0.0.1:9464"
    [formats]     timestamptz = "iso utc"
    [tables.NAME] target = "...", skip = ["column"], key = "rowid"
    [tables.NAME.columns.COLUMN] target = "...", type = "jsonb", expression = "substr(id, 4)"

Relative paths are relative to the configuration file.
"""

import fnmatch
import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from cdc.errors import ConfigError, did_you_mean

DEFAULT_FILE: Final = "cdc.toml"
EMBEDDED: Final = "embedded"

S = TypeVar("S", bound=msgspec.Struct)


class SourceSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the application's SQLite file is."""

    path: Path
    busy_timeout_seconds: float = 5.0


class TargetSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Postgres is. A password is best kept in PGPASSWORD, PGPASSFILE or `password_file`."""

    dsn: str
    schema: str = "public"
    password_file: Path | None = None
    adopt: bool = False  # the tables are there already, made by the application's own migrations
    existing_rows: Literal["refuse", "replace"] = "refuse"  # what adopted tables hold before the first copy

    @property
    def embedded(self) -> bool:
        """Whether the target is the Postgres server this tool brings itself."""
        return self.dsn == EMBEDDED


class StateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where snapshots, the embedded server and the audit file are kept."""

    dir: Path = Path(".cdc")
    audit_megabytes: float = 64.0  # how much of the audit file is kept


class ReplicateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tables are replicated (shell patterns), and how."""

    tables: list[str] = msgspec.field(default_factory=lambda: ["*"])
    exclude: list[str] = msgspec.field(default_factory=list)
    poll_seconds: float = 0.25  # how long a change can go unseen when no file event arrives
    idle_close_seconds: float = 5.0  # an idle file is left without any connection of ours
    round_entries: int = 20_000  # changelog entries read in one snapshot (WAL)
    round_entries_journal: int = 1_000  # the same where a reader blocks the writer's commit
    round_bytes: int = 16 * 1024 * 1024  # bytes of rows read in one snapshot
    prune_entries: int = 10_000  # prune when this many applied entries lie in the changelog
    prune_seconds: float = 600.0  # or when the oldest of them is this old
    heartbeat_seconds: float = 5.0
    audit_rows: int = 200_000  # how many entries of the audit trail are kept in Postgres
    durable_commits: bool = False  # whether a batch is on Postgres' disk before readers see it

    def wants(self, table: str) -> bool:
        """Whether a source table of this name is to be replicated."""
        included = any(fnmatch.fnmatchcase(table.lower(), p.lower()) for p in self.tables)
        return included and not any(fnmatch.fnmatchcase(table.lower(), p.lower()) for p in self.exclude)


class SnapshotSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How snapshots are taken. The pause is what a rollback-journal writer may have to wait at most."""

    max_writer_pause_seconds: float = 3.0
    keep: int = 5  # newest ones; 0 keeps all


class MetricsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether and where `/metrics` and `/healthz` are served; not at all without `listen`."""

    listen: str | None = None
    allow_remote: bool = False
    max_lag_seconds: float | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`; raises `ValueError` when it is not written as HOST:PORT."""
        host, _, port = (self.listen or "").rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(self.listen)
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def local(self) -> bool:
        """Whether only programs on this machine can reach the address; a name other than `localhost` may be any."""
        host, _ = self.address
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query and its answer, which both databases must give; `target_sql` where Postgres needs other words."""

    name: str
    sql: str
    answer: int | str
    target_sql: str | None = None


class VerifySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a comparison looks at beside the rows themselves, and when it is too old to be relied upon; 0 is never."""

    stale_after_hours: float = 168.0
    rolling_share: float = 0.03  # of the time that a daemon compares in the background; 0 is never
    rolling_hours: float = 1.0  # within which every table is compared, as far as the share allows
    expect: list[Expectation] = msgspec.field(default_factory=list)


class AlertsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the daemon tells when something is wrong, and when it is over; nobody without a channel."""

    webhook: str | None = None
    ntfy: str | None = None
    command: list[str] = msgspec.field(default_factory=list)
    ping: str | None = None
    repeat_hours: float = 24.0
    ping_seconds: float = 60.0


Format = Literal["iso utc", "epoch s", "epoch ms", "epoch us", "julian day", "words", "number", "uuid", "utf-8"]
OnInvalid = Literal["quarantine", "null", "text", "replace", "cut", "round"]


class Formats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the values of all columns of a type are read, unless a column has a `format` of its own."""

    timestamp: Format | None = None
    timestamptz: Format | None = None
    boolean: Format | None = None
    uuid: Format | None = None

    def by_base(self) -> dict[str, str]:
        """Those that are set, by the type's name in Postgres' catalogue."""
        named = {"timestamp": self.timestamp, "timestamptz": self.timestamptz, "bool": self.boolean, "uuid": self.uuid}
        return {base: chosen for base, chosen in named.items() if chosen is not None}


class ColumnOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chose for one column; `expression` and `python` compute a value that SQLite does not have."""

    target: str | None = None
    type: str | None = None
    expression: str | None = None
    python: Path | None = None  # FOLDER/MODULE:FUNCTION, the folder being the configuration's where none is given
    format: Format | None = None  # how the values are written, where the type alone does not tell
    on_invalid: OnInvalid = "quarantine"  # what becomes of a value that does not fit
    empty: Literal["keep", "null"] = "keep"  # what becomes of an empty text
    schema: Path | None = None  # a file with the JSON Schema of its documents

    @property
    def computed(self) -> bool:
        """Whether the value is made from the row, rather than one of its columns."""
        return self.expression is not None or self.python is not None


class ReferenceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A foreign key that the target is to have although SQLite declares none, or another one."""

    columns: list[str]
    table: str
    on_delete: Literal["no action", "cascade", "set null"] = "no action"


class TableOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chose for one table. `key = "rowid"` keys it by rowid although it declares a primary key."""

    target: str | None = None
    adopt: bool | None = None
    skip: list[str] = msgspec.field(default_factory=list)
    key: Literal["declared", "rowid"] = "declared"
    target_key: list[str] = msgspec.field(default_factory=list)  # columns of the target that identify its rows
    columns: dict[str, ColumnOptions] = msgspec.field(default_factory=dict)
    references: list[ReferenceOptions] = msgspec.field(default_factory=list)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the operator decides."""

    source: SourceSection
    target: TargetSection
    state: StateSection = msgspec.field(default_factory=StateSection)
    replicate: ReplicateSection = msgspec.field(default_factory=ReplicateSection)
    snapshot: SnapshotSection = msgspec.field(default_factory=SnapshotSection)
    metrics: MetricsSection = msgspec.field(default_factory=MetricsSection)
    alerts: AlertsSection = msgspec.field(default_factory=AlertsSection)
    verify: VerifySection = msgspec.field(default_factory=VerifySection)
    formats: Formats = msgspec.field(default_factory=Formats)
    tables: dict[str, TableOptions] = msgspec.field(default_factory=dict)

    def options(self, table: str) -> TableOptions:
        """The operator's choices for a source table, compared without case; empty when there are none."""
        return next((o for name, o in self.tables.items() if name.lower() == table.lower()), _NO_OPTIONS)

    def adopts(self, table: str) -> bool:
        """Whether the target of a source table was made by others and is used as it is."""
        chosen = self.options(table).adopt
        return self.target.adopt if chosen is None else chosen


_NO_OPTIONS: Final = TableOptions()


def config_path(given: Path | None) -> Path:
    """The configuration file: the one given, else `$CDC_CONFIG`, else `cdc.toml` in the working directory."""
    return given or Path(os.environ.get("CDC_CONFIG") or DEFAULT_FILE)


def load_config(path: Path) -> Config:
    """The configuration in a TOML file; raises `ConfigError` naming the file, the key, the reason and the remedy."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file {path} does not exist",
            remedy="create one with `cdc init SQLITE-FILE`, or name it with `-c FILE` or $CDC_CONFIG",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"configuration file {path} cannot be read: {error.strerror}",
            remedy="make it a file that the user who runs this tool may read, in a folder that this user may enter",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration file {path} is not UTF-8 text: byte {error.start + 1} is not",
            remedy="save it in UTF-8, as TOML has to be",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"configuration file {path} is not valid TOML: {error}",
            remedy="correct that line; texts stand in quotes, and a section's name in brackets on a line of its own",
        ) from None
    return _beside(decode_config(raw, str(path)), path.resolve().parent)


def decode_config(raw: dict[str, Any], file: str = "configuration") -> Config:
    """The configuration in a decoded TOML document; raises `ConfigError`."""
    config = _section(raw, Config, "", file)
    schema = config.target.schema
    if not schema or schema.startswith("pg_") or schema == "cdc":
        raise ConfigError(
            f"{file}: `schema` in [target] cannot be `{schema}`",
            remedy="choose another schema; `cdc` holds this tool's own state and `pg_` names belong to Postgres",
        )
    if config.metrics.listen is not None:
        _check_address(config.metrics, file)
    for key in ("webhook", "ntfy", "ping"):
        _check_url(getattr(config.alerts, key), key, file)
    return config


def _check_url(url: str | None, key: str, file: str) -> None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{file}: `{key}` in [alerts] is no address of the web",
            remedy='write it as "https://HOST/PATH", or "http://..." on this machine',
        )


def _check_address(metrics: MetricsSection, file: str) -> None:
    try:
        local = metrics.local
    except ValueError:
        raise ConfigError(
            f"{file}: `listen` in [metrics] is no address: {metrics.listen}",
            remedy='write it as HOST:PORT, such as "127.0.0.1:9464" or "[::1]:9464"',
        ) from None
    if not local and not metrics.allow_remote:
        raise ConfigError(
            f"{file}: other machines could reach `listen` in [metrics]: {metrics.listen}",
            remedy='listen on "127.0.0.1:9464", or write `allow_remote = true`: the pages have no login, '
            "and tell the names of tables, not what is in them",
        )


def _beside(config: Config, base: Path) -> Config:
    """The same configuration with its relative paths made absolute."""
    password = config.target.password_file
    return msgspec.structs.replace(
        config,
        source=msgspec.structs.replace(config.source, path=base / config.source.path),
        target=msgspec.structs.replace(config.target, password_file=base / password if password else None),
        state=msgspec.structs.replace(config.state, dir=base / config.state.dir),
        tables={name: _columns_beside(table, base) for name, table in config.tables.items()},
    )


def _columns_beside(table: TableOptions, base: Path) -> TableOptions:
    return msgspec.structs.replace(table, columns={name: _column_beside(c, base) for name, c in table.columns.items()})


def _column_beside(column: ColumnOptions, base: Path) -> ColumnOptions:
    schema, python = (base / path if path else None for path in (column.schema, column.python))
    return msgspec.structs.replace(column, schema=schema, python=python)


def _listed(kind: Any) -> str:
    return ", ".join(f"`{choice}`" for choice in get_args(kind))


# What may stand in a key of each type: in words, and as an example for keys without a default.
KINDS: Final[Mapping[object, tuple[str, object]]] = {
    bool: ("true or false", True),
    int: ("a whole number greater than zero", 1000),
    float: ("a number greater than zero", 2.5),
    str: ("a text in quotes", "text"),
    Path: ("a path in quotes", "folder/file"),
    list[str]: ("a list of texts", ["one", "two"]),
    int | str: ("a whole number or a text", 67),
    Literal["declared", "rowid"]: ("`declared` or `rowid`", "rowid"),
    Format: (f"one of {_listed(Format)}", "epoch ms"),
    OnInvalid: (f"one of {_listed(OnInvalid)}", "null"),
    Literal["keep", "null"]: ("`keep` or `null`", "null"),
    Literal["no action", "cascade", "set null"]: ("`no action`, `cascade` or `set null`", "cascade"),
    Literal["refuse", "replace"]: ("`refuse` or `replace`", "replace"),
}
_LARGEST: Final = 10**15  # of any number: far beyond sense, and SQLite can still compute with it
_MAY_BE_ZERO: Final = (
    "audit_megabytes",
    "audit_rows",
    "busy_timeout_seconds",
    "idle_close_seconds",
    "keep",
    "max_writer_pause_seconds",
    "prune_seconds",
    "rolling_share",
    "stale_after_hours",
)


def _section(raw: object, kind: type[S], place: str, file: str) -> S:
    """One section as its struct, decoded by itself so that an error can name the place as it stands in the file."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{file}: `{place}` must be a section", remedy=f"write its keys below a line `[{place}]`")
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    where = f"in [{place}]" if place else "at the top level"
    for key in raw:
        if key not in fields:
            raise ConfigError(
                f"{file}: unknown key `{key}` {where}",
                remedy=f"{did_you_mean(key, fields)}correct or remove it; what may stand there: {', '.join(fields)}",
            )
    for key, field in fields.items():
        if field.required and key not in raw:
            raise ConfigError(
                f"{file}: `{key}` is missing {where}",
                remedy="add it; `cdc -c NEW.toml init SQLITE-FILE` writes a file with all that is needed",
            )
    return kind(**{key: _value(value, fields[key], f"{place}.{key}".strip("."), file) for key, value in raw.items()})


def _value(raw: object, field: msgspec.structs.FieldInfo, place: str, file: str) -> Any:
    kind = plain_type(field.type)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _section(raw, kind, place, file)
    if get_origin(kind) is dict:
        inner = get_args(kind)[1]
        named = raw.items() if isinstance(raw, dict) else [(place, raw)]
        return {name: _section(value, inner, f"{place}.{name}", file) for name, value in named}
    if get_origin(kind) is list and issubclass(item := get_args(kind)[0], msgspec.Struct):
        found = raw if isinstance(raw, list) else [raw]
        return [_section(value, item, f"{place} {number}", file) for number, value in enumerate(found, 1)]
    try:
        value = msgspec.convert(raw, kind, strict=True, dec_hook=_path_from_text)
    except msgspec.ValidationError:
        value = None
    if value is None or (kind in (int, float) and not _in_range(field.name, value)):
        words, example = KINDS[kind]
        words = "zero or a number greater than zero" if field.name in _MAY_BE_ZERO else words
        default = field.default if isinstance(field.default, int | float | str) else example
        section, _, key = place.rpartition(".")
        raise ConfigError(
            f"{file}: `{key}` in [{section}] must be {words}",
            remedy=f"write it as `{key} = {json.dumps(default)}`, for example",
        )
    return value


def plain_type(kind: Any) -> Any:
    """The type of a key without the None that stands for a missing one."""
    inner = get_args(kind)
    return next(k for k in inner if k is not NoneType) if NoneType in inner else kind


def _in_range(key: str, value: float) -> bool:
    return 0 < value <= _LARGEST or (value == 0 and key in _MAY_BE_ZERO)


def _path_from_text(wanted: type[Any], value: object) -> Path:
    if wanted is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path")
