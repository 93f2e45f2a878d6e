"""An index that the data can do without gives way to a row that it has no room for; a key or uniqueness never does.

Which index it is, Postgres does not always say. So the row is put into an empty table of the same columns, under one
index after the other: the target itself is locked only for the moment in which an index is dropped.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg
from loguru import logger

from cdc.chain import entry
from cdc.model import TargetTable
from cdc.postgres import audit
from cdc.postgres.connection import Connection
from cdc.postgres.statements import load
from cdc.quoting import qualified, quote

SQL: Final = load("indexes")
LOCK_WAIT_MILLISECONDS: Final = 2_000  # readers behind a lock that is waited for wait as well

_PROBE: Final = "cdc_probe"


async def give_way(
    conn: Connection, source_id: str, target: TargetTable, columns: Sequence[str], rows: str, *arguments: object
) -> list[str]:
    """Drop the indexes that have no room for the rows of a query over `columns`; returns their names.

    Part of the caller's transaction, and told in the audit trail with it. Empty when no index that may go is to blame,
    or when it is in use for longer than is waited for. Not for tables that others made.
    """
    names = [
        name for name in await _to_blame(conn, target, columns, rows, arguments) if await _drop(conn, target, name)
    ]
    for name in names:
        why = "it has no room for a row"
        logger.bind(table=target.name, index=name, reason=why).warning("an index gave way to a row")
        told = entry("leave out index", "done", {"table": target.name, "index": name, "why": why})
        await audit.append(conn, source_id, [told])
    return names


async def _to_blame(
    conn: Connection, target: TargetTable, columns: Sequence[str], rows: str, arguments: Sequence[object]
) -> list[str]:
    found: list[str] = []
    trial = conn.transaction()
    await trial.start()
    table, names = qualified(target.schema, target.name), ", ".join(map(quote, columns))
    await conn.execute(f"CREATE TEMP TABLE {_PROBE} (LIKE {table}) ON COMMIT DROP")
    for index in await conn.fetch(SQL["optional"], target.schema, target.name):
        alone = conn.transaction()
        await alone.start()
        try:
            await conn.execute(f"CREATE INDEX ON {_PROBE}{index['body']}")
            await conn.execute(f"INSERT INTO {_PROBE} ({names}) OVERRIDING SYSTEM VALUE {rows}", *arguments)
        except asyncpg.ProgramLimitExceededError:
            found.append(index["name"])
        await alone.rollback()
    await trial.rollback()
    return found


async def _drop(conn: Connection, target: TargetTable, name: str) -> bool:
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MILLISECONDS}")
            await conn.execute(f"DROP INDEX {qualified(target.schema, name)}")
            await conn.execute("SET LOCAL lock_timeout = 0")
    except (asyncpg.LockNotAvailableError, asyncpg.DependentObjectsStillExistError):
        return False
    return True
