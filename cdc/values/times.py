"""Dates, times of day and timestamps: read strictly from ISO texts, or from numbers that count from some beginning.

Dates become days and timestamps microseconds since 2000-01-01, the numbers that Postgres keeps: Python's largest and
smallest date would otherwise be taken for infinities on the way. Readers of texts raise `ValueError` for dates that no
calendar knows; their patterns are for `patterns.all_match`.
"""

import datetime
import itertools
import operator
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import Encoder, Unfit, singly, storage_class
from cdc.values.family import ColumnEncoding, Family, Format, Forms, PostgresType, Promise, Returning, ValueForm
from cdc.values.numbers import decimal_of
from cdc.values.patterns import Read, all_match, finer_than, lines_of, texts_of_form

# --- texts ------------------------------------------------------------------------------------------------------------

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Hours stop at 23: newer Pythons read 24:00 as the next day. Digits beyond microseconds must be zeros.
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6}0*+)?)?"
# Minutes beyond 59 would be carried into the hours by Python, and are no offset.
_OFFSET: Final = r"(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)"

_DATES: Final = lines_of(_DATE)
_TIMES: Final = lines_of(_TIME)
_TIMESTAMPS: Final = lines_of(f"{_DATE}[ T]{_TIME}")
_INSTANTS: Final = lines_of(f"{_DATE}[ T]{_TIME} ?{_OFFSET}")
# With or without a time of day, with or without an offset.
_MOMENTS: Final = lines_of(f"{_DATE}(?:[ T]{_TIME}(?: ?{_OFFSET})?)?")

_EPOCH: Final = datetime.datetime(2000, 1, 1)  # naive, as a timestamp without time zone is
_EPOCH_UTC: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_EPOCH_DAY: Final = datetime.date(2000, 1, 1).toordinal()
_DAY_MICROSECONDS: Final = 86_400_000_000


def _days(texts: Iterable[str]) -> list[int]:
    """Each `YYYY-MM-DD` as days since 2000-01-01, the number that Postgres stores."""
    return [date.toordinal() - _EPOCH_DAY for date in map(datetime.date.fromisoformat, texts)]


def _times_of_day(texts: Iterable[str]) -> list[datetime.time]:
    return list(map(datetime.time.fromisoformat, texts))


def _microseconds(texts: Iterable[str]) -> list[int]:
    """Each timestamp without offset as microseconds since 2000-01-01 00:00:00, the number that Postgres stores."""
    return _since(_EPOCH, map(datetime.datetime.fromisoformat, texts))


def _instants(texts: Iterable[str]) -> list[int]:
    """Each timestamp with offset as microseconds since 2000-01-01 00:00:00 UTC; the offset itself is not kept."""
    return _since(_EPOCH_UTC, map(datetime.datetime.fromisoformat, _without_blank(texts)))


def _moments(texts: Iterable[str]) -> list[int]:
    """Each date or timestamp as microseconds since 2000-01-01 00:00:00 UTC; one without an offset is taken as UTC."""
    moments = map(datetime.datetime.fromisoformat, _without_blank(texts))
    return _since(_EPOCH_UTC, (m if m.tzinfo else m.replace(tzinfo=datetime.UTC) for m in moments))


def _without_blank(texts: Iterable[str]) -> Iterable[str]:
    """Some writers put a blank before the offset, which Python does not read."""
    return (text[:11] + text[11:].replace(" ", "") for text in texts)


