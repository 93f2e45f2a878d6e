"""Numbers for new rows in Postgres go on after those that SQLite gave, so that the application could go on there."""

from collections.abc import Iterable, Mapping
from typing import Final

from loguru import logger

from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.sql_names import qualified

_SQL: Final = load("sequences")


async def advance(connection: Connection, maps: Iterable[TableMap], marks: Mapping[str, int]) -> None:
    """Let the sequence of each table's key go on after its mark, which is by source table; none goes backwards.

    Tables that others made are served too; a sequence that our role may not move is named in the log.
    """
    moves = [(qualified(m.schema, m.target), m.key[0], marks[m.source.name]) for m in maps if m.source.name in marks]
    if not moves:
        return
    with translated("moving sequences"):
        rows = await connection.fetch(_SQL["advance"], *map(list, zip(*moves, strict=True)))
    refused = sorted(row["name"] for row in rows if not row["allowed"])
    if refused:
        remedy = (
            "GRANT USAGE, UPDATE ON SEQUENCE to the role of `dsn`, or move them before the application goes on there"
        )
        logger.bind(sequences=", ".join(refused), remedy=remedy).warning("sequences stay behind: the role may not")
