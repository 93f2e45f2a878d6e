"""Tables that wait alone, because what stands for them in Postgres cannot take their rows: dropped, renamed, altered.

The others go on, so changes of one that waits are passed by: it is noted here, and compared as a whole when it fits
again. Its shape is noted too, so that the daemon sees when somebody changed it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.convert import compile_converter
from cdc.errors import TargetHindered, TargetMismatch
from cdc.model import TableMap, TargetTable
from cdc.postgres.connection import Connection, translated
from cdc.postgres.merge import AppliedTable
from cdc.postgres.statements import load
from cdc.quoting import qualified

SQL: Final = load("waiting")
_STREAM: Final = load("stream")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A source table that waits for its target, and what lets it go on."""

    source_table: str
    target: str
    reason: str
    remedy: str


def unfit(mapped: TableMap, target: TargetTable | None) -> Waiting | None:
    """Why the target of a table cannot take its rows, None when it can."""
    if target is None:
        name = qualified(mapped.schema, mapped.target)
        made = "make it again with your own migrations" if mapped.adopted else "run `cdc schema`"
        remedy = f"{made}, or give the table its name back; the daemon then fills it"
        return Waiting(mapped.source.name, mapped.target, f"table {name} is missing in Postgres", remedy)
    try:
        AppliedTable(0, "", mapped, target, compile_converter(mapped, target))
    except TargetMismatch as error:
        return Waiting(mapped.source.name, mapped.target, error.message, f"{error.remedy}; the daemon then fills it")
    return None


async def read(connection: Connection, source_id: str) -> tuple[Waiting, ...]:
    """The tables of a source that wait; none where the schema `cdc` is of a version that knew none."""
    with translated("reading which tables wait"):
        if await connection.fetchval("SELECT to_regclass('cdc.waiting')") is None:
            return ()
        rows = await connection.fetch(SQL["read"], source_id)
    return tuple(Waiting(row["source_table"], row["target"], row["reason"], row["remedy"]) for row in rows)


async def note(connection: Connection, source_id: str, schema: str, tables: Sequence[Waiting]) -> list[str]:
    """Have exactly these tables wait; those that no longer do are to be compared as a whole, and are returned."""
    with translated("noting which tables wait"):
        async with connection.transaction():
            back = await connection.fetch(SQL["forget"], source_id, [table.source_table for table in tables])
            for found in await connection.fetch(SQL["shapes"], schema, [table.target for table in tables]):
                for table in (t for t in tables if t.target == found["name"]):
                    facts = (table.source_table, table.target, table.reason, table.remedy, found["shape"])
                    await connection.execute(SQL["note"], source_id, *facts)
            names = [record["source_table"] for record in back]
            if names:
                await connection.execute(_STREAM["request_resync"], source_id, names)
                # What was made anew has no foreign keys, as far as rows were missing.
                await connection.execute(_STREAM["set_unfinished"], source_id, True)
    return names


async def look_again(connection: Connection, source_id: str) -> None:
    """Raises `TargetHindered`, to settle anew, when the target of a table that waits has changed."""
    with translated("looking at the tables that wait"):
        waiting = await connection.fetch(SQL["read"], source_id)
        if not waiting:
            return
        found = await connection.fetch(SQL["shapes"], waiting[0]["schema"], [row["target"] for row in waiting])
    shapes = {row["name"]: row["shape"] for row in found}
    changed = [row["target"] for row in waiting if shapes[row["target"]] != row["shape"]]
    if changed:
        raise TargetHindered(
            f"tables that wait were changed in Postgres: {', '.join(changed)}", remedy="they are looked at by itself"
        )
