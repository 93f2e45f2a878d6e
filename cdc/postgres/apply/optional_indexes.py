"""An index that the data can do without gives way to a row that it has no room for; a key or uniqueness never does.

Which index it is, Postgres does not always say. So the row is put into an empty table of the same columns, under one
index after the other: the target itself is locked only for the moment in which an index is dropped.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg
from loguru import logger

from cdc.audit.chain import entry
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import send_accepted
from cdc.postgres.connection.statements import load
from cdc.postgres.record.record import Record
from cdc.sql_names import qualified, quote

SQL: Final = load("indexes")
LOCK_WAIT_MILLISECONDS: Final = 2_000  # readers behind a lock that is waited for wait as well

_PROBE: Final = "cdc_probe"

Place = tuple[int, int]  # a ctid


async def give_way(
    record: Record, target: TargetTable, columns: Sequence[str], rows: str, places: Sequence[Place]
) -> list[str]:
    """Drop the indexes that alone have no room for rows; returns their names.

    `rows` is a query over `columns` for the rows at the places in $1. Part of the caller's transaction, and told in the
    audit trail with it. Empty when no index that may go is to blame, or when it is in use for longer than is waited
    for. Not for tables that others made.
    """
    names = [
        name
        for name in await _to_blame(record.connection, target, columns, rows, places)
        if await _drop(record.connection, target, name)
    ]
    for name in names:
        why = "it has no room for a row"
        logger.bind(object=name, reason=why).warning("an index gave way to a row")
        await record.audit.append([entry("leave out index", "done", {"table": target.name, "index": name, "why": why})])
        await record.left_out.index(target.name, name, why)
    return names


async def _to_blame(
    connection: Connection, target: TargetTable, columns: Sequence[str], rows: str, places: Sequence[Place]
) -> list[str]:
    indexes = await connection.fetch(SQL["of_table"], target.schema, target.name)
    trial = connection.transaction()
    await trial.start()
    names = ", ".join(map(quote, columns))
    insert = f"INSERT INTO {_PROBE} ({names}) OVERRIDING SYSTEM VALUE {rows}"
    await connection.execute(
        f"CREATE TEMP TABLE {_PROBE} (LIKE {qualified(target.schema, target.name)}) ON COMMIT DROP"
    )
    for index in indexes:
        if not index["optional"]:
            await connection.execute(f"CREATE INDEX ON {_PROBE}{index['body']}")

    async def put(portion: Sequence[tuple[object, ...]]) -> None:
        await connection.execute(insert, [place for (place,) in portion])

    # A row that a key has no room for either would not come in, whichever index gave way.
    refused = await send_accepted(connection, [(place,) for place in places], put)
    fit = [place for n, place in enumerate(places) if n not in refused]
    tight = [i["name"] for i in indexes if fit and i["optional"] and await _refuses(connection, i["body"], insert, fit)]
    await trial.rollback()
    return tight


async def _refuses(connection: Connection, body: str, insert: str, places: Sequence[Place]) -> bool:
    alone = connection.transaction()
    await alone.start()
    try:
        await connection.execute(f"TRUNCATE {_PROBE}; CREATE INDEX ON {_PROBE}{body}")
        await connection.execute(insert, places)
    except asyncpg.ProgramLimitExceededError:
        return True
    finally:
        await alone.rollback()
    return False


async def _drop(connection: Connection, target: TargetTable, name: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MILLISECONDS}")
            await connection.execute(f"DROP INDEX {qualified(target.schema, name)}")
            # SET LOCAL lasts until the transaction ends, beyond a savepoint that is released. One undone takes it back.
            await connection.execute("SET LOCAL lock_timeout = 0")
    except (asyncpg.LockNotAvailableError, asyncpg.DependentObjectsStillExistError):
        return False
    return True
