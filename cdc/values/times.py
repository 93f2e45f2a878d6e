"""Dates, times of day and timestamps: read strictly from ISO texts, or from numbers that count from some beginning."""

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values import mixed_times
from cdc.values.counted_times import counted_formats
from cdc.values.encoder import Encoder, Unfit
from cdc.values.family import ColumnEncoding, Family, Format, PostgresType, Promise, Returning, ValueForm
from cdc.values.iso_times import (
    DATES,
    DAY_MICROSECONDS,
    EPOCH,
    INSTANTS,
    MOMENTS,
    TIMES,
    TIMESTAMPS,
    days_of,
    instants_of,
    microseconds_of,
    moments_of,
    stored,
    times_of_day,
)
from cdc.values.midnights import with_dates
from cdc.values.patterns import Read, finer_than, texts_of_form
from cdc.values.time_forms import DAY, DAY_OR_MOMENT, NAIVE_FORMS, TIME_FORMS, ZONED_FORMS, without_own_offset

# --- rounding and cutting ---------------------------------------------------------------------------------------------

_BEYOND_MICROSECONDS: Final = re.compile(r":[0-9]{2}\.[0-9]{6}(?P<rest>[0-9]+)")


def _nearest(value: Value, at: ColumnEncoding) -> int:
    """The nearest instant that the column holds, halves to the later one; raises `Unfit` for what is none."""
    return _at_precision(*_in_full(value, at), at)


def _at_precision(microseconds: int, rest: Decimal, at: ColumnEncoding) -> int:
    digits = 6 if at.column.precision is None else at.column.precision
    units = (microseconds + rest).scaleb(digits - 6) + Decimal("0.5")
    return int(units.to_integral_value(ROUND_FLOOR)) * int(10 ** (6 - digits))


def _day_of(value: Value, at: ColumnEncoding) -> int:
    """The day of an instant; raises `Unfit` for what is none."""
    return _in_full(value, at)[0] // DAY_MICROSECONDS


def _in_full(value: Value, at: ColumnEncoding) -> tuple[int, Decimal]:
    """The instant in microseconds, and the part of one that is written beyond them."""
    to_microseconds, rest = _to_microseconds(value)
    instant = at.wide.scalar(to_microseconds)
    assert isinstance(instant, int)
    return instant, rest


def _to_microseconds(value: Value) -> tuple[Value, Decimal]:
    """A value without the digits of a second beyond microseconds, and what these are of one microsecond."""
    if type(value) is str and (beyond := _BEYOND_MICROSECONDS.search(value)):
        return value[: beyond.start("rest")] + value[beyond.end("rest") :], Decimal(f"0.{beyond['rest']}")
    return value, Decimal(0)


def _nearest_time(value: Value, at: ColumnEncoding) -> datetime.time:
    """The nearest time of day that the column holds, halves to the later one; raises `Unfit` for what is none."""
    text, rest = _to_microseconds(value)
    time = at.wide.scalar(text)
    assert isinstance(time, datetime.time)
    passed = (time.hour * 3600 + time.minute * 60 + time.second) * 1_000_000 + time.microsecond
    nearest = _at_precision(passed, rest, at)
    if nearest == DAY_MICROSECONDS:
        raise Unfit("is a text whose nearest time of day is 24:00")
    return (EPOCH + datetime.timedelta(microseconds=nearest)).time()


# --- types ------------------------------------------------------------------------------------------------------------


def _texts(takes: str, lines: re.Pattern[str], read: Read) -> Callable[[TargetColumn], Encoder]:
    return lambda target: texts_of_form(takes, lines, read, finer_than(target.precision))


DATE: Final = PostgresType(
    "date",
    "date",
    _texts("'YYYY-MM-DD' from year 1 to 9999", DATES, days_of),
    Returning(stored(DATES, days_of, 1), lambda _: (DAY,)),
    cut=_day_of,
    wide="timestamp",
    fixed=(4, 4),
    same_when_equal=True,
)
TIME: Final = PostgresType(
    "time",
    "time",
    _texts("'HH:MM[:SS[.ffffff]]'", TIMES, times_of_day),
    Returning(stored(TIMES, times_of_day, 0), lambda _: TIME_FORMS),
    synonyms=("time without time zone",),
    nearest=_nearest_time,
    fixed=(8, 8),
    same_when_equal=True,
    rewrites=True,
    coarse=True,
)


