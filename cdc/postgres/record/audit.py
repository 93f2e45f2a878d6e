"""The audit trail in Postgres: a chain for each source, beside the data and in the same transactions.

The newest number and hash stand in the stream's row, so writers take turns by its lock. What a batch did is recorded by
the statement that stores the position, with numbers that only that statement knows.
"""

import functools
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cdc.audit.chain import AuditEntry, Head, Sealed, actor, entry_time, link
from cdc.audit.check import last_words
from cdc.errors import TargetStateLost
from cdc.facts.changes import AppliedBatch, Position, TableTally
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load

SQL: Final = load("audit")
_STORE_POSITION: Final = load("stream")["store_position"]
_NOW: Final = "\0now"  # filled in for each batch; no table has such a name
_LATER: Final = "\0later"  # filled in by the statement

MOST_DROPPED: Final = 5_000  # entries in one transaction

Tally = Mapping[str, int | None]  # rows by what was done to them; None where the statement counts


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch after its first read: Postgres has everything up to `after_seq`; `at` is when it began, on the monotonic
    clock; `lag_seconds` is the age of the oldest entry then.
    """

    after_seq: int
    at: float
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class MovingStatement:
    """A statement that moves rows, for the one that stores the position; its parameters are numbered from `FREE`."""

    sql: str
    arguments: Sequence[object]


FREE: Final = 8  # the first parameter that storing the position leaves free


async def append(
    connection: Connection, source_id: str, entries: Sequence[AuditEntry], beyond: Head | None = None
) -> None:
    """Append to the chain of a source, in the caller's transaction; lets the driver's errors through.

    `beyond` is an end that the chain is known to have had: what is missing up to there stays missing.
    """
    if not entries:
        return
    async with connection.transaction():
        end = await connection.fetchrow(SQL["end_for_update"], source_id)
        if end is None:
            raise _no_row()
        head, sealed, numbers = Head(end["n"], end["hash"]), [], []
        if beyond is not None and beyond.n > head.n:
            head = beyond
        for made in entries:
            head, one = link(head, made)
            sealed.append(one)
            numbers.append(head.n)
        texts, hashes = [one.text for one in sealed], [one.hash for one in sealed]
        await connection.execute(SQL["append"], source_id, head.n, head.hash, numbers, texts, hashes)


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the chain of a source ends, how much of it the audit file has, and what is known of the file's end."""

    own: Head
    copied: int
    file: Head


async def ends(connection: Connection, source_id: str) -> Ends:
    """What the stream's row knows of both chains."""
    with translated("reading the end of the audit trail"):
        row = await connection.fetchrow(SQL["ends"], source_id)
    if row is None:
        raise _no_row()
    return Ends(
        Head(row["audit_n"], row["audit_hash"]), row["audit_copied"], Head(row["audit_file_n"], row["audit_file_hash"])
    )


async def stored(connection: Connection, source_id: str) -> AsyncIterator[Sealed]:
    """Every entry of a source, the oldest first, as it is now."""
    with translated("reading the audit trail"):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            async for row in connection.cursor(SQL["stored"], source_id, prefetch=1_000):
                yield Sealed(row["text"], row["hash"])


@dataclass(frozen=True, slots=True)
class Recorded:
    """The text of an entry with its place in the chain."""

    head: Head
    text: str


async def read_from(connection: Connection, source_id: str, first: int, last: int, most: int) -> list[Recorded]:
    """The entry `first`, if it is there, and those after it up to `last`, at most so many."""
    with translated("reading the audit trail"):
        rows = await connection.fetch(SQL["read_from"], source_id, first, last, most)
    return [Recorded(Head(row["n"], row["hash"]), row["text"]) for row in rows]


async def make_durable(connection: Connection, source_id: str) -> int:
    """Wait until everything that is recorded is on the disk of Postgres; returns the number of the newest entry."""
    with translated("flushing the audit trail"):
        async with connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = on")
            newest: int = await connection.fetchval(SQL["touch"], source_id)
    return newest


async def note_copied(
    connection: Connection, source_id: str, steps: Sequence[AuditEntry], copied: Head, file: Head
) -> None:
    """Record steps from the file, and note how far either place has the other's entries, in one transaction."""
    with translated("copying the audit trail"):
        async with connection.transaction():
            await append(connection, source_id, steps)
            await connection.execute(SQL["note_copied"], source_id, copied.n, file.n, file.hash)


