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
EPOCHS: Final = {"epoch s": 1_000_000, "epoch ms": 1_000, "epoch us": 1}
DAY: Final = r"\d{4}-\d\d-\d\d"
CLOCK: Final = r"([01]\d|2[0-3]):\d\d(:\d\d(\.(?P<digits>\d+))?)?"
_ZONE: Final = r"(?P<zone>Z|[+-]\d\d(:?[0-5]\d)?)"
_MOMENT: Final = re.compile(rf"(?P<day>{DAY})((?P<clock>[ T]{CLOCK})( ?{_ZONE})?)?", re.ASCII)


def instant_of(value: Value, format_: str) -> Fraction | None:
    """Microseconds since 1970 as exactly as they are written; None for a text of another form."""
    if format_ in EPOCHS or format_ == "julian day":
        return counted_instant(value, format_)
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


def has_zone(value: Value) -> bool:
    """Whether an ISO text names the zone that it is in."""
    written = _MOMENT.fullmatch(str(value))
    return written is not None and written["zone"] is not None


def instant_text(instant: Fraction, column: TargetColumn) -> str:
    """The canonical text, `NEVER` where the column keeps fewer digits of a second."""
    exact = (instant / _unit(column)).denominator == 1
    return str(int(instant)) if exact else NEVER


def nearest_instant(instant: Fraction, column: TargetColumn) -> Fraction:
    """The nearest instant that the column holds, halves to the later one."""
    unit = _unit(column)
    return Fraction(math.floor(instant / unit + Fraction(1, 2)) * unit)


def _unit(column: TargetColumn) -> int:
    """The microseconds of the last digit that the column keeps."""
    return 1 if column.precision is None else 10 ** (6 - column.precision)
