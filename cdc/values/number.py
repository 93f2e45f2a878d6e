"""Forms of Postgres' numbers and booleans."""

from array import array
from collections.abc import Sequence
from decimal import Decimal
from types import NoneType
from typing import cast

from cdc.facts.values import Value
from cdc.values.encoder import (
    INTEGERS,
    NUMBERS,
    REALS,
    Form,
    Kinds,
    Unfit,
    expect,
    storage_class,
    with_gaps,
    without_nulls,
)


def whole_numbers(bits: int) -> Form:
    """int2, int4 and int8."""

    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= INTEGERS:
            return None
        present = cast("Sequence[int]", without_nulls(values, kinds)) if bits < 64 else ()
        return values if not present or (low <= min(present) and max(present) <= high) else None

    def one(value: Value) -> int:
        number = expect(value, int)
        if not low <= number <= high:
            raise Unfit("is an integer out of range")
        return number

    return Form(f"whole numbers from {low} to {high}", column, one)


def double() -> Form:
    """float8."""

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if kinds <= REALS:
            return values
        if not kinds <= NUMBERS:
            return None
        present = cast("list[int | float]", list(without_nulls(values, kinds)))
        made = list(map(float, present))
        return with_gaps(values, made) if made == present else None

    def one(value: Value) -> float:
        if type(value) is int:
            if float(value) != value:
                raise Unfit("is an integer that no double is equal to")
            return float(value)
        return expect(value, float)

    return Form("reals, and integers that a double can hold exactly", column, one)


def single() -> Form:
    """float4."""

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= NUMBERS:
            return None
        present = cast("list[int | float]", list(without_nulls(values, kinds)))
        return values if array("f", present).tolist() == present else None

    def one(value: Value) -> float:
        number = value if type(value) is int else expect(value, float)
        if array("f", [number])[0] != number:
            raise Unfit(f"is {storage_class(value)} that four bytes cannot hold exactly")
        return float(number)

    return Form("reals that four bytes hold exactly", column, one)


def decimals(precision: int | None, scale: int | None) -> Form:
    """numeric, with or without a precision."""

    def one(value: Value) -> Decimal:
        return within(exact(value), precision, scale, storage_class(value))

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if precision is None and kinds <= INTEGERS:
            return values
        if not kinds <= NUMBERS:
            return None
        try:
            return [None if v is None else one(v) for v in values]
        except Unfit:
            return None

    return Form("numbers within its precision and scale, never rounded", column, one)


def exact(value: Value) -> Decimal:
    """A number as people write it: of a real the shortest text that reads back as the same double."""
    return Decimal(value if type(value) is int else repr(expect(value, float)))


def within(number: Decimal, precision: int | None, scale: int | None, what: str) -> Decimal:
    """The number when numeric(precision, scale) holds it without rounding."""
    if number.is_zero() and number.is_signed():
        raise Unfit("is a negative zero")
    if precision is not None and not _fits(number, precision, scale or 0):
        raise Unfit(f"is {what} beyond its precision or scale")
    return number


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    if not number or not number.is_finite():
        return number.is_finite()
    exponent = int(number.normalize().as_tuple().exponent)
    return exponent >= -scale and number.adjusted() < precision - scale


def flags() -> Form:
    """bool."""

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= INTEGERS or not set(values) <= {0, 1, None}:
            return None
        return [None if v is None else v == 1 for v in values] if NoneType in kinds else list(map(bool, values))

    def one(value: Value) -> bool:
        number = expect(value, int)
        if number not in {0, 1}:
            raise Unfit("is an integer other than 0 and 1")
        return number == 1

    return Form("the integers 0 and 1", column, one)
