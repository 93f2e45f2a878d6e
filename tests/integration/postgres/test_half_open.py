"""A connection that dies without a word is found, also where every packet is acknowledged; long statements go on."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import apsw
import asyncpg
import pytest
from comparison import differences
from harness import live, make_config, up, value, wait_for
from poolers import relay

from cdc.errors import TargetUnavailable
from cdc.postgres.connection import liveness
from cdc.postgres.server import embedded

SCHEMA = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one')"
SILENT_SECONDS = 0.3
LOOK_SECONDS = 0.05


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that listens to TCP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = int(free.getsockname()[1])
    settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": str(found)}
    with embedded.start(tmp_path_factory.mktemp("tcp"), settings=settings) as server:
        (server.folder / "data" / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")

        async def prepare() -> None:
            own = await asyncpg.connect(host=str(server.socket), port=found, user="postgres", database="postgres")
            await own.execute("SELECT pg_reload_conf()")
            await own.close()

        asyncio.run(prepare())
        yield found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", SILENT_SECONDS)
    monkeypatch.setattr(liveness, "LOOK_SECONDS", LOOK_SECONDS)
    liveness.given_up.clear()


def at(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


async def emptied(port: int) -> None:
    connection = await asyncpg.connect(at(port))
    await connection.execute("DROP SCHEMA IF EXISTS cdc CASCADE; DROP TABLE IF EXISTS t")
    await connection.close()


async def test_a_connection_that_died_is_given_up_and_replaced(app: apsw.Connection, tmp_path: Path, port: int) -> None:
    """At both ends: the server would keep the lock of the source and those on rows for the lost connection."""
    await emptied(port)
    async with relay(port) as between:
        config = make_config(tmp_path, app.filename, at(between.port))
        await up(config)
        async with live(config) as session:
            await session.sync()
            ours = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name LIKE 'cdc daemon %'"
            lost = await value(at(port), ours)
            between.mute()
            app.execute("INSERT INTO t VALUES (2, 'two')")
            with pytest.raises(TargetUnavailable):
                await asyncio.wait_for(session.sync(), 30)
            left = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY($1))"
            await wait_for(lambda: value(at(port), left, lost), "the server's end to be gone")
            await session.close()

            async def follows() -> bool:
                try:
                    await session.sync()
                except TargetUnavailable:
                    return False
                return await differences(app, at(port)) == []

            await wait_for(follows, "equality over another connection")


async def test_a_statement_that_takes_long_is_left_alone(app: apsw.Connection, tmp_path: Path, port: int) -> None:
    """Postgres was asked, several times, and says that it works."""
    await emptied(port)
    async with relay(port) as between:
        config = make_config(tmp_path, app.filename, at(between.port))
        await up(config)
        async with live(config) as session:
            await session.sync()
            blocker = await asyncpg.connect(at(port))
            await blocker.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            callers = between.callers
            app.execute("INSERT INTO t VALUES (3, 'three')")
            syncing = asyncio.create_task(session.sync())

            async def asked() -> bool:
                return between.callers >= callers + 3

            await wait_for(asked, "Postgres to be asked what it does")
            await blocker.close()
            await syncing
        assert await differences(app, at(port)) == []


async def test_a_line_that_hands_on_slowly_what_it_took_at_once_is_given_longer_each_time(
    app: apsw.Connection, tmp_path: Path, port: int
) -> None:
    """Postgres waits for what is still on its way, as it does where that is lost."""
    await emptied(port)
    async with relay(port) as between:
        config = make_config(tmp_path, app.filename, at(between.port))
        await up(config)
        between.seconds_per_chunk = 2 * SILENT_SECONDS
        app.execute(
            "WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
            "INSERT INTO t SELECT i, hex(randomblob(400)) FROM n"
        ).fetchall()
        async with live(config) as session:

            async def arrives() -> bool:
                try:
                    await session.sync()
                except TargetUnavailable:
                    await session.close()
                    return False
                return True

            await wait_for(arrives, "the batch to arrive")
    assert liveness.given_up, "it was never slow"
    assert await differences(app, at(port)) == []
