"""The application does not notice: none of its writes fails, waits for Postgres, or meets a commit of ours."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import pytest
from app_processes import Client
from comparison import Comparison
from harness import Daemon, Writer, application, make_config, open_files, up, value, wait_for, wait_until_caught_up

from cdc.config import Config

SCHEMA: Final = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)"
FILL: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO t(v) SELECT hex(randomblob(100)) FROM n
"""
WRITER: Final = Path(__file__).with_name("steady_writer.py")
MOST: Final = 1_000_000  # a bound; the writer is told to end before
MODES: Final = pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])
PRUNING: Final[dict[str, Any]] = {"prune_entries": 20, "heartbeat_seconds": 0.05}


async def expect_equal(app: apsw.Connection, config: Config, daemon: Daemon) -> None:
    dsn = config.target.dsn
    await wait_until_caught_up(config, dsn, daemon=daemon)
    target = await asyncpg.connect(dsn)
    try:
        assert await Comparison(app, target).differences() == []
    finally:
        await target.close()


def oldest(app: apsw.Connection) -> int:
    return int(app.execute("SELECT min(seq) FROM _cdc_changelog").get)


@MODES
async def test_no_write_fails_while_the_daemon_copies_loads_replicates_and_prunes(
    tmp_path: Path, database: str, wal: bool
) -> None:
    app = application(tmp_path / "app.db", wal=wal)
    app.execute(SCHEMA)
    app.execute(FILL)
    config = make_config(tmp_path, tmp_path / "app.db", database, **PRUNING)

    async def pruned() -> bool:
        with suppress(apsw.BusyError):  # who looks on may have to wait for the application; it is not under test
            there = app.execute("SELECT count(*) FROM sqlite_schema WHERE name = '_cdc_changelog'").get
            return bool(there) and oldest(app) > 1
        return False

    with Client(WRITER, tmp_path / "app.db", MOST) as writer, Daemon(config, ("up",)) as daemon:
        await wait_for(pruned, "entries to be pruned while the application writes", daemon=daemon, seconds=60)
        assert writer.runs, "the application ended before it was told to"
        await asyncio.to_thread(writer.end)
        await expect_equal(app, config, daemon)
    app.close()


async def test_a_transaction_that_read_before_it_writes_is_not_failed_by_a_batch(tmp_path: Path, database: str) -> None:
    """Any commit between its read and its write would fail it at once in WAL, whatever its busy timeout."""
    application(tmp_path / "app.db").execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    with Daemon(config) as daemon, Writer(tmp_path / "app.db") as app:
        for number in range(5):
            daemon.process.send_signal(signal.SIGSTOP)
            assert app.run(f"INSERT INTO t(v) VALUES ('{number}')", "BEGIN", "SELECT * FROM t") == ["", "", ""]
            daemon.process.send_signal(signal.SIGCONT)
            await wait_until_caught_up(config, database, daemon=daemon)
            assert app.run("INSERT INTO t(v) VALUES ('later')", "COMMIT") == ["", ""]


@MODES
async def test_applying_and_starting_commit_nothing_to_the_file(tmp_path: Path, database: str, wal: bool) -> None:
    app = application(tmp_path / "app.db", wal=wal)
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database, round_entries=3, round_entries_journal=3)
    await up(config)
    before = app.pragma("data_version")
    for _ in range(2):
        with Daemon(config) as daemon:
            for rows in (1, 2, 20):
                for _ in range(rows):
                    app.execute("INSERT INTO t(v) VALUES ('x')")
                await wait_until_caught_up(config, database, daemon=daemon)
            daemon.terminate()
    assert app.pragma("data_version") == before
    app.close()


@MODES
async def test_an_idle_file_is_left_without_a_connection(tmp_path: Path, database: str, wal: bool) -> None:
    app = application(tmp_path / "app.db", wal=wal)
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database, idle_close_seconds=0.2)
    await up(config)
    with Daemon(config) as daemon:

        async def let_go() -> bool:
            return not any(name.startswith(str(tmp_path / "app.db")) for name in open_files(daemon.process.pid))

        for number in range(3):
            app.execute("INSERT INTO t(v) VALUES ('x')")
            await wait_until_caught_up(config, database, daemon=daemon)
            await wait_for(let_go, "the file to be let go", daemon=daemon)
            assert await value(database, "SELECT count(*) FROM t") == number + 1
    app.close()


async def test_the_changelog_is_pruned_although_there_is_always_something_to_apply(
    tmp_path: Path, database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SCHEMA)
    staged = {**PRUNING, "round_entries": 500}  # a batch takes a while, and ends with news already there
    config = make_config(tmp_path, tmp_path / "app.db", database, **staged)
    await up(config)

    async def pruned() -> bool:
        return oldest(app) > 1

    with Client(WRITER, tmp_path / "app.db", MOST) as writer, Daemon(config) as daemon:
        await wait_for(pruned, "entries to be pruned", daemon=daemon, seconds=30)
        await asyncio.to_thread(writer.end)
    app.close()
