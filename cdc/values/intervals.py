"""Intervals: spans of time in texts that Postgres reads itself, and as libraries keep them in SQLite.

A span becomes its months, its days and its microseconds, which are the three numbers that Postgres keeps apart.
"""

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.counted_times import UNIX_EPOCH, numbers_since
from cdc.values.encoder import Encoder, Unfit, expect, singly, storage_class
from cdc.values.family import Family, Format, PostgresType, Promise, Returning, ValueForm
from cdc.values.iso_times import DAY_MICROSECONDS, TIMESTAMPS, microseconds_of
from cdc.values.numerals import decimal_of
from cdc.values.patterns import texts_of_form
from cdc.values.time_forms import NAIVE_FORMS

Span = tuple[int, int, int]  # months, days, microseconds

_SECOND: Final = 1_000_000
_MOST: Final = ((1 << 31) - 1, (1 << 31) - 1, (1 << 63) - 1)  # of each part; all three at once are infinity

# --- texts ------------------------------------------------------------------------------------------------------------

_NUMBER: Final = "[+-]?[0-9]{1,10}"
_FRACTION: Final = r"(?:\.(?P<fraction>[0-9]{1,6})0*)?"
# As Postgres shows them and as Python does: `1 year 2 mons 3 days 04:05:06.7`, `3 days, 4:05:06`.
_WORDS: Final = re.compile(
    rf"(?=.)(?:(?P<years>{_NUMBER}) years?(?: |\Z))?(?:(?P<months>{_NUMBER}) mon(?:th)?s?(?: |\Z))?"
    rf"(?:(?P<days>{_NUMBER}) days?(?:,? |\Z))?"
    rf"(?:(?P<sign>[+-]?)(?P<hours>[0-9]{{1,10}}):(?P<minutes>[0-5][0-9]):(?P<seconds>[0-5][0-9]){_FRACTION})?"
)
_ISO: Final = re.compile(
    rf"P(?=.)(?:(?P<years>{_NUMBER})Y)?(?:(?P<months>{_NUMBER})M)?(?:(?P<weeks>{_NUMBER})W)?(?:(?P<days>{_NUMBER})D)?"
    rf"(?:T(?=.)(?:(?P<hours>{_NUMBER})H)?(?:(?P<minutes>{_NUMBER})M)?"
    rf"(?:(?P<sign>[+-]?)(?P<seconds>[0-9]{{1,10}}){_FRACTION}S)?)?"
)


def _read(text: str) -> Span:
    found = _WORDS.fullmatch(text)
    if found is not None and not text.endswith(" "):
        clock = _clock(found)
        return _within(12 * _int(found["years"]) + _int(found["months"]), _int(found["days"]), clock)
    found = _ISO.fullmatch(text)
    if found is None:
        raise Unfit("is a text of another form" if text else "is an empty text")
    seconds = _signed(found["sign"], _int(found["seconds"]) * _SECOND + _micro(found))
    clock = (_int(found["hours"]) * 3600 + _int(found["minutes"]) * 60) * _SECOND + seconds
    days = 7 * _int(found["weeks"]) + _int(found["days"])
    return _within(12 * _int(found["years"]) + _int(found["months"]), days, clock)


def _clock(found: re.Match[str]) -> int:
    seconds = _int(found["hours"]) * 3600 + _int(found["minutes"]) * 60 + _int(found["seconds"])
    return _signed(found["sign"], seconds * _SECOND + _micro(found))


def _int(digits: str | None) -> int:
    return int(digits or 0)


def _micro(found: re.Match[str]) -> int:
    return int((found["fraction"] or "").ljust(6, "0"))


def _signed(sign: str | None, size: int) -> int:
    return -size if sign == "-" else size


def _within(*span: int) -> Span:
    if any(abs(part) >= most for part, most in zip(span, _MOST, strict=True)):
        raise Unfit("is a span of time out of range")
    months, days, microseconds = span
    return months, days, microseconds


def _stored(text: str) -> Span:
    if text.endswith("infinity"):
        raise Unfit("is infinite")
    return _read(text)


# --- the type ---------------------------------------------------------------------------------------------------------


def _at_precision(takes: str, read: Callable[[Value], Span]) -> Callable[[TargetColumn], Encoder]:
    """Encoders of the spans that `read` makes of values; it raises `Unfit`."""

    def encoder(target: TargetColumn) -> Encoder:
        unit = 10 ** (6 - target.precision) if target.precision is not None else 1

        def scalar(value: Value) -> Span:
            span = read(value)
            if span[2] % unit:
                raise Unfit(f"is {storage_class(value)} with more digits of a second than the type keeps")
            return span

        return Encoder(takes, singly(scalar), scalar)

    return encoder


def _as_postgres(span: Span) -> str:
    """As Postgres shows it: a number after a negative one has its sign."""
    years, months = _towards_zero(span[0], 12)
    named = [(years, "year"), (months, "mon"), (span[1], "day")]
    words, before = [], 0
    for number, name in named:
        if number:
            words.append(f"{'+' if before < 0 < number else ''}{number} {name}{'' if number == 1 else 's'}")
            before = number
    sign = "-" if span[2] < 0 else "+" if before < 0 and span[2] else ""
    return " ".join([*words, sign + _shown(abs(span[2]))] if span[2] or not words else words)


