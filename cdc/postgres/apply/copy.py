"""Bulk load: converted rows go into a table through one binary COPY."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from cdc.facts.changes import Rejection
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.codecs import use_exact_codecs
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import send_accepted
from cdc.postgres.tables.shares import is_own
from cdc.sql_names import qualified

Rows = list[tuple[object, ...]]


async def copy_rows(connection: Connection, table: TableMap, target: TargetTable, chunks: AsyncIterator[Rows]) -> int:
    """COPY all chunks of rows (values in `table.columns` order) into the target; returns how many rows went in.

    One statement: all rows or none. Chunks of about 256 rows, read and converted right here on the loop, are fastest:
    the server works on what was sent meanwhile, and a producer in a thread would fight over the interpreter with it.
    A chunk and about a megabyte are held. Columns GENERATED ALWAYS AS IDENTITY take the values given. Raises errors
    of `cdc.errors`; what `chunks` raises ends the COPY and comes through.
    """
    counted = _Counted(chunks)
    with translated(f"loading {target.schema}.{target.name}"):
        await use_exact_codecs(connection)
        await connection.copy_records_to_table(
            target.name, schema_name=target.schema, columns=table.target_columns, records=counted.records()
        )
    return counted.count


async def copy_accepted(
    connection: Connection, table: TableMap, target: TargetTable, rows: Rows
) -> dict[int, Rejection]:
    """COPY the rows that Postgres takes; returns those it refuses, by place. Part of the caller's transaction.

    A COPY that fails says nothing of which row it was, so it is tried with halves, each in a savepoint.
    """

    async def copy(portion: Sequence[tuple[object, ...]]) -> None:
        await copy_rows(connection, table, target, _one_chunk(portion))

    return await send_accepted(connection, rows, copy)


async def _one_chunk(rows: Sequence[tuple[object, ...]]) -> AsyncIterator[Rows]:
    yield list(rows)


async def prepare_for_load(connection: Connection) -> None:
    """Set the session up for the load: index builds may use more memory, and commits need not wait for the disk."""
    await connection.execute("SET maintenance_work_mem = '128MB'; SET synchronous_commit = off")


async def make_empty(connection: Connection, mapped: TableMap) -> None:
    """Take out what an earlier load of ours filled in; part of the transaction that loads it anew."""
    table = qualified(mapped.schema, mapped.target)
    if mapped.share is None:
        await connection.execute(f"TRUNCATE {table}")
    else:
        await connection.execute(f"DELETE FROM {table} AS t WHERE {is_own(mapped, 't')}")


class _Counted:
    """The rows of all chunks one by one, as the driver wants them, and their number."""

    def __init__(self, chunks: AsyncIterator[Rows]) -> None:
        self._chunks = chunks
        self.count = 0

    async def records(self) -> AsyncIterator[tuple[object, ...]]:
        async for chunk in self._chunks:
            for row in chunk:
                yield row
            self.count += len(chunk)
            # The driver only waits when half a megabyte is ready; the socket wants to be fed more often than that.
            await asyncio.sleep(0)
