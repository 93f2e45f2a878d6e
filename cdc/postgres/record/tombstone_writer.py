"""Tombstones in the transactions that apply changes: who is deleted gets one, and who comes back is noticed by it.

A deletion is remembered when the changelog says that there was a row, whether or not Postgres ever had it: while the
daemon is away a row can come and go, and stand in a copy of the file. A key that only an insertion logged is none, for
`INSERT OR IGNORE` logs keys that never were rows.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from cdc.facts.changes import TableRows
from cdc.facts.row_key import encode_key
from cdc.facts.values import KeyValues
from cdc.postgres.record.commit import MovingStatement
from cdc.postgres.record.record import Record
from cdc.postgres.record.tombstones import COMPARISON, SQL
from cdc.sql_names import quote_literal

BURY_PARAMETERS: Final = 3


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

    def burying(self, read: Sequence[TableRows], first: int) -> MovingStatement | None:
        """What writes tombstones for all that was deleted, its parameters numbered from `first`; None for nothing."""
        buried = [(rows.table, encode_key(key), at) for rows in read for key, at in rows.deleted]
        if not buried or not self._days:
            return None
        self.tables |= {table for table, _, _ in buried}
        places = dict(zip(("tables", "keys", "times"), (f"${first + n}" for n in range(BURY_PARAMETERS)), strict=True))
        # One tombstone a key: an entry may stand twice where a key's type is told apart by nothing but its value.
        once = {(table, key): at for table, key, at in buried}
        columns = [[t for t, _ in once], [k for _, k in once], list(once.values())]
        return MovingStatement(SQL["bury"].format(**places), columns, counted=False)

    async def bury(self, read: Sequence[TableRows]) -> None:
        """Write tombstones for all that was deleted, in one statement."""
        if statement := self.burying(read, 2):
            await self._connection.execute(statement.sql, self._source_id, *statement.arguments)

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
        return MovingStatement(sql, [[encode_key(key) for key in keys]])

    async def standing(self, table: str, keys: Sequence[KeyValues]) -> dict[str, bool]:
        """Which of these keys, encoded, have a tombstone, and whether a row waits under it."""
        if table not in self.tables or not keys:
            return {}
        encoded = [encode_key(key) for key in keys]
        rows = await self._connection.fetch(SQL["standing"], self._source_id, table, encoded, self._days)
        return {row["key"]: row["waits"] for row in rows}

    async def settle(self, table: str, found: Mapping[str, bool]) -> int:
        """Note which rows wait, True, and which are taken in; returns how many of the latter there are."""
        for sql, chosen in ((SQL["hold"], True), (_RETURN.format(days=self._days), False)):
            if keys := [key for key, waits in found.items() if waits is chosen]:
                await self._connection.execute(sql, self._source_id, table, keys)
        return sum(not waits for waits in found.values())


_RETURN: Final = SQL["return"].format(table="$2", keys="$3", days="{days}")
