"""Which tables the first copy has filled, so that a load that was cut short goes on."""

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart
from cdc.postgres.record.stream_row import SQL


class LoadedTables(RecordPart):
    """The tables that loads of one source have filled."""

    async def read(self, snapshot_id: str) -> dict[str, int]:
        """Source tables that the load of this snapshot has finished, with their rows."""
        with translated("reading what was loaded"):
            records = await self._connection.fetch(SQL["loaded"], self._source_id, snapshot_id)
        return {record["source_table"]: record["rows"] for record in records}

    async def was_loaded(self, table: str) -> bool:
        """Whether an earlier load of this source filled the table."""
        return bool(await self._connection.fetchval(SQL["was_loaded"], self._source_id, table))

    async def mark(self, table: str, snapshot_id: str, rows: int) -> None:
        """Note that a table is loaded; part of the transaction that loaded it.

        What was deleted before is forgotten: nobody knows which of it the rows that are there now are.
        """
        await self._connection.execute(load("tombstones")["end_table"], self._source_id, table)
        await self._connection.execute(SQL["mark_loaded"], self._source_id, table, snapshot_id, rows)
