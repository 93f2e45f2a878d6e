"""What Postgres shows of a running replication, for those who watch it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.postgres.connection import Connection, translated
from cdc.quoting import qualified, quote

COUNTED_AT_ONCE: Final = 100  # tables
_STREAM: Final = "SELECT seq, changes, lag_seconds FROM cdc.stream WHERE source_path = $1"


@dataclass(frozen=True, slots=True)
class Headway:
    """How far the stream is: changes applied since its beginning, and how old the last batch was when it arrived."""

    seq: int
    changes: int
    lag_seconds: float | None


async def count_rows(connection: Connection, schema: str, tables: Sequence[str]) -> Mapping[str, int]:
    """Rows by table; of one state of Postgres where they are few: each takes locks for the time of a statement."""
    counts: list[int] = []
    with translated("counting rows"):
        for place in range(0, len(tables), COUNTED_AT_ONCE):
            some = tables[place : place + COUNTED_AT_ONCE]
            parts = [f"(SELECT count(*) FROM {qualified(schema, table)})" for table in some]
            counts += await connection.fetchrow(f"SELECT {', '.join(parts)}") or ()
    return dict(zip(tables, counts, strict=True))


async def has_row(connection: Connection, schema: str, table: str, column: str, value: str) -> bool:
    """Whether a table has a row with this text in that column."""
    with translated(f"looking into table {table}"):
        found = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {qualified(schema, table)} WHERE {quote(column)} = $1)", value
        )
    return bool(found)


async def headway(connection: Connection, source_path: str) -> Headway:
    """How far the stream from a file is."""
    with translated("reading the stream"):
        row = await connection.fetchrow(_STREAM, source_path)
    return Headway(row["seq"] or 0, row["changes"], row["lag_seconds"]) if row else Headway(0, 0, None)
