"""One hash of many rows whose order is known, column by column; `cdc.postgres.tables.hashed_rows` has the same as SQL.

A column's values that are not NULL are joined in the order of the rows, and so are the keys of those that are NULL, 8
bytes each. The hash of a column is that of the values and then that of the keys, `NOTHING` where there are none; the
rows' hash is that of all columns' hashes. How values are joined depends on the column's type:

| type | a value | between two of them |
|---|---|---|
| smallint, integer, bigint | 8 bytes, big-endian | nothing |
| double precision | 8 bytes, big-endian | nothing |
| boolean | a byte, 0 or 1 | nothing |
| timestamp, timestamptz | microseconds since 2000-01-01 (UTC), 8 bytes, big-endian | nothing |
| bytea | its length, 4 bytes, big-endian, and its bytes | nothing |
| all others | the canonical text in UTF-8 | a NUL, which no text of Postgres has |

So two columns of as many rows are joined to the same bytes only if they are the same.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain, repeat
from operator import floordiv, sub
from typing import Any, Final

from cdc.canonical.columns import CHARACTERS, ColumnForm
from cdc.canonical.text import NEVER, UNFIT, Text
from cdc.facts.values import Row, Value

VERSION: Final = 1  # of these rules: hashes of others are no hashes of these
NOTHING: Final = bytes(32)  # in place of the hash of no values

_AT_ONCE: Final = 500  # rows that are turned into columns; many more wake Python's garbage collector each time
_NO_VALUE: Final = b"\xfe"  # no flag, no length, and of another width than all else
_SINCE_2000: Final = timedelta(days=10_957) // timedelta(microseconds=1)  # from 1970
_MICROSECOND: Final = timedelta(microseconds=1)
_LENGTH: Final = struct.Struct(">i").pack
_EIGHT: Final = struct.Struct(">q").pack


@dataclass(frozen=True, slots=True)
class Layout:
    """How values are joined: `usual` joins those of the type's usual kind and raises for others, `texts` any texts."""

    usual: Callable[[Sequence[Any]], bytes] | None
    texts: Callable[[Sequence[str]], bytes]
    between: bytes = b""


def layout_of(base: str, kind: str) -> Layout:
    """The layout of a type of Postgres; `kind` is the type too, or empty where values are not read as the type is."""
    fixed = _FIXED.get(base)
    if fixed is None:
        return Layout(_characters if kind in CHARACTERS else None, _characters, between=b"\x00")
    usual, one = fixed
    return Layout(usual if kind else None, lambda texts: b"".join(_fixed(one, text) for text in texts))


class OrderedRows:
    """One hash of rows that come in their order, some at a time: `rows` until now, whose values are `size` bytes."""

    def __init__(self, columns: Sequence[tuple[Layout, ColumnForm]], width: int) -> None:
        self._columns = [_ColumnHash(layout, form) for layout, form in columns]
        self._width = width
        self.rows = 0

    @property
    def size(self) -> int:
        """Bytes that were hashed until now."""
        return sum(column.size for column in self._columns)

    def add(self, raw: Sequence[Row]) -> None:
        """The next rows, each the key, a whole number, and then the columns."""
        for place in range(0, len(raw), _AT_ONCE):
            values = list(zip(*raw[place : place + _AT_ONCE], strict=True))
            for column, those in zip(self._columns, values[self._width :], strict=True):
                column.add(values[0], those)
        self.rows += len(raw)

    def digest(self) -> bytes | None:
        """The hash, None where there are no rows."""
        return sha256(b"".join([column.digest() for column in self._columns])).digest() if self.rows else None


