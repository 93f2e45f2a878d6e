"""Rows that an application changed in Postgres, on their way back to SQLite. Frozen, no I/O.

Postgres tells every value as its own text, under settings that are always the same: ISO dates in UTC, floats with all
their digits, bytea in hex. What SQLite is to hold is made of these texts where SQLite is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cdc.facts.table_map import TableMap

Texts = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """Some keys of one table that were changed, and the rows that they have in one snapshot of Postgres.

    Each key has the texts of `mapped.key`'s columns. `rows` has the texts of `mapped.target_columns` for those that
    exist; a key without a row was deleted. With `whole` these are rows of the table as it is from its beginning to its
    end, page by page, because something may have changed that no key tells of; then `keys` are those of `rows`.
    """

    mapped: TableMap
    keys: tuple[Texts, ...]
    rows: Mapping[Texts, Texts]
    whole: bool = False
