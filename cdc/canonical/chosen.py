"""The canonical texts of columns that the operator chose to read in a certain way.

Nothing is shared with `cdc.values`, which encodes the same columns. Here a value that does not fit has to be known as
such exactly, because what becomes of it is in Postgres: `fits` is an opinion of its own on what each type holds.
"""

import json
import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import InvalidText, Value

Text = str | None
Form = Callable[[Value], Text]

NEVER: Final = "\x00"  # Postgres holds no NUL in a text

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LATEST: Final = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_INSTANT_OF_JULIAN_DAY_0: Final = -210_866_760_000_000_000  # microseconds from 1970
_UNITS: Final = {"epoch s": 1_000_000, "epoch ms": 1_000, "epoch us": 1}
_YES: Final = {"1", "t", "true", "y", "yes", "on"}
_NO: Final = {"0", "f", "false", "n", "no", "off"}

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_DAY: Final = r"\d{4}-\d\d-\d\d"
_CLOCK: Final = r"([01]\d|2[0-3]):\d\d(:\d\d(\.(?P<digits>\d+))?)?"
_ZONE: Final = r"(?P<zone>Z|[+-]\d\d(:?[0-5]\d)?)"
_MOMENT: Final = re.compile(rf"(?P<day>{_DAY})((?P<clock>[ T]{_CLOCK})( ?{_ZONE})?)?", re.ASCII)
_DEEPEST: Final = 500  # levels of a document
_PLAIN_UUID: Final = re.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


def form(column: TargetColumn, reading: ValueRules, plain: Form, schema: str = "") -> Form:
    """The canonical text of a value that is not NULL, None where NULL becomes of it; `plain` is the type's own form."""
    satisfies = _satisfies(schema) if schema and reading.loses else lambda _: True
    read = _FORMATS.get(reading.format) or (
        lambda value, c: plain(value) if fits(value, c) and satisfies(value) else NEVER
    )

    def made(value: Value) -> Text:
        if reading.empty == "null" and value == "":
            return None
        text = _tried(read, value, column)
        return _outcome(value, column, reading, plain) if text == NEVER else text

    return made


def _satisfies(schema: str) -> Callable[[Value], bool]:
    """Whether a document satisfies a JSON Schema; what does not may have become something else."""
    from jsonschema_rs import validator_for  # noqa: PLC0415 (only where a column has a schema)

    validator = validator_for(json.loads(schema))
    return lambda value: validator.is_valid(json.loads(value) if isinstance(value, str) else value)


def _tried(read: Callable[[Value, TargetColumn], Text], value: Value, column: TargetColumn) -> Text:
    try:
        return read(value, column)
    except (ValueError, TypeError, OverflowError, ArithmeticError, RecursionError, struct.error):
        return NEVER


# --- formats ----------------------------------------------------------------------------------------------------------


def _moment(value: Value, column: TargetColumn) -> Text:
    instant = _instant(value, "iso utc")
    return _shown(instant, column) if instant is not None else NEVER


def _since(format_: str) -> Callable[[Value, TargetColumn], Text]:
    return lambda value, column: _shown(_counted(value, format_), column)


def _counted(value: Value, format_: str) -> Fraction:
    """Microseconds since 1970 of a number that counts from some beginning; raises `ValueError` beyond year 9999."""
    number = _fraction(value, texts=True)
    if format_ == "julian day":
        if not 0 <= number < 5373484.5:
            raise ValueError
        instant = math.floor(float(number) * 86400000.0 + 0.5) * 1000 + _INSTANT_OF_JULIAN_DAY_0
    else:
        instant = _nearest(number * _UNITS[format_])
    if not _EARLIEST <= instant <= _LATEST:
        raise ValueError
    return Fraction(instant)


def _instant(value: Value, format_: str) -> Fraction | None:
    """Microseconds since 1970 as exactly as they are written; None for a text of another form."""
    if format_ in _UNITS or format_ == "julian day":
        return _counted(value, format_)
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or (format_ == "" and found["clock"] is None):
        return None
    clock = re.sub(r"\.\d+", "", found["clock"] or " 00:00")
    zone = found["zone"] or "+00:00"
    whole = datetime.fromisoformat(f"{found['day']}{clock}{zone}")
    digits = found["digits"]
    return (whole - _EPOCH) // _MICROSECOND + (Fraction(f"0.{digits}") * 1_000_000 if digits else Fraction(0))


def _shown(instant: Fraction, column: TargetColumn) -> str:
    unit = 10 ** (6 - (6 if column.precision is None else column.precision))
    exact = (instant / unit).denominator == 1
    return str(int(instant)) if exact else NEVER


def _word(value: Value, _: TargetColumn) -> Text:
    word = str(value).lower() if isinstance(value, str) or type(value) is int else ""
    if type(value) is int and value not in {0, 1}:
        return NEVER
    return "true" if word in _YES else "false" if word in _NO else NEVER


