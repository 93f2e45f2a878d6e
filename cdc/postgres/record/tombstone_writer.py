"""Tombstones in the transactions that apply changes: who is deleted gets one, and who comes back is noticed by it.

A deletion is remembered when the changelog says that there was a row, whether or not Postgres ever had it: while the
daemon is away a row can come and go, and stand in a copy of the file. A key that only an insertion logged is none, for
`INSERT OR IGNORE` logs keys that never were rows.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.facts.changes import TableRows
from cdc.facts.row_key import encode_keys
from cdc.facts.values import KeyValues
from cdc.postgres.record.commit import MovingStatement
from cdc.postgres.record.record import Record
from cdc.postgres.record.tombstones import APPLICATION, COMPARISON, SQL
from cdc.sql_names import quote_literal

BURY_PARAMETERS: Final = 3  # of the statements that write tombstones


class TombstoneWriter:
    """The tombstones of one source, which stand for so many `days`; with 0 none is written.

    `tables` are the source tables that may have some, so that a table that never loses a row costs nothing.
    """

    def __init__(self, record: Record, days: int) -> None:
        self._connection = record.connection
        self._source_id = record.source_id
        self._tombstones = record.tombstones
        self._days = days
        self.tables: set[str] = set()

    async def refresh(self) -> None:
        """Read which tables have tombstones."""
        self.tables = set(await self._tombstones.tables())

    def burying(self, read: Sequence[TableRows], first: int) -> list[MovingStatement]:
        """What writes tombstones for all that was deleted, with parameters from number `first`; nothing for nothing."""
        found = [(rows.table, *_once(rows)) for rows in read if rows.deleted] if self._days else []
        if not found:
            return []
        tables = [name for name, keys, _ in found for _ in keys]
        columns = [tables, *(list(itertools.chain(*part)) for part in list(zip(*found, strict=True))[1:])]
        places = dict(zip(("tables", "keys", "times"), (f"${first + n}" for n in range(len(columns))), strict=True))
        statements = [MovingStatement(SQL["bury"].format(**places), columns, counted=False)]
        if not self.tables.isdisjoint(tables):
            # It has the parameters of the first one.
            statements.append(MovingStatement(SQL["dig_up"].format(**places), (), counted=False))
        self.tables.update(tables)
        return statements

    async def bury(self, rows: TableRows, cause: str = APPLICATION) -> None:
        """Write tombstones for all that was deleted of a table, in one statement."""
        if not rows.deleted or not self._days:
            return
        keys, times = _once(rows)
        sql = SQL["bury_again" if rows.table in self.tables else "bury_first"]
        await self._connection.execute(sql, self._source_id, rows.table, keys, times, cause)
        self.tables.add(rows.table)

    async def bury_unseen(self, table: str, unseen: str, key: str) -> None:
        """Run the statement `unseen`, which stages rows as gone, and write tombstones for them.

        `key` is SQL for the source key of such a row.
        """
        if not self._days:
            await self._connection.execute(unseen)
            return
        self.tables.add(table)
        sql = SQL["bury_unseen"].format(unseen=unseen, key=key)
        await self._connection.execute(sql, self._source_id, table, COMPARISON)

    def returning(self, table: str, keys: Sequence[KeyValues], first: int) -> MovingStatement:
        """What notes that rows of these keys are taken in, and counts those that had a tombstone."""
        sql = SQL["return"].format(table=quote_literal(table), keys=f"${first}", days=self._days)
        return MovingStatement(sql, [encode_keys(keys)])

    async def return_staged(self, table: str, stage: str, key: str) -> int:
        """Note that the rows which are staged as present are taken in; returns how many of them had a tombstone.

        `key` is SQL for the source key of one.
        """
        if table not in self.tables:
            return 0
        sql = SQL["return_staged"].format(stage=stage, key=key)
        done = await self._connection.execute(sql, self._source_id, table, self._days)
        return int(done.rpartition(" ")[2])

    async def standing(self, table: str, keys: Sequence[KeyValues]) -> dict[str, bool]:
        """Which of these keys, encoded, have a tombstone, and whether a row waits under it."""
        if table not in self.tables or not keys:
            return {}
        encoded = encode_keys(keys)
        rows = await self._connection.fetch(SQL["standing"], self._source_id, table, encoded, self._days)
        return {row["key"]: row["waits"] for row in rows}

    async def settle(self, table: str, found: Mapping[str, bool]) -> int:
        """Note which rows wait, True, and which are taken in; returns how many of the latter there are."""
        for sql, chosen in ((SQL["hold"], True), (_RETURN.format(days=self._days), False)):
            if keys := [key for key, waits in found.items() if waits is chosen]:
                await self._connection.execute(sql, self._source_id, table, keys)
        return sum(not waits for waits in found.values())


def _once(rows: TableRows) -> tuple[list[str], list[float | None]]:
    """The keys of a table that were deleted, and when; an entry may stand twice where types alone tell keys apart."""
    once = dict(zip(encode_keys(key for key, _ in rows.deleted), (at for _, at in rows.deleted), strict=True))
    return list(once), list(once.values())


_RETURN: Final = SQL["return"].format(table="$2", keys="$3", days="{days}")
