"""The file is surely the one that was followed, and entries or tables of ours are missing: it is compared."""

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest
from harness import Daemon, application, drain, execute, fetch, value, wait_for, wait_until_caught_up
from installation import CLOSED_PORT
from replicated_pair import Pair, replicated

from cdc.config import Config, TargetSection
from cdc.errors import SourceChanged, SourceError
from cdc.notes import pause_note
from cdc.observe.status import Status, gather
from cdc.postgres.server.endpoint import reached
from cdc.sqlite.changelog import source_file
from cdc.stream import resync

USERS = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER)"
PEOPLE = "INSERT INTO users VALUES (1, 'ann', 30), (2, 'bob', 40), (3, 'cy', 50)"
LOG = "CREATE TABLE log(at TEXT, words TEXT)"
LINES = "INSERT INTO log VALUES ('1', 'a'), ('2', 'b'), ('3', 'c'), ('4', 'd')"
WRITES = (
    "UPDATE users SET age = 31 WHERE id = 1",
    "DELETE FROM users WHERE id = 2",
    "INSERT INTO log VALUES ('5', 'e')",
)

OURS = ("_cdc_changelog", "_cdc_state", "_cdc_table", "_cdc_mark")
BEFORE_BOOT = "UPDATE cdc.sighting SET boot = 'of before'"

running_or_not = pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])


@asynccontextmanager
async def followed(folder: Path, dsn: str, running: bool = False) -> AsyncIterator[Pair]:
    """A pair whose session is open, or was closed as when the daemon is stopped; equal again when the block ends."""
    async with replicated(folder, dsn, USERS, PEOPLE, LOG, LINES) as pair:
        await pair.write("UPDATE users SET age = 32 WHERE id = 3", "DELETE FROM log WHERE at = '2'")
        if not running:
            await pair.replica.close()
        yield pair
        await pair.replica.sync()
        assert await pair.differences() == []
        await pair.write("INSERT INTO users VALUES (9, 'later', 1)", "DELETE FROM log WHERE at = '3'")
        assert await pair.differences() == []
        await pair.replica.close()
        await pair.replica.sync()
        assert await pair.differences() == []


async def reasons(dsn: str) -> list[str]:
    """Why tables were compared by themselves, as the audit trail has it."""
    rows = await fetch(
        dsn, "SELECT entry->'details'->>'why' FROM cdc.audit WHERE entry->>'action' = 'compare after a gap'"
    )
    return [row[0] for row in rows]


async def whole_tables(dsn: str) -> list[str]:
    """The tables that were compared as a whole last."""
    told = "SELECT entry->'details'->>'tables' FROM cdc.audit WHERE entry->>'action' = 'compare whole tables'"
    rows = await fetch(dsn, f"{told} ORDER BY n")
    return sorted(rows[-1][0].split(", ")) if rows else []


# --- entries ----------------------------------------------------------------------------------------------------------


@running_or_not
@pytest.mark.parametrize("which", ["seq = (SELECT max(seq) - 1 FROM _cdc_changelog)", "tid = 2"], ids=["one", "first"])
async def test_entries_deleted_before_they_were_applied(
    tmp_path: Path, database: str, running: bool, which: str
) -> None:
    async with followed(tmp_path, database, running) as pair:
        with pair.app:
            for sql in WRITES:
                pair.app.execute(sql)
            pair.app.execute(f"DELETE FROM _cdc_changelog WHERE {which} AND seq > ?", (await position(database),))


@running_or_not
async def test_all_entries_deleted(tmp_path: Path, database: str, running: bool) -> None:
    async with followed(tmp_path, database, running) as pair:
        before = await position(database)
        with pair.app:
            for sql in WRITES:
                pair.app.execute(sql)
            pair.app.execute("DELETE FROM _cdc_changelog")
        await pair.replica.sync()
        assert await position(database) > before


@running_or_not
async def test_all_entries_deleted_and_new_ones_written(tmp_path: Path, database: str, running: bool) -> None:
    """Numbers begin at 1 again, and reach those that were applied."""
    async with followed(tmp_path, database, running) as pair:
        applied = await position(database)
        pair.app.execute("DELETE FROM _cdc_changelog")
        for number in range(applied + 3):
            pair.app.execute("INSERT INTO users VALUES (?, ?, 1)", (100 + number, f"new {number}"))
        assert pair.app.execute("SELECT max(seq) > ? FROM _cdc_changelog", (applied,)).get


