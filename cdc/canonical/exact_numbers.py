"""Numbers exactly as they are written, and the canonical texts of those that a column holds without rounding."""

import math
import re
import struct
from fractions import Fraction
from typing import Final

from cdc.canonical.text import NEVER
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value

_NUMERAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)


def exact_number(value: Value, *, texts: bool) -> Fraction:
    """The exact number that a value is written as; raises `ValueError` for what is none."""
    if isinstance(value, (int, float)):
        return Fraction(repr(value))
    if texts and isinstance(value, str) and len(value) <= 1000 and _NUMERAL.fullmatch(value):
        return Fraction(value)
    raise ValueError


def nearest_whole(number: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    whole = math.floor(abs(number) + Fraction(1, 2))
    return whole if number >= 0 else -whole


def real_text(number: float, value: Value, column: TargetColumn) -> str:
    """The bytes of a real of four or eight bytes, `NEVER` where they would read back as another number than `value`."""
    layout = ">f" if column.base == "float4" else ">d"
    if math.isinf(number) and isinstance(value, str):
        return NEVER
    packed = struct.pack(layout, number)
    wanted = value if isinstance(value, int) else number
    return packed.hex() if struct.unpack(layout, packed)[0] == wanted else NEVER


def decimal_text(number: Fraction, value: Value, column: TargetColumn) -> str:
    """The plain decimal of what `value` is written as; numeric has no negative zero, and may have a precision."""
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


def whole_text(number: Fraction, column: TargetColumn) -> str:
    """The digits, `NEVER` for a fraction or what is out of range."""
    bits = {"int2": 15, "int4": 31, "int8": 63}[column.base]
    return str(int(number)) if number.denominator == 1 and -(2**bits) <= number < 2**bits else NEVER