def _number(value: Value, column: TargetColumn) -> Text:
    if column.base in {"float4", "float8"}:
        return _real(_double(value), value, column)
    if column.base == "numeric":
        return _decimal(_fraction(value, texts=True), value, column)
    return _whole(_fraction(value, texts=True), column)


def _double(value: Value) -> float:
    _fraction(value if not isinstance(value, float) else 0, texts=True)  # raises for what is no number
    return float(value)  # type: ignore[arg-type]


def _real(number: float, value: Value, column: TargetColumn) -> str:
    layout = ">f" if column.base == "float4" else ">d"
    if math.isinf(number) and isinstance(value, str):
        return NEVER
    packed = struct.pack(layout, number)
    wanted = value if isinstance(value, int) else number
    return packed.hex() if struct.unpack(layout, packed)[0] == wanted else NEVER


def _decimal(number: Fraction, value: Value, column: TargetColumn) -> str:
    if not number and str(value).startswith("-"):
        return NEVER
    if column.precision is not None and not _within(number, column.precision, column.scale or 0):
        return NEVER
    return _plain_decimal(number)


def _within(number: Fraction, precision: int, scale: int) -> bool:
    scaled = number * Fraction(10) ** scale
    return scaled.denominator == 1 and abs(scaled) < 10**precision


def _plain_decimal(number: Fraction) -> str:
    places = 0
    while (number * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(number * 10**places))).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def _whole(number: Fraction, column: TargetColumn) -> str:
    bits = {"int2": 15, "int4": 31, "int8": 63}[column.base]
    return str(int(number)) if number.denominator == 1 and -(2**bits) <= number < 2**bits else NEVER


def _fraction(value: Value, *, texts: bool) -> Fraction:
    """The exact number that a value is written as; raises `ValueError` for what is none."""
    if isinstance(value, (int, float)):
        return Fraction(repr(value))
    if texts and isinstance(value, str) and len(value) <= 1000 and _NUMBER.fullmatch(value):
        return Fraction(value)
    raise ValueError


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


def _utf_8(value: Value, column: TargetColumn) -> Text:
    if column.base == "bytea":
        data = value.data if isinstance(value, InvalidText) else str.encode(value) if isinstance(value, str) else value
        return bytes(data).hex() if isinstance(data, bytes) else NEVER
    text = value.decode() if isinstance(value, bytes) else value
    return text if isinstance(text, str) and fits(text, column) else NEVER


_FORMATS: Final[dict[str, Callable[[Value, TargetColumn], Text]]] = {
    "iso utc": _moment,
    **{name: _since(name) for name in (*_UNITS, "julian day")},
    "words": _word,
    "number": _number,
    "uuid": _uuid,
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
        case "cut" if isinstance(value, str):
            text = value[: column.length]
            text = text.rstrip(" ") if column.base == "bpchar" else text
            return text if fits(text, column) else NEVER
        case "round":
            return _rounded(value, column, reading)
        case _:
            return NEVER


def _as_text(value: Value, column: TargetColumn, plain: Form) -> Text:
    if column.base not in {"json", "jsonb"}:
        return _literal(value)
    text = json.dumps(value if isinstance(value, str) else _literal(value), ensure_ascii=False)
    return plain(text) if fits(text, column) else NEVER


def _literal(value: Value) -> str:
    if isinstance(value, float) and math.isinf(value):
        return "9.0e+999" if value > 0 else "-9.0e+999"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, bytes):
        return "x'" + value.hex() + "'"
    data = value.data if isinstance(value, InvalidText) else str(value).encode()
    if isinstance(value, InvalidText) or b"\x00" in data:
        return f"CAST(x'{data.hex()}' AS TEXT)"
    return "'" + data.decode().replace("'", "''") + "'"


def _mended(value: Value, column: TargetColumn) -> Text:
    text = value.data.decode("utf-8", "replace") if isinstance(value, InvalidText) else value
    if not isinstance(text, str):
        return NEVER
    text = "\ufffd".join(text.split("\x00"))
    return text if fits(text, column) else NEVER


def _rounded(value: Value, column: TargetColumn, reading: ValueRules) -> Text:
    if column.base in {"timestamp", "timestamptz"}:
        return _rounded_instant(value, column, reading)
    number = _fraction(value, texts=reading.format == "number")
    if column.base == "float4":
        packed = struct.pack(">f", float(number))
        return packed.hex()
    if column.base == "float8":
        return struct.pack(">d", float(number)).hex()
    scale = (column.scale or 0) if column.base == "numeric" else 0
    nearest = _nearest(number * Fraction(10) ** scale) / Fraction(10) ** scale
    return _decimal(nearest, 0, column) if column.base == "numeric" else _whole(nearest, column)


