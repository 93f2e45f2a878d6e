"""The configuration read from TOML: each section decoded by itself, so that an error names the place in the file."""

import json
import os
import tomllib
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from cdc.config.address import is_local
from cdc.config.cutover import (
    CheckSection,
    CutoverSection,
    EnvFlag,
    ExpectedValue,
    FileFlag,
    FlagSection,
    FollowedSwitch,
    HttpFlag,
    check_flags,
)
from cdc.config.sections import (
    ColumnOptions,
    Config,
    Format,
    MetricsSection,
    OnInvalid,
    Resurrection,
    Shortening,
    TableOptions,
    TypeReading,
)
from cdc.config.shadow import Reading
from cdc.errors import ConfigError, did_you_mean

DEFAULT_FILE: Final = "cdc.toml"

S = TypeVar("S", bound=msgspec.Struct)
A = TypeVar("A", HttpFlag, CheckSection)


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
    return beside(decode_config(raw, str(path)), path.resolve().parent)


def decode_config(raw: dict[str, Any], file: str = "configuration") -> Config:
    """The configuration in a decoded TOML document; raises `ConfigError`."""
    config = _section(raw, Config, "", file)
    schema = config.target.schema
    if not schema or schema.startswith("pg_") or schema == "cdc":
        raise ConfigError(
            f"{file}: `schema` in [target] cannot be `{schema}`",
            remedy="choose another schema; `cdc` holds this tool's own state and `pg_` names belong to Postgres",
        )
    _check_address(config.metrics.listen, "listen", "metrics", config.metrics, file)
    _check_address(config.shadow.proxy.metrics, "metrics", "shadow.proxy", config.metrics, file)
    for key in ("webhook", "ntfy", "ping"):
        _check_url(getattr(config.alerts, key), key, "alerts", file)
    for key in ("baseline", "candidate", "reference"):
        _check_url(getattr(config.shadow, key), key, "shadow", file)
    _check_cutover(config.cutover, file)
    return config


def _check_cutover(section: CutoverSection, file: str) -> None:
    check_flags(section, file)
    for number, flag in enumerate(section.flags, 1):
        if isinstance(flag, HttpFlag):
            _check_url(flag.url, "url", f"cutover.flags {number}", file)
    for number, check in enumerate(section.checks, 1):
        _check_url(check.url, "url", f"cutover.checks {number}", file)
        _check_url(check.undo_url, "undo_url", f"cutover.checks {number}", file)


def _check_url(url: str | None, key: str, section: str, file: str) -> None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{file}: `{key}` in [{section}] is no address of the web",
            remedy='write it as "https://HOST/PATH", or "http://..." on this machine',
        )


def _check_address(listen: str | None, key: str, section: str, metrics: MetricsSection, file: str) -> None:
    if listen is None:
        return
    try:
        local = is_local(listen)
    except ValueError:
        raise ConfigError(
            f"{file}: `{key}` in [{section}] is no address: {listen}",
            remedy='write it as HOST:PORT, such as "127.0.0.1:9464" or "[::1]:9464"',
        ) from None
    if not local and not metrics.allow_remote:
        raise ConfigError(
            f"{file}: other machines could reach `{key}` in [{section}]: {listen}",
            remedy='listen on "127.0.0.1:9464", or write `allow_remote = true` in [metrics]: the pages have no login, '
            "and tell the names of tables, not what is in them",
        )


def beside(config: Config, base: Path) -> Config:
    """The same configuration with its relative paths made absolute."""
    password, log = config.target.password_file, config.shadow.access_log
    return msgspec.structs.replace(
        config,
        source=msgspec.structs.replace(config.source, path=base / config.source.path),
        target=msgspec.structs.replace(config.target, password_file=base / password if password else None),
        state=msgspec.structs.replace(config.state, dir=base / config.state.dir),
        shadow=msgspec.structs.replace(config.shadow, access_log=base / log if log else None),
        cutover=_cutover_beside(config.cutover, base),
        tables={name: _columns_beside(table, base) for name, table in config.tables.items()},
    )


def _cutover_beside(section: CutoverSection, base: Path) -> CutoverSection:
    flags = [_flag_beside(flag, base) for flag in section.flags]
    checks = [_headers_beside(check, base) for check in section.checks]
    return msgspec.structs.replace(section, flags=flags, checks=checks)


def _flag_beside(flag: FlagSection, base: Path) -> FlagSection:
    if isinstance(flag, HttpFlag):
        return _headers_beside(flag, base)
    if isinstance(flag, FileFlag | EnvFlag):
        return msgspec.structs.replace(flag, path=base / flag.path)
    return flag


