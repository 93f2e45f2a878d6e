"""Keys that may not come back, in the application's file, where its triggers do not see it: rows that are deleted in
Postgres have theirs, somebody's word ends some, and they are forgotten after their days.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import apsw

from cdc.facts.values import InvalidText, KeyValues, NullKey
from cdc.sqlite.capture import own_tables
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking, write_transaction
from cdc.sqlite.rows.exact_values import bindable

STEP: Final = 1_000  # as many as are pruned of the changelog at a time
_OLD: Final = "at < julianday('now') - ?"


def bury(connection: apsw.Connection, table: str, keys: Sequence[KeyValues]) -> None:
    """Let rows of these keys be refused, in the caller's transaction, as the triggers do when they see a row go."""
    end(connection, {table: keys})
    for key, marks in _marked(connection, keys):
        columns = ", ".join(f"k{place}" for place in range(1, len(key) + 1))
        sql = f"INSERT INTO _cdc_tombstone(name, at, {columns}) VALUES (?, julianday('now'), {', '.join(marks)})"
        connection.execute(sql, (table, *map(bindable, key)))


def end(connection: apsw.Connection, keys: Mapping[str, Sequence[KeyValues]]) -> None:
    """Let rows of these keys be put in again, in the caller's transaction."""
    for name, of_table in keys.items():
        for key, marks in _marked(connection, of_table):
            same = "".join(f" AND k{place} = {mark}" for place, mark in enumerate(marks, 1))
            connection.execute(f"DELETE FROM _cdc_tombstone WHERE name = ?{same}", (name, *map(bindable, key)))


def _marked(connection: apsw.Connection, keys: Sequence[KeyValues]) -> Iterator[tuple[KeyValues, list[str]]]:
    """The keys that the file can remember, each with what stands for its values in a statement."""
    if not own_tables.has_tombstones(connection):
        return
    width = len(own_tables.columns_of(connection, own_tables.TOMBSTONES)) - 2
    for key in keys:
        # A key of more columns, or of a row that is known by its rowid, was never written there.
        if len(key) <= width and not any(isinstance(value, NullKey) for value in key):
            yield key, ["CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in key]


def prune(connection: apsw.Connection, days: int) -> int:
    """Forget a portion of the keys that were deleted longer ago; returns how many. Writes only where there are some."""
    with translated("pruning keys that were deleted"):
        with locking(connection):
            if not own_tables.has_tombstones(connection):
                return 0
            if not connection.execute(f"SELECT EXISTS (SELECT 1 FROM _cdc_tombstone WHERE {_OLD})", (days,)).get:
                return 0
        with write_transaction(connection):
            chosen = f"SELECT rowid FROM _cdc_tombstone WHERE {_OLD} LIMIT {STEP}"
            connection.execute(f"DELETE FROM _cdc_tombstone WHERE rowid IN ({chosen})", (days,))
            return connection.changes()
