"""Integers, reals, exact decimals and booleans: the encoders, the formats, and how they round."""

import re
from array import array
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import isinf, isnan
from types import NoneType
from typing import Final, cast

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import (
    INTEGERS,
    NUMBERS,
    REALS,
    Encoder,
    Kinds,
    Unfit,
    expect,
    singly,
    storage_class,
    with_nulls,
    without_nulls,
)
from cdc.values.family import ColumnEncoding, Family, Format, PostgresType, Promise, Returning, ValueForm

# What Postgres' numeric can hold: digits before and after the decimal point.
DIGITS_BEFORE_POINT: Final = 131_072
DIGITS_AFTER_POINT: Final = 16_383

_LONGEST_NUMERAL: Final = 1_000  # characters; reading a longer one would take more than its length in time
_NUMERAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

# --- types ------------------------------------------------------------------------------------------------------------


def _whole_numbers(bits: int) -> Encoder:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= INTEGERS:
            return None
        # SQLite's integers have 64 bits, so nothing is to be looked for in the widest type.
        present = cast("Sequence[int]", without_nulls(values, kinds)) if bits < 64 else ()
        return values if not present or (low <= min(present) and max(present) <= high) else None

    def scalar(value: Value) -> int:
        number = expect(value, int)
        if not low <= number <= high:
            raise Unfit("is an integer out of range")
        return number

    return Encoder(f"whole numbers from {low} to {high}", column, scalar)


def _doubles(_: TargetColumn) -> Encoder:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if kinds <= REALS:
            return values
        if not kinds <= NUMBERS:
            return None
        present = cast("list[int | float]", list(without_nulls(values, kinds)))
        doubles = list(map(float, present))
        # Python compares an integer with a float exactly, so this finds the integers that a double rounds.
        return with_nulls(values, doubles) if doubles == present else None

    def scalar(value: Value) -> float:
        if type(value) is int:
            if float(value) != value:
                raise Unfit("is an integer that no double is equal to")
            return float(value)
        return expect(value, float)

    return Encoder("reals, and integers that a double can hold exactly", column, scalar)


def _singles(_: TargetColumn) -> Encoder:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= NUMBERS:
            return None
        present = cast("list[int | float]", list(without_nulls(values, kinds)))
        return values if array("f", present).tolist() == present else None

    def scalar(value: Value) -> float:
        number = value if type(value) is int else expect(value, float)
        if array("f", [number])[0] != number:
            raise Unfit(f"is {storage_class(value)} that four bytes cannot hold exactly")
        return float(number)

    return Encoder("reals that four bytes hold exactly", column, scalar)


def _decimals(target: TargetColumn) -> Encoder:
    precision, scale = target.precision, target.scale

    def scalar(value: Value) -> Decimal:
        return _within(_exact(value), precision, scale, storage_class(value))

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if precision is None and kinds <= INTEGERS:
            return values
        if not kinds <= NUMBERS:
            return None
        try:
            return [None if v is None else scalar(v) for v in values]
        except Unfit:
            return None

    return Encoder("numbers within its precision and scale, never rounded", column, scalar)


def _exact(value: Value) -> Decimal:
    """A number as people write it: of a real the shortest text that reads back as the same double."""
    return Decimal(value if type(value) is int else repr(expect(value, float)))


def _within(number: Decimal, precision: int | None, scale: int | None, what: str) -> Decimal:
    """The number when numeric(precision, scale) holds it without rounding."""
    if number.is_zero() and number.is_signed():
        raise Unfit("is a negative zero")  # which numeric does not have: it would read back as another value
    if precision is not None and not _fits(number, precision, scale or 0):
        raise Unfit(f"is {what} beyond its precision or scale")
    return number


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    if not number or not number.is_finite():
        return number.is_finite()  # numeric without a precision has infinities, one with a precision has none
    exponent = int(number.normalize().as_tuple().exponent)
    return exponent >= -scale and number.adjusted() < precision - scale


def _flags(_: TargetColumn) -> Encoder:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= INTEGERS or not set(values) <= {0, 1, None}:
            return None
        return [None if v is None else v == 1 for v in values] if NoneType in kinds else list(map(bool, values))

    def scalar(value: Value) -> bool:
        number = expect(value, int)
        if number not in {0, 1}:
            raise Unfit("is an integer other than 0 and 1")
        return number == 1

    return Encoder("the integers 0 and 1", column, scalar)


# --- rounding ---------------------------------------------------------------------------------------------------------