def _moment_type(
    base: str, in_full: str, offset: str, lines: re.Pattern[str], read: Read, forms: Sequence[ValueForm]
) -> PostgresType:
    return PostgresType(
        base,
        base,
        _texts(f"'YYYY-MM-DD HH:MM[:SS[.ffffff]]' {offset}", lines, read),
        Returning(stored(lines, read, DAY_MICROSECONDS), lambda _: forms, sample=without_own_offset),
        aliases=(in_full,),
        nearest=_nearest,
        fixed=(8, 8),
        same_when_equal=True,
        rewrites=True,
        coarse=True,
    )


TIMESTAMP: Final = _moment_type(
    "timestamp", "timestamp without time zone", "without an offset", TIMESTAMPS, microseconds_of, NAIVE_FORMS
)
TIMESTAMPTZ: Final = _moment_type(
    "timestamptz", "timestamp with time zone", "with an offset or Z", INSTANTS, instants_of, ZONED_FORMS
)

# --- formats ----------------------------------------------------------------------------------------------------------


def _iso_utc(target: TargetColumn) -> Encoder:
    takes = "ISO dates and timestamps with an offset, or in UTC"
    return texts_of_form(takes, MOMENTS, moments_of, finer_than(target.precision))


_INSTANTS: Final = (TIMESTAMPTZ, TIMESTAMP)
_FORMATS: Final = (
    Format(
        "iso utc",
        "ISO dates and timestamps, mixed as they come; those without an offset are in UTC, a date is its midnight",
        _INSTANTS,
        _iso_utc,
        lambda _: (*NAIVE_FORMS, DAY_OR_MOMENT, *ZONED_FORMS),
        usual=TIMESTAMPTZ,
    ),
    Format("auto utc", mixed_times.READS, _INSTANTS, mixed_times.auto_utc, mixed_times.auto_forms(), usual=TIMESTAMPTZ),
    *counted_formats(_INSTANTS, TIMESTAMPTZ),
)


# --- what SQLite says of them -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """One way in which applications write dates and times, and the type that holds such texts exactly.

    `form` is the field of `TextForms` that counts them.
    """

    form: str
    lines: re.Pattern[str]
    read: Read
    type_: PostgresType


# In the order in which a type is looked for.
WRITTEN: Final = (
    WrittenTime("naive", TIMESTAMPS, microseconds_of, TIMESTAMP),
    WrittenTime("zoned", INSTANTS, instants_of, TIMESTAMPTZ),
    WrittenTime("date", DATES, days_of, DATE),
    WrittenTime("time", TIMES, times_of_day, TIME),
)
_DECLARED: Final = {
    "DATE": DATE,
    "TIME": TIME,
    "TIME WITHOUT TIME ZONE": TIME,
    "TIMESTAMPTZ": TIMESTAMPTZ,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMPTZ,
}


def is_temporal(declared_type: str) -> bool:
    """Whether a declared type speaks of dates or times, for which SQLite has no type of its own."""
    return declared_type.strip().upper().startswith(("DATE", "TIME"))


def type_of_declared(name: str) -> PostgresType | None:
    """The type that such a name (in capitals, without its modifiers) means; None for names such as TIMEZONE."""
    if name not in _DECLARED and name.startswith("TIME") and not name.startswith("TIMESTAMP"):
        return None
    return _DECLARED.get(name, TIMESTAMP)


FAMILY: Final = Family(
    types=(DATE, TIME, TIMESTAMP, TIMESTAMPTZ),
    formats=tuple(with_dates(format_, DATE) for format_ in _FORMATS),
    promises=(
        Promise((DATE.name,), "`YYYY-MM-DD`, years 1 to 9999", "'', '2024-02-30', a time of day"),
        Promise(
            (TIMESTAMP.name,),
            "ISO text without offset, blank or T between, to the microsecond",
            "an offset; more digits",
        ),
        Promise(
            (TIMESTAMPTZ.name,),
            "the same with an offset or Z; the instant is kept",
            "no offset: the zone would be a guess; `+05:60`",
        ),
        Promise((TIME.name,), "`HH:MM[:SS[.ffffff]]`", "an offset; 24:00"),
    ),
)
