"""The canonical texts of columns that the operator chose to read in a certain way.

Nothing is shared with `cdc.values`, which encodes the same columns. Here a value that does not fit has to be known as
such exactly, because what becomes of it is in Postgres.
"""

import json
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from cdc.canonical.addresses import address_text
from cdc.canonical.exact_numbers import decimal_text, exact_number, nearest_whole, real_text, whole_text
from cdc.canonical.instants import EPOCHS, day_text, has_zone, instant_of, instant_text, nearest_instant
from cdc.canonical.intervals import COUNTED, counted_interval, interval_since_1970
from cdc.canonical.text import NEVER, Form, Text, canonical_text, literal_text
from cdc.canonical.type_limits import fits
from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import InvalidText, Value

_YES: Final = {"1", "t", "true", "y", "yes", "on"}
_NO: Final = {"0", "f", "false", "n", "no", "off"}


def form(column: TargetColumn, reading: ValueRules, plain: Form, schema: str = "") -> Form:
    """The canonical text of a value that is not NULL, None where NULL becomes of it; `plain` is the type's own form."""
    satisfies = _satisfies(schema) if schema and reading.loses else lambda _: True
    read = _FORMATS.get(reading.format) or (
        lambda value, c: plain(value) if fits(value, c) and satisfies(value) else NEVER
    )

    def made(value: Value) -> Text:
        if reading.empty == "null" and value == "":
            return None
        text = canonical_text(lambda v: read(v, column), value)
        return _outcome(value, column, reading, plain) if text == NEVER else text

    return made


def _satisfies(schema: str) -> Callable[[Value], bool]:
    """Whether a document satisfies a JSON Schema; what does not may have become something else."""
    from jsonschema_rs import validator_for  # noqa: PLC0415 (only where a column has a schema)

    validator = validator_for(json.loads(schema))
    return lambda value: validator.is_valid(json.loads(value) if isinstance(value, str) else value)


# --- formats ----------------------------------------------------------------------------------------------------------


def _instant(format_: str) -> Callable[[Value, TargetColumn], Text]:
    def read(value: Value, column: TargetColumn) -> Text:
        instant = instant_of(value, format_)
        return instant_text(instant, column) if instant is not None else NEVER

    return read


def _word(value: Value, _: TargetColumn) -> Text:
    word = str(value).lower() if isinstance(value, str) or type(value) is int else ""
    if type(value) is int and value not in {0, 1}:
        return NEVER
    return "true" if word in _YES else "false" if word in _NO else NEVER


def _number(value: Value, column: TargetColumn) -> Text:
    if column.base in {"float4", "float8"}:
        return real_text(_double(value), value, column)
    if column.base == "numeric":
        return decimal_text(exact_number(value, texts=True), value, column)
    return whole_text(exact_number(value, texts=True), column)


def _double(value: Value) -> float:
    exact_number(value if not isinstance(value, float) else 0, texts=True)  # raises for what is no number
    return float(value)  # type: ignore[arg-type]


def _uuid(value: Value, _: TargetColumn) -> Text:
    if isinstance(value, bytes):
        digits = value.hex()
    else:
        text = str(value).lower() if isinstance(value, str) else ""
        text = text[1:-1] if text[:1] + text[-1:] == "{}" else text
        digits = text.replace("-", "")
        hyphens = [place for place, character in enumerate(text) if character == "-"]
        if hyphens not in ([], [8, 13, 18, 23]) or not re.fullmatch("[0-9a-f]*", digits):
            return NEVER
    parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
    return "-".join(parts) if len(digits) == 32 else NEVER


def _counted_span(unit: str) -> Callable[[Value, TargetColumn], Text]:
    return lambda value, column: counted_interval(value, unit, column.precision)


def _utf_8(value: Value, column: TargetColumn) -> Text:
    if column.base == "bytea":
        data = value.data if isinstance(value, InvalidText) else str.encode(value) if isinstance(value, str) else value
        return bytes(data).hex() if isinstance(data, bytes) else NEVER
    text = value.decode() if isinstance(value, bytes) else value
    return text if isinstance(text, str) and fits(text, column) else NEVER


_FORMATS: Final[dict[str, Callable[[Value, TargetColumn], Text]]] = {
    **{name: _instant(name) for name in ("iso utc", "auto utc", *EPOCHS, "julian day")},
    **{unit: _counted_span(unit) for unit in COUNTED},
    "since 1970": lambda value, column: interval_since_1970(value, column.precision),
    "words": _word,
    "number": _number,
    "uuid": _uuid,
    "address": lambda value, column: address_text(value, column.base),
    "utf-8": _utf_8,
}


# --- what becomes of values that do not fit ---------------------------------------------------------------------------


def _outcome(value: Value, column: TargetColumn, reading: ValueRules, plain: Form) -> Text:
    match reading.on_invalid:
        case "null":
            return None
        case "text":
            return _as_text(value, column, plain)
        case "replace":
            return _mended(value, column)
        case "cut":
            return _cut_day(value, reading) if column.base == "date" else _cut(value, column)
        case "round":
            return _rounded(value, column, reading)
        case _:
            return NEVER


def _as_text(value: Value, column: TargetColumn, plain: Form) -> Text:
    if column.base not in {"json", "jsonb"}:
        return literal_text(value)
    text = json.dumps(value if isinstance(value, str) else literal_text(value), ensure_ascii=False)
    return plain(text) if fits(text, column) else NEVER


def _mended(value: Value, column: TargetColumn) -> Text:
    text = value.data.decode("utf-8", "replace") if isinstance(value, InvalidText) else value
    if not isinstance(text, str):
        return NEVER
    text = "\ufffd".join(text.split("\x00"))
    return text if fits(text, column) else NEVER


def _rounded(value: Value, column: TargetColumn, reading: ValueRules) -> Text:
    if column.base in {"timestamp", "timestamptz"}:
        return _rounded_instant(value, column, reading)
    if column.base == "time":
        return _rounded_time(value, column)
    number = exact_number(value, texts=reading.format == "number")
    if column.base == "float4":
        packed = struct.pack(">f", float(number))
        return packed.hex()
    if column.base == "float8":
        return struct.pack(">d", float(number)).hex()
    scale = (column.scale or 0) if column.base == "numeric" else 0
    nearest = nearest_whole(number * Fraction(10) ** scale) / Fraction(10) ** scale
    return decimal_text(nearest, 0, column) if column.base == "numeric" else whole_text(nearest, column)


def _cut(value: Value, column: TargetColumn) -> Text:
    if not isinstance(value, str):
        return NEVER
    text = value[: column.length]
    text = text.rstrip(" ") if column.base == "bpchar" else text
    return text if fits(text, column) else NEVER


def _cut_day(value: Value, reading: ValueRules) -> Text:
    instant = instant_of(value, reading.format)
    if instant is None or (reading.format == "" and has_zone(value)):
        return NEVER
    return day_text(instant)


def _rounded_time(value: Value, column: TargetColumn) -> Text:
    if not isinstance(value, str):
        return NEVER
    on_first_day = f"1970-01-01 {value}"
    instant = instant_of(on_first_day, "")
    if instant is None or has_zone(on_first_day):
        return NEVER
    nearest = nearest_instant(instant, column)
    return str(nearest) if nearest < 86_400_000_000 else NEVER


def _rounded_instant(value: Value, column: TargetColumn, reading: ValueRules) -> Text:
    instant = instant_of(value, reading.format)
    if instant is None or (reading.format == "" and has_zone(value) != (column.base == "timestamptz")):
        return NEVER
    return instant_text(nearest_instant(instant, column), column)
