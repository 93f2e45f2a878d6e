"""What an encoder is: how a column of SQLite values becomes what the driver's binary protocol takes.

An encoder looks at a whole column with a few calls that run in C, and says None when some value needs a closer look;
then each value is encoded by itself, and one that cannot be stored exactly raises `Unfit`. So a column without a
mistake, which is nearly every one, costs no call of Python for each value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Final, TypeVar

from cdc.facts.values import InvalidText, Value

Kinds = set[type]
T = TypeVar("T")


class Unfit(Exception):
    """A value cannot be stored exactly; the text is what is wrong with it, without the value."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """How one column is fed. `takes` says in words what it can hold.

    `column(values, kinds)` returns the encoded column, None kept, or None when a value needs a closer look; `kinds` are
    the Python types that occur. `scalar` encodes a value that is not None, or raises `Unfit`.
    """

    takes: str
    column: Callable[[Sequence[Value], Kinds], Sequence[object] | None]
    scalar: Callable[[Value], object]


# Compared by `<=` with the kinds of a column. `type(value)`, never isinstance: a bool is an int to Python.
INTEGERS: Final[Kinds] = {int, NoneType}
REALS: Final[Kinds] = {float, NoneType}
NUMBERS: Final[Kinds] = {int, float, NoneType}
TEXTS: Final[Kinds] = {str, NoneType}
BLOBS: Final[Kinds] = {bytes, NoneType}

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


def without_nulls(values: Sequence[Value], kinds: Kinds) -> Sequence[Value]:
    """The values that are not NULL; the very same sequence where none is."""
    return [v for v in values if v is not None] if NoneType in kinds else values


def with_nulls(values: Sequence[Value], encoded: Sequence[object]) -> Sequence[object]:
    """The encoded values of a column with its NULLs between them again, where they were in `values`."""
    following = iter(encoded)
    return encoded if len(encoded) == len(values) else [None if v is None else next(following) for v in values]


def expect(value: Value, kind: type[T]) -> T:
    """The value when it is of that Python type; raises `Unfit` that names its storage class."""
    if type(value) is not kind:
        raise Unfit(f"is {storage_class(value)}")
    return value


def singly(scalar: Callable[[Value], object]) -> Callable[[Sequence[Value], Kinds], Sequence[object] | None]:
    """`Encoder.column` for values that have no faster way than one by one."""

    def column(values: Sequence[Value], _: Kinds) -> Sequence[object] | None:
        try:
            return [None if value is None else scalar(value) for value in values]
        except Unfit:
            return None

    return column


def sparing(encoder: Encoder, kept: Sequence[str]) -> Encoder:
    """The same, but for values that as texts are one of those `kept` for the rows of other tables."""

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        encoded = encoder.column(values, kinds)
        return None if encoded is None or any(str(value) in kept for value in encoded) else encoded

    def scalar(value: Value) -> object:
        if str(encoded := encoder.scalar(value)) in kept:
            raise Unfit("is kept for the rows of another table")
        return encoded

    return Encoder(encoder.takes, column, scalar)


def _too_early(_: Value) -> object:
    raise Unfit("came before the data decided its type")


# Feeds a column that is undecided: its first value has to decide before it can be stored.
NOTHING_YET: Final = Encoder(
    takes="nothing until then",
    column=lambda values, kinds: values if kinds <= {NoneType} else None,
    scalar=_too_early,
)
