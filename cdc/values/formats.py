"""How a column is fed where the operator chose how to read it: by a format, and with an outcome for what is unfit.

| format | reads | into |
|---|---|---|
| `iso utc` | ISO dates and timestamps, mixed; those without an offset are in UTC | timestamptz, timestamp (UTC) |
| `epoch s`, `epoch ms`, `epoch us` | numbers, also as texts, since 1970-01-01 UTC; to the microsecond | the same |
| `julian day` | days since noon of 4714-11-24 BC, to the millisecond as SQLite's functions read them | the same |
| `words` | 0 and 1, t/f, true/false, y/n, yes/no, on/off in any case, also '0' and '1' | boolean |
| `number` | numbers, whole reals where integers are wanted, and texts of decimal numbers | numbers |
| `uuid` | 32 hexadecimal digits in any case, with or without hyphens and braces; blobs of 16 bytes | uuid |
| `utf-8` | texts as their bytes, or blobs as their text | bytea, texts |

| on_invalid | a value that does not fit becomes | for |
|---|---|---|
| `quarantine` | nothing: its row is kept out, with the reason | every type |
| `null` | NULL | columns that may be NULL |
| `text` | its SQL literal; in JSON a string of it, a text its own | texts without a limit, json, jsonb |
| `replace` | itself, with U+FFFD for NUL characters and broken bytes | texts |
| `cut` | its first characters | varchar(n), char(n) |
| `round` | the nearest number, halves away from zero, or instant, halves to the later | numbers, timestamps |
"""

import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from math import isinf
from typing import Final
from uuid import UUID

from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import InvalidText, Value
from cdc.values import json_schema
from cdc.values import text as text_forms
from cdc.values.by_type import finer_than, form_of, formed
from cdc.values.encoder import INTEGERS, Form, Kinds, Unfit, expect, storage_class
from cdc.values.number import exact, within

_TIMESTAMPS: Final = ("timestamp", "timestamptz")
_CHARACTERS: Final = ("text", "varchar", "bpchar", "citext")
_WHOLE: Final = ("int2", "int4", "int8")
_NUMBERS: Final = (*_WHOLE, "float4", "float8", "numeric")
DOCUMENTS: Final = ("json", "jsonb")

_LONGEST_NUMERAL: Final = 1_000
_NUMERAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

# Instants are microseconds since 2000-01-01 UTC, as Postgres stores them.
_FIRST_INSTANT: Final = text_forms.moments(["0001-01-01"])[0]
_LAST_INSTANT: Final = text_forms.moments(["9999-12-31 23:59:59.999999"])[0]
_UNIX_EPOCH: Final = text_forms.moments(["1970-01-01"])[0]
_JULIAN_DAYS: Final = 5_373_484.5  # the first day of year 10000
_JULIAN_2000: Final = 211_813_444_800_000  # milliseconds of julian days at 2000-01-01 00:00


def form_for(
    column: TargetColumn,
    reading: ValueRules,
    *,
    literal: bool = False,
    schema: str = "",
    altered: Counter[str] | None = None,
) -> Form | None:
    """How that column of Postgres is fed; None when its type is not supported, or the reading is none for that type.

    Documents must satisfy the JSON Schema `schema` if there is one. Values that become others by a chosen outcome are
    counted in `altered`, by column.
    """
    if literal:
        return form_of(column, literal=True)
    if problem_with(column, reading):
        return None
    form = _as_written(column, reading)
    if form is not None and schema:
        form = json_schema.checked(form, schema)
    if form is None or not reading.loses:
        return form
    return _relaxed(column, reading, form, Counter() if altered is None else altered)


def _as_written(column: TargetColumn, reading: ValueRules) -> Form | None:
    return _FORMATS[reading.format].form(column) if reading.format else form_of(column)


def problem_with(column: TargetColumn, reading: ValueRules) -> str:
    """Why a column cannot be read in that way, in words for the operator; empty when it can."""
    if reading.format and column.base not in _FORMATS[reading.format].into:
        return f'is no type that `format = "{reading.format}"` is read into'
    if not _OUTCOMES[reading.on_invalid].suits(column):
        return f'is no type for `on_invalid = "{reading.on_invalid}"`'
    if column.not_null and "null" in (reading.on_invalid, reading.empty):
        return "is NOT NULL, while the configuration makes NULL of some values"
    return ""


# --- formats ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format:
    """One way in which values are written: the types it is read `into`, the first of them usually, and its form."""

    into: tuple[str, ...]
    form: Callable[[TargetColumn], Form]


def _iso_utc(column: TargetColumn) -> Form:
    takes = "ISO dates and timestamps with an offset, or in UTC"
    return formed(takes, text_forms.MOMENTS, text_forms.moments, finer_than(column.precision))


def _instants(takes: str, read: Callable[[Value], int]) -> Callable[[TargetColumn], Form]:
    def form(column: TargetColumn) -> Form:
        unit = 10 ** (6 - column.precision) if column.precision is not None else 1

        def one(value: Value) -> int:
            instant = read(value)
            if not _FIRST_INSTANT <= instant <= _LAST_INSTANT:
                raise Unfit(f"is {storage_class(value)} for an instant out of the years 1 to 9999")
            if instant % unit:
                raise Unfit(f"is {storage_class(value)} with more digits of a second than the type keeps")
            return instant

        return Form(takes, _singly(one), one)

    return form