# --- rowids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "in_place"])
async def test_a_dump_that_was_read_in_again_numbers_rows_anew(tmp_path: Path, database: str, moved: bool) -> None:
    """Tables without a key are known by rowid; SQLite's counter of schemas may be the same by chance."""
    async with replicated(tmp_path, database, USERS, PEOPLE, LOG, LINES) as pair:
        await pair.write("DELETE FROM log WHERE at = '2'")
        await pair.replica.close()
        version = pair.app.pragma("schema_version")
        # Two libraries of SQLite that have one file open in one process would drop each other's locks.
        with application(tmp_path / "copy.db").backup("main", pair.app, "main") as backup:
            backup.step()
        dumped(tmp_path / "copy.db", tmp_path / "new.db")
        new = application(tmp_path / "new.db")
        new.pragma("schema_version", version)
        assert new.execute("SELECT group_concat(rowid) FROM log").get == "1,2,3"
        new.close()
        pair.app.close()
        for left in ("app.db-wal", "app.db-shm"):
            (tmp_path / left).unlink(missing_ok=True)
        if moved:
            (tmp_path / "new.db").rename(tmp_path / "app.db")
        else:
            shutil.copyfile(tmp_path / "new.db", tmp_path / "app.db")
        pair.app = application(tmp_path / "app.db")
        pair.app.execute("UPDATE log SET words = 'changed' WHERE at = '3'")
        pair.app.execute("DELETE FROM log WHERE at = '4'")
        await pair.replica.sync()
        assert await pair.differences() == []
        assert await whole_tables(database) == ["log"]
        await pair.replica.close()
        await pair.write("DELETE FROM log")
        assert await whole_tables(database) == ["log"]
        assert await pair.differences() == []
        pair.app.close()


def dumped(source: Path, target: Path) -> None:
    """What `sqlite3 source .dump | sqlite3 target` makes."""
    old, new = sqlite3.connect(source), sqlite3.connect(target)
    new.executescript("\n".join(old.iterdump()))
    old.close()
    new.close()


# --- a power cut ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def tail_lost(folder: Path, dsn: str, *after: str) -> AsyncIterator[Pair]:
    """The file lost its last commits, which Postgres has; then the application wrote `after`."""
    async with replicated(folder, dsn, USERS, PEOPLE, LOG, LINES) as pair:
        await pair.write("UPDATE users SET age = 33 WHERE id = 3")
        await pair.replica.close()
        await pair.replica.sync()  # notes where the stream stands, as each heartbeat does
        kept = application(folder / "kept.db", wal=False)
        with kept.backup("main", pair.app, "main") as backup:
            backup.step()
        await pair.write(*WRITES)
        await pair.replica.close()
        await pair.replica.sync()
        await pair.replica.close()
        with pair.app.backup("main", kept, "main") as backup:
            backup.step()
        kept.close()
        for sql in after:
            pair.app.execute(sql)
        yield pair


@pytest.mark.parametrize("after", [(), ("INSERT INTO users VALUES (5, 'eve', 1)",), (*WRITES, *WRITES)])
async def test_commits_that_sqlite_lost_in_a_power_cut(tmp_path: Path, database: str, after: tuple[str, ...]) -> None:
    async with tail_lost(tmp_path, database, *after) as pair:
        await execute(database, BEFORE_BOOT)
        await pair.replica.sync()
        assert await pair.differences() == []
        await pair.write("UPDATE users SET age = 1")
        assert await pair.differences() == []
        assert await value(database, "SELECT count(DISTINCT boot) FROM cdc.sighting WHERE boot <> 'of before'") == 1


