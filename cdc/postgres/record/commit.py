"""The commit of a batch: the position and what was done, in the transaction that moves the rows."""

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cdc.audit.chain import AuditEntry, actor, entry_time
from cdc.facts.changes import AppliedBatch, Position, TableTally, Tally
from cdc.postgres.connection.statements import load
from cdc.postgres.record.audit import no_row
from cdc.postgres.record.record import Record

_STORE_POSITION: Final = load("stream")["store_position"]
_NOW: Final = "\0now"  # filled in for each batch; no table has such a name
_LATER: Final = "\0later"  # filled in by the statement


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
    """A statement that moves rows, for the one that stores the position; its parameters are numbered from `FREE`.

    How many rows of it there were is told, unless it is not `counted`.
    """

    sql: str
    arguments: Sequence[object]
    counted: bool = True


FREE: Final = 8  # the first parameter that storing the position leaves free


async def store_position(
    record: Record,
    begun: Begun,
    position: Position,
    changes: int,
    tables: Mapping[str, Tally],
    parts: Sequence[MovingStatement] = (),
    asks: str = "false",
) -> AppliedBatch:
    """Store the position and what the batch did; always in the transaction that moved the rows.

    `parts` move rows in the same statement; what is None in `tables` are their counts, in the same order. `asks` is SQL
    whose answer is `AppliedBatch.reacts`. Lets the driver's errors through.
    """
    template = _template(begun, position, changes, tables)
    elapsed = time.monotonic() - begun.at
    own = (record.source_id, position.seq, position.entry, changes, begun.lag_seconds, template, elapsed)
    arguments = [argument for part in parts for argument in part.arguments]
    statement = _statement(tuple((part.sql, part.counted) for part in parts), asks)
    stored = await record.connection.fetchrow(statement, *own, *arguments)
    if stored is None:
        raise no_row()
    return _applied(msgspec.json.decode(stored["entry"])["details"], reacts=stored["reacts"])


@functools.lru_cache(maxsize=1_000)
def _statement(parts: tuple[tuple[str, bool], ...], asks: str) -> str:
    moves = "".join(f"part_{place} AS ({sql} RETURNING 1), " for place, (sql, _) in enumerate(parts))
    # Not joined: Postgres would look for the best order of all the parts, which takes minutes for a hundred of them.
    counts = "".join(
        f"(SELECT count(*) FROM part_{place})::text, " for place, (_, counted) in enumerate(parts) if counted
    )
    storing = _STORE_POSITION.replace("{counts}", counts)
    return f"WITH {moves}{storing}, {asks} AS reacts"


def _template(begun: Begun, position: Position, changes: int, tables: Mapping[str, Tally]) -> str:
    """The entry of a batch for SQL's format(): %s stands for what the statement counts, the last one for its time."""
    lag = "null" if begun.lag_seconds is None else round(begun.lag_seconds, 6)
    facts = (f'"{entry_time()}"', begun.after_seq, position.seq, changes, lag)
    return _frame(tuple((name, tuple(tally.items())) for name, tally in tables.items())) % facts


@functools.lru_cache(maxsize=1_000)
def _frame(tables: tuple[tuple[str, tuple[tuple[str, int | None], ...]], ...]) -> str:
    """The entry of a batch that moves these tables, for Python's % and then for SQL's format(): writing JSON anew for
    every batch took as long as some statements.
    """
    counted = {name: {what: _LATER if rows is None else rows for what, rows in tally} for name, tally in tables}
    details: dict[str, Any] = dict.fromkeys(("after_seq", "last_seq", "changes", "lag_seconds"), _NOW)
    details |= {"tables": counted, "seconds": _LATER}
    entry = AuditEntry(_NOW, actor(), "batch", "done", details)
    return entry.body.replace("%", "%%%%").replace(json.dumps(_NOW), "%s").replace(json.dumps(_LATER), "%%s")


def _applied(details: Mapping[str, Any], *, reacts: bool) -> AppliedBatch:
    tables = {name: TableTally(**tally) for name, tally in details["tables"].items() if any(tally.values())}
    return AppliedBatch(**{**details, "tables": tables, "reacts": reacts})