def _towards_zero(number: int, unit: int) -> tuple[int, int]:
    whole, rest = divmod(abs(number), unit)
    return (-whole, -rest) if number < 0 else (whole, rest)


def _shown(microseconds: int, hours: str = "02") -> str:
    seconds, micro = divmod(microseconds, _SECOND)
    fraction = f".{micro:06}".rstrip("0").rstrip(".")
    return f"{seconds // 3600:{hours}}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _as_python(span: Span) -> str:
    """As `str(timedelta)` does."""
    if span[0] or not 0 <= span[2] < DAY_MICROSECONDS:
        raise Unfit("has months, or more than a day beside its days")
    clock = _shown(span[2], "1")
    whole, _, fraction = clock.partition(".")
    clock = f"{whole}.{fraction:0<6}" if fraction else whole
    return f"{span[1]} day{'' if abs(span[1]) == 1 else 's'}, {clock}" if span[1] else clock


def _as_iso(span: Span) -> str:
    years, months = _towards_zero(span[0], 12)
    hours, rest = _towards_zero(span[2], 3600 * _SECOND)
    minutes, rest = _towards_zero(rest, 60 * _SECOND)
    seconds = f"{'-' if rest < 0 else ''}{_shown(abs(rest)).removeprefix('00:00:').removeprefix('0')}"
    date = [f"{number}{unit}" for number, unit in ((years, "Y"), (months, "M"), (span[1], "D")) if number]
    clock = [f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M")) if number]
    clock += [f"{seconds}S"] if rest or not (date or clock) else []
    return f"P{''.join(date)}" + (f"T{''.join(clock)}" if clock else "")


INTERVAL: Final = PostgresType(
    "interval",
    "interval",
    _at_precision(
        "spans as Postgres or Python shows them, '1 day 02:03:04.5', or ISO 8601, 'P1DT2H3M4.5S'",
        lambda value: _read(expect(value, str)),
    ),
    Returning(
        _stored,
        lambda _: (
            ValueForm("as Postgres", "text", _as_postgres),
            ValueForm("as Python", "text", _as_python),
            ValueForm("ISO 8601", "text", _as_iso),
        ),
    ),
    fixed=(16, 8),
    rewrites=True,
    coarse=True,
)

# --- formats ----------------------------------------------------------------------------------------------------------


def _counted(named: str, microseconds: int) -> Format:
    """Numbers of units of so many microseconds."""

    def read(value: Value) -> Span:
        return _of_microseconds(int((decimal_of(value) * microseconds).to_integral_value(ROUND_HALF_UP)))

    return Format(
        named,
        "integers, reals and texts of numbers of that unit, to the microsecond; whole days become days",
        (INTERVAL,),
        _at_precision(f"{named}, as numbers or texts of numbers", read),
        _flat_forms(numbers_since(0, microseconds)(_ANY), 0),
        usual=INTERVAL,
    )


def _since_1970(target: TargetColumn) -> Encoder:
    texts = texts_of_form("ISO timestamps without offset", TIMESTAMPS, microseconds_of)

    def read(value: Value) -> Span:
        instant = texts.scalar(value)
        assert isinstance(instant, int)
        return _of_microseconds(instant - UNIX_EPOCH)

    return _at_precision("ISO timestamps as far from 1970-01-01 00:00 as the span is long", read)(target)


def _of_microseconds(microseconds: int) -> Span:
    """Days and the rest of a day, as Python's drivers write a timedelta: a second before is -1 day +23:59:59."""
    return _within(0, *divmod(microseconds, DAY_MICROSECONDS))


def _flat_forms(forms: Sequence[ValueForm], beginning: int) -> Callable[[TargetColumn], Sequence[ValueForm]]:
    """Forms of microseconds from a beginning as those of spans."""

    def of_span(form: ValueForm) -> ValueForm:
        def write(span: Span) -> Value:
            if span[0] or not 0 <= span[2] < DAY_MICROSECONDS:
                raise Unfit("has months, or more than a day beside its days")
            return form.write(beginning + span[1] * DAY_MICROSECONDS + span[2])

        return ValueForm(form.name, form.storage, write)

    made = tuple(map(of_span, forms))
    return lambda _: made


_ANY: Final = TargetColumn("", "interval", "interval")

FAMILY: Final = Family(
    types=(INTERVAL,),
    formats=(
        _counted("seconds", _SECOND),
        _counted("milliseconds", 1_000),
        _counted("microseconds", 1),
        Format(
            "since 1970",
            "ISO timestamps without offset, as far from 1970-01-01 00:00 as the span is long; whole days become days",
            (INTERVAL,),
            _since_1970,
            _flat_forms(NAIVE_FORMS, UNIX_EPOCH),
            usual=INTERVAL,
        ),
    ),
    promises=(
        Promise(
            (INTERVAL.name,),
            "spans as Postgres or Python shows them (`1 mon 2 days 03:04:05.6`, `2 days, 3:04:05`) and in ISO 8601 "
            "(`P1M2DT3H4M5.6S`); months, days and time are kept apart",
            "numbers, `1:30`, more digits of a second",
        ),
    ),
)