class _ColumnHash:
    """The hash of one column's values and that of the keys where it is NULL."""

    def __init__(self, layout: Layout, form: ColumnForm) -> None:
        self._layout = layout
        self._form = form
        self._values = sha256()
        self._nulls = sha256()
        self._is_empty = True
        self._has_nulls = False
        self.size = 0

    def add(self, keys: Sequence[Value], values: Sequence[Value]) -> None:
        """The next values and the keys of their rows."""
        if self._add_usual(values):
            return
        there = [value for value in values if value is not None]
        if len(there) < len(values) and self._add_usual(there):
            self._note_nulls(keys, values)
        else:
            self._add_texts(keys, self._form(values))

    def digest(self) -> bytes:
        """Both hashes."""
        values = NOTHING if self._is_empty else self._values.digest()
        return values + (self._nulls.digest() if self._has_nulls else NOTHING)

    def _add_usual(self, values: Sequence[Value]) -> bool:
        if self._layout.usual is None:
            return False
        try:
            joined = self._layout.usual(values)
        except UNFIT:
            return False
        self._take(joined, len(values))
        return True

    def _add_texts(self, keys: Sequence[Value], texts: Sequence[Text]) -> None:
        there = [text for text in texts if text is not None]
        self._take(self._layout.texts(there), len(there))
        self._note_nulls(keys, texts)

    def _take(self, joined: bytes, count: int) -> None:
        if not count:
            return
        if not self._is_empty:
            self._values.update(self._layout.between)
        self._values.update(joined)
        self._is_empty = False
        self.size += len(joined)

    def _note_nulls(self, keys: Sequence[Value], values: Sequence[Value]) -> None:
        missing = [key for key, value in zip(keys, values, strict=True) if value is None]
        if missing:
            self._nulls.update(struct.pack(f">{len(missing)}q", *missing))
            self._has_nulls = True


# --- values of the usual kind, many at a time -------------------------------------------------------------------------


def _characters(values: Sequence[str]) -> bytes:
    return "\x00".join(values).encode()


def _wholes(bits: int) -> Callable[[Sequence[int]], bytes]:
    least, greatest = -(1 << bits - 1), (1 << bits - 1) - 1

    def joined(values: Sequence[int]) -> bytes:
        packed = struct.pack(f">{len(values)}q", *values)
        if bits < 64 and values and not (least <= min(values) and max(values) <= greatest):
            raise ValueError
        return packed

    return joined


def _doubles(values: Sequence[float]) -> bytes:
    if set(map(type, values)) - {float}:
        raise TypeError  # a whole number may be none that is held exactly
    return struct.pack(f">{len(values)}d", *values)


def _flags(values: Sequence[int]) -> bytes:
    joined = bytes(values)
    if joined.translate(None, b"\x00\x01"):
        raise ValueError
    return joined


def _instants(beginning: datetime) -> Callable[[Sequence[str]], bytes]:
    def joined(values: Sequence[str]) -> bytes:
        # Raises where only one of the two moments has a zone.
        passed = map(sub, map(datetime.fromisoformat, values), repeat(beginning))
        return struct.pack(f">{len(values)}q", *map(floordiv, passed, repeat(_MICROSECOND)))

    return joined


def _sized(values: Sequence[bytes]) -> bytes:
    lengths = map(_LENGTH, map(len, values))
    return b"".join(chain.from_iterable(zip(lengths, values, strict=True)))


# --- canonical texts, one at a time -----------------------------------------------------------------------------------


def _fixed(one: Callable[[str], bytes], text: str) -> bytes:
    try:
        return _NO_VALUE if text == NEVER else one(text)
    except UNFIT:
        return _NO_VALUE


def _whole(text: str) -> bytes:
    return _EIGHT(int(text))


def _flag(text: str) -> bytes:
    return b"\x01" if text == "true" else b"\x00"


def _instant(text: str) -> bytes:
    return _EIGHT(int(text) - _SINCE_2000)


def _bytes(text: str) -> bytes:
    return _sized([bytes.fromhex(text)])


_Joined = Callable[[Sequence[Any]], bytes]

_FIXED: Final[dict[str, tuple[_Joined, Callable[[str], bytes]]]] = {
    **{f"int{bits // 8}": (_wholes(bits), _whole) for bits in (16, 32, 64)},
    "float8": (_doubles, bytes.fromhex),
    "bool": (_flags, _flag),
    "timestamp": (_instants(datetime(2000, 1, 1)), _instant),
    "timestamptz": (_instants(datetime(2000, 1, 1, tzinfo=UTC)), _instant),
    "bytea": (_sized, _bytes),
}