def _headers_beside(asked: A, base: Path) -> A:
    headers = asked.headers_file
    return msgspec.structs.replace(asked, headers_file=base / headers if headers else None)


def _columns_beside(table: TableOptions, base: Path) -> TableOptions:
    return msgspec.structs.replace(table, columns={name: _column_beside(c, base) for name, c in table.columns.items()})


def _column_beside(column: ColumnOptions, base: Path) -> ColumnOptions:
    schema, python = (base / path if path else None for path in (column.schema, column.python))
    return msgspec.structs.replace(column, schema=schema, python=python)


def _kind_of(struct: type[msgspec.Struct]) -> Any:
    return next(field.type for field in msgspec.structs.fields(struct) if field.name == "kind")


def _listed(kind: Any) -> str:
    return ", ".join(_ticked(kind))


def _ticked(kind: Any) -> list[str]:
    return [f"`{choice}`" for choice in get_args(kind)]


_FLAG_KINDS: Final = tuple(_kind_of(struct) for struct in get_args(FlagSection))

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
    TypeReading: (
        f"one of {_listed(Literal[Format, Shortening])}, or a list of a format and {' or '.join(_ticked(Shortening))}",
        "round",
    ),
    OnInvalid: (f"one of {_listed(OnInvalid)}", "null"),
    Reading: (f"one of {_listed(Reading)}", "instant"),
    dict[str, str]: ("a section of texts", {"name": "text"}),
    dict[str, ExpectedValue]: ("a section of texts, numbers and truth values", {"name": "text"}),
    FollowedSwitch: (f"one of {_listed(FollowedSwitch)}", "reads"),
    Literal["reads", "writes"]: ("`reads` or `writes`", "writes"),
    **{kind: (f"`{get_args(kind)[0]}`", get_args(kind)[0]) for kind in _FLAG_KINDS},
    Resurrection: ("`allow`, `warn` or `refuse`", "warn"),
    Literal["stop", "resync"]: ("`stop` or `resync`", "stop"),
    Literal["keep", "null"]: ("`keep` or `null`", "null"),
    Literal["no action", "cascade", "set null"]: ("`no action`, `cascade` or `set null`", "cascade"),
    Literal["refuse", "replace"]: ("`refuse` or `replace`", "replace"),
    Literal["triggers", "grants"]: ("`triggers` or `grants`", "grants"),
}
_LARGEST: Final = 10**15  # of any number: far beyond sense, and SQLite can still compute with it
_MAY_BE_ZERO: Final = (
    "audit_megabytes",
    "audit_rows",
    "busy_timeout_seconds",
    "idle_close_seconds",
    "first",
    "keep",
    "max_writer_pause_seconds",
    "prune_seconds",
    "query_allowance_ms",
    "rehearsed_within_hours",
    "rolling_share",
    "serve_candidate",
    "days",
    "shadow_clean_hours",
    "finalize_after_hours",
    "share",
    "stale_after_hours",
    "watch_p95_seconds",
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
    if get_origin(kind) is dict and kind not in KINDS:
        inner = get_args(kind)[1]
        named = raw.items() if isinstance(raw, dict) else [(place, raw)]
        return {name: _section(value, inner, f"{place}.{name}", file) for name, value in named}
    if get_origin(kind) is list and kind not in KINDS:
        found = raw if isinstance(raw, list) else [raw]
        places = [(value, f"{place} {number}") for number, value in enumerate(found, 1)]
        return [_section(value, _of_kind(value, get_args(kind)[0], own, file), own, file) for value, own in places]
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


def _of_kind(raw: object, item: Any, place: str, file: str) -> Any:
    """Which struct an entry of a list is, where its key `kind` tells them apart."""
    if not isinstance(item, UnionType):
        return item
    kinds = {get_args(_kind_of(struct))[0]: struct for struct in get_args(item)}
    given = raw.get("kind") if isinstance(raw, dict) else None
    if isinstance(given, str) and given in kinds:
        return kinds[given]
    raise ConfigError(
        f"{file}: [{place}] does not say which kind it is of",
        remedy=f"write one of these as its `kind`: {', '.join(kinds)}",
    )


def plain_type(kind: Any) -> Any:
    """The type of a key without the None that stands for a missing one."""
    inner = get_args(kind)
    return reduce(or_, (k for k in inner if k is not NoneType)) if NoneType in inner else kind


def _in_range(key: str, value: float) -> bool:
    return 0 < value <= _LARGEST or (value == 0 and key in _MAY_BE_ZERO)


def _path_from_text(wanted: type[Any], value: object) -> Path:
    if wanted is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path")
