"""The canonical texts of whole columns, many rows at a time: the same texts as one by one, by a shorter way."""

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any, Final

from cdc.canonical.text import NEVER, UNFIT, Form, Text, canonical_text
from cdc.facts.values import Value

ColumnForm = Callable[[Sequence[Value]], Sequence[Text]]

FLAGS: Final = {0: "false", 1: "true"}
CHARACTERS: Final = frozenset({"text", "varchar", "bpchar", "citext"})

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def column_form(form: Form, kind: str) -> ColumnForm:
    """The canonical texts of a whole column, with a short way where all values are of the type's usual kind."""
    usual, whole = _SHORT.get(kind, (NoneType, None))

    def column(values: Sequence[Value]) -> Sequence[Text]:
        kinds = set(map(type, values))
        if kinds <= {str, NoneType} and kind in CHARACTERS:
            return values  # type: ignore[return-value]
        if whole is not None and kinds <= {usual, NoneType}:
            with suppress(*UNFIT):  # one of them needs to be looked at alone
                return whole(values) if NoneType not in kinds else _spread(whole, values)
        return [None if value is None else canonical_text(form, value) for value in values]

    return column


def _spread(whole: Callable[[Sequence[Any]], list[str]], values: Sequence[Value]) -> list[Text]:
    texts = iter(whole([value for value in values if value is not None]))
    return [None if value is None else next(texts) for value in values]


def _wholes(bits: int) -> Callable[[Sequence[Any]], list[str]]:
    least, greatest = -(1 << bits - 1), (1 << bits - 1) - 1

    def column(values: Sequence[Any]) -> list[str]:
        if values and not (least <= min(values) and max(values) <= greatest):
            raise ValueError
        return list(map(str, values))

    return column


def _doubles(values: Sequence[Any]) -> list[str]:
    digits = struct.pack(f">{len(values)}d", *values).hex()
    return [digits[place : place + 16] for place in range(0, len(digits), 16)]


def _flags(values: Sequence[Any]) -> list[str]:
    return [FLAGS.get(value, NEVER) for value in values]


def _instants(beginning: datetime) -> Callable[[Sequence[Any]], list[str]]:
    parse = datetime.fromisoformat
    # Raises where only one of the two moments has a zone.
    return lambda values: [str((parse(value) - beginning) // _MICROSECOND) for value in values]


_SHORT: Final[dict[str, tuple[type, Callable[[Sequence[Any]], list[str]]]]] = {
    **{f"int{bits // 8}": (int, _wholes(bits)) for bits in (16, 32, 64)},
    "float8": (float, _doubles),
    "bool": (int, _flags),
    "bytea": (bytes, lambda values: list(map(bytes.hex, values))),
    "timestamp": (str, _instants(_EPOCH.replace(tzinfo=None))),
    "timestamptz": (str, _instants(_EPOCH)),
}
