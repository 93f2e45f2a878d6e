"""SQLite is opened while Postgres hangs in the midst of a carry: nobody holds the file for its sake."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import apsw
import asyncpg
import pytest
from harness import execute, value, wait_for
from installation import Installation

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import CaptureLost
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.server.endpoint import reached
from cdc.reverse import emergency
from cdc.reverse.session import ReverseSession

WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock')"


@asynccontextmanager
async def carrying(config: Config) -> AsyncIterator[tuple[ReverseSession, int]]:
    """A session of the way back, and the process of the server that serves it."""
    state = DaemonState()
    async with reached(config) as endpoint:
        session = await ReverseSession.open(config, endpoint, state)
        try:
            yield session, int(state.backend or 0)
        finally:
            await session.close()


def in_sqlite(site: Installation, sql: str) -> list[Any]:
    reader = apsw.Connection(str(site.database))
    reader.set_busy_timeout(1000)
    try:
        return reader.execute(sql).fetchall()
    finally:
        reader.close()


def test_a_server_that_hangs_in_the_midst_of_a_carry_keeps_nobody_from_the_file(site: Installation) -> None:
    site.sql("CREATE TABLE u(id INTEGER PRIMARY KEY)")
    config = site.switched()

    async def hangs_once_it_was_read(session: ReverseSession, backend: int) -> None:
        await execute(site.dsn, "INSERT INTO t VALUES (1)")
        session.carrier.touched = lambda *_: os.kill(backend, signal.SIGSTOP)
        turn = asyncio.create_task(session.drain())
        try:

            async def is_carried() -> bool:
                return await asyncio.to_thread(in_sqlite, site, "SELECT id FROM t") == [(1,)]

            await wait_for(is_carried, "the row to be in SQLite")
            in_sqlite(site, "BEGIN IMMEDIATE; ROLLBACK")
        finally:
            os.kill(backend, signal.SIGCONT)
        assert await turn

    async def hangs_while_it_is_read(session: ReverseSession, backend: int) -> None:
        await execute(site.dsn, "INSERT INTO t VALUES (2); INSERT INTO u VALUES (1)")
        other = await asyncpg.connect(site.dsn)
        async with other.transaction():
            await other.execute("LOCK TABLE u IN ACCESS EXCLUSIVE MODE")  # `t` is read, `u` is waited for
            turn = asyncio.create_task(session.drain())

            async def waits() -> bool:
                return bool(await value(site.dsn, WAITS, backend))

            await wait_for(waits, "the carrier to wait for Postgres")
            emergency.open_sqlite(config)
        await other.close()
        with pytest.raises(CaptureLost):  # for nothing is carried into a file that is open
            await turn

    async def mended(session: ReverseSession) -> None:
        """Triggers of ours that somebody switched: the fence is lowered again, and what went unnoted is carried."""
        await execute(site.dsn, "ALTER TABLE u DISABLE TRIGGER ALL; INSERT INTO u VALUES (7); DELETE FROM t")
        await execute(site.dsn, "ALTER TABLE t ENABLE TRIGGER ALL")
        await session.tidy()
        await execute(site.dsn, "INSERT INTO u VALUES (8); INSERT INTO t VALUES (9)")
        assert await session.drain()
        assert in_sqlite(site, "SELECT id FROM u UNION ALL SELECT id FROM t") == [(7,), (8,), (9,)]
        done = trail.read(config.state.dir)
        assert [entry.action for entry in done][-2:] == ["note writes again", "open Postgres again"]
        await execute(site.dsn, "DELETE FROM u; DELETE FROM t")
        assert await session.drain()

    async def hanging() -> None:
        async with carrying(config) as (session, backend):
            await mended(session)
            await hangs_once_it_was_read(session, backend)
            session.carrier.touched = lambda *_: None
            await hangs_while_it_is_read(session, backend)

    asyncio.run(hanging())
    assert in_sqlite(site, "SELECT id FROM t") == [(1,)]
