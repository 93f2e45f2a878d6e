"""Instants as numbers that count from some beginning: Unix time, and the days of astronomers that SQLite knows."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import Encoder, Unfit, singly, storage_class
from cdc.values.family import Format, Forms, PostgresType, ValueForm
from cdc.values.iso_times import DAY_MICROSECONDS, FIRST_INSTANT, LAST_INSTANT, moments_of
from cdc.values.numerals import decimal_of

UNIX_EPOCH: Final = moments_of(["1970-01-01"])[0]
_JULIAN_DAYS: Final = 5_373_484.5  # the first day of year 10000
_JULIAN_2000: Final = 211_813_444_800_000  # milliseconds of julian days at 2000-01-01 00:00
_SINCE_1970: Final = "since 1970-01-01 UTC, as numbers or texts of numbers"
_EPOCHS_READ: Final = "integers, reals and texts of numbers since 1970-01-01 UTC, to the microsecond"


def counted_formats(into: tuple[PostgresType, ...], usual: PostgresType) -> tuple[Format, ...]:
    """Every format of that kind, for columns of the types `into`, and of the `usual` type where none is named."""

    def epochs(unit: str, words: str, microseconds: int) -> Format:
        encoder = counted(f"{words} {_SINCE_1970}", epoch(microseconds))
        forms = numbers_since(UNIX_EPOCH, microseconds)
        return Format(f"epoch {unit}", _EPOCHS_READ, into, encoder, forms, usual=usual)

    return (
        epochs("s", "seconds", 1_000_000),
        epochs("ms", "milliseconds", 1_000),
        epochs("us", "microseconds", 1),
        Format(
            "julian day",
            "days since noon of 4714-11-24 BC, to the millisecond, by the arithmetic of SQLite's own functions",
            into,
            counted("julian days, as numbers or texts of numbers", _julian_day),
            numbers_since(-_JULIAN_2000 * 1000, DAY_MICROSECONDS),
            usual=usual,
        ),
    )


def counted(takes: str, read: Callable[[Value], int]) -> Callable[[TargetColumn], Encoder]:
    """Encoders of instants that `read` makes of numbers; it raises `Unfit`."""

    def encoder(target: TargetColumn) -> Encoder:
        unit = 10 ** (6 - target.precision) if target.precision is not None else 1

        def scalar(value: Value) -> int:
            instant = read(value)
            if not FIRST_INSTANT <= instant <= LAST_INSTANT:
                raise Unfit(f"is {storage_class(value)} for an instant out of the years 1 to 9999")
            if instant % unit:
                raise Unfit(f"is {storage_class(value)} with more digits of a second than the type keeps")
            return instant

        return Encoder(takes, singly(scalar), scalar)

    return encoder


def epoch(microseconds: int) -> Callable[[Value], int]:
    """Reads numbers of units of so many microseconds since 1970-01-01 UTC."""

    def read(value: Value) -> int:
        if type(value) is int:
            return value * microseconds + UNIX_EPOCH
        # As the decimal that people see: a product of doubles would be rounded once more.
        return int((decimal_of(value) * microseconds).to_integral_value(ROUND_HALF_UP)) + UNIX_EPOCH

    return read


def _julian_day(value: Value) -> int:
    # The very arithmetic of SQLite's date functions, which keep milliseconds.
    day = float(decimal_of(value))
    if not 0.0 <= day < _JULIAN_DAYS:
        raise Unfit(f"is {storage_class(value)} out of the days that SQLite knows")
    milliseconds = int(day * 86_400_000.0 + 0.5)
    return (milliseconds - _JULIAN_2000) * 1000


def numbers_since(beginning: int, unit: int, named: str = "") -> Forms:
    """Numbers of units of so many microseconds since an instant, as SQLite's integers and reals and as texts of both.

    One that has no whole number is a real even so. `named` begins the names of the forms.
    """

    def whole(instant: int) -> int | float:
        units, rest = divmod(instant - beginning, unit)
        return real(instant) if rest else units

    def real(instant: int) -> float:
        return (instant - beginning) / unit

    forms = (
        ValueForm(f"{named}integer", "integer", whole),
        ValueForm(f"{named}real", "real", real),
        ValueForm(f"{named}text", "text", lambda instant: repr(whole(instant))),
        ValueForm(f"{named}text with .0", "text", lambda instant: repr(real(instant))),
    )
    return lambda _: forms
