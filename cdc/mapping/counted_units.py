"""Which unit the numbers of a column count in, as far as that is told by where they would lie in time. Pure."""

from typing import Final

from cdc.values.registry import FORMATS

_PER_SECOND: Final = {"epoch s": 1, "epoch ms": 10**3, "epoch us": 10**6}
# Seconds since 1970 from the spring of 1973 to the year 5138: outside of these a number is hardly an instant of ours.
_LEAST, _BEYOND = 10**8, 10**11
_SINCE_1900: Final = 2_208_988_800
_JULIAN_DAYS: Final = (2_400_000, 2_500_000)  # 1858 to 2132

COUNTED: Final = (*_PER_SECOND, "julian day")
# What takes several forms comes last: of formats that read all values, one that says more is better.
TRIED: Final = tuple(sorted(FORMATS, key=lambda name: name == "auto utc"))


def lie_in_our_time(format_: str, least: float, greatest: float) -> bool:
    """Whether numbers from `least` to `greatest` are instants of our time by that format, and by no other of `COUNTED`.

    The earliest tells. Among those before 1970, as of people's birthdays, the later ones may be as small as they like.
    """
    if format_ not in _PER_SECOND:
        first, last = _JULIAN_DAYS
        return first <= least and greatest <= last
    unit = _PER_SECOND[format_]
    if least < 0:
        # Less than a thousandth of the way back to 1900 would lie near 1900 in the unit that is coarser.
        reaches_back = -_SINCE_1900 * unit <= least < -_SINCE_1900 * unit / 1000
        return reaches_back and greatest < _BEYOND * unit
    return _LEAST * unit <= least and greatest < _BEYOND * unit


def may_be(format_: str, least: float | None, greatest: float | None) -> bool:
    """Whether that format may be meant for values of which the numbers, if there are any, reach so far."""
    if format_ not in COUNTED or least is None or greatest is None:
        return True
    return lie_in_our_time(format_, least, greatest)
