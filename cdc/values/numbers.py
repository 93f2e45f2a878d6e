"""Integers, reals and exact decimals: the encoders, the format, and how they round."""

from array import array
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import isinf
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
from cdc.values.numerals import (
    AS_INTEGER,
    AS_REAL,
    AS_TEXT,
    LONGEST_NUMERAL,
    all_digits,
    decimal_of,
    exact_decimal,
    with_places,
)

# What Postgres' numeric can hold: digits before and after the decimal point.
DIGITS_BEFORE_POINT: Final = 131_072
DIGITS_AFTER_POINT: Final = 16_383

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
        return _within(exact_decimal(value), precision, scale, storage_class(value))

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


def _numeral_forms(target: TargetColumn) -> tuple[ValueForm, ...]:
    if target.base in _WHOLE_BASES:
        return AS_INTEGER, AS_REAL, AS_TEXT, ValueForm("text with .0", "text", lambda number: f"{number}.0")
    if target.base == NUMERIC.base:
        shortest = ValueForm("text", "text", all_digits)
        return AS_INTEGER, AS_REAL, shortest, ValueForm("text with zeros", "text", with_places(target.scale or 0))
    shortest = ValueForm("text", "text", lambda number: repr(number).removesuffix(".0"))
    return AS_REAL, AS_INTEGER, shortest, ValueForm("text with .0", "text", repr)


def _single(text: str) -> float:
    return array("f", [float(text)])[0]


_RETURNING_WHOLE: Final = Returning(int, lambda _: (AS_INTEGER,))
# Its text tells negative zero from the other one, which are equal to Python.
_RETURNING_SINGLE: Final = Returning(_single, lambda _: (AS_REAL, AS_INTEGER), repr)
_RETURNING_DOUBLE: Final = Returning(float, lambda _: (AS_REAL, AS_INTEGER), repr)
_RETURNING_DECIMAL: Final = Returning(Decimal, lambda _: (AS_INTEGER, AS_REAL))

# --- the types themselves ---------------------------------------------------------------------------------------------


def _whole_type(octets: int, name: str, *aliases: str) -> PostgresType:
    return PostgresType(
        f"int{octets}",
        name,
        lambda _: _whole_numbers(8 * octets),
        _RETURNING_WHOLE,
        aliases=aliases,
        nearest=_nearest,
        fixed=(octets, octets),
        same_when_equal=True,
    )


SMALLINT: Final = _whole_type(2, "smallint", "int2")
INTEGER: Final = _whole_type(4, "integer", "int", "int4")
BIGINT: Final = _whole_type(8, "bigint", "int8")
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

WHOLE: Final = (SMALLINT, INTEGER, BIGINT)
FLOATS: Final = (REAL, DOUBLE)
_WHOLE_BASES: Final = frozenset(type_.base for type_ in WHOLE)
_BY_BASE: Final = {type_.base: type_ for type_ in (*WHOLE, *FLOATS, NUMERIC)}

# --- formats ----------------------------------------------------------------------------------------------------------

NUMBER: Final = "number"


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


FAMILY: Final = Family(
    types=(*WHOLE, *FLOATS, NUMERIC),
    formats=(
        Format(
            NUMBER,
            f"numbers and texts of decimal numbers (up to {LONGEST_NUMERAL:,} characters); whole reals such as 5.0 "
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
    ),
)
