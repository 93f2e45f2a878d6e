"""Instants in whatever form common libraries write them, mixed in one column: ISO texts and numbers since 1970.

Whether a number counts seconds or milliseconds is told by how many digits stand before its point, and only where they
leave no doubt: with seven or fewer it might as well be a Julian day or a year, with eleven it is seconds of a far year
or milliseconds of about 1970, and with fifteen or more it is microseconds or finer.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.counted_times import UNIX_EPOCH, counted, epoch, numbers_since
from cdc.values.encoder import Encoder, Kinds, Unfit, singly, storage_class
from cdc.values.family import Forms
from cdc.values.iso_times import MOMENTS, moments_of
from cdc.values.numerals import decimal_of
from cdc.values.patterns import finer_than, texts_of_form
from cdc.values.time_forms import DAY_OR_MOMENT, NAIVE_FORMS, ZONED_FORMS

READS: Final = (
    "everything that `iso utc` reads; integers, reals and texts of numbers since 1970-01-01 UTC: seconds with 8 to 10 "
    "digits before the point, milliseconds with 12 to 14, and 0"
)
_TAKES: Final = "ISO dates and timestamps with an offset or in UTC, and numbers since 1970-01-01 UTC"
_SECOND: Final = 1_000_000
_MILLISECOND: Final = 1_000
_UNIT: Final = {**dict.fromkeys((8, 9, 10), _SECOND), **dict.fromkeys((12, 13, 14), _MILLISECOND)}
_NUMERAL: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
# 20240229, 202402290102 and 20240229010203: a date of the years 1900 to 2099 that is written without anything between.
_COMPACT_DATE: Final = re.compile(
    "(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9])?)?"
)
# The last day of year 9999 in seconds stands for "for ever"; the same number of milliseconds is a minute of 1978.
_FOR_EVER: Final = range(253_402_214_400, 253_402_300_800)


def auto_utc(target: TargetColumn) -> Encoder:
    """Instants as ISO texts or as numbers."""
    texts = texts_of_form(_TAKES, MOMENTS, moments_of, finer_than(target.precision))
    numbers = counted(_TAKES, _since_1970)(target)

    def scalar(value: Value) -> object:
        is_moment = type(value) is str and not _NUMERAL.fullmatch(value)
        return (texts if is_moment else numbers).scalar(value)

    one_by_one = singly(scalar)

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        encoded = texts.column(values, kinds)
        return one_by_one(values, kinds) if encoded is None else encoded

    return Encoder(_TAKES, column, scalar)


def auto_forms() -> Forms:
    """The ISO texts, then numbers of seconds and of milliseconds; each is written only where it is read as the same."""
    seconds = numbers_since(UNIX_EPOCH, _SECOND, "seconds as ")
    milliseconds = numbers_since(UNIX_EPOCH, _MILLISECOND, "milliseconds as ")
    return lambda target: (*NAIVE_FORMS, DAY_OR_MOMENT, *ZONED_FORMS, *seconds(target), *milliseconds(target))


def _since_1970(value: Value) -> int:
    number = decimal_of(value)
    return epoch(_unit(number, storage_class(value)))(value) if number else UNIX_EPOCH


def _unit(number: Decimal, what: str) -> int:
    """The microseconds of what a number counts; raises `Unfit` where its digits leave that open."""
    whole = abs(int(number))
    digits = str(whole)
    unit = _UNIT.get(len(digits))
    if unit is None:
        raise Unfit(f"is {what} with so many digits that it may be no seconds or milliseconds")
    if whole in _FOR_EVER or _COMPACT_DATE.fullmatch(digits):
        raise Unfit(f"is {what} that may be a date or the end of all time rather than milliseconds")
    return unit
