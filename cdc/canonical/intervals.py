"""Intervals: the sixteen bytes that Postgres sends of one, read from what applications write of it."""

import re
import struct
from fractions import Fraction
from typing import Final

from cdc.canonical.exact_numbers import exact_number, nearest_whole
from cdc.canonical.instants import has_zone, instant_of
from cdc.facts.values import Value

_DAY: Final = 86_400_000_000
_UNITS: Final = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
COUNTED: Final = tuple(_UNITS)
_MONTHS: Final = {"year": 12, "years": 12, "mon": 1, "mons": 1, "month": 1, "months": 1}
_ORDER: Final = ("years", "mons", "days")
_CLOCK: Final = re.compile(r"(?P<sign>[+-]?)(?P<hours>\d{1,10}):(?P<minutes>\d\d):(?P<seconds>\d\d(\.\d+)?)", re.ASCII)
_PART: Final = re.compile(r"([+-]?\d{1,10}(?:\.\d+)?)([A-Z])", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d{1,10}", re.ASCII)


def interval_text(months: int, days: int, microseconds: Fraction, precision: int | None) -> str:
    """The canonical text; raises `ValueError` or `struct.error` where the column cannot hold that span."""
    unit = 1 if precision is None else 10 ** (6 - precision)
    if (microseconds / unit).denominator != 1:
        raise ValueError
    if max(abs(months), abs(days)) > 2**31 - 2 or abs(microseconds) > 2**63 - 2:
        raise ValueError
    return struct.pack(">qii", int(microseconds), days, months).hex()


def written_interval(value: Value, precision: int | None) -> str:
    """The canonical text of a text as Postgres or Python shows it, or in ISO 8601; raises `ValueError` for others."""
    if not isinstance(value, str) or not value or value != value.strip():
        raise ValueError
    parts = _iso_parts(value) if value.startswith("P") else _word_parts(value)
    return interval_text(*parts, precision)


def counted_interval(value: Value, unit: str, precision: int | None) -> str:
    """The canonical text of a number of units."""
    return _of_days(Fraction(nearest_whole(exact_number(value, texts=True) * _UNITS[unit])), precision)


def interval_since_1970(value: Value, precision: int | None) -> str:
    """The canonical text of how far an ISO timestamp without offset is from 1970."""
    instant = instant_of(value, "") if isinstance(value, str) else None
    if instant is None or has_zone(value) or instant.denominator != 1:
        raise ValueError
    return _of_days(instant, precision)


def _of_days(microseconds: Fraction, precision: int | None) -> str:
    days = microseconds // _DAY
    return interval_text(0, int(days), microseconds - days * _DAY, precision)


def _word_parts(text: str) -> tuple[int, int, Fraction]:
    tokens = text.split(" ")
    months, days, clock, place = 0, 0, Fraction(0), -1
    while tokens:
        token = tokens.pop(0)
        if (found := _CLOCK.fullmatch(token)) and not tokens:
            clock = _clock(found)
            break
        name = tokens.pop(0) if tokens else ""
        if name in {"day,", "days,"} and tokens:
            name = name[:-1]
        number = int(token) if _NUMBER.fullmatch(token) else None
        kind = {"year": "years", "mon": "mons", "month": "mons", "months": "mons", "day": "days"}.get(name, name)
        if number is None or kind not in _ORDER or _ORDER.index(kind) <= place:
            raise ValueError
        place = _ORDER.index(kind)
        months += number * _MONTHS.get(name, 0)
        days += number if kind == "days" else 0
    return months, days, clock


def _clock(found: re.Match[str]) -> Fraction:
    minutes, seconds = int(found["minutes"]), Fraction(found["seconds"])
    passed = int(found["hours"]) * 3600 + minutes * 60 + seconds
    if minutes > 59 or seconds >= 60:
        raise ValueError
    return passed * (-1_000_000 if found["sign"] == "-" else 1_000_000)


def _iso_parts(text: str) -> tuple[int, int, Fraction]:
    date, has_clock, clock = text[1:].partition("T")
    if (has_clock and not clock) or not (date or clock):
        raise ValueError
    named, timed = _lettered(date, "YMWD"), _lettered(clock, "HMS")
    months = 12 * named["Y"] + named["M"]
    days = 7 * named["W"] + named["D"]
    return int(months), int(days), (3600 * timed["H"] + 60 * timed["M"] + timed["S"]) * 1_000_000


def _lettered(text: str, letters: str) -> dict[str, Fraction]:
    """Each number by the letter behind it, in the order of `letters`; only seconds may have a fraction."""
    found = _PART.findall(text)
    order = [letters.find(letter) for _, letter in found]
    if "".join(number + letter for number, letter in found) != text or -1 in order or order != sorted(set(order)):
        raise ValueError
    if any("." in number and letter != "S" for number, letter in found):
        raise ValueError
    return {letter: Fraction(0) for letter in letters} | {letter: Fraction(number) for number, letter in found}