async def test_what_postgres_alone_has_after_a_power_cut_is_saved_before_it_goes(tmp_path: Path, database: str) -> None:
    """It was committed in SQLite once, and nobody has it any more but Postgres."""
    async with tail_lost(tmp_path, database) as pair:
        await execute(database, BEFORE_BOOT)
        before = set(await pair.rows("SELECT at, words FROM log"))
        await pair.replica.sync()
        assert before - set(await pair.rows("SELECT at, words FROM log")) == {("5", "e")}
        folder = pair.config.state.dir / "replaced"
        saved = {".".join(file.name.split(".")[:3]): file.read_text().splitlines() for file in folder.iterdir()}
        assert {name: rows[1:] for name, rows in saved.items()} == {
            "public.log.deleted": ["5,5,e"],
            "public.users.changed": ["1,ann,31"],
        }
        named = "SELECT entry->'details'->>'file' FROM cdc.audit WHERE entry->>'action' = 'save rows'"
        assert {row[0] for row in await pair.rows(named)} == {str(file) for file in folder.iterdir()}
        assert await pair.differences() == []


@pytest.mark.parametrize("gone", [False, True], ids=["cut", "gone"])
async def test_a_log_that_lost_its_end_while_the_machine_ran_on(tmp_path: Path, database: str, gone: bool) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE, LOG, LINES) as pair:
        pair.app.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        await pair.write("UPDATE users SET age = 33 WHERE id = 3")
        pair.app.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await pair.replica.close()
        await pair.write("UPDATE users SET age = 34 WHERE id = 3")
        cut = 0 if gone else (tmp_path / "app.db-wal").stat().st_size
        await pair.write(*WRITES)
        await pair.replica.close()
        await pair.replica.sync()
        await pair.replica.close()
        pair.app.close()
        os.truncate(tmp_path / "app.db-wal", cut)
        (tmp_path / "app.db-shm").unlink()
        pair.app = application(tmp_path / "app.db")
        assert pair.app.execute("SELECT age FROM users WHERE id = 3").get == (33 if gone else 34)
        await pair.replica.sync()
        assert await pair.differences() == []
        await pair.write("DELETE FROM users")
        assert await pair.differences() == []
        pair.app.close()


@pytest.mark.parametrize(
    "otherwise",
    [
        "SELECT 1",
        f"{BEFORE_BOOT}, inode = '1'",
        f"{BEFORE_BOOT}; UPDATE cdc.sighting SET seen_at = seen_at - interval '11 minutes'",
        f"{BEFORE_BOOT}; DELETE FROM cdc.sighting WHERE seq < (SELECT max(seq) FROM cdc.sighting)",
    ],
    ids=["no_restart_of_the_machine", "another_file", "lost_more_than_a_power_cut_takes", "nothing_in_common"],
)
async def test_an_older_state_that_no_power_cut_left_is_refused(tmp_path: Path, database: str, otherwise: str) -> None:
    async with tail_lost(tmp_path, database) as pair:
        await execute(database, otherwise)
        with pytest.raises(SourceChanged, match="does not hold the entry that was applied last"):
            await pair.replica.sync()
        await resync.request_resync(pair.config)
        await pair.replica.sync()
        assert await pair.differences() == []


# --- tables of ours ---------------------------------------------------------------------------------------------------


LOST = {
    "changelog": ("DROP TABLE _cdc_changelog",),
    "state": ("DROP TABLE _cdc_state",),
    "table": ("DROP TABLE _cdc_table",),
    "mark": ("DROP TABLE _cdc_mark",),
    "all": tuple(f"DROP TABLE {name}" for name in OURS),
    "every_row": tuple(f"DELETE FROM {name}" for name in OURS),
    "row_of_state": ("DELETE FROM _cdc_state",),
    "renamed": ("ALTER TABLE _cdc_changelog RENAME TO old_log",),
    "typed": (
        "DROP TABLE _cdc_changelog",
        "CREATE TABLE _cdc_changelog(seq INTEGER PRIMARY KEY, tid INTEGER NOT NULL, op TEXT, at REAL, k1 INTEGER)",
    ),
}


@running_or_not
@pytest.mark.parametrize("lost", LOST)
async def test_tables_of_ours_that_are_gone(tmp_path: Path, database: str, running: bool, lost: str) -> None:
    async with followed(tmp_path, database, running) as pair:
        before = await position(database)
        source = await value(database, "SELECT source_id FROM cdc.stream")
        pair.app.execute(WRITES[1])
        for sql in LOST[lost]:
            pair.app.execute(sql)
        if lost == "row_of_state":  # no write fails by that: it is found with the next heartbeat
            await pair.replica.close()
        await pair.replica.sync()
        assert await pair.differences() == []
        assert await value(database, "SELECT source_id FROM cdc.stream") == source
        assert pair.app.execute("SELECT source_id FROM _cdc_state").get == source
        assert await position(database) > before


