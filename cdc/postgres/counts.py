"""What Postgres shows of a running replication, for those who watch it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.postgres.connection import Connection, translated
from cdc.quoting import qualified, quote

_STREAM: Final = "SELECT seq, changes, lag_seconds FROM cdc.stream WHERE source_path = $1"


@dataclass(frozen=True, slots=True)
class Headway:
    """How far the stream is: changes applied since its beginning, and how old the last batch was when it arrived."""

    seq: int
    changes: int
    lag_seconds: float | None


async def count_rows(connection: Connection, schema: str, tables: Sequence[str]) -> Mapping[str, int]:
    """Rows by table, of one state of Postgres."""
    parts = [f"(SELECT count(*) FROM {qualified(schema, table)})" for table in tables]
    with translated("counting rows"):
        row = await connection.fetchrow(f"SELECT {', '.join(parts)}")
    return dict(zip(tables, row or (), strict=True))


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