def _nearest(value: Value, at: ColumnEncoding) -> object:
    """The nearest number that the column holds, halves away from zero; raises `Unfit` for what has none."""
    if type(value) is str and at.rules.format != NUMBER:
        return at.encoder.scalar(value)  # which refuses it as the text that it is
    number = decimal_of(value)
    if at.column.base in _WHOLE_BASES:
        return at.encoder.scalar(int(number.to_integral_value(ROUND_HALF_UP)))
    if at.column.base == NUMERIC.base:
        rounded = _at_scale(number, at.column.scale or 0)
        return _within(rounded, at.column.precision, at.column.scale, storage_class(value))
    nearest = float(number) if at.column.base == DOUBLE.base else array("f", [float(number)])[0]
    if isinf(nearest):
        raise Unfit(f"is {storage_class(value)} out of range")
    return nearest


def _at_scale(number: Decimal, scale: int) -> Decimal:
    # The usual context would round to 28 digits before; numerals have up to 1,000.
    with localcontext(prec=1_000):
        whole = number.scaleb(scale).to_integral_value(ROUND_HALF_UP)
        return whole.scaleb(-scale) if whole else Decimal(0)


# --- the way back -----------------------------------------------------------------------------------------------------


def _as_integer(number: float | Decimal) -> int | float:
    """Whole numbers as integers, the others as reals; SQLite's integers have 64 bits and no negative zero."""
    real = _as_real(number)
    if -(1 << 63) <= number < 1 << 63 and number == int(number) and not _is_negative_zero(number):
        return int(number)
    return real


def _as_real(number: float | Decimal) -> float:
    real = float(number)
    if isnan(real):
        raise Unfit("is NaN, which SQLite does not have")
    return real


def _is_negative_zero(number: float | Decimal) -> bool:
    return number == 0 and str(number).startswith("-")


