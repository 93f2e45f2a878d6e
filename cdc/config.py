"""The one configuration object, read from TOML. Unknown keys, wrong types and impossible values are refused in words.

    [source]      path = "data/app.db"
    [target]      dsn = "postgresql://cdc@localhost/app" or "embedded", schema = "public", password_file = "..."
    [state]       dir = ".cdc"
    [replicate]   tables = ["*"], exclude = [], and the tunables of `Replicate`
    [snapshot]    max_writer_pause_seconds = 3.0
    [tables.NAME] target = "...", skip = ["column"], key = "rowid"
    [tables.NAME.columns.COLUMN] target = "...", type = "jsonb", expression = "substr(id, 4)"

Relative paths are relative to the configuration file.
"""

import difflib
import fnmatch
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from cdc.errors import ConfigError

DEFAULT_FILE: Final = "cdc.toml"
EMBEDDED: Final = "embedded"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the application's SQLite file is."""

    path: Path
    busy_timeout_seconds: float = 5.0


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Postgres is. A password is best kept in PGPASSWORD, PGPASSFILE or `password_file`."""

    dsn: str
    schema: str = "public"
    password_file: Path | None = None

    @property
    def embedded(self) -> bool:
        """Whether the target is the Postgres server this tool brings itself."""
        return self.dsn == EMBEDDED


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where snapshots, the embedded server and the audit file are kept."""

    dir: Path = Path(".cdc")


class Replicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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

    def wants(self, table: str) -> bool:
        """Whether a source table of this name is to be replicated."""
        included = any(fnmatch.fnmatchcase(table.lower(), p.lower()) for p in self.tables)
        return included and not any(fnmatch.fnmatchcase(table.lower(), p.lower()) for p in self.exclude)


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How snapshots are taken. The pause is what a rollback-journal writer may have to wait at most."""

    max_writer_pause_seconds: float = 3.0


class ColumnOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chose for one column; `expression` is SQLite SQL for a column only the target has."""

    target: str | None = None
    type: str | None = None
    expression: str | None = None


class TableOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chose for one table. `key = "rowid"` keys it by rowid although it declares a primary key."""

    target: str | None = None
    skip: list[str] = msgspec.field(default_factory=list)
    key: Literal["declared", "rowid"] = "declared"
    columns: dict[str, ColumnOptions] = msgspec.field(default_factory=dict)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the operator decides."""

    source: Source
    target: Target
    state: State = msgspec.field(default_factory=State)
    replicate: Replicate = msgspec.field(default_factory=Replicate)
    snapshot: Snapshot = msgspec.field(default_factory=Snapshot)
    tables: dict[str, TableOptions] = msgspec.field(default_factory=dict)

    def options(self, table: str) -> TableOptions:
        """The operator's choices for a source table, compared without case; empty when there are none."""
        return next((o for name, o in self.tables.items() if name.lower() == table.lower()), _NO_OPTIONS)


_NO_OPTIONS: Final = TableOptions()


def config_path(given: Path | None) -> Path:
    """The configuration file: the one given, else `$CDC_CONFIG`, else `cdc.toml` in the working directory."""
    return given or Path(os.environ.get("CDC_CONFIG") or DEFAULT_FILE)


def load_config(path: Path) -> Config:
    """The configuration in a TOML file; raises `ConfigError` naming the file, the key, the reason and the remedy."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file {path} does not exist",
            remedy="create one with `cdc init SQLITE-FILE`, or name it with `-c FILE` or $CDC_CONFIG",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration file {path} cannot be read: {error}", remedy="check its permissions"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"configuration file {path} is not valid TOML: {error}", remedy="correct that line") from None
    return _beside(decode_config(raw, str(path)), path.resolve().parent)


def decode_config(raw: dict[str, Any], name: str = "configuration") -> Config:
    """The configuration in a decoded TOML document; raises `ConfigError`."""
    try:
        config = msgspec.convert(raw, Config, strict=True, dec_hook=_path_from_text)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_in_words(str(error))}", remedy=_remedy(str(error))) from None
    _check_values(config, name)
    return config


def _path_from_text(wanted: type[Any], value: object) -> Path:
    if wanted is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path")


def _beside(config: Config, base: Path) -> Config:
    """The same configuration with its relative paths made absolute."""
    password = config.target.password_file
    return msgspec.structs.replace(
        config,
        source=msgspec.structs.replace(config.source, path=base / config.source.path),
        target=msgspec.structs.replace(config.target, password_file=base / password if password else None),
        state=msgspec.structs.replace(config.state, dir=base / config.state.dir),
    )


_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>[^`]+)`(?: - at `\$(?P<path>[^`]*)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`(?: - at `\$(?P<path>[^`]*)`)?")
_SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "": Config,
    "source": Source,
    "target": Target,
    "state": State,
    "replicate": Replicate,
    "snapshot": Snapshot,
}


def _section_of(path: str | None) -> str:
    return (path or "").strip(".")


def _in_words(message: str) -> str:
    if found := _UNKNOWN.search(message):
        section = _section_of(found["path"])
        return f"unknown key `{found['name']}`" + (f" in [{section}]" if section else "")
    if found := _MISSING.search(message):
        section = _section_of(found["path"])
        return f"`{found['name']}` is missing" + (f" in [{section}]" if section else "")
    return message.replace("`$.", "`")


def _remedy(message: str) -> str:
    if found := _UNKNOWN.search(message):
        section = _section_of(found["path"])
        struct = _SECTIONS.get(section) or (ColumnOptions if ".columns" in section else TableOptions)
        known = [f.name for f in msgspec.structs.fields(struct)]
        near = difflib.get_close_matches(found["name"], known, n=1)
        return f"did you mean `{near[0]}`?" if near else f"remove it; known keys are {', '.join(known)}"
    return "correct the configuration file; docs/configuration.md lists every key"


def _check_values(config: Config, name: str) -> None:
    positive = ("poll_seconds", "round_entries", "round_entries_journal", "round_bytes", "heartbeat_seconds")
    for key in positive:
        if getattr(config.replicate, key) <= 0:
            raise ConfigError(f"{name}: `{key}` in [replicate] must be greater than zero", remedy="correct the value")
    if not config.target.schema or config.target.schema.startswith("pg_") or config.target.schema == "cdc":
        raise ConfigError(
            f"{name}: schema `{config.target.schema}` in [target] cannot be replicated into",
            remedy="choose another schema; `cdc` holds this tool's own state and `pg_` names belong to Postgres",
        )
