"""Rows that stand in the way of a constraint which is made after they were loaded: they leave for quarantine.

Postgres says that some row breaks it, not which ones do. So the constraint is put on an empty table of the same
columns, and rows are copied there by ranges of pages, cut in halves until each that is refused stands alone.
"""

from typing import Final

from cdc.facts.changes import Rejection
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import REFUSED, why_refused
from cdc.postgres.record.quarantine import Held
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.tables.source_key_sql import read_key, source_key
from cdc.postgres.tables.statement import Statement
from cdc.sql_names import qualified, quote

_PROBE: Final = "cdc_probe"

Place = tuple[int, int]  # a ctid


async def hold_refused(
    connection: Connection, quarantine: QuarantineWriter, mapped: TableMap, target: TargetTable, statement: Statement
) -> int:
    """Move the rows that would break a constraint from the target to quarantine; returns how many, in one transaction.

    Of rows that break it only together, all but one leave.
    """
    with translated(f"looking for the rows of {target.name} that break {statement.object}"):
        async with connection.transaction():
            refused = await _Trial(connection, target, statement).refused()
            rows = qualified(target.schema, target.name)
            deleted = await connection.fetch(
                f"DELETE FROM {rows} AS t WHERE ctid = ANY($1::tid[]) "
                f"RETURNING t.ctid, {source_key(target, mapped, 't')} AS key",
                list(refused),
            )
            held = [Held(read_key(record["key"]), refused[record["ctid"]]) for record in deleted]
            await quarantine.put(mapped.source.name, held)
            await quarantine.tell()
    return len(held)


class _Trial:
    """Tries one constraint on the rows of one table, in the transaction of the caller, with a table of its own."""

    def __init__(self, connection: Connection, target: TargetTable, statement: Statement) -> None:
        self._connection = connection
        self._rows = qualified(target.schema, target.name)
        self._columns = ", ".join(quote(column.name) for column in target.columns if not column.generated)
        self._statement = statement
        self._refused: dict[Place, Rejection] = {}

    async def refused(self) -> dict[Place, Rejection]:
        """The rows that the constraint does not let in, by ctid, with what Postgres says of each."""
        await self._connection.execute(f"CREATE TEMP TABLE {_PROBE} (LIKE {self._rows}) ON COMMIT DROP")
        await self._connection.execute(f"ALTER TABLE {_PROBE} ADD CONSTRAINT cdc_tried {self._statement.body}")
        pages = await self._connection.fetchval(
            "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int", self._rows
        )
        await self._try_pages(0, pages)
        await self._connection.execute(f"DROP TABLE {_PROBE}")
        return self._refused

    async def _try_pages(self, first: int, end: int) -> None:
        if first >= end:
            return
        where = "ctid >= $1::tid AND ctid < $2::tid"
        if await self._try(where, (first, 0), (end, 0)) is None:
            return
        if end - first > 1:
            middle = (first + end) // 2
            await self._try_pages(first, middle)
            await self._try_pages(middle, end)
            return
        for record in await self._connection.fetch(
            f"SELECT ctid FROM {self._rows} WHERE {where}", (first, 0), (end, 0)
        ):
            if (why := await self._try("ctid = $1::tid", record["ctid"])) is not None:
                self._refused[record["ctid"]] = why

    async def _try(self, where: str, *places: Place) -> Rejection | None:
        """Keep what the constraint lets in; the reason when it refuses any of it, and then none of it is kept.

        What was kept before counts too, so of rows that break a constraint only together the first one stays.
        """
        names = self._columns
        try:
            async with self._connection.transaction():
                await self._connection.execute(
                    f"INSERT INTO {_PROBE} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {self._rows} "
                    f"WHERE {where}",
                    *places,
                )
                await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except REFUSED as error:
            return why_refused(error)
        return None
