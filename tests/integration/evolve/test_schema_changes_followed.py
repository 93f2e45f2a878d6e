"""The application's schema moves on, with the daemon running or not: what can be followed is, the rest is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest
from harness import Daemon, value, wait_for, wait_until_caught_up
from replicated_pair import Pair, replicated

USERS = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, age INTEGER)"
PEOPLE = "INSERT INTO users VALUES (1, 'ann', 30), (2, 'bob', 40), (3, 'cy', 50)"
LOG = "CREATE TABLE log(at TEXT, words TEXT)"
LINES = "INSERT INTO log VALUES ('1', 'a'), ('2', 'b'), ('3', 'c'), ('4', 'd')"
REBUILD = (
    "CREATE TABLE users_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER, mail TEXT DEFAULT 'none')",
    "INSERT INTO users_new(id, name, age) SELECT id, name, age FROM users",
    "DROP TABLE users",
    "ALTER TABLE users_new RENAME TO users",
)

PENDING = "SELECT source_table, target, column_name FROM cdc.pending ORDER BY target, column_name"

running_or_not = pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])


@asynccontextmanager
async def followed(folder: Path, dsn: str, running: bool, *statements: str) -> AsyncIterator[Pair]:
    """A pair whose session is open, or was closed as when the daemon is stopped; equal again when the block ends."""
    async with replicated(folder, dsn, *statements) as pair:
        if not running:
            await pair.replica.close()
        yield pair
        await pair.replica.sync()
        assert await pair.differences() == []
        await pair.replica.close()
        await pair.write("SELECT 1")
        assert await pair.differences() == []


@running_or_not
async def test_vacuum_may_renumber_the_rows_of_tables_without_a_key(
    tmp_path: Path, database: str, running: bool
) -> None:
    async with followed(tmp_path, database, running, LOG, LINES, "DELETE FROM log WHERE at = '2'") as pair:
        pair.app.execute("DELETE FROM log WHERE at = '1'")
        pair.app.execute("VACUUM")
        pair.app.execute("INSERT INTO log VALUES ('5', 'e')")
        assert pair.app.execute("SELECT group_concat(rowid) FROM log").get == "1,2,3"


@running_or_not
async def test_a_table_is_built_anew_with_another_column(tmp_path: Path, database: str, running: bool) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        with pair.app:
            for sql in REBUILD:
                pair.app.execute(sql)
        pair.app.execute("INSERT INTO users VALUES (4, 'di', 60, 'di@x')")
        pair.app.execute("DELETE FROM users WHERE id = 1")
        await pair.replica.sync()
        assert await pair.rows("SELECT id, mail FROM users ORDER BY id") == [*[(2, "none"), (3, "none"), (4, "di@x")]]
        await pair.write("UPDATE users SET mail = 'm' WHERE id = 2")


@running_or_not
async def test_a_table_is_built_anew_as_it_was(tmp_path: Path, database: str, running: bool) -> None:
    """Its triggers are gone, its text is not: what was written since is found by comparison."""
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        pair.app.execute("ALTER TABLE users RENAME TO old_users")
        pair.app.execute(USERS)
        pair.app.execute("INSERT INTO users SELECT * FROM old_users WHERE id > 1")
        pair.app.execute("DROP TABLE old_users")
        pair.app.execute("UPDATE users SET age = 41 WHERE id = 2")


@running_or_not
async def test_an_added_column_is_added_and_filled(tmp_path: Path, database: str, running: bool) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        pair.app.execute("UPDATE users SET age = 31 WHERE id = 1")
        pair.app.execute("ALTER TABLE users ADD COLUMN mail TEXT NOT NULL DEFAULT 'none'")
        pair.app.execute("ALTER TABLE users ADD COLUMN score REAL")
        pair.app.execute("UPDATE users SET mail = 'ann@x', score = 0.5 WHERE id = 1")
        await pair.replica.sync()
        assert await pair.rows("SELECT mail, score FROM users ORDER BY id") == [
            *[("ann@x", 0.5), ("none", None), ("none", None)]
        ]
        await pair.write("INSERT INTO users VALUES (9, 'new', 1, 'm', 2.5)")


@running_or_not
async def test_a_new_table_is_made_and_filled(tmp_path: Path, database: str, running: bool) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        pair.app.execute(
            "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES users(id), t TEXT UNIQUE)"
        )
        pair.app.execute("INSERT INTO notes VALUES (1, 1, 'x'), (2, 3, 'y')")
        await pair.replica.sync()
        assert await pair.rows("SELECT count(*) FROM notes") == [(2,)]
        await pair.write("DELETE FROM notes WHERE id = 1", "INSERT INTO notes VALUES (3, 2, 'x')")


@running_or_not
async def test_a_dropped_column_stays_as_it_was_and_is_fed_no_more(
    tmp_path: Path, database: str, running: bool
) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        pair.app.execute("ALTER TABLE users DROP COLUMN age")
        pair.app.execute("UPDATE users SET name = 'anna' WHERE id = 1")
        pair.app.execute("INSERT INTO users VALUES (4, 'di')")
        await pair.replica.sync()
        assert await pair.rows("SELECT id, age FROM users ORDER BY id") == [(1, 30), (2, 40), (3, 50), (4, None)]
        assert await pair.rows(PENDING) == [("users", "users", "age")]


@running_or_not
async def test_a_dropped_table_stays_as_it_was(tmp_path: Path, database: str, running: bool) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE, LOG, LINES) as pair:
        if not running:
            await pair.replica.close()
        pair.app.execute("DROP TABLE log")
        await pair.write("DELETE FROM users WHERE id = 3")
        assert await pair.rows("SELECT id FROM users ORDER BY id") == [(1,), (2,)]
        assert await pair.rows("SELECT count(*) FROM log") == [(4,)]
        assert await pair.rows(PENDING) == [("log", "log", None)]
        await pair.write("INSERT INTO users VALUES (5, 'ed', 1)")
        assert await pair.rows("SELECT id FROM users ORDER BY id") == [(1,), (2,), (5,)]


@running_or_not
async def test_a_unique_index_made_later_is_looked_up_too(tmp_path: Path, database: str, running: bool) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        pair.app.execute("CREATE UNIQUE INDEX by_name ON users(name)")
        pair.app.execute("REPLACE INTO users VALUES (7, 'bob', 1)")
        await pair.replica.sync()
        assert await pair.differences() == []
        await pair.write("REPLACE INTO users VALUES (8, 'ann', 1)")


@running_or_not
async def test_a_newer_trigger_of_the_application_hides_nothing(tmp_path: Path, database: str, running: bool) -> None:
    """It runs before ours, and its RAISE(IGNORE) would keep ours from running: ours are made again, newest of all."""
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        pair.app.execute("CREATE TRIGGER hider AFTER INSERT ON users BEGIN SELECT RAISE(IGNORE); END")
        pair.app.execute("INSERT INTO users(name) VALUES ('hidden')")
        await pair.replica.sync()
        assert await pair.rows("SELECT count(*) FROM users") == [(4,)]
        await pair.write("INSERT INTO users(name) VALUES ('seen')")


@running_or_not
async def test_a_trigger_of_ours_made_again_with_the_same_text_leaves_no_gap(
    tmp_path: Path, database: str, running: bool
) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE) as pair:
        made = pair.app.execute("SELECT name, sql FROM sqlite_schema WHERE name GLOB '_cdc_*_bd'").get
        pair.app.execute(f"DROP TRIGGER {made[0]}")
        pair.app.execute("DELETE FROM users WHERE id = 2")
        pair.app.execute(str(made[1]))


@running_or_not
async def test_triggers_that_were_dropped_are_made_again(tmp_path: Path, database: str, running: bool) -> None:
    async with followed(tmp_path, database, running, USERS, PEOPLE, LOG, LINES) as pair:
        drop_capture(pair.app)
        pair.app.execute("UPDATE users SET age = 0")
        pair.app.execute("DELETE FROM log WHERE at > '2'")
        await pair.replica.sync()
        assert await pair.differences() == []
        await pair.write("UPDATE users SET age = 1 WHERE id = 3")


async def test_a_daemon_follows_a_migration_made_while_it_runs(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            with pair.app:
                for sql in REBUILD:
                    pair.app.execute(sql)
            pair.app.execute("CREATE TABLE later(id INTEGER PRIMARY KEY, v TEXT)")
            pair.app.execute("INSERT INTO later VALUES (1, 'x')")
            await wait_for_new_table(database, daemon)
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            pair.app.execute("UPDATE users SET mail = 'm' WHERE id = 1")
            pair.app.execute("INSERT INTO later VALUES (2, 'y')")
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            assert await pair.differences() == []
            assert daemon.terminate() == 0


async def wait_for_new_table(dsn: str, daemon: Daemon) -> None:
    async def there() -> bool:
        made = "SELECT to_regclass('later') IS NOT NULL AND resync = '{}' FROM cdc.stream"
        return bool(await value(dsn, made))

    await wait_for(there, "the new table", daemon=daemon)


def drop_capture(application: apsw.Connection) -> None:
    for (name,) in application.execute("SELECT name FROM sqlite_schema WHERE name GLOB '_cdc_*_*'").fetchall():
        application.execute(f'DROP TRIGGER IF EXISTS "{name}"')


LEGACY = ("PRAGMA legacy_alter_table = ON", "ALTER TABLE users RENAME TO people", "PRAGMA legacy_alter_table = OFF")


async def test_a_legacy_rename_breaks_writes_until_the_triggers_are_made_anew(tmp_path: Path, database: str) -> None:
    """The triggers move with the table but go on naming the old one: so SQLite has it under that pragma."""
    async with followed(tmp_path, database, True, USERS, "CREATE UNIQUE INDEX by_name ON users(name)", PEOPLE) as pair:
        for sql in LEGACY:
            pair.app.execute(sql)
        with pytest.raises(apsw.SQLError, match=r"no such table: main\.users"):
            pair.app.execute("INSERT INTO people VALUES (4, 'di', 1)")
        await pair.replica.sync()
        pair.app.execute("SELECT 1 FROM people").fetchall()  # a connection that only writes goes by its old schema
        await pair.write("INSERT INTO people VALUES (4, 'di', 1)", "REPLACE INTO people VALUES (5, 'ann', 2)")
        assert await pair.rows("SELECT id FROM people ORDER BY id") == [(2,), (3,), (4,), (5,)]


async def test_a_column_can_be_dropped_once_the_daemon_saw_that_its_index_is_gone(
    tmp_path: Path, database: str
) -> None:
    async with followed(
        tmp_path, database, True, USERS, "CREATE UNIQUE INDEX by_age ON users(age, name)", PEOPLE
    ) as pair:
        pair.app.execute("DROP INDEX by_age")
        with pytest.raises(apsw.SQLError, match="error in trigger _cdc_1_bi after drop column"):
            pair.app.execute("ALTER TABLE users DROP COLUMN age")
        await pair.replica.sync()
        pair.app.execute("ALTER TABLE users DROP COLUMN age")
        await pair.write("INSERT INTO users VALUES (4, 'ann')")