def _plainly(number: Decimal) -> str:
    """All digits without an exponent, and without zeros at the end of a fraction."""
    shown = format(number, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _with_places(places: int) -> Callable[[Decimal], str]:
    """All digits without an exponent, and zeros up to so many places: as Postgres shows numeric(p, places)."""

    def write(number: Decimal) -> str:
        whole, _, fraction = format(number, "f").partition(".")
        padded = fraction.ljust(places, "0")
        return f"{whole}.{padded}" if padded else whole

    return write


_INTEGER: Final = ValueForm("integer", "integer", _as_integer)
_REAL: Final = ValueForm("real", "real", _as_real)
_TEXT: Final = ValueForm("text", "text", str)


def _numeral_forms(target: TargetColumn) -> tuple[ValueForm, ...]:
    if target.base in _WHOLE_BASES:
        return _INTEGER, _REAL, _TEXT, ValueForm("text with .0", "text", lambda number: f"{number}.0")
    if target.base == NUMERIC.base:
        shortest = ValueForm("text", "text", _plainly)
        return _INTEGER, _REAL, shortest, ValueForm("text with zeros", "text", _with_places(target.scale or 0))
    shortest = ValueForm("text", "text", lambda number: repr(number).removesuffix(".0"))
    return _REAL, _INTEGER, shortest, ValueForm("text with .0", "text", repr)


def _single(text: str) -> float:
    return array("f", [float(text)])[0]


_RETURNING_WHOLE: Final = Returning(int, lambda _: (_INTEGER,))
# Its text tells negative zero from the other one, which are equal to Python.
_RETURNING_SINGLE: Final = Returning(_single, lambda _: (_REAL, _INTEGER), repr)
_RETURNING_DOUBLE: Final = Returning(float, lambda _: (_REAL, _INTEGER), repr)
_RETURNING_DECIMAL: Final = Returning(Decimal, lambda _: (_INTEGER, _REAL))
_RETURNING_FLAG: Final = Returning(
    lambda text: text in {"t", "true"}, lambda _: (ValueForm("integer", "integer", int),)
)

# --- the types themselves ---------------------------------------------------------------------------------------------

SMALLINT: Final = PostgresType(
    "int2",
    "smallint",
    lambda _: _whole_numbers(16),
    _RETURNING_WHOLE,
    aliases=("int2",),
    nearest=_nearest,
    fixed=(2, 2),
    same_when_equal=True,
)
INTEGER: Final = PostgresType(
    "int4",
    "integer",
    lambda _: _whole_numbers(32),
    _RETURNING_WHOLE,
    aliases=("int", "int4"),
    nearest=_nearest,
    fixed=(4, 4),
    same_when_equal=True,
)
BIGINT: Final = PostgresType(
    "int8",
    "bigint",
    lambda _: _whole_numbers(64),
    _RETURNING_WHOLE,
    aliases=("int8",),
    nearest=_nearest,
    fixed=(8, 8),
    same_when_equal=True,
)
REAL: Final = PostgresType(
    "float4", "real", _singles, _RETURNING_SINGLE, nearest=_nearest, fixed=(4, 4), same_when_equal=True
)
DOUBLE: Final = PostgresType(
    "float8",
    "double precision",
    _doubles,
    _RETURNING_DOUBLE,
    aliases=("float8", "float"),
    nearest=_nearest,
    fixed=(8, 8),
    same_when_equal=True,
)
NUMERIC: Final = PostgresType(
    "numeric", "numeric", _decimals, _RETURNING_DECIMAL, aliases=("decimal",), nearest=_nearest
)
BOOLEAN: Final = PostgresType(
    "bool", "boolean", _flags, _RETURNING_FLAG, aliases=("bool",), fixed=(1, 1), same_when_equal=True
)

WHOLE: Final = (SMALLINT, INTEGER, BIGINT)
FLOATS: Final = (REAL, DOUBLE)
_WHOLE_BASES: Final = frozenset(type_.base for type_ in WHOLE)
_BY_BASE: Final = {type_.base: type_ for type_ in (*WHOLE, *FLOATS, NUMERIC)}

# --- formats ----------------------------------------------------------------------------------------------------------

NUMBER: Final = "number"
_WORDS: Final = dict.fromkeys(("1", "t", "true", "y", "yes", "on"), True) | dict.fromkeys(
    ("0", "f", "false", "n", "no", "off"), False
)


def decimal_of(value: Value) -> Decimal:
    """A finite number, also where it is written as a text; raises `Unfit` for anything else."""
    if type(value) is str:
        if len(value) > _LONGEST_NUMERAL or not _NUMERAL.fullmatch(value):
            raise Unfit("is a text that is no number" if value else "is an empty text")
        return Decimal(value)
    number = _exact(value)
    if not number.is_finite():
        raise Unfit("is an infinity")
    return number


def _numerals(target: TargetColumn) -> Encoder:
    plain = _BY_BASE[target.base].encoder(target)

    def scalar(value: Value) -> object:
        if target.base == NUMERIC.base:
            return _within(decimal_of(value), target.precision, target.scale, storage_class(value))
        if target.base in _WHOLE_BASES:
            return plain.scalar(_whole(value))
        return plain.scalar(_double(value) if type(value) is str else value)

    one_by_one = singly(scalar)

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return plain.column(values, kinds) if kinds <= INTEGERS else one_by_one(values, kinds)

    return Encoder(f"numbers, and texts of numbers, among {plain.takes}", column, scalar)


def _whole(value: Value) -> int:
    if type(value) is int:
        return value
    number = decimal_of(value)
    if number != number.to_integral_value():
        raise Unfit(f"is {storage_class(value)} with a fraction")
    return int(number)


def _double(text: str) -> float:
    number = float(decimal_of(text))
    if isinf(number):
        raise Unfit("is a text of a number out of range")
    return number


def _words(target: TargetColumn) -> Encoder:
    plain = _flags(target)

    def scalar(value: Value) -> object:
        if type(value) is not str:
            return plain.scalar(value)
        if (flag := _WORDS.get(value.lower())) is None:
            raise Unfit("is a text that is no word for true or false" if value else "is an empty text")
        return flag

    return Encoder("0, 1, and words for true and false", singly(scalar), scalar)


def _word_pair(true: str, false: str) -> ValueForm:
    return ValueForm(f"{true} {false}", "text", lambda flag: true if flag else false)


_PAIRS: Final = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"), ("1", "0"))
_CASED: Final = dict.fromkeys((case(t), case(f)) for case in (str.lower, str.upper, str.title) for t, f in _PAIRS)
_WORD_FORMS: Final = (ValueForm("integer", "integer", int), *(_word_pair(*pair) for pair in _CASED))


FAMILY: Final = Family(
    types=(*WHOLE, *FLOATS, NUMERIC, BOOLEAN),
    formats=(
        Format(
            "words",
            "0, 1, and `t`, `true`, `y`, `yes`, `on`, `1` and their opposites in any case",
            (BOOLEAN,),
            _words,
            lambda _: _WORD_FORMS,
            usual=BOOLEAN,
        ),
        Format(
            NUMBER,
            f"numbers and texts of decimal numbers (up to {_LONGEST_NUMERAL:,} characters); whole reals such as 5.0 "
            "for integers",
            (*WHOLE, *FLOATS, NUMERIC),
            _numerals,
            _numeral_forms,
        ),
    ),
    promises=(
        Promise(tuple(t.name for t in WHOLE), "integers in range", "any real, even 5.0; texts"),
        Promise((REAL.name,), "reals and integers that four bytes hold exactly", "0.1"),
        Promise((DOUBLE.name,), "reals with infinities, integers that a double holds exactly", "2^53+1"),
        Promise(
            (NUMERIC.name,),
            "integers; reals as the shortest decimal that reads back as the same double",
            "what a precision or scale would round; -0.0; infinities where a precision is set",
        ),
        Promise((BOOLEAN.name,), "0 and 1", "2, 'true'"),
    ),
)
