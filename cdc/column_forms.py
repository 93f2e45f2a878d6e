"""For each type of Postgres, how a column of SQLite values becomes what the driver's binary protocol takes.

A form looks at a whole column with a few calls that run in C, and says None when some value needs a closer look; then
each value is made one by one, and one that cannot be stored exactly raises `Unfit`. The outcomes are documented in
`cdc.convert`.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Final, TypeVar, cast

from cdc import text_forms
from cdc.model import InvalidText, TargetColumn, Value

Kinds = set[type]
T = TypeVar("T")


class Unfit(Exception):
    """A value cannot be stored exactly; the text is what is wrong with it, without the value."""


@dataclass(frozen=True, slots=True)
class Form:
    """How one type is fed. `takes` says in words what it can hold.

    `column(values, kinds)` returns the made column, None kept, or None when a value needs a closer look; `kinds` are
    the Python types that occur. `one` makes a value that is not None, or raises `Unfit`.
    """

    takes: str
    column: Callable[[Sequence[Value], Kinds], Sequence[object] | None]
    one: Callable[[Value], object]


_INTEGERS: Final[Kinds] = {int, NoneType}
_REALS: Final[Kinds] = {float, NoneType}
_NUMBERS: Final[Kinds] = {int, float, NoneType}
_TEXTS: Final[Kinds] = {str, NoneType}
_BLOBS: Final[Kinds] = {bytes, NoneType}

_NAMES: Final[dict[type, str]] = {
    int: "an integer",
    float: "a real",
    str: "a text",
    bytes: "a blob",
    InvalidText: "a text that is not valid UTF-8",
}


def storage_class(value: Value) -> str:
    """What kind of value SQLite stores, in words: "an integer", "a blob"."""
    return _NAMES.get(type(value), "NULL")


def _present(values: Sequence[Value], kinds: Kinds) -> Sequence[Value]:
    return [v for v in values if v is not None] if NoneType in kinds else values


def _with_gaps(values: Sequence[Value], made: Sequence[object]) -> Sequence[object]:
    """Put what was made of the values that are there back between the NULLs."""
    following = iter(made)
    return made if len(made) == len(values) else [None if v is None else next(following) for v in values]


def _expect(value: Value, kind: type[T]) -> T:
    if type(value) is not kind:
        raise Unfit(f"is {storage_class(value)}")
    return value


# --- numbers ----------------------------------------------------------------------------------------------------------


def _whole_numbers(bits: int) -> Form:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= _INTEGERS:
            return None
        present = cast("Sequence[int]", _present(values, kinds)) if bits < 64 else ()
        return values if not present or (low <= min(present) and max(present) <= high) else None

    def one(value: Value) -> int:
        number = _expect(value, int)
        if not low <= number <= high:
            raise Unfit("is an integer out of range")
        return number

    return Form(f"whole numbers from {low} to {high}", column, one)


def _double() -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if kinds <= _REALS:
            return values
        if not kinds <= _NUMBERS:
            return None
        present = cast("list[int | float]", list(_present(values, kinds)))
        made = list(map(float, present))
        return _with_gaps(values, made) if made == present else None

    def one(value: Value) -> float:
        if type(value) is int:
            if float(value) != value:
                raise Unfit("is an integer that no double is equal to")
            return float(value)
        return _expect(value, float)

    return Form("reals, and integers that a double can hold exactly", column, one)


def _single() -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= _NUMBERS:
            return None
        present = cast("list[int | float]", list(_present(values, kinds)))
        return values if array("f", present).tolist() == present else None

    def one(value: Value) -> float:
        number = value if type(value) is int else _expect(value, float)
        if array("f", [number])[0] != number:
            raise Unfit(f"is {storage_class(value)} that four bytes cannot hold exactly")
        return float(number)

    return Form("reals that four bytes hold exactly", column, one)


def _decimals(precision: int | None, scale: int | None) -> Form:
    def one(value: Value) -> Decimal:
        # repr is the shortest text that reads back as the same double, which is what people call its value.
        number = Decimal(value if type(value) is int else repr(_expect(value, float)))
        if number.is_zero() and number.is_signed():
            raise Unfit("is a negative zero")
        if precision is not None and not _within(number, precision, scale or 0):
            raise Unfit(f"is {storage_class(value)} beyond its precision or scale")
        return number

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if precision is None and kinds <= _INTEGERS:
            return values
        if not kinds <= _NUMBERS:
            return None
        try:
            return [None if v is None else one(v) for v in values]
        except Unfit:
            return None

    return Form("numbers within its precision and scale, never rounded", column, one)


def _within(number: Decimal, precision: int, scale: int) -> bool:
    if not number or not number.is_finite():
        return number.is_finite()
    exponent = int(number.normalize().as_tuple().exponent)
    return exponent >= -scale and number.adjusted() < precision - scale


def _flags() -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= _INTEGERS or not set(values) <= {0, 1, None}:
            return None
        return [None if v is None else v == 1 for v in values] if NoneType in kinds else list(map(bool, values))

    def one(value: Value) -> bool:
        number = _expect(value, int)
        if number not in {0, 1}:
            raise Unfit("is an integer other than 0 and 1")
        return number == 1

    return Form("the integers 0 and 1", column, one)


# --- texts and blobs --------------------------------------------------------------------------------------------------


def _plain_text(longest: int | None, *, padded: bool) -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= _TEXTS:
            return None
        texts = cast("Iterable[str]", filter(None, values)) if NoneType in kinds else cast("Sequence[str]", values)
        if "\x00" in "".join(texts):
            return None
        return values if longest is None and not padded else _narrow(values)

    def _narrow(values: Sequence[Value]) -> Sequence[object] | None:
        texts = cast("list[str]", list(filter(None, values)))
        if longest is not None and max(map(len, texts), default=0) > longest:
            return None
        return None if padded and any(text.endswith(" ") for text in texts) else values

    def one(value: Value) -> str:
        text = _expect(value, str)
        if "\x00" in text:
            raise Unfit("is a text with a NUL character")
        if longest is not None and len(text) > longest:
            raise Unfit("is a text that is too long")
        if padded and text.endswith(" "):
            raise Unfit("is a text with blanks at its end")
        return text

    limit = "" if longest is None else f" of at most {longest} characters"
    return Form(f"texts{limit} without NUL characters" + (" and blanks at the end" if padded else ""), column, one)


def _labels(labels: Sequence[str]) -> Form:
    known = set(labels)

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return values if kinds <= _TEXTS and set(values) <= known | {None} else None

    def one(value: Value) -> str:
        text = _expect(value, str)
        if text not in known:
            raise Unfit("is a text that is none of its labels")
        return text

    return Form("the labels of that enum", column, one)


def _blobs() -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return values if kinds <= _BLOBS else None

    return Form("blobs", column, lambda value: _expect(value, bytes))


def _any_literal() -> Form:
    def column(values: Sequence[Value], _: Kinds) -> Sequence[object] | None:
        return list(map(text_forms.literal, values))

    return Form("any value, as its SQL literal", column, text_forms.literal)


# --- texts that stand for something -----------------------------------------------------------------------------------


def _formed(takes: str, pattern: re.Pattern[str], make: "_Make", coarser: re.Pattern[str] | None) -> Form:
    """Texts of one exact form, made into what stands for them. `coarser` finds digits that the type would round."""

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= _TEXTS:
            return None
        texts = cast("Sequence[str]", _present(values, kinds))
        if not text_forms.all_match(pattern, texts) or (coarser and any(map(coarser.search, texts))):
            return None
        try:
            return _with_gaps(values, make(texts))
        except ValueError:
            return None

    def one(value: Value) -> object:
        text = _expect(value, str)
        if not text_forms.all_match(pattern, [text]):
            raise Unfit("is a text of another form" if text else "is an empty text")
        if coarser and coarser.search(text):
            raise Unfit("is a text with more digits of a second than the type keeps")
        try:
            return make([text])[0]
        except ValueError:
            raise Unfit("is a text that names no real date or time") from None

    return Form(takes, column, one)


def _documents(check: Callable[[str], str]) -> Form:
    def one(value: Value) -> str:
        if type(value) is int:
            return str(value)
        if type(value) is float:
            # A column declared JSON has numeric affinity in SQLite: a document that is a bare number became one.
            if value in {float("inf"), float("-inf")}:
                raise Unfit("is an infinity, which is no JSON")
            return repr(value)
        try:
            return check(_expect(value, str))
        except ValueError as error:
            raise Unfit(str(error)) from None

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= _TEXTS:
            return None
        try:
            for text in cast("Sequence[str]", _present(values, kinds)):
                check(text)
        except ValueError:
            return None
        return values

    return Form("valid JSON without what Postgres would drop", column, one)


# --- which form a column has ------------------------------------------------------------------------------------------

_Make = Callable[[Iterable[str]], Sequence[object]]
_FORMED: Final[dict[str, tuple[str, re.Pattern[str], _Make]]] = {
    "date": ("'YYYY-MM-DD' from year 1 to 9999", text_forms.DATES, text_forms.days),
    "time": ("'HH:MM[:SS[.ffffff]]'", text_forms.TIMES, text_forms.times_of_day),
    "timestamp": ("'YYYY-MM-DD HH:MM[:SS[.ffffff]]' without an offset", text_forms.TIMESTAMPS, text_forms.microseconds),
    "timestamptz": ("'YYYY-MM-DD HH:MM[:SS[.ffffff]]' with an offset or Z", text_forms.INSTANTS, text_forms.instants),
    "uuid": ("UUIDs of 36 lower-case characters", text_forms.UUIDS, list),
}
_PLAIN: Final[dict[str, Callable[[], Form]]] = {
    "int2": lambda: _whole_numbers(16),
    "int4": lambda: _whole_numbers(32),
    "int8": lambda: _whole_numbers(64),
    "float4": _single,
    "float8": _double,
    "bool": _flags,
    "bytea": _blobs,
    "json": lambda: _documents(text_forms.json_text),
    "jsonb": lambda: _documents(text_forms.jsonb_text),
}
_CHARACTERS: Final = frozenset({"text", "varchar", "bpchar", "citext"})

SUPPORTED: Final = (*_PLAIN, "numeric", *sorted(_CHARACTERS), *_FORMED, "enums")


def _coarser(digits: int | None) -> re.Pattern[str] | None:
    """What finds a fraction of a second that `timestamp(3)` or the like would round, None when all six digits fit."""
    if digits is None or digits >= 6:
        return None
    return re.compile(rf"\.[0-9]{{{digits}}}[0-9]*[1-9]")


def form_of(column: TargetColumn, *, literal: bool = False) -> Form | None:
    """How that column of Postgres is fed, None for a type that is not supported."""
    if literal:
        return _any_literal() if column.base in {"text", "varchar"} and column.length is None else None
    if column.labels:
        return _labels(column.labels)
    if column.base in _CHARACTERS:
        return _plain_text(column.length, padded=column.base == "bpchar")
    if column.base == "numeric":
        return _decimals(column.precision, column.scale)
    if column.base in _FORMED:
        return _formed(*_FORMED[column.base], _coarser(column.precision))
    made = _PLAIN.get(column.base)
    return made() if made else None
