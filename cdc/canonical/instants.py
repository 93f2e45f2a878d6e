"""Instants as applications write them: ISO texts, or numbers that count from some beginning."""

import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from cdc.canonical.exact_numbers import exact_number, nearest_whole
from cdc.canonical.text import NEVER
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LATEST: Final = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_INSTANT_OF_JULIAN_DAY_0: Final = -210_866_760_000_000_000  # microseconds from 1970
_DAY: Final = 86_400_000_000
_PLAIN_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
EPOCHS: Final = {"epoch s": 1_000_000, "epoch ms": 1_000, "epoch us": 1}
DAY: Final = r"\d{4}-\d\d-\d\d"
CLOCK: Final = r"([01]\d|2[0-3]):\d\d(:\d\d(\.(?P<digits>\d+))?)?"
_ZONE: Final = r"(?P<zone>Z|[+-]\d\d(:?[0-5]\d)?)"
_MOMENT: Final = re.compile(rf"(?P<day>{DAY})((?P<clock>[ T]{CLOCK})( ?{_ZONE})?)?", re.ASCII)


def instant_of(value: Value, format_: str) -> Fraction | None:
    """Microseconds since 1970 as exactly as they are written; None for a text of another form."""
    if format_ in EPOCHS or format_ == "julian day":
        return counted_instant(value, format_)
    if format_ == "auto utc" and not (isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value) is None):
        return _mixed_instant(value)
    written = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if written is None or (format_ == "" and written["clock"] is None):
        return None
    clock = re.sub(r"\.\d+", "", written["clock"] or " 00:00")
    zone = written["zone"] or "+00:00"
    whole = datetime.fromisoformat(f"{written['day']}{clock}{zone}")
    digits = written["digits"]
    return (whole - _EPOCH) // _MICROSECOND + (Fraction(f"0.{digits}") * 1_000_000 if digits else Fraction(0))


def counted_instant(value: Value, format_: str) -> Fraction:
    """Microseconds since 1970 of a number that counts from some beginning; raises `ValueError` beyond year 9999."""
    number = exact_number(value, texts=True)
    if format_ == "julian day":
        if not 0 <= number < 5373484.5:
            raise ValueError
        instant = math.floor(float(number) * 86400000.0 + 0.5) * 1000 + _INSTANT_OF_JULIAN_DAY_0
    else:
        instant = nearest_whole(number * EPOCHS[format_])
    if not _EARLIEST <= instant <= _LATEST:
        raise ValueError
    return Fraction(instant)


def _mixed_instant(value: Value) -> Fraction:
    """The same of a number of seconds or milliseconds; raises `ValueError` where it may be something else."""
    number = exact_number(value, texts=True)
    if not number:
        return Fraction(0)
    whole = math.floor(abs(number))
    if _is_compact_date(whole) or 253402214400 <= whole <= 253402300799:
        raise ValueError
    if 10**7 <= whole < 10**10:
        return counted_instant(value, "epoch s")
    if 10**11 <= whole < 10**14:
        return counted_instant(value, "epoch ms")
    raise ValueError


def _is_compact_date(number: int) -> bool:
    """Whether its digits are a day of the years 1900 to 2099, with or without a time of day."""
    digits = str(number)
    if len(digits) not in {8, 12, 14} or not 1900 <= int(digits[:4]) < 2100:
        return False
    month, day, *clock = (int(digits[place : place + 2]) for place in range(4, len(digits), 2))
    within = all(part < most for part, most in zip(clock, (24, 60, 60), strict=False))
    return 1 <= month <= 12 and 1 <= day <= 31 and within


def has_zone(value: Value) -> bool:
    """Whether an ISO text names the zone that it is in."""
    written = _MOMENT.fullmatch(str(value))
    return written is not None and written["zone"] is not None


def instant_text(instant: Fraction, column: TargetColumn) -> str:
    """The canonical text, `NEVER` where the column keeps fewer digits of a second, or only days."""
    units = instant / _unit(column)
    if units.denominator != 1:
        return NEVER
    return str(units) if column.base == "date" else str(int(instant))


def day_text(instant: Fraction) -> str:
    """The canonical text of the day of an instant."""
    return str(math.floor(instant / _DAY))


def nearest_instant(instant: Fraction, column: TargetColumn) -> Fraction:
    """The nearest instant that the column holds, halves to the later one."""
    unit = _unit(column)
    return Fraction(math.floor(instant / unit + Fraction(1, 2)) * unit)


def _unit(column: TargetColumn) -> int:
    """The microseconds of the last digit that the column keeps, of a date those of a day."""
    if column.base == "date":
        return _DAY
    return 1 if column.precision is None else 10 ** (6 - column.precision)
