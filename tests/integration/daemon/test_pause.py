"""The daemon stands still for an upgrade of the application, and nothing that was written meanwhile is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import apsw
import msgspec
import pytest
from harness import Daemon, fetch, open_files, wait_for, wait_until_caught_up, wait_until_follows
from replicated_pair import Pair, replicated

from cdc.cli import main
from cdc.errors import ExitCode
from cdc.notes import pause_note
from cdc.observe import daemon_file

USERS = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, mail TEXT)"
UNIQUE = "CREATE UNIQUE INDEX by_mail ON users(mail)"
PEOPLE = "INSERT INTO users VALUES (1, 'ann', 'a@x'), (2, 'bob', 'b@x'), (3, 'cy', NULL)"
TRIGGERS = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '_cdc_*'"


@pytest.fixture
async def pair(tmp_path: Path, database: str) -> AsyncIterator[Pair]:
    async with replicated(tmp_path, database, USERS, UNIQUE, PEOPLE) as made:
        await made.replica.close()
        yield made


async def command(daemon: Daemon, *arguments: str) -> int:
    """A command beside the daemon, in another thread: it waits for the daemon."""
    return await asyncio.to_thread(main, ["-q", "-c", str(daemon.file), *arguments])


async def started(pair: Pair, daemon: Daemon) -> None:
    await wait_until_follows(pair.config, daemon)
    await wait_until_caught_up(pair.config, pair.dsn, daemon=daemon)


def descriptors(daemon: Daemon, file: Path) -> list[str]:
    """Which files of the SQLite database the daemon has open."""
    return [name for name in open_files(daemon.process.pid) if name.startswith(str(file))]


async def test_a_paused_daemon_applies_nothing_and_holds_neither_database(pair: Pair) -> None:
    with Daemon(pair.config) as daemon:
        await started(pair, daemon)
        assert await command(daemon, "pause") == ExitCode.OK
        assert descriptors(daemon, pair.config.source.path) == []
        assert [row for row in await fetch(pair.dsn, OURS) if f"/{daemon.process.pid}" in row[0]] == []
        pair.app.execute("UPDATE users SET name = 'anna' WHERE id = 1")
        assert await command(daemon, "pause") == ExitCode.OK
        assert await pair.rows("SELECT name FROM users WHERE id = 1") == [("ann",)]
        assert await command(daemon, "resume") == ExitCode.OK
        await started(pair, daemon)
        assert await pair.differences() == []
        assert daemon.terminate() == 0, daemon.words()


async def test_a_daemon_that_compares_all_the_time_lets_go_of_both_databases_as_well(pair: Pair) -> None:
    always = msgspec.structs.replace(pair.config.verify, rolling_share=1.0, rolling_hours=0.01 / 3600)
    with Daemon(msgspec.structs.replace(pair.config, verify=always)) as daemon:
        await started(pair, daemon)
        for _ in range(5):
            await wait_for(lambda: _compares(pair), "a comparison", daemon=daemon)
            assert await command(daemon, "pause") == ExitCode.OK
            assert descriptors(daemon, pair.config.source.path) == []
            assert [row for row in await fetch(pair.dsn, OURS) if f"/{daemon.process.pid}" in row[0]] == []
            assert await command(daemon, "resume") == ExitCode.OK
            await started(pair, daemon)
        assert daemon.terminate() == 0, daemon.words()


async def _compares(pair: Pair) -> bool:
    """Whether the daemon has compared within the last moment."""
    sql = "SELECT 1 FROM cdc.verified_table WHERE since > now() - interval '0.5 seconds'"
    return bool(await fetch(pair.dsn, sql))


async def test_a_pause_lasts_over_a_restart_of_the_daemon(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    with Daemon(pair.config) as daemon:
        await started(pair, daemon)
        await command(daemon, "pause")
        daemon.kill()
    pair.app.execute("DELETE FROM users WHERE id = 2")
    with Daemon(pair.config) as daemon:
        await wait_for(paused(pair), "the daemon to be paused again", daemon=daemon)
        capsys.readouterr()
        assert await command(daemon, "status", "--json") == ExitCode.DIFFERENCE
        told = json.loads(capsys.readouterr().out)
        assert (told["activity"]["doing"], told["paused"]["released"]) == ("paused", False)
        assert told["next_step"] == "let it go on when the upgrade is done: `cdc resume`"
        assert await pair.rows("SELECT count(*) FROM users") == [(3,)]
        assert await command(daemon, "resume") == ExitCode.OK
        await started(pair, daemon)
        assert await pair.differences() == []
        assert daemon.terminate() == 0


def paused(pair: Pair) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        found = daemon_file.look(pair.config)
        return found is not None and found.doing == "paused"

    return look


async def test_a_daemon_that_is_told_to_stop_while_it_is_paused_ends(pair: Pair) -> None:
    pause_note.hold(pair.config, released=False)
    with Daemon(pair.config) as daemon:
        await wait_for(paused(pair), "the daemon to be paused", daemon=daemon)
        assert daemon.terminate() == 0
    assert pause_note.is_held(pair.config)


async def test_without_triggers_an_upgrade_may_drop_what_they_name(pair: Pair) -> None:
    with Daemon(pair.config) as daemon:
        await started(pair, daemon)
        with pytest.raises(apsw.SQLError, match="error in trigger _cdc_1_bi after drop column"):
            drop_mail(pair)
        assert await command(daemon, "pause", "--release-triggers") == ExitCode.OK
        assert pair.app.execute(TRIGGERS).get == 0
        pair.app.execute("UPDATE users SET name = 'unseen' WHERE id = 1")
        pair.app.execute("DELETE FROM users WHERE id = 3")
        drop_mail(pair)
        pair.app.execute("INSERT INTO users VALUES (9, 'unseen too')")
        assert await command(daemon, "resume") == ExitCode.OK
        await wait_for(whole(pair), "capture to be whole and all to be compared", daemon=daemon)
        assert await pair.rows("SELECT id, name FROM users ORDER BY id") == [
            *[(1, "unseen"), (2, "bob"), (9, "unseen too")]
        ]
        pair.app.execute("DELETE FROM users WHERE id = 2")
        await started(pair, daemon)
        assert await pair.differences() == []
        assert daemon.terminate() == 0


def drop_mail(pair: Pair) -> None:
    with pair.app:
        pair.app.execute("DROP INDEX by_mail")
        pair.app.execute("ALTER TABLE users DROP COLUMN mail")


def whole(pair: Pair) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return pair.app.execute(TRIGGERS).get > 0 and await pair.differences() == []

    return look


async def test_a_migration_while_paused_is_followed_as_one(pair: Pair) -> None:
    with Daemon(pair.config) as daemon:
        await started(pair, daemon)
        await command(daemon, "pause")
        for sql in (
            "CREATE TABLE new(id INTEGER PRIMARY KEY, name TEXT, size INTEGER NOT NULL DEFAULT 1)",
            "INSERT INTO new(id, name) SELECT id, name FROM users",
            "DROP TABLE users",
            "ALTER TABLE new RENAME TO users",
            "UPDATE users SET size = 2 WHERE id = 2",
        ):
            pair.app.execute(sql)
        await command(daemon, "resume")
        await wait_for(whole(pair), "the new column", daemon=daemon)
        assert await pair.rows("SELECT target, column_name FROM cdc.pending") == [("users", "mail")]
        assert await command(daemon, "pause") == ExitCode.OK
        assert await command(daemon, "schema", "--apply-pending") == ExitCode.OK
        assert await command(daemon, "resume") == ExitCode.OK
        pair.app.execute("INSERT INTO users(id) VALUES (7)")
        await started(pair, daemon)
        assert await pair.differences() == []
        assert daemon.terminate() == 0


async def test_without_a_daemon_the_pause_is_for_the_next_one(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    file = Daemon(pair.config, ("status",))
    file.wait()
    assert main(["-c", str(file.file), "resume"]) == ExitCode.OK
    assert "nothing was paused" in capsys.readouterr().out
    assert main(["-c", str(file.file), "pause"]) == ExitCode.OK
    assert "no daemon runs here" in capsys.readouterr().out
    assert main(["-c", str(file.file), "resume"]) == ExitCode.OK
    assert "start the daemon" in capsys.readouterr().out


OURS = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'cdc %'"