def _since(epoch: datetime.datetime, moments: Iterable[datetime.datetime]) -> list[int]:
    spans = map(operator.sub, moments, itertools.repeat(epoch))
    # total_seconds() would be a double, which has no microseconds left in far years.
    return [(span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds for span in spans]


# Microseconds since 2000-01-01 UTC, as Postgres stores them.
_FIRST_INSTANT: Final = _moments(["0001-01-01"])[0]
_LAST_INSTANT: Final = _moments(["9999-12-31 23:59:59.999999"])[0]

# --- rounding ---------------------------------------------------------------------------------------------------------

_BEYOND_MICROSECONDS: Final = re.compile(r":[0-9]{2}\.[0-9]{6}(?P<rest>[0-9]+)")


def _nearest(value: Value, at: ColumnEncoding) -> int:
    """The nearest instant that the column holds, halves to the later one; raises `Unfit` for what is none."""
    rest = Decimal(0)
    if type(value) is str and (beyond := _BEYOND_MICROSECONDS.search(value)):
        rest = Decimal(f"0.{beyond['rest']}")
        value = value[: beyond.start("rest")] + value[beyond.end("rest") :]
    instant = at.wide.scalar(value)
    assert isinstance(instant, int)
    digits = 6 if at.column.precision is None else at.column.precision
    units = (instant + rest).scaleb(digits - 6) + Decimal("0.5")
    return int(units.to_integral_value(ROUND_FLOOR)) * int(10 ** (6 - digits))


# --- the way back -----------------------------------------------------------------------------------------------------

# The rest of a time of day after HH:MM, of its seconds and microseconds, by what it is called.
_REST: Final[dict[str, Callable[[int, int], str]]] = {
    ":SS[.ffffff]": lambda seconds, micro: f":{seconds:02}" + (f".{micro:06}" if micro else ""),
    ":SS.fff": lambda seconds, micro: f":{seconds:02}." + (f"{micro:06}" if micro % 1000 else f"{micro // 1000:03}"),
    ":SS.ffffff": lambda seconds, micro: f":{seconds:02}.{micro:06}",
    ":SS[.f]": lambda seconds, micro: f":{seconds:02}" + f".{micro:06}".rstrip("0").rstrip("."),
    "[:SS[.f]]": lambda seconds, micro: (
        f":{seconds:02}" + f".{micro:06}".rstrip("0").rstrip(".") if seconds or micro else ""
    ),
}
_OFFSETS: Final = ("+00:00", "Z", "+0000", "+00", " +00:00", " +0000")
_OWN_OFFSET: Final = re.compile(r"(?<=[0-9])(?P<blank> ?)[+-][0-9]{2}(?P<colon>:?)(?P<minutes>[0-9]{2})?\Z")


def _moment_forms(offsets: Iterable[str]) -> tuple[ValueForm, ...]:
    return tuple(
        _moment_form(between, rest, offset) for offset, between, rest in itertools.product(offsets, (" ", "T"), _REST)
    )


def _moment_form(between: str, rest: str, offset: str) -> ValueForm:
    after = _REST[rest]

    def write(instant: int) -> str:
        if not _FIRST_INSTANT <= instant <= _LAST_INSTANT:
            raise Unfit(_OUTSIDE)
        moment = _EPOCH + datetime.timedelta(microseconds=instant)
        day = moment.date().isoformat()
        return f"{day}{between}{moment:%H:%M}{after(moment.second, moment.microsecond)}{offset}"

    return ValueForm(f"YYYY-MM-DD{between}HH:MM{rest}{offset}", "text", write)


def _time_form(rest: str) -> ValueForm:
    after = _REST[rest]
    return ValueForm(f"HH:MM{rest}", "text", lambda time: f"{time:%H:%M}{after(time.second, time.microsecond)}")


def _day(days: int) -> str:
    if not 1 <= days + _EPOCH_DAY <= datetime.date.max.toordinal():
        raise Unfit(_OUTSIDE)
    return datetime.date.fromordinal(days + _EPOCH_DAY).isoformat()


def _day_or_moment(instant: int) -> Value:
    days, rest = divmod(instant, _DAY_MICROSECONDS)
    return _NAIVE_FORMS[0].write(instant) if rest else _day(days)


_NAIVE_FORMS: Final = _moment_forms([""])
_ZONED_FORMS: Final = _moment_forms(_OFFSETS)
_DAYS: Final = ValueForm("YYYY-MM-DD[ HH:MM:SS[.ffffff]]", "text", _day_or_moment)


def _without_own_offset(value: Value) -> Value:
    """The text of the same form in UTC: a type keeps the instant, so an offset of the application is not there."""

    def zeros(found: re.Match[str]) -> str:
        return f"{found['blank']}+00" + (f"{found['colon']}00" if found["minutes"] else "")

    return _OWN_OFFSET.sub(zeros, value) if type(value) is str and ":" in value else value


# Years that Python's dates do not have, which an offset can lead to: those before 1 and after 9999.
_FAR: Final = re.compile(r"(?P<year>[0-9]{4,6})(?P<rest>-.+?)(?P<before_christ> BC)?")
_DAYS_OF_400_YEARS: Final = 146_097  # after which the calendar begins anew
_OUTSIDE: Final = "is infinite, or outside of the days of years 1 to 9999 and their 24 hours"


def _stored(lines: re.Pattern[str], read: Read, day: int) -> Callable[[str], object]:
    """Reads Postgres' texts as `read` does the application's; `day` is what it makes of one more day."""

    def stored(text: str) -> object:
        with suppress(ValueError):
            if all_match(lines, [text]):
                return read([text])[0]
        far = _FAR.fullmatch(text)
        if far is None or not day:
            raise Unfit(_OUTSIDE)
        year = 1 - int(far["year"]) if far["before_christ"] else int(far["year"])
        cycles, rest = divmod(year - 2000, 400)
        near = read([f"{2000 + rest}{far['rest']}"])[0]
        assert isinstance(near, int)
        return near + cycles * _DAYS_OF_400_YEARS * day

    return stored


# --- types ------------------------------------------------------------------------------------------------------------


def _texts(takes: str, lines: re.Pattern[str], read: Read) -> Callable[[TargetColumn], Encoder]:
    return lambda target: texts_of_form(takes, lines, read, finer_than(target.precision))


DATE: Final = PostgresType(
    "date",
    "date",
    _texts("'YYYY-MM-DD' from year 1 to 9999", _DATES, _days),
    Returning(_stored(_DATES, _days, 1), lambda _: (ValueForm("YYYY-MM-DD", "text", _day),)),
    fixed=(4, 4),
    same_when_equal=True,
)
TIME: Final = PostgresType(
    "time",
    "time",
    _texts("'HH:MM[:SS[.ffffff]]'", _TIMES, _times_of_day),
    Returning(_stored(_TIMES, _times_of_day, 0), lambda _: tuple(map(_time_form, _REST))),
    synonyms=("time without time zone",),
    fixed=(8, 8),
    same_when_equal=True,
    rewrites=True,
)
TIMESTAMP: Final = PostgresType(
    "timestamp",
    "timestamp",
    _texts("'YYYY-MM-DD HH:MM[:SS[.ffffff]]' without an offset", _TIMESTAMPS, _microseconds),
    Returning(
        _stored(_TIMESTAMPS, _microseconds, _DAY_MICROSECONDS), lambda _: _NAIVE_FORMS, sample=_without_own_offset
    ),
    aliases=("timestamp without time zone",),
    nearest=_nearest,
    fixed=(8, 8),
    same_when_equal=True,
    rewrites=True,
    coarse=True,
)
TIMESTAMPTZ: Final = PostgresType(
    "timestamptz",
    "timestamptz",
    _texts("'YYYY-MM-DD HH:MM[:SS[.ffffff]]' with an offset or Z", _INSTANTS, _instants),
    Returning(_stored(_INSTANTS, _instants, _DAY_MICROSECONDS), lambda _: _ZONED_FORMS, sample=_without_own_offset),
    aliases=("timestamp with time zone",),
    nearest=_nearest,
    fixed=(8, 8),
    same_when_equal=True,
    rewrites=True,
    coarse=True,
)

# --- formats ----------------------------------------------------------------------------------------------------------

_UNIX_EPOCH: Final = _moments(["1970-01-01"])[0]
_JULIAN_DAYS: Final = 5_373_484.5  # the first day of year 10000
_JULIAN_2000: Final = 211_813_444_800_000  # milliseconds of julian days at 2000-01-01 00:00


def _iso_utc(target: TargetColumn) -> Encoder:
    takes = "ISO dates and timestamps with an offset, or in UTC"
    return texts_of_form(takes, _MOMENTS, _moments, finer_than(target.precision))


def _counted(takes: str, read: Callable[[Value], int]) -> Callable[[TargetColumn], Encoder]:
    """Encoders of instants that `read` makes of numbers; it raises `Unfit`."""

    def encoder(target: TargetColumn) -> Encoder:
        unit = 10 ** (6 - target.precision) if target.precision is not None else 1

        def scalar(value: Value) -> int:
            instant = read(value)
            if not _FIRST_INSTANT <= instant <= _LAST_INSTANT:
                raise Unfit(f"is {storage_class(value)} for an instant out of the years 1 to 9999")
            if instant % unit:
                raise Unfit(f"is {storage_class(value)} with more digits of a second than the type keeps")
            return instant

        return Encoder(takes, singly(scalar), scalar)

    return encoder


def _epoch(microseconds: int) -> Callable[[Value], int]:
    """Reads numbers of units of so many microseconds since 1970-01-01 UTC."""

    def read(value: Value) -> int:
        if type(value) is int:
            return value * microseconds + _UNIX_EPOCH
        # As the decimal that people see: a product of doubles would be rounded once more.
        return int((decimal_of(value) * microseconds).to_integral_value(ROUND_HALF_UP)) + _UNIX_EPOCH

    return read


def _julian_day(value: Value) -> int:
    # The very arithmetic of SQLite's date functions, which keep milliseconds.
    day = float(decimal_of(value))
    if not 0.0 <= day < _JULIAN_DAYS:
        raise Unfit(f"is {storage_class(value)} out of the days that SQLite knows")
    milliseconds = int(day * 86_400_000.0 + 0.5)
    return (milliseconds - _JULIAN_2000) * 1000


def _numbers_since(beginning: int, unit: int) -> Forms:
    """Numbers of units of so many microseconds since an instant, as SQLite's integers and reals and as texts of both.

    One that has no whole number is a real even so.
    """

    def whole(instant: int) -> int | float:
        units, rest = divmod(instant - beginning, unit)
        return real(instant) if rest else units

    def real(instant: int) -> float:
        return (instant - beginning) / unit

    forms = (
        ValueForm("integer", "integer", whole),
        ValueForm("real", "real", real),
        ValueForm("text", "text", lambda instant: repr(whole(instant))),
        ValueForm("text with .0", "text", lambda instant: repr(real(instant))),
    )
    return lambda _: forms


_INTO: Final = (TIMESTAMPTZ, TIMESTAMP)
_SINCE_1970: Final = "since 1970-01-01 UTC, as numbers or texts of numbers"
_EPOCHS_READ: Final = "integers, reals and texts of numbers since 1970-01-01 UTC, to the microsecond"


def _epochs(unit: str, words: str, microseconds: int) -> Format:
    encoder = _counted(f"{words} {_SINCE_1970}", _epoch(microseconds))
    forms = _numbers_since(_UNIX_EPOCH, microseconds)
    return Format(f"epoch {unit}", _EPOCHS_READ, _INTO, encoder, forms, usual=TIMESTAMPTZ)


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


# In the order in which a type is looked for. Times of day are not among them: no type is ever chosen by them.
WRITTEN: Final = (
    WrittenTime("naive", _TIMESTAMPS, _microseconds, TIMESTAMP),
    WrittenTime("zoned", _INSTANTS, _instants, TIMESTAMPTZ),
    WrittenTime("date", _DATES, _days, DATE),
)
_DECLARED: Final = {"DATE": DATE, "TIMESTAMPTZ": TIMESTAMPTZ, "TIMESTAMP WITH TIME ZONE": TIMESTAMPTZ}


def is_temporal(declared_type: str) -> bool:
    """Whether a declared type speaks of dates or times, for which SQLite has no type of its own."""
    return declared_type.strip().upper().startswith(("DATE", "TIME"))


def type_of_declared(name: str) -> PostgresType | None:
    """The type that such a name (in capitals, without its modifiers) means; None for times of day, which stay texts."""
    if name.startswith("TIME") and not name.startswith("TIMESTAMP"):
        return None
    return _DECLARED.get(name, TIMESTAMP)


FAMILY: Final = Family(
    types=(DATE, TIME, TIMESTAMP, TIMESTAMPTZ),
    formats=(
        Format(
            "iso utc",
            "ISO dates and timestamps, mixed as they come; those without an offset are in UTC, a date is its midnight",
            _INTO,
            _iso_utc,
            lambda _: (*_NAIVE_FORMS, _DAYS, *_ZONED_FORMS),
            usual=TIMESTAMPTZ,
        ),
        _epochs("s", "seconds", 1_000_000),
        _epochs("ms", "milliseconds", 1_000),
        _epochs("us", "microseconds", 1),
        Format(
            "julian day",
            "days since noon of 4714-11-24 BC, to the millisecond, by the arithmetic of SQLite's own functions",
            _INTO,
            _counted("julian days, as numbers or texts of numbers", _julian_day),
            _numbers_since(-_JULIAN_2000 * 1000, _DAY_MICROSECONDS),
            usual=TIMESTAMPTZ,
        ),
    ),
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
