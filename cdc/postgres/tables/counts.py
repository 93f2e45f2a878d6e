"""What Postgres shows of a running replication, for those who watch it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from cdc.errors import TargetError
from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.tables.shares import own_rows
from cdc.sql_names import qualified, quote

COUNTED_AT_ONCE: Final = 100  # tables
LOCK_WAIT_MILLISECONDS: Final = 50  # a count that nobody asked for waits for nobody
MOST_ROWS: Final = 200_000  # whatever the size of a table says, which for one in partitions is nothing
_SQL: Final = load("counts")
_STREAM: Final = "SELECT seq, changes, lag_seconds FROM cdc.stream WHERE source_path = $1"


@dataclass(frozen=True, slots=True)
class Headway:
    """How far the stream is: changes applied since its beginning, and how old the last batch was when it arrived."""

    seq: int
    changes: int
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows that a table has in Postgres, and rows of its source that are held."""

    rows: int
    held: int


async def count_small(
    connection: Connection, source_id: str, maps: Sequence[TableMap], most_bytes: int
) -> dict[str, Counted]:
    """Rows by source table, of one state of Postgres; of tables up to a size, and none while one of them is locked."""
    try:
        with translated("counting rows"):
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MILLISECONDS}")
                return await _count_small(connection, source_id, maps, most_bytes)
    except TargetError as error:
        if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            return {}
        raise


async def _count_small(
    connection: Connection, source_id: str, maps: Sequence[TableMap], most_bytes: int
) -> dict[str, Counted]:
    names = [qualified(m.schema, m.target) for m in maps]
    sizes = await connection.fetch(_SQL["sizes"], names)
    small = [m for m, size in zip(maps, sizes, strict=True) if (size["bytes"] or 0) <= most_bytes]
    if not small:
        return {}
    parts = [f"(SELECT count(*) FROM (SELECT FROM {own_rows(m)} LIMIT $3) AS r)" for m in small]
    sources = [m.source.name for m in small]
    # One more than is told of: a table that has so many is left out.
    row = await connection.fetchrow(f"SELECT ({_SQL['held']}), {', '.join(parts)}", source_id, sources, MOST_ROWS + 1)
    assert row is not None
    held = json.loads(row[0])
    counted = {name: Counted(rows, held.get(name, 0)) for name, rows in zip(sources, row[1:], strict=True)}
    return {name: count for name, count in counted.items() if count.rows <= MOST_ROWS}


async def has_rows(connection: Connection, rows: str) -> bool:
    """Whether there is any row in what stands after FROM: a table, or what `own_rows` says of it."""
    with translated(f"looking whether there are rows in {rows}"):
        return bool(await connection.fetchval(f"SELECT EXISTS (SELECT FROM {rows})"))


async def count_rows(connection: Connection, schema: str, tables: Sequence[str]) -> Mapping[str, int]:
    """Rows by table; of one state of Postgres where they are few: each takes locks for the time of a statement."""
    return await _counted(connection, {table: qualified(schema, table) for table in tables})


async def count_own(connection: Connection, maps: Sequence[TableMap]) -> Mapping[str, int]:
    """Rows by source table, of targets that several feed only its own; otherwise as `count_rows`."""
    return await _counted(connection, {m.source.name: own_rows(m) for m in maps})


async def _counted(connection: Connection, relations: Mapping[str, str]) -> Mapping[str, int]:
    counts: list[int] = []
    names = list(relations)
    with translated("counting rows"):
        for place in range(0, len(names), COUNTED_AT_ONCE):
            portion = names[place : place + COUNTED_AT_ONCE]
            parts = [f"(SELECT count(*) FROM {relations[name]})" for name in portion]
            counts += await connection.fetchrow(f"SELECT {', '.join(parts)}") or ()
    return dict(zip(names, counts, strict=True))


async def has_row(connection: Connection, schema: str, table: str, column: str, value: str) -> bool:
    """Whether a table has a row with this text in that column."""
    with translated(f"looking into table {table}"):
        exists = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {qualified(schema, table)} WHERE {quote(column)} = $1)", value
        )
    return bool(exists)


async def headway(connection: Connection, source_path: str) -> Headway:
    """How far the stream from a file is, by its path; all zero where Postgres does not know it."""
    with translated("reading the stream"):
        row = await connection.fetchrow(_STREAM, source_path)
    return Headway(row["seq"] or 0, row["changes"], row["lag_seconds"]) if row else Headway(0, 0, None)
