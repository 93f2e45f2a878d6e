"""How dates and times are written again: the texts that applications have of them."""

import datetime
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Final

from cdc.facts.values import Value
from cdc.values.encoder import Unfit
from cdc.values.family import ValueForm
from cdc.values.iso_times import DAY_MICROSECONDS, EPOCH, EPOCH_DAY, FIRST_INSTANT, LAST_INSTANT, OUTSIDE

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
        if not FIRST_INSTANT <= instant <= LAST_INSTANT:
            raise Unfit(OUTSIDE)
        moment = EPOCH + datetime.timedelta(microseconds=instant)
        day = moment.date().isoformat()
        return f"{day}{between}{moment:%H:%M}{after(moment.second, moment.microsecond)}{offset}"

    return ValueForm(f"YYYY-MM-DD{between}HH:MM{rest}{offset}", "text", write)


def _time_form(rest: str) -> ValueForm:
    after = _REST[rest]
    return ValueForm(f"HH:MM{rest}", "text", lambda time: f"{time:%H:%M}{after(time.second, time.microsecond)}")


def _day(days: int) -> str:
    if not 1 <= days + EPOCH_DAY <= datetime.date.max.toordinal():
        raise Unfit(OUTSIDE)
    return datetime.date.fromordinal(days + EPOCH_DAY).isoformat()


def _day_or_moment(instant: int) -> Value:
    days, rest = divmod(instant, DAY_MICROSECONDS)
    return NAIVE_FORMS[0].write(instant) if rest else _day(days)


NAIVE_FORMS: Final = _moment_forms([""])
ZONED_FORMS: Final = _moment_forms(_OFFSETS)
DAY_OR_MOMENT: Final = ValueForm("YYYY-MM-DD[ HH:MM:SS[.ffffff]]", "text", _day_or_moment)
TIME_FORMS: Final = tuple(map(_time_form, _REST))
DAY: Final = ValueForm("YYYY-MM-DD", "text", _day)


def without_own_offset(value: Value) -> Value:
    """The text of the same form in UTC: a type keeps the instant, so an offset of the application is not there."""

    def zeros(found: re.Match[str]) -> str:
        return f"{found['blank']}+00" + (f"{found['colon']}00" if found["minutes"] else "")

    return _OWN_OFFSET.sub(zeros, value) if type(value) is str and ":" in value else value
