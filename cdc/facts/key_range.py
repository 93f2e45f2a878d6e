"""A part of a table by its key, for tables whose key is one whole number that both databases order alike."""

from dataclasses import dataclass
from typing import Final

from cdc.facts.source_schema import KeyKind
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues

_WHOLE_NUMBERS: Final = frozenset({"int2", "int4", "int8"})


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys greater than `after` and not greater than `last`; None is no bound."""

    after: int | None = None
    last: int | None = None

    def holds(self, key: KeyValues) -> bool:
        """Whether a source key is in the range; without bounds, every key of any kind is."""
        number = key[0]
        if self.after is None and self.last is None:
            return True
        if not isinstance(number, int):
            return False
        return (self.after is None or number > self.after) and (self.last is None or number <= self.last)


ALL_KEYS: Final = KeyRange()


def has_ranges(mapped: TableMap, target: TargetTable) -> bool:
    """Whether a table can be read in ranges of its key, here and there the same rows.

    Texts cannot: each database orders them by a collation of its own. A rowid and an INTEGER PRIMARY KEY are whole
    numbers in SQLite whatever is stored elsewhere in the row. Without an index of its key, Postgres would read all of
    the table for each range.
    """
    if mapped.crosswalk or len(mapped.key) != 1 or mapped.source.key.kind is KeyKind.COLUMNS:
        return False
    if not target.is_keyed_by(mapped.key):
        return False
    column = target.column(mapped.key[0])
    return column is not None and column.base in _WHOLE_NUMBERS
