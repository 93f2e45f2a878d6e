"""Keys that may not come back, in the application's file: ended by somebody's word, and forgotten after their days."""

from collections.abc import Mapping, Sequence
from typing import Final

import apsw

from cdc.facts.values import InvalidText, KeyValues, NullKey
from cdc.sqlite.capture import own_tables
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking, write_transaction
from cdc.sqlite.rows.exact_values import bindable

STEP: Final = 1_000  # as many as are pruned of the changelog at a time
_OLD: Final = "at < julianday('now') - ?"


def end(connection: apsw.Connection, keys: Mapping[str, Sequence[KeyValues]]) -> None:
    """Let rows of these keys be put in again, in the caller's transaction."""
    if not own_tables.has_tombstones(connection):
        return
    width = len(own_tables.columns_of(connection, own_tables.TOMBSTONES)) - 2
    for name, of_table in keys.items():
        for key in of_table:
            # A key of more columns, or of a row that is known by its rowid, was never written there.
            if len(key) <= width and not any(isinstance(value, NullKey) for value in key):
                marks = ["CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in key]
                same = "".join(f" AND k{place} = {mark}" for place, mark in enumerate(marks, 1))
                sql = f"DELETE FROM _cdc_tombstone WHERE name = ?{same}"
                connection.execute(sql, (name, *map(bindable, key)))


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