def _nearest(number: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    whole = math.floor(abs(number) + Fraction(1, 2))
    return whole if number >= 0 else -whole


def _rounded_instant(value: Value, column: TargetColumn, reading: ValueRules) -> Text:
    found = _instant(value, reading.format)
    if found is None or (reading.format == "" and _has_zone(value) != (column.base == "timestamptz")):
        return NEVER
    unit = 10 ** (6 - (6 if column.precision is None else column.precision))
    return _shown(Fraction(math.floor(found / unit + Fraction(1, 2)) * unit), column)


def _has_zone(value: Value) -> bool:
    found = _MOMENT.fullmatch(str(value))
    return found is not None and found["zone"] is not None


# --- what each type holds ---------------------------------------------------------------------------------------------


def fits(value: Value, column: TargetColumn) -> bool:
    """Whether a column of Postgres holds exactly that value, without any reading chosen."""
    if column.labels:
        return value in column.labels
    check = _FITS.get(column.base)
    return check is not None and check(value, column)


def _fits_characters(value: Value, column: TargetColumn) -> bool:
    if not isinstance(value, str) or "\x00" in value or (column.base == "bpchar" and value.endswith(" ")):
        return False
    return column.length is None or len(value) <= column.length


def _fits_timestamp(value: Value, column: TargetColumn) -> bool:
    instant = _instant(value, "") if isinstance(value, str) else None
    if instant is None or _has_zone(value) != (column.base == "timestamptz"):
        return False
    return _shown(instant, column) != NEVER


def _fits_date(value: Value, _: TargetColumn) -> bool:
    return (
        isinstance(value, str) and re.fullmatch(_DAY, value, re.ASCII) is not None and bool(date.fromisoformat(value))
    )


def _fits_time(value: Value, _: TargetColumn) -> bool:
    found = re.fullmatch(_CLOCK, value, re.ASCII) if isinstance(value, str) else None
    if found is None:
        return False
    digits = (found["digits"] or "").rstrip("0")
    return int(str(value)[3:5]) < 60 and int(str(value)[6:8] or 0) < 60 and len(digits) <= 6


def _fits_document(value: Value, column: TargetColumn) -> bool:
    if isinstance(value, (int, float)):
        return math.isfinite(value)
    if not isinstance(value, str):
        return False
    parsed = json.loads(value, object_pairs_hook=_Pairs, parse_int=_Digits, parse_float=_Digits, parse_constant=_refuse)
    return _storable(parsed, binary=column.base == "jsonb")


class _Pairs(list[Any]):
    """An object of a document as its pairs, so that a key that is there twice is seen."""


class _Digits(str):
    """A number of a document as it is written."""

    __slots__ = ()


def _refuse(_: str) -> None:
    raise ValueError


def _storable(document: Any, *, binary: bool) -> bool:
    """Whether a document is held whole; level by level, because it may be deeper than Python lets calls be."""
    level = [document]
    for _ in range(_DEEPEST):
        if not all(_part_storable(part, binary=binary) for part in level):
            return False
        level = [inner for part in level if isinstance(part, list) for inner in _inside(part)]
    return all(not isinstance(part, list) and _part_storable(part, binary=binary) for part in level)


def _inside(part: list[Any]) -> list[Any]:
    return [text for pair in part for text in pair] if isinstance(part, _Pairs) else part


def _part_storable(part: Any, *, binary: bool) -> bool:
    if isinstance(part, _Pairs):
        keys = [key for key, _ in part]
        return len(set(keys)) == len(keys) or not binary
    if isinstance(part, _Digits):
        return not binary or _in_range(part)
    if isinstance(part, str) and binary:
        return "\x00" not in part and not any(0xD800 <= ord(character) <= 0xDFFF for character in part)
    return True


def _in_range(digits: str) -> bool:
    mantissa, _, exponent = digits.lower().partition("e")
    before, _, after = mantissa.lstrip("-").partition(".")
    shift = int(exponent or 0)
    significant = len((before + after).lstrip("0"))
    return significant - len(after) + shift <= 131_072 and len(after) - shift <= 16_383


_FITS: Final[dict[str, Callable[[Value, TargetColumn], bool]]] = {
    **dict.fromkeys(("int2", "int4", "int8"), lambda v, c: type(v) is int and _whole(Fraction(v), c) != NEVER),
    **dict.fromkeys(("float4", "float8"), lambda v, c: isinstance(v, (int, float)) and _real(float(v), v, c) != NEVER),
    "numeric": lambda v, c: (
        isinstance(v, (int, float))
        and (math.isfinite(v) or c.precision is None)
        and (math.isinf(v) or _decimal(Fraction(repr(v)), v, c) != NEVER)
    ),
    "bool": lambda v, _: type(v) is int and v in {0, 1},
    "bytea": lambda v, _: isinstance(v, bytes),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), _fits_characters),
    **dict.fromkeys(("json", "jsonb"), _fits_document),
    **dict.fromkeys(("timestamp", "timestamptz"), _fits_timestamp),
    "date": _fits_date,
    "time": _fits_time,
    "uuid": lambda v, _: isinstance(v, str) and _PLAIN_UUID.fullmatch(v) is not None,
}