async def trim(connection: Connection, source_id: str, most_rows: int, copied: int) -> None:
    """Drop the oldest entries, a bounded number of them, when there are clearly more than `most_rows`.

    Never those that the file has no copy of. Says in the chain what is dropped, and writes steps among it once more.
    """
    with translated("dropping old entries of the audit trail"):
        newest, oldest = await connection.fetchrow(SQL["bounds"], source_id) or (0, 0)
        slack = min(MOST_DROPPED, most_rows // 10 + 1)
        if oldest is None or newest - oldest < most_rows + slack:
            return
        through = min(newest - most_rows, oldest + MOST_DROPPED, copied - 1)
        async with connection.transaction():
            rows = await connection.fetch(SQL["oldest_entries"], source_id, through)
            await append(connection, source_id, last_words(Sealed(row["text"], row["hash"]) for row in rows))
            await connection.execute(SQL["drop_through"], source_id, through)


async def store_position(
    connection: Connection,
    source_id: str,
    begun: Begun,
    position: Position,
    changes: int,
    tables: Mapping[str, Tally],
    parts: Sequence[MovingStatement] = (),
) -> AppliedBatch:
    """Store the position and what the batch did; always in the transaction that moved the rows.

    `parts` move rows in the same statement; what is None in `tables` are their counts, in the same order. Lets the
    driver's errors through.
    """
    told = _template(begun, position, changes, tables)
    elapsed = time.monotonic() - begun.at
    own = (source_id, position.seq, position.entry, changes, begun.lag_seconds, told, elapsed)
    arguments = [argument for part in parts for argument in part.arguments]
    stored = await connection.fetchval(_statement(tuple(part.sql for part in parts)), *own, *arguments)
    if stored is None:
        raise _no_row()
    return _applied(msgspec.json.decode(stored)["details"])


def _no_row() -> TargetStateLost:
    return TargetStateLost(
        "the row of this source in cdc.stream was deleted",
        remedy="it is made again by itself, or by `cdc schema`; then every row is compared",
    )


@functools.lru_cache(maxsize=1_000)
def _statement(parts: tuple[str, ...]) -> str:
    numbered = list(enumerate(parts))
    moves = "".join(f"part_{place} AS ({sql} RETURNING 1), " for place, sql in numbered)
    # Not joined: Postgres would look for the best order of all the parts, which takes minutes for a hundred of them.
    counts = "".join(f"(SELECT count(*) FROM part_{place})::text, " for place, _ in numbered)
    told = _STORE_POSITION.replace("{counts}", counts)
    return f"WITH {moves}{told}"


def _template(begun: Begun, position: Position, changes: int, tables: Mapping[str, Tally]) -> str:
    """The entry of a batch for SQL's format(): %s stands for what the statement counts, the last one for its time."""
    lag = "null" if begun.lag_seconds is None else round(begun.lag_seconds, 6)
    told = (f'"{entry_time()}"', begun.after_seq, position.seq, changes, lag)
    return _frame(tuple((name, tuple(tally.items())) for name, tally in tables.items())) % told


@functools.lru_cache(maxsize=1_000)
def _frame(tables: tuple[tuple[str, tuple[tuple[str, int | None], ...]], ...]) -> str:
    """The entry of a batch that moves these tables, for Python's % and then for SQL's format(): writing JSON anew for
    every batch took as long as some statements.
    """
    counted = {name: {what: _LATER if rows is None else rows for what, rows in tally} for name, tally in tables}
    details: dict[str, Any] = dict.fromkeys(("after_seq", "last_seq", "changes", "lag_seconds"), _NOW)
    details |= {"tables": counted, "seconds": _LATER}
    made = AuditEntry(_NOW, actor(), "batch", "done", details)
    return made.body.replace("%", "%%%%").replace(json.dumps(_NOW), "%s").replace(json.dumps(_LATER), "%%s")


def _applied(details: Mapping[str, Any]) -> AppliedBatch:
    tables = {name: TableTally(**tally) for name, tally in details["tables"].items() if any(tally.values())}
    return AppliedBatch(**{**details, "tables": tables})