async def test_a_table_of_others_in_the_changelogs_place_lets_the_application_write(
    tmp_path: Path, database: str
) -> None:
    async with followed(tmp_path, database) as pair:
        pair.app.execute("DROP TABLE _cdc_changelog; CREATE TABLE _cdc_changelog(id INTEGER PRIMARY KEY, what TEXT)")
        with pytest.raises(apsw.SQLError):
            pair.app.execute(WRITES[0])
        with pytest.raises(SourceError, match="is not the table that this tool makes") as refused:
            await pair.replica.sync()
        assert "rename it" in refused.value.remedy
        assert await writes(pair.app, WRITES[0])
        pair.app.execute("ALTER TABLE _cdc_changelog RENAME TO app_log")


async def test_a_schema_push_beside_the_running_daemon(tmp_path: Path, database: str) -> None:
    async with followed(tmp_path, database) as pair:
        with Daemon(pair.config) as daemon:
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            for name in OURS:
                pair.app.execute(f"DROP TABLE {name}")

            await wait_for(lambda: writes(pair.app, WRITES[1]), "the application to write again", daemon=daemon)
            await wait_for(lambda: deleted(database), "what was written to be applied", daemon=daemon)
            assert daemon.terminate() == 0


async def test_the_application_writes_again_also_while_postgres_is_away(tmp_path: Path, database: str) -> None:
    async with followed(tmp_path, database) as pair:
        away = Config(pair.config.source, TargetSection(CLOSED_PORT), pair.config.state)
        pair.app.execute(
            "DROP TABLE _cdc_changelog; DROP TABLE _cdc_state; DROP TABLE _cdc_table; DROP TABLE _cdc_mark"
        )
        with Daemon(away) as daemon:
            await wait_for(lambda: writes(pair.app, WRITES[1]), "the application to write again")
            daemon.kill()


async def test_the_application_writes_again_also_while_the_daemon_is_paused(tmp_path: Path, database: str) -> None:
    async with followed(tmp_path, database) as pair:
        with Daemon(pair.config) as daemon:
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            pause_note.hold(pair.config, released=False)

            async def is_paused() -> bool:
                return "paused" in daemon.words()

            await wait_for(is_paused, "the pause", daemon=daemon)
            pair.app.execute("DROP TABLE _cdc_changelog")
            await wait_for(lambda: writes(pair.app, WRITES[1]), "the application to write again", daemon=daemon)
            assert daemon.terminate() == 0
        pause_note.let_go(pair.config)


async def test_status_says_that_writes_fail_and_its_remedies_help(tmp_path: Path, database: str) -> None:
    async with followed(tmp_path, database) as pair:
        pair.app.execute("DROP TABLE _cdc_changelog")
        told = await picture(pair.config)
        assert told.critical[0].what.startswith("the application's writes fail")
        assert told.exit_code == 2
        assert "`cdc run`" in told.next_step
        assert "`cdc cleanup --capture-only`" in told.next_step
        await drain(pair.config)
        told = await picture(pair.config)
        assert not told.critical
        pair.app.execute("DROP TABLE _cdc_changelog")
        assert source_file.remove_capture(pair.config)
        assert await writes(pair.app, WRITES[0])
        told = await picture(pair.config)
        assert "`cdc load --resync`" in told.next_step
        await resync.request_resync(pair.config)


async def picture(config: Config) -> Status:
    async with reached(config) as target:
        return await gather(config, target)


async def writes(app: apsw.Connection, sql: str) -> bool:
    """Whether the application can write; its connection learns of a changed schema by reading."""
    try:
        app.execute("SELECT count(*) FROM users").fetchall()
        app.execute(sql)
    except apsw.SQLError:
        return False
    return True


async def deleted(dsn: str) -> bool:
    return bool(await value(dsn, "SELECT count(*) = 0 FROM users WHERE id = 2"))


async def position(dsn: str) -> int:
    return int(await value(dsn, "SELECT seq FROM cdc.stream"))
