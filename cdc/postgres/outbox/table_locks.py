"""Tables locked against writers all at once, within a bounded time, and at nobody's expense.

Who holds some locks and waits for others can be part of a deadlock, and Postgres ends whichever transaction looks
first: an application's, if it has waited for `deadlock_timeout`. So locks are held while others are waited for only
half as long, then all are given back. What was in the way is locked first the next time: so tables come into the order
in which the application locks them, and with nothing held there is time for Postgres to stop an autovacuum for us.
Nobody queues behind us for longer than these times.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from asyncpg.transaction import Transaction

from cdc.errors import TargetHindered
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load

SQL: Final = load("outbox")
AGAINST_WRITERS: Final = "SHARE ROW EXCLUSIVE"
AGAINST_ALL: Final = "ACCESS EXCLUSIVE"
_PATIENCE_FOR_FIRST: Final = 1.5  # times `deadlock_timeout`
_PATIENCE_FOR_OTHERS: Final = 0.5
_LOOK_SECONDS: Final = 0.05


@asynccontextmanager
async def locked(
    connection: Connection, tables: Iterable[str], wait_seconds: float, mode: str = AGAINST_WRITERS
) -> AsyncIterator[None]:
    """A transaction in which nobody else writes to these tables, given as quoted names: whoever did has ended.

    It is committed at the end. Raises `TargetHindered`, which names who is in the way, when the locks cannot be had in
    time; lets the driver's errors through.
    """
    transaction = await _begin(connection, sorted(tables), wait_seconds, mode)
    try:
        yield
    except BaseException:
        await _undo(connection, transaction)
        raise
    await transaction.commit()


async def end_maintenance(connection: Connection, tables: Sequence[str], wait_seconds: float) -> None:
    """Have whoever vacuums or analyzes one of these tables end; for tables that nobody writes to.

    An autovacuum gives way to whoever waits for a lock, but only after `deadlock_timeout`, a second by default: that is
    too long while writes are refused. Raises as `locked` where somebody else does not end.
    """
    with translated("having maintenance of the target tables end"):
        if await connection.fetchval(SQL["maintained"], tables):
            async with locked(connection, tables, wait_seconds):
                pass


async def wait_for_maintenance(connection: Connection, tables: Sequence[str], wait_seconds: float) -> None:
    """Wait until nobody vacuums or analyzes one of these tables, but not for ever; writers queue behind nobody."""
    until = time.monotonic() + wait_seconds
    with translated("looking for maintenance of the target tables"):
        while time.monotonic() < until:
            if not await connection.fetchval(SQL["maintained"], tables):
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def _begin(connection: Connection, tables: Sequence[str], wait_seconds: float, mode: str) -> Transaction:
    until = time.monotonic() + wait_seconds
    patience = await connection.fetchval(SQL["deadlock_timeout"])
    while True:
        transaction = connection.transaction()
        await transaction.start()
        try:
            busy = await _lock(connection, tables, mode, until, patience)
        except BaseException:
            await _undo(connection, transaction)
            raise
        if busy is None:
            return transaction
        await transaction.rollback()
        if time.monotonic() >= until:
            raise _hindered(busy, wait_seconds, await connection.fetch(SQL["holders"], busy, mode == AGAINST_ALL))
        tables = [busy, *(table for table in tables if table != busy)]


async def _lock(connection: Connection, tables: Sequence[str], mode: str, until: float, patience: float) -> str | None:
    """Lock the tables in this order; returns the one whose lock cannot be had, and then the transaction has failed."""
    usual = await connection.fetchval("SELECT current_setting('lock_timeout')")
    ends = min(until, time.monotonic() + _PATIENCE_FOR_FIRST * patience)
    for table in tables:
        milliseconds = max(1, math.ceil((ends - time.monotonic()) * 1000))
        try:
            # Partitions and children are no business of ours.
            await connection.execute(f"SET LOCAL lock_timeout = {milliseconds}; LOCK TABLE ONLY {table} IN {mode} MODE")
        except asyncpg.LockNotAvailableError:
            return table
        if table == tables[0]:
            ends = min(until, time.monotonic() + _PATIENCE_FOR_OTHERS * patience)
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", usual)
    return None


async def _undo(connection: Connection, transaction: Transaction) -> None:
    if not connection.is_closed():
        await transaction.rollback()


def _hindered(table: str, wait_seconds: float, holders: Sequence[Any]) -> TargetHindered:
    held_by = ", ".join(map(_told, holders)) or "transactions that have ended meanwhile"
    return TargetHindered(
        f"table {table} could not be locked within {wait_seconds:g} s: in the way are {held_by}",
        remedy="let these transactions end, or end them with pg_terminate_backend; then try again",
    )


def _told(holder: Any) -> str:
    if holder["pid"] is None:
        return "a prepared transaction"
    facts = [holder["name"], holder["state"], holder["seconds"] is not None and f"for {holder['seconds']} s"]
    return f"process {holder['pid']} ({', '.join(fact for fact in facts if fact)})"
