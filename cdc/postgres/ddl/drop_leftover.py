"""Dropping a leftover for good, in one transaction of the caller: locked, saved to a file, dropped, struck off."""

from pathlib import Path
from typing import Final

import asyncpg

from cdc.audit.chain import entry
from cdc.errors import TargetError, TargetUnavailable
from cdc.facts.leftover import Leftover
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.csv_file import save_rows
from cdc.sql_names import qualified, quote

LOCK_SECONDS: Final = 10.0  # for each table; who waits for a lock holds up everybody who comes after
MOST_NAMED: Final = 5  # objects that stand in the way


def statement(leftover: Leftover, schema: str) -> str:
    """The statement that drops a leftover. Without CASCADE: other objects that depend on it make it fail."""
    table = qualified(schema, leftover.target)
    if leftover.column is None:
        return f"DROP TABLE {table}"
    return f"ALTER TABLE {table} DROP COLUMN {quote(leftover.column)}"


async def drop(record: Record, schema: str, leftover: Leftover, file: Path) -> int:
    """Save a leftover's rows to a new file and drop it; returns how many rows were saved.

    Raises `TargetUnavailable` when somebody uses the table for too long, `TargetError` when other objects depend on it.
    """
    await _lock(record.connection, qualified(schema, leftover.target))
    target = (await read_tables(record.connection, schema, [leftover.target]))[leftover.target]
    columns: tuple[str, ...] | None = None
    if leftover.column is not None:  # saved with the key that says whose it was
        columns = (*(c for c in target.primary_key if c != leftover.column), leftover.column)
    rows = await save_rows(record.connection, target, file, columns)
    try:
        await record.connection.execute(statement(leftover, schema))
    except asyncpg.DependentObjectsStillExistError as error:
        raise TargetError(
            f"{leftover} cannot be dropped in Postgres, other objects depend on it: {_named(error.detail)}",
            remedy="drop or change them first; nothing was dropped",
        ) from error
    details = {"table": leftover.target, "column": leftover.column, "rows": rows, "file": str(file)}
    await record.audit.append([entry("drop leftover", "done", details)])
    await record.leftovers.forget(leftover)
    return rows


async def _lock(connection: Connection, table: str) -> None:
    try:
        await connection.execute(f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}")
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    except asyncpg.LockNotAvailableError as error:
        raise TargetUnavailable(
            f"table {table} in Postgres is used by somebody for longer than {LOCK_SECONDS:g} seconds",
            remedy="nothing was dropped; try again, or see in pg_stat_activity who holds it",
        ) from error


def _named(detail: str | None) -> str:
    """The objects in the words of the server, which hold names and no values."""
    lines = (detail or "it does not say which").splitlines()
    more = f"; and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    return "; ".join(lines[:MOST_NAMED]) + more
