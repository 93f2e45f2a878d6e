"""One canonical text for one value, told twice: of what SQLite stores, and of what Postgres answers."""

import json
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import apsw
from compared_tables import Column, Target, quoted

from cdc.facts.row_key import encode_key
from cdc.facts.values import InvalidText, Value

UNFIT = "unfit"  # a value that its column in Postgres cannot hold
NULL = "null"


def texts_of(target: Target, row: Mapping[str, Value]) -> dict[str, str]:
    return {c.name: from_source(c, row[c.name]) for c in target.columns if c.name in row}


def from_source(column: Column, value: Value) -> str:
    """The canonical text of a SQLite value for a column, `UNFIT` when the column cannot hold it."""
    if value is None:
        return NULL
    if column.literal:
        return "=" + encode_key([value])
    if isinstance(value, InvalidText):
        return UNFIT
    return _KINDS.get(column.kind, _as_text)(value)


def _as_integer(low: int, high: int) -> Callable[[Value], str]:
    return lambda value: f"i{value}" if type(value) is int and low <= value <= high else UNFIT


def _as_double(value: Value) -> str:
    if type(value) is int and int(float(value)) != value:
        return UNFIT
    return "r" + struct.pack(">d", value).hex() if isinstance(value, int | float) else UNFIT


def _as_decimal(value: Value) -> str:
    if not isinstance(value, int | float) or str(value) == "-0.0":
        return UNFIT
    return f"d{Decimal(str(value)).normalize():e}"


def _as_flag(value: Value) -> str:
    return f"i{value}" if type(value) is int and value in (0, 1) else UNFIT


def _as_bytes(value: Value) -> str:
    return "b" + value.hex() if isinstance(value, bytes) else UNFIT


def _as_text(value: Value) -> str:
    return f"t{value}" if isinstance(value, str) and "\x00" not in value else UNFIT


def _as_document(value: Value) -> str:
    try:
        return _document(value if isinstance(value, str) else json.dumps(value))
    except (ValueError, TypeError):
        return UNFIT


def _as_binary_document(value: Value) -> str:
    """What jsonb keeps whole: no object with a key twice, no character that Postgres has not."""
    found = _as_document(value)
    return UNFIT if found != UNFIT and (_DOUBLED in found or not _storable(json.loads(found[1:]))) else found


_DOUBLED = "a key twice \N{SNOWMAN WITHOUT SNOW}"  # in place of an object, where one would be lost


def _document(text: str) -> str:
    """A document with its keys in order and each number exact, however it was written."""
    parsed = json.loads(
        text, parse_int=_number, parse_float=_number, parse_constant=_no_number, object_pairs_hook=_object
    )
    return "j" + json.dumps(parsed, sort_keys=True, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    return dict(pairs) if len(dict(pairs)) == len(pairs) else [_DOUBLED, *sorted(map(repr, pairs))]


def _storable(parsed: Any) -> bool:
    match parsed:
        case str():
            return "\0" not in parsed and not any(0xD800 <= ord(c) <= 0xDFFF for c in parsed)
        case list():
            return all(map(_storable, parsed))
        case dict():
            return all(_storable(key) and _storable(value) for key, value in parsed.items())
    return True


def _number(text: str) -> Any:
    """A number as a list, which no text is taken for: sign, digits without zeros at the end, exponent."""
    sign, digits, exponent = Decimal(text).as_tuple()
    kept = "".join(map(str, digits)).lstrip("0").rstrip("0")
    dropped = len("".join(map(str, digits)).lstrip("0")) - len(kept)
    return ["number", sign if kept else 0, kept, int(exponent) + dropped if kept else 0]


def _no_number(_: str) -> Any:
    raise ValueError


def _as_moment(value: Value) -> str:
    if not isinstance(value, str):
        return UNFIT
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return UNFIT
    return "m" + (found.astimezone(UTC) if found.tzinfo else found).strftime("%Y-%m-%d %H:%M:%S.%f")


def _as_time(value: Value) -> str:
    if not isinstance(value, str) or value[2:3] != ":":
        return UNFIT
    try:
        found = time.fromisoformat(value)
    except ValueError:
        return UNFIT
    return f"t{found}".rstrip("0").rstrip(".") if found.microsecond else f"t{found}"  # as Postgres writes it


def _as_uuid(value: Value) -> str:
    try:
        return f"t{UUID(value)}" if isinstance(value, str) else UNFIT
    except ValueError:
        return UNFIT


_KINDS: dict[str, Callable[[Value], str]] = {
    "int2": _as_integer(-(2**15), 2**15 - 1),
    "int4": _as_integer(-(2**31), 2**31 - 1),
    "int8": _as_integer(-(2**63), 2**63 - 1),
    "float8": _as_double,
    "numeric": _as_decimal,
    "bool": _as_flag,
    "bytea": _as_bytes,
    "json": _as_document,
    "jsonb": _as_binary_document,
    "timestamp": _as_moment,
    "timestamptz": _as_moment,
    "time": _as_time,
    "uuid": _as_uuid,
}


def exact(kind: Any, value: Any, codec: str = "utf-8") -> Value:
    """What SQLite stores, where a text was read as its bytes."""
    if kind != "text":
        return value  # type: ignore[no-any-return]
    try:
        return bytes(value).decode(codec)
    except UnicodeDecodeError:
        return InvalidText(bytes(value))


def canonical_sql(column: Column) -> str:
    name = quoted(column.name)
    match column.kind:
        case "float8":
            return f"encode(float8send({name}), 'hex')"
        case "bytea":
            return f"encode({name}, 'hex')"
        case "bool":
            return f"{name}::int::text"
        case "timestamp":
            return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"
        case "timestamptz":
            return f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        case _:
            return f"{name}::text"


def from_target(column: Column, text: str | None) -> str:
    if text is None:
        return NULL
    if column.literal:
        return "=" + encode_key([_evaluated(text)])
    match column.kind:
        case "numeric":
            return f"d{Decimal(text).normalize():e}"
        case "json" | "jsonb":
            return _document(text)
        case kind:
            return _PREFIXES.get(kind, "t") + text


_PREFIXES = {"int2": "i", "int4": "i", "int8": "i", "bool": "i", "float8": "r", "bytea": "b"} | dict.fromkeys(
    ("timestamp", "timestamptz"), "m"
)
_calculator = apsw.Connection(":memory:")


def _evaluated(literal: str) -> Value:
    """What a SQL literal means, told by SQLite itself."""
    row = _calculator.execute(
        f"WITH v(x) AS (SELECT {literal}) SELECT typeof(x), CASE typeof(x) WHEN 'text' THEN CAST(x AS BLOB) ELSE x END "
        "FROM v"
    ).get
    return exact(row[0], row[1])


def value_sql(column: Column, place: int) -> str:
    return f"decode(${place}::text, 'hex')" if column.kind == "bytea" else f"${place}::text::{column.kind}"


def parameter(column: Column, text: str) -> str | None:
    """A canonical text as what `value_sql` reads."""
    if text == NULL:
        return None
    return repr(struct.unpack(">d", bytes.fromhex(text[1:]))[0]) if column.kind == "float8" else text[1:]
