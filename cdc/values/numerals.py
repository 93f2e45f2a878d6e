"""Numbers as applications write them: read exactly, as integers, reals or texts, and written again in each form."""

import re
from collections.abc import Callable
from decimal import Decimal
from math import isnan
from typing import Final

from cdc.facts.values import Value
from cdc.values.encoder import Unfit, expect
from cdc.values.family import ValueForm

LONGEST_NUMERAL: Final = 1_000  # characters; reading a longer one would take more than its length in time
_NUMERAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def exact_decimal(value: Value) -> Decimal:
    """A number as people write it: of a real the shortest text that reads back as the same double."""
    return Decimal(value if type(value) is int else repr(expect(value, float)))


def decimal_of(value: Value) -> Decimal:
    """A finite number, also where it is written as a text; raises `Unfit` for anything else."""
    if type(value) is str:
        if len(value) > LONGEST_NUMERAL or not _NUMERAL.fullmatch(value):
            raise Unfit("is a text that is no number" if value else "is an empty text")
        return Decimal(value)
    number = exact_decimal(value)
    if not number.is_finite():
        raise Unfit("is an infinity")
    return number


# --- written again ----------------------------------------------------------------------------------------------------


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


def all_digits(number: Decimal) -> str:
    """All digits without an exponent, and without zeros at the end of a fraction."""
    shown = format(number, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def with_places(places: int) -> Callable[[Decimal], str]:
    """All digits without an exponent, and zeros up to so many places: as Postgres shows numeric(p, places)."""

    def write(number: Decimal) -> str:
        whole, _, fraction = format(number, "f").partition(".")
        padded = fraction.ljust(places, "0")
        return f"{whole}.{padded}" if padded else whole

    return write


AS_INTEGER: Final = ValueForm("integer", "integer", _as_integer)
AS_REAL: Final = ValueForm("real", "real", _as_real)
AS_TEXT: Final = ValueForm("text", "text", str)
