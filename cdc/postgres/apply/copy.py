"""Bulk load: converted rows go into a table through one binary COPY."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from cdc.errors import TargetError
from cdc.model import Rejection, TableMap, TargetTable
from cdc.postgres.codecs import use_exact_codecs
from cdc.postgres.connection import Connection, translated
from cdc.postgres.merge import listed
from cdc.postgres.refusals import send_accepted
from cdc.postgres.saving import save
from cdc.quoting import qualified

Rows = list[tuple[object, ...]]


async def copy_rows(conn: Connection, table: TableMap, target: TargetTable, chunks: AsyncIterator[Rows]) -> int:
    """COPY all chunks of rows (values in `table.columns` order) into the target; returns how many rows went in.

    One statement: all rows or none. Chunks of about 256 rows, read and converted right here on the loop, are fastest:
    the server works on what was sent meanwhile, and a producer in a thread would fight over the interpreter with it.
    A chunk and about a megabyte are held. Columns GENERATED ALWAYS AS IDENTITY take the values given. Raises errors
    of `cdc.errors`; what `chunks` raises ends the COPY and comes through.
    """
    counted = _Counted(chunks)
    with translated(f"loading {target.schema}.{target.name}"):
        await use_exact_codecs(conn)
        await conn.copy_records_to_table(
            target.name, schema_name=target.schema, columns=table.target_columns, records=counted.records()
        )
    return counted.count


async def copy_accepted(conn: Connection, table: TableMap, target: TargetTable, rows: Rows) -> dict[int, Rejection]:
    """COPY the rows that Postgres takes; returns those it refuses, by place. Part of the caller's transaction."""

    async def copy(some: Sequence[tuple[object, ...]]) -> None:
        await copy_rows(conn, table, target, _one_chunk(some))

    return await send_accepted(conn, rows, copy)


async def _one_chunk(rows: Sequence[tuple[object, ...]]) -> AsyncIterator[Rows]:
    yield list(rows)


async def prepare_for_load(conn: Connection) -> None:
    """Set the session up for the load: index builds may use more memory, and commits need not wait for the disk."""
    await conn.execute("SET maintenance_work_mem = '128MB'; SET synchronous_commit = off")


async def has_rows(conn: Connection, target: TargetTable) -> bool:
    """Whether the target holds any row."""
    return bool(await conn.fetchval(f"SELECT EXISTS (SELECT FROM {qualified(target.schema, target.name)})"))


async def save_rows(conn: Connection, target: TargetTable, file: Path, columns: Sequence[str] | None = None) -> int:
    """Write the target's rows to a CSV file with a heading, which `COPY ... FROM` reads back; returns how many.

    Only some columns when they are named. A file that is there already holds what was found first, and stays. Raises
    `TargetError` when it cannot be written.
    """
    wanted = listed(columns if columns is not None else [c.name for c in target.columns if not c.generated])
    try:
        if await asyncio.to_thread(file.exists):
            return 0
        with translated(f"saving the rows of {target.schema}.{target.name}"):
            return await save(conn, f"SELECT {wanted} FROM {qualified(target.schema, target.name)}", file)
    except OSError as error:
        raise TargetError(
            f"the rows of {target.schema}.{target.name} cannot be saved to {file}: {error.strerror}",
            remedy="make room there, or make `dir` in [state] a folder that this user may write",
        ) from None


async def make_empty(conn: Connection, target: TargetTable) -> None:
    """Empty a target that an earlier load of ours filled; part of the transaction that loads it anew."""
    await conn.execute(f"TRUNCATE {qualified(target.schema, target.name)}")


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
