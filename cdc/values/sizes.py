"""How much room rows take in Postgres, reckoned before they are written. Pure.

A row must fit into one page once its long values were moved out of it, and an entry of an index into a third of one
(https://www.postgresql.org/docs/current/limits.html). Postgres compresses long values of an entry first, and how far is
known only to it: so what is said of an index is what may happen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cdc.facts.changes import Reason, Rejection
from cdc.facts.source_schema import Index, KeyKind
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.values.registry import TYPES

MOST_ROW_BYTES: Final = 8160
MOST_ENTRY_BYTES: Final = 2704

_ENTRY_HEADER: Final = 8
_ROW_HEADER: Final = 23
_LONG_HEADER: Final = 4
_MOVED_OUT: Final = 18  # what is left in the row of a value that was moved out of it
_STAYS: Final = 24  # bytes; what takes no more is never moved out
# Bytes and alignment by base; all other types take what their value needs.
_FIXED: Final = {base: type_.fixed for base, type_ in TYPES.items() if type_.fixed is not None}

_Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An index by its name in SQLite ("" for the key), the places of its columns in a row, and their names."""

    index: str
    unique: bool
    places: tuple[int, ...]
    columns: tuple[str, ...]


class Sizes:
    """How much room converted rows of one table take in its target."""

    def __init__(self, mapped: TableMap, target: TargetTable) -> None:
        names = mapped.target_columns
        self._columns = [column for name in names if (column := target.column(name)) is not None]
        may_grow = [column.base not in _FIXED for column in self._columns]
        self._entries = [e for e in _entries(mapped, names) if any(may_grow[place] for place in e.places)]
        widest = sum(sum(_FIXED.get(c.base, (_STAYS, 0))) for c in self._columns)
        self._may_be_wide = _ROW_HEADER + len(self._columns) + widest > MOST_ROW_BYTES

    def too_wide(self, rows: Sequence[_Row]) -> Iterator[tuple[int, Rejection]]:
        """The places of rows that no page holds, with the reason."""
        if self._may_be_wide:
            for place, row in enumerate(rows):
                if self._width(row) > MOST_ROW_BYTES:
                    yield place, _TOO_WIDE

    def long_entries(self, rows: Sequence[_Row]) -> Iterator[tuple[int, Rejection]]:
        """The places of rows that the key or a unique index may have no room for, with the reason."""
        for entry in (e for e in self._entries if e.unique):
            why = _too_long(entry)
            yield from ((place, why) for place in _over(entry, rows))

    def tight_indexes(self, rows: Sequence[_Row]) -> Iterator[tuple[str, int]]:
        """Ordinary indexes that may have no room for some of the rows, and for how many."""
        for entry in (e for e in self._entries if not e.unique):
            if many := sum(1 for _ in _over(entry, rows)):
                yield entry.index, many

    def _width(self, row: _Row) -> int:
        # Where any column is NULL, the header has a bit for each. Values begin at a multiple of 8
        # (https://www.postgresql.org/docs/current/storage-page-layout.html).
        size = _ROW_HEADER + (len(row) + 7) // 8 * (None in row)
        size += -size % 8
        for column, value in zip(self._columns, row, strict=True):
            if value is not None:
                size = _after(size, column, value)
        return size


def _after(size: int, column: TargetColumn, value: object) -> int:
    """The bytes of a row of `size` once the value stands behind it, moved out where it is long."""
    fixed = _FIXED.get(column.base)
    if fixed is not None:
        length, alignment = fixed
        return size + -size % alignment + length
    taken = 1 + _length(value)
    return size + (taken if taken <= _STAYS else _MOVED_OUT)


def _length(value: object) -> int:
    match value:
        case str():
            return len(value) if value.isascii() else len(value.encode())
        case bytes():
            return len(value)
        case list() | tuple():
            return sum(4 + _length(part) for part in value)
        case int() | Decimal():
            # numeric takes two bytes for four digits, and some for itself.
            return 2 + 2 * (1 + len(Decimal(value).as_tuple().digits) // 4)
        case _:
            return 0


def _over(entry: _Entry, rows: Sequence[_Row]) -> Iterator[int]:
    most = MOST_ENTRY_BYTES - _ENTRY_HEADER - len(entry.places) * _LONG_HEADER
    for place, row in enumerate(rows):
        if sum(_length(row[n]) for n in entry.places) > most:
            yield place


def _entries(mapped: TableMap, names: Sequence[str]) -> Iterator[_Entry]:
    if mapped.source.key.kind is KeyKind.COLUMNS or mapped.crosswalk:
        yield _Entry("", True, tuple(map(names.index, mapped.key)), mapped.key)
    for index in mapped.source.indexes:
        columns = () if mapped.adopted else _columns(mapped, index)
        if columns and set(columns) != set(mapped.key):
            yield _Entry(index.name, index.unique, tuple(map(names.index, columns)), columns)


def _columns(mapped: TableMap, index: Index) -> tuple[str, ...]:
    """The target columns of an index over plain columns, empty for another one."""
    by_source = {c.source.lower(): c.target for c in mapped.columns if c.source}
    targets = [by_source.get(term.column.lower()) if term.column else None for term in index.terms]
    return () if None in targets else tuple(name for name in targets if name)


_TOO_WIDE: Final = Rejection(
    "",
    Reason.LIMIT,
    f"the row takes more than the {MOST_ROW_BYTES:,} bytes of a page of Postgres, even with its long values elsewhere",
    "make values shorter or NULL in SQLite, or leave columns out with `skip`",
)


def _too_long(entry: _Entry) -> Rejection:
    what = f"unique index {entry.index}" if entry.index else "the key"
    return Rejection(
        ", ".join(entry.columns),
        Reason.LIMIT,
        f"{what} takes more than the {MOST_ENTRY_BYTES:,} bytes that an index of Postgres has room for, unless it can "
        "be compressed",
        "make the value shorter in SQLite",
    )