def _epoch(per_unit: int) -> Callable[[Value], int]:
    def read(value: Value) -> int:
        if type(value) is int:
            return value * per_unit + _UNIX_EPOCH
        return int((_decimal(value) * per_unit).to_integral_value(ROUND_HALF_UP)) + _UNIX_EPOCH

    return read


def _julian_day(value: Value) -> int:
    # The very arithmetic of SQLite's date functions, which keep milliseconds.
    day = float(_decimal(value))
    if not 0.0 <= day < _JULIAN_DAYS:
        raise Unfit(f"is {storage_class(value)} out of the days that SQLite knows")
    milliseconds = int(day * 86_400_000.0 + 0.5)
    return (milliseconds - _JULIAN_2000) * 1000


def _singly(one: Callable[[Value], object]) -> Callable[[Sequence[Value], Kinds], Sequence[object] | None]:
    def column(values: Sequence[Value], _: Kinds) -> Sequence[object] | None:
        try:
            return [None if value is None else one(value) for value in values]
        except Unfit:
            return None

    return column


def _decimal(value: Value) -> Decimal:
    """A finite number, also where it is written as a text."""
    if type(value) is str:
        if len(value) > _LONGEST_NUMERAL or not _NUMERAL.fullmatch(value):
            raise Unfit("is a text that is no number" if value else "is an empty text")
        return Decimal(value)
    number = exact(value)
    if not number.is_finite():
        raise Unfit("is an infinity")
    return number


_WORDS: Final = dict.fromkeys(("1", "t", "true", "y", "yes", "on"), True) | dict.fromkeys(
    ("0", "f", "false", "n", "no", "off"), False
)


def _plain(column: TargetColumn) -> Form:
    form = form_of(column)
    assert form is not None, "formats are read into supported types"
    return form


def _words(column: TargetColumn) -> Form:
    plain = _plain(column)

    def one(value: Value) -> object:
        if type(value) is not str:
            return plain.one(value)
        if (flag := _WORDS.get(value.lower())) is None:
            raise Unfit("is a text that is no word for true or false" if value else "is an empty text")
        return flag

    return Form("0, 1, and words for true and false", _singly(one), one)


