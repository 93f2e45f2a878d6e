"""One source has one daemon: the second is told who the first is, and a killed one locks nobody out."""

from pathlib import Path

import apsw
import asyncpg
import pytest
from comparison import Comparison
from harness import Daemon, make_config, value, wait_for, wait_until_caught_up

from cdc.config import Config
from cdc.errors import AlreadyRunning, ExitCode
from cdc.stream import resync

STOPPED = "SELECT stopped_reason FROM cdc.stream"
SCHEMA = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one')"
OWNER = "SELECT owner FROM cdc.stream"


async def equal(app: apsw.Connection, config: Config, daemon: Daemon) -> bool:
    dsn = config.target.dsn
    await wait_until_caught_up(config, dsn, daemon=daemon)
    target = await asyncpg.connect(dsn)
    try:
        return await Comparison(app, target).differences() == []
    finally:
        await target.close()


def elsewhere(config: Config, folder: Path) -> Config:
    """The same source and target, configured in another folder."""
    folder.mkdir()
    return make_config(folder, config.source.path, config.target.dsn)


async def test_a_second_daemon_is_refused_naming_the_first(
    app: apsw.Connection, config: Config, tmp_path: Path, database: str
) -> None:
    with Daemon(config) as first:
        await wait_for(lambda: value(database, OWNER), "the first daemon's heartbeat", daemon=first)
        with Daemon(elsewhere(config, tmp_path / "second")) as second:
            assert second.wait() == ExitCode.CRITICAL
        assert f"/{first.process.pid} " in second.words()
        assert "stop that daemon first" in second.words()
        assert "Traceback" not in second.words()
        app.execute("INSERT INTO t VALUES (2, 'two')")
        assert await equal(app, config, first)


async def test_a_refused_daemon_says_nothing_about_the_other_ones_stream(
    config: Config, tmp_path: Path, database: str
) -> None:
    with Daemon(config) as first:
        await wait_for(lambda: value(database, OWNER), "the first daemon's heartbeat", daemon=first)
        with Daemon(elsewhere(config, tmp_path / "second")) as second:
            second.wait()
        assert await value(database, STOPPED) is None
        assert str(await value(database, OWNER)).endswith(f"/{first.process.pid}")


async def test_the_lock_is_free_after_a_kill(app: apsw.Connection, config: Config, database: str) -> None:
    with Daemon(config) as first:
        await wait_for(lambda: value(database, OWNER), "the first daemon's heartbeat", daemon=first)
        first.kill()
    app.execute("INSERT INTO t VALUES (2, 'two')")
    with Daemon(config) as second:
        assert await equal(app, config, second)


async def test_a_daemon_killed_during_a_long_statement_does_not_lock_its_successor_out(
    app: apsw.Connection, config: Config, database: str
) -> None:
    """Postgres goes on with a statement whose client is dead; here the statement waits for a lock."""
    blocker = await asyncpg.connect(database)
    await blocker.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with Daemon(config) as first:
        app.execute("INSERT INTO t VALUES (2, 'two')")
        await wait_for(lambda: value(database, waiting), "the daemon to wait in Postgres", daemon=first)
        first.kill()
    with Daemon(config) as second:
        by_second = f"{waiting} AND application_name LIKE '%/{second.process.pid}'"
        await wait_for(lambda: value(database, by_second), "the second daemon to wait in Postgres", daemon=second)
        await blocker.execute("COMMIT")
        assert await equal(app, config, second)
    await blocker.close()


async def test_a_resync_is_refused_while_a_daemon_runs(app: apsw.Connection, config: Config) -> None:
    with Daemon(config) as daemon:
        # The heartbeat names the owner, and comes only once the lock is held.
        await wait_for(lambda: value(config.target.dsn, OWNER), "the daemon's heartbeat", daemon=daemon)
        with pytest.raises(AlreadyRunning):
            await resync.request_resync(config)
        assert await value(config.target.dsn, "SELECT resync FROM cdc.stream") == []
    app.close()
