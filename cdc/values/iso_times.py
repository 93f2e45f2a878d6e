"""ISO texts of dates and times, read strictly: those of applications, and those that Postgres answers with.

Dates become days and timestamps microseconds since 2000-01-01, the numbers that Postgres keeps: Python's largest and
smallest date would otherwise be taken for infinities on the way. Readers raise `ValueError` for dates that no calendar
knows; their patterns are for `patterns.all_match`.
"""

import datetime
import itertools
import operator
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from cdc.values.encoder import Unfit
from cdc.values.patterns import Read, all_match, lines_of

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Hours stop at 23: newer Pythons read 24:00 as the next day. Digits beyond microseconds must be zeros.
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6}0*+)?)?"
# Minutes beyond 59 would be carried into the hours by Python, and are no offset.
_OFFSET: Final = r"(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)"

DATES: Final = lines_of(_DATE)
TIMES: Final = lines_of(_TIME)
TIMESTAMPS: Final = lines_of(f"{_DATE}[ T]{_TIME}")
INSTANTS: Final = lines_of(f"{_DATE}[ T]{_TIME} ?{_OFFSET}")
# With or without a time of day, with or without an offset.
MOMENTS: Final = lines_of(f"{_DATE}(?:[ T]{_TIME}(?: ?{_OFFSET})?)?")

EPOCH: Final = datetime.datetime(2000, 1, 1)  # naive, as a timestamp without time zone is
_EPOCH_UTC: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
EPOCH_DAY: Final = datetime.date(2000, 1, 1).toordinal()
DAY_MICROSECONDS: Final = 86_400_000_000


def days_of(texts: Iterable[str]) -> list[int]:
    """Each `YYYY-MM-DD` as days since 2000-01-01, the number that Postgres stores."""
    return [date.toordinal() - EPOCH_DAY for date in map(datetime.date.fromisoformat, texts)]


def times_of_day(texts: Iterable[str]) -> list[datetime.time]:
    """Each `HH:MM[:SS[.ffffff]]`."""
    return list(map(datetime.time.fromisoformat, texts))


def microseconds_of(texts: Iterable[str]) -> list[int]:
    """Each timestamp without offset as microseconds since 2000-01-01 00:00:00, the number that Postgres stores."""
    return _since(EPOCH, map(datetime.datetime.fromisoformat, texts))


def instants_of(texts: Iterable[str]) -> list[int]:
    """Each timestamp with offset as microseconds since 2000-01-01 00:00:00 UTC; the offset itself is not kept."""
    return _since(_EPOCH_UTC, map(datetime.datetime.fromisoformat, _without_blank(texts)))


def moments_of(texts: Iterable[str]) -> list[int]:
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
FIRST_INSTANT: Final = moments_of(["0001-01-01"])[0]
LAST_INSTANT: Final = moments_of(["9999-12-31 23:59:59.999999"])[0]

# --- as Postgres answers ----------------------------------------------------------------------------------------------

# Years that Python's dates do not have, which an offset can lead to: those before 1 and after 9999.
_FAR: Final = re.compile(r"(?P<year>[0-9]{4,6})(?P<rest>-.+?)(?P<before_christ> BC)?")
_DAYS_OF_400_YEARS: Final = 146_097  # after which the calendar begins anew
OUTSIDE: Final = "is infinite, or outside of the days of years 1 to 9999 and their 24 hours"


def stored(lines: re.Pattern[str], read: Read, day: int) -> Callable[[str], object]:
    """Reads Postgres' texts as `read` does the application's; `day` is what it makes of one more day."""

    def value_of(text: str) -> object:
        with suppress(ValueError):
            if all_match(lines, [text]):
                return read([text])[0]
        far = _FAR.fullmatch(text)
        if far is None or not day:
            raise Unfit(OUTSIDE)
        year = 1 - int(far["year"]) if far["before_christ"] else int(far["year"])
        cycles, rest = divmod(year - 2000, 400)
        near = read([f"{2000 + rest}{far['rest']}"])[0]
        assert isinstance(near, int)
        return near + cycles * _DAYS_OF_400_YEARS * day

    return value_of