def _number(column: TargetColumn) -> Form:
    plain = _plain(column)

    def one(value: Value) -> object:
        if column.base == "numeric":
            return within(_decimal(value), column.precision, column.scale, storage_class(value))
        if column.base in _WHOLE:
            return plain.one(_whole(value))
        return plain.one(_double(value) if type(value) is str else value)

    def many(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return plain.column(values, kinds) if kinds <= INTEGERS else _singly(one)(values, kinds)

    return Form(f"numbers, and texts of numbers, among {plain.takes}", many, one)


def _double(text: str) -> float:
    number = float(_decimal(text))
    if isinf(number):
        raise Unfit("is a text of a number out of range")
    return number


def _whole(value: Value) -> int:
    if type(value) is int:
        return value
    number = _decimal(value)
    if number != number.to_integral_value():
        raise Unfit(f"is {storage_class(value)} with a fraction")
    return int(number)


_LOOSE_UUID: Final = re.compile(
    r"(?P<brace>\{)?[0-9A-Fa-f]{8}(?P<dash>-?)(?:[0-9A-Fa-f]{4}(?P=dash)){3}[0-9A-Fa-f]{12}(?(brace)\})"
)


def _uuid(_: TargetColumn) -> Form:
    def one(value: Value) -> str:
        if type(value) is bytes:
            if len(value) != 16:
                raise Unfit("is a blob that is not 16 bytes long")
            return str(UUID(bytes=value))
        text = expect(value, str)
        if not _LOOSE_UUID.fullmatch(text):
            raise Unfit("is a text of another form" if text else "is an empty text")
        return str(UUID(text))

    return Form("UUIDs as texts in any usual form, or as 16 bytes", _singly(one), one)


def _utf_8(column: TargetColumn) -> Form:
    plain = _plain(column)

    def one(value: Value) -> object:
        return plain.one(_bytes(value) if column.base == "bytea" else _text(value))

    def many(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return plain.column(values, kinds) or _singly(one)(values, kinds)

    return Form("texts and blobs in UTF-8", many, one)


def _bytes(value: Value) -> Value:
    match value:
        case str():
            return value.encode()
        case InvalidText(data):
            return data
        case _:
            return value


def _text(value: Value) -> Value:
    if type(value) is not bytes:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unfit("is a blob that is not valid UTF-8") from None


_SINCE_1970: Final = "since 1970-01-01 UTC, as numbers or texts of numbers"
_FORMATS: Final[dict[str, Format]] = {
    "iso utc": Format(_TIMESTAMPS[::-1], _iso_utc),
    "epoch s": Format(_TIMESTAMPS[::-1], _instants(f"seconds {_SINCE_1970}", _epoch(1_000_000))),
    "epoch ms": Format(_TIMESTAMPS[::-1], _instants(f"milliseconds {_SINCE_1970}", _epoch(1_000))),
    "epoch us": Format(_TIMESTAMPS[::-1], _instants(f"microseconds {_SINCE_1970}", _epoch(1))),
    "julian day": Format(_TIMESTAMPS[::-1], _instants("julian days, as numbers or texts of numbers", _julian_day)),
    "words": Format(("bool",), _words),
    "number": Format(_NUMBERS, _number),
    "uuid": Format(("uuid",), _uuid),
    "utf-8": Format(("bytea", *_CHARACTERS), _utf_8),
}


# --- what becomes of values that do not fit ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an unfit value was met. `wide` is the form without the limits that rounding is there to meet."""

    column: TargetColumn
    reading: ValueRules
    form: Form
    wide: Form


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of an unfit value: for which columns that can be asked for, and what makes it of the value."""

    suits: Callable[[TargetColumn], bool]
    make: Callable[[Value, _Place], object]


def _relaxed(column: TargetColumn, reading: ValueRules, form: Form, altered: Counter[str]) -> Form | None:
    """The form with the chosen outcome for empty texts and for values that do not fit."""
    wide = _as_written(replace(column, precision=None), reading)
    if wide is None:
        return None
    place = _Place(column, reading, form, wide)
    make = _OUTCOMES[reading.on_invalid].make
    without_empty = reading.empty == "null"

    def one(value: Value) -> object:
        if without_empty and value == "":
            made = None
        else:
            try:
                return place.form.one(value)
            except Unfit:
                made = make(value, place)
        altered[column.name] += 1
        return made

    def many(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not (without_empty and str in kinds and "" in values):
            return place.form.column(values, kinds)
        present = [None if value == "" else value for value in values]
        made = place.form.column(present, set(map(type, present)))
        if made is not None:
            altered[column.name] += values.count("")
        return made

    return Form(form.takes, many, one)


def _refused(value: Value, place: _Place) -> object:
    return place.form.one(value)


def _as_text(value: Value, place: _Place) -> object:
    if place.column.base not in DOCUMENTS:
        return text_forms.literal(value)
    text = value if type(value) is str else text_forms.literal(value)
    return place.form.one(json.dumps(text, ensure_ascii=False))


def _replaced(value: Value, place: _Place) -> object:
    text = value.data.decode("utf-8", "replace") if isinstance(value, InvalidText) else expect(value, str)
    return place.form.one(text.replace("\x00", "\ufffd"))


def _cut(value: Value, place: _Place) -> object:
    text = expect(value, str)[: place.column.length]
    return place.form.one(text.rstrip(" ") if place.column.base == "bpchar" else text)


def _rounded(value: Value, place: _Place) -> object:
    column = place.column
    if column.base in _TIMESTAMPS:
        return _rounded_instant(value, place)
    if type(value) is str and place.reading.format != "number":
        return place.form.one(value)
    number = _decimal(value)
    if column.base in _WHOLE:
        return place.form.one(int(number.to_integral_value(ROUND_HALF_UP)))
    if column.base == "numeric":
        return within(_at_scale(number, column.scale or 0), column.precision, column.scale, storage_class(value))
    nearest = float(number) if column.base == "float8" else array("f", [float(number)])[0]
    if isinf(nearest):
        raise Unfit(f"is {storage_class(value)} out of range")
    return nearest


def _at_scale(number: Decimal, scale: int) -> Decimal:
    with localcontext(prec=1_000):
        whole = number.scaleb(scale).to_integral_value(ROUND_HALF_UP)
        return whole.scaleb(-scale) if whole else Decimal(0)


def _rounded_instant(value: Value, place: _Place) -> int:
    rest = Decimal(0)
    if type(value) is str and (found := _BEYOND_MICROSECONDS.search(value)):
        rest = Decimal(f"0.{found['rest']}")
        value = value[: found.start("rest")] + value[found.end("rest") :]
    instant = place.wide.one(value)
    assert isinstance(instant, int)
    digits = 6 if place.column.precision is None else place.column.precision
    return _half_up((instant + rest).scaleb(digits - 6)) * int(10 ** (6 - digits))


def _half_up(number: Decimal) -> int:
    return int((number + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


_BEYOND_MICROSECONDS: Final = re.compile(r":[0-9]{2}\.[0-9]{6}(?P<rest>[0-9]+)")

_OUTCOMES: Final[dict[str, Outcome]] = {
    "quarantine": Outcome(lambda _: True, _refused),
    "null": Outcome(lambda _: True, lambda _value, _place: None),
    "text": Outcome(lambda c: c.base in DOCUMENTS or (c.base in _CHARACTERS and c.length is None), _as_text),
    "replace": Outcome(lambda column: column.base in _CHARACTERS, _replaced),
    "cut": Outcome(lambda column: column.length is not None, _cut),
    "round": Outcome(lambda column: column.base in (*_NUMBERS, *_TIMESTAMPS), _rounded),
}
