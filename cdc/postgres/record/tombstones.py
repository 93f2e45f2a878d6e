"""Keys that were deleted lately, in `cdc.tombstone`: a row of such a key comes back from the dead.

`TombstoneWriter` writes them, in the transactions that apply changes; here they are read, ended and pruned.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("tombstones")
READ_AT_ONCE: Final = 5_000
PRUNED_AT_ONCE: Final = 10_000

APPLICATION: Final = "application"  # the changelog says so
COMPARISON: Final = "comparison"  # Postgres had the row, and a comparison of all rows did not find it in SQLite
POSTGRES: Final = "postgres"  # an application deleted it in Postgres, and SQLite followed


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A key that was deleted; `key` is encoded (see `cdc.facts.row_key.show_key`).

    `returned_at` is when a row of that key was taken in again, `waits` says that one is in quarantine until somebody
    decides.
    """

    source_table: str
    key: str
    deleted_at: datetime
    applied_at: datetime
    cause: str
    returned_at: datetime | None
    waits: bool


@dataclass(frozen=True, slots=True)
class TombstoneCounts:
    """How many keys of a source table have a tombstone that stands, wait for a decision, and came back."""

    source_table: str
    standing: int
    waiting: int
    returned: int
    newest_at: datetime


class Tombstones(RecordPart):
    """The tombstones of one source. `days` is for how long they stand; where a row waits, they stand beyond it."""

    async def read(self, days: int, table: str | None = None) -> list[Tombstone]:
        """Those of one source table or of all, the newest of a table first, with those whose key came back."""
        with translated("reading the tombstones"):
            if not await self._knows("tombstone"):
                return []
            rows = await self._connection.fetch(SQL["list"], self._source_id, table, days)
        return [Tombstone(**dict(row)) for row in rows]

    async def counts(self, days: int) -> list[TombstoneCounts]:
        """How many there are, by source table; tables without any are left out."""
        with translated("counting the tombstones"):
            if not await self._knows("tombstone"):
                return []
            rows = await self._connection.fetch(SQL["counts"], self._source_id, days)
        return [TombstoneCounts(**dict(row)) for row in rows]

    async def tables(self) -> frozenset[str]:
        """The source tables with tombstones, also of keys that came back."""
        with translated("reading the tombstones"):
            rows = await self._connection.fetch(SQL["tables"], self._source_id)
        return frozenset(row["source_table"] for row in rows)

    async def standing(self, table: str, days: int) -> AsyncIterator[list[str]]:
        """The encoded keys of a source table whose tombstone stands, in portions; in a transaction of the caller."""
        with translated("reading the tombstones"):
            keys: list[str] = []
            async for row in self._connection.cursor(SQL["keys"], self._source_id, table, days, prefetch=READ_AT_ONCE):
                keys.append(row["key"])
                if len(keys) == READ_AT_ONCE:
                    yield keys
                    keys = []
            if keys:
                yield keys

    async def end(self, table: str, keys: Sequence[str]) -> int:
        """Take the tombstones of some encoded keys away; returns how many there were."""
        with translated("ending tombstones"):
            done = await self._connection.execute(SQL["end"], self._source_id, table, list(keys))
        return int(done.rpartition(" ")[2])

    async def end_table(self, table: str) -> None:
        """Take all of a source table away, which was filled anew."""
        with translated("ending tombstones"):
            await self._connection.execute(SQL["end_table"], self._source_id, table)

    async def prune(self, days: int) -> int:
        """Take away a portion of those that stood for longer; returns how many there were, 0 once none is left."""
        with translated("pruning tombstones"):
            done = await self._connection.execute(SQL["prune"], self._source_id, days, PRUNED_AT_ONCE)
        return int(done.rpartition(" ")[2])
