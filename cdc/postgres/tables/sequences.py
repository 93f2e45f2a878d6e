"""Numbers for new rows in Postgres go on after those that SQLite gave, so that the application could go on there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loguru import logger

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetSequence
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.tables.hashed_rows import letting_go
from cdc.sql_names import qualified, quote

_SQL: Final = load("sequences")
TABLES_AT_ONCE: Final = 50  # asked for their largest keys: each is locked meanwhile


async def advance(connection: Connection, maps: Iterable[TableMap], marks: Mapping[str, int]) -> None:
    """Let the sequences of each table's key go on after its mark, which is by source table; none goes backwards.

    Tables that others made are served too; a sequence that our role may not move is named in the log.
    """
    marked = [m for m in maps if m.source.name in marks]
    with translated("moving sequences"):
        found = await _of_keys(connection, marked)
        highest: dict[str, int] = {}
        for mapped, name in found:
            highest[name] = max(highest.get(name, 0), marks[mapped.source.name])
        if not highest:
            return
        rows = await connection.fetch(_SQL["advance"], list(highest), list(highest.values()))
    refused = sorted(row["name"] for row in rows if not row["allowed"])
    if refused:
        remedy = (
            "GRANT USAGE, UPDATE ON SEQUENCE to the role of `dsn`, or move them before the application goes on there"
        )
        logger.bind(sequences=", ".join(refused), remedy=remedy).warning("sequences stay behind: the role may not")


async def _of_keys(connection: Connection, maps: Sequence[TableMap]) -> list[tuple[TableMap, str]]:
    """Each table with the qualified name of a sequence that numbers its key; the tables must be there."""
    if not maps:
        return []
    targets = [qualified(m.schema, m.target) for m in maps]
    chosen = [qualified(m.schema, name) if (name := m.key_sequence) else None for m in maps]
    rows = await connection.fetch(_SQL["of_keys"], targets, [m.key[0] for m in maps], chosen)
    return [(maps[row["place"] - 1], row["name"]) for row in rows]


async def sequences_of(connection: Connection, schema: str) -> tuple[TargetSequence, ...]:
    """The sequences of a schema, with the columns that they number; one that numbers several comes several times."""
    with translated(f"reading the sequences of schema {schema}"):
        rows = await connection.fetch(_SQL["of_schema"], schema)
    return tuple(TargetSequence(row["name"], row["table"], row["column"]) for row in rows)


@dataclass(frozen=True, slots=True)
class NextNumber:
    """What the sequence of a table's key gives `next`, the largest key that Postgres holds, and the sequence's end."""

    mapped: TableMap
    sequence: str
    next: int
    largest: int
    most: int


async def next_numbers(connection: Connection, maps: Sequence[TableMap]) -> list[NextNumber]:
    """The next number of each key that a sequence feeds, as far as our role may see it; the tables must be there."""
    with translated("reading the sequences"):
        found = await _of_keys(connection, maps)
        rows = await connection.fetch(_SQL["next"], [name for _, name in found])
        chosen = [found[row["place"] - 1][0] for row in rows]
        largest: list[int] = []
        for first in range(0, len(chosen), TABLES_AT_ONCE):
            largest += await _largest(connection, chosen[first : first + TABLES_AT_ONCE])
    facts = zip(chosen, rows, largest, strict=True)
    return [NextNumber(m, row["name"], int(row["next"]), most, row["most"]) for m, row, most in facts]


async def _largest(connection: Connection, maps: Sequence[TableMap]) -> list[int]:
    """By the keys' indexes, so it costs little; the locks of these tables are let go."""
    one = "(SELECT coalesce(max({key}), 0)::bigint FROM {table})"
    each = [one.format(key=quote(m.key[0]), table=qualified(m.schema, m.target)) for m in maps]
    async with letting_go(connection):
        return list(await connection.fetchval(f"SELECT ARRAY[{', '.join(each)}]"))
