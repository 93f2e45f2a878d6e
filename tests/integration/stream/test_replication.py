"""What an application does to its rows arrives in Postgres as it is, whatever stands between the two states."""

from pathlib import Path

import asyncpg
import msgspec
import pytest
from harness import Daemon, application, drain, execute, fetch, value, wait_for, wait_until_caught_up
from replicated_pair import replicated

from cdc.config import Config
from cdc.errors import AlreadyRunning

USERS = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER)"
PEOPLE = "INSERT INTO users VALUES (1, 'ann', 30), (2, 'bob', 40), (3, 'cy', 50)"
PARENTS = "CREATE TABLE parents(id INTEGER PRIMARY KEY, name TEXT)"
CHILDREN = (
    "CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents(id) ON DELETE CASCADE, name TEXT)"
)
GRANDCHILDREN = (
    "CREATE TABLE grandchildren(id INTEGER PRIMARY KEY, child INTEGER REFERENCES children(id) ON DELETE CASCADE)"
)


# --- single tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wal", [True, False])
async def test_inserts_updates_and_deletes_arrive(tmp_path: Path, any_database: str, wal: bool) -> None:
    async with replicated(tmp_path, any_database, USERS, PEOPLE, wal=wal) as pair:
        await pair.write("INSERT INTO users VALUES (4, 'di', 60)")
        await pair.write("UPDATE users SET age = age + 1 WHERE id > 1")
        await pair.write("DELETE FROM users WHERE id = 1")
        assert await pair.rows("SELECT * FROM users ORDER BY id") == [(2, "bob", 41), (3, "cy", 51), (4, "di", 61)]
        assert await pair.differences() == []


async def test_a_row_deleted_and_inserted_again_in_one_batch_is_there_as_it_is_now(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, USERS, PEOPLE) as pair:
        await pair.write("DELETE FROM users WHERE id = 1", "INSERT INTO users VALUES (1, 'eve', 1)")
        assert await pair.rows("SELECT name FROM users WHERE id = 1") == [("eve",)]
        assert await pair.differences() == []


async def test_replace_takes_away_every_row_that_was_in_its_way(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT UNIQUE)",
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')",
    ) as pair:
        await pair.write("REPLACE INTO t VALUES (1, 'b', 'z')")
        assert await pair.rows("SELECT * FROM t") == [(1, "b", "z")]
        assert await pair.differences() == []


async def test_unique_values_change_owners_in_one_transaction(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, USERS, PEOPLE) as pair:
        await pair.write(
            "UPDATE users SET name = 'tmp' WHERE id = 1",
            "UPDATE users SET name = 'ann' WHERE id = 2",
            "UPDATE users SET name = 'bob' WHERE id = 3",
            "UPDATE users SET name = 'cy' WHERE id = 1",
        )
        assert await pair.rows("SELECT name FROM users ORDER BY id") == [("cy",), ("ann",), ("bob",)]
        assert await pair.differences() == []


async def test_unique_values_change_owners_where_the_targets_constraint_cannot_wait(
    tmp_path: Path, any_database: str
) -> None:
    """An adopted table: the values are parked inside the transaction, and children keep their parents."""
    adopted = """
        CREATE TABLE users(id bigint PRIMARY KEY, name text COLLATE "C" UNIQUE, age bigint);
        COMMENT ON TABLE users IS 'cdc: replica of users';
    """
    notes = (
        "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES users(id) ON DELETE CASCADE, name TEXT)"
    )
    kept = "INSERT INTO notes VALUES (10, 1, 'of ann'), (20, 2, 'of bob')"
    async with replicated(tmp_path, any_database, USERS, PEOPLE, notes, kept, prepared=adopted) as pair:
        await execute(any_database, "ALTER TABLE notes ALTER CONSTRAINT notes_owner_fkey NOT DEFERRABLE")
        before = await pair.rows("SELECT id, xmin::text FROM notes ORDER BY id")
        await pair.write(
            "UPDATE users SET name = 'tmp' WHERE id = 1",
            "UPDATE users SET name = 'ann' WHERE id = 2",
            "UPDATE users SET name = 'bob' WHERE id = 1",
        )
        assert await pair.rows("SELECT name FROM users ORDER BY id") == [("bob",), ("ann",), ("cy",)]
        assert await pair.rows("SELECT id, xmin::text FROM notes ORDER BY id") == before
        await pair.write("DELETE FROM users WHERE id = 3", "UPDATE users SET name = 'cy' WHERE id = 1")
        assert await pair.differences() == []
        assert await pair.held() == {}


async def test_a_changed_key_moves_the_row(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, USERS, PEOPLE) as pair:
        await pair.write("UPDATE users SET id = id + 100")
        assert await pair.rows("SELECT id FROM users ORDER BY id") == [(101,), (102,), (103,)]
        await pair.write("UPDATE users SET id = 205 - id WHERE id < 103 AND id = 101")
        assert await pair.differences() == []


async def test_tables_without_rowid_and_with_composite_keys_follow(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        "CREATE TABLE lines(doc TEXT, line INTEGER, body TEXT, PRIMARY KEY(doc, line)) WITHOUT ROWID",
        "INSERT INTO lines VALUES ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'z')",
    ) as pair:
        await pair.write("DELETE FROM lines WHERE doc = 'a' AND line = 1", "UPDATE lines SET doc = 'c' WHERE doc = 'b'")
        assert await pair.rows("SELECT doc, line, body FROM lines ORDER BY 1, 2") == [("a", 2, "y"), ("c", 1, "z")]
        assert await pair.differences() == []


async def test_tables_without_any_key_follow_by_rowid(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path, any_database, "CREATE TABLE log(at TEXT, words TEXT)", "INSERT INTO log VALUES ('1', 'a'), ('1', 'a')"
    ) as pair:
        await pair.write("INSERT INTO log VALUES ('1', 'a')")
        await pair.write("UPDATE log SET words = 'b' WHERE rowid = 2")
        await pair.write("DELETE FROM log WHERE rowid = 1")
        assert await pair.rows("SELECT words FROM log ORDER BY _cdc_rowid") == [("b",), ("a",)]
        assert await pair.differences() == []


async def test_blobs_and_reals_keep_every_bit(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, "CREATE TABLE t(id BLOB PRIMARY KEY NOT NULL, r REAL)") as pair:
        pair.app.execute("INSERT INTO t VALUES (?, ?), (?, ?)", (bytes(range(256)), 0.1 + 0.2, b"", -5e-324))
        pair.app.execute("INSERT INTO t VALUES (?, 9e999)", (b"\x00",))
        await pair.replica.sync()
        assert await pair.rows("SELECT length(id), r FROM t ORDER BY id") == [
            *[(0, -5e-324), (1, float("inf")), (256, 0.1 + 0.2)]
        ]
        await pair.write("DELETE FROM t WHERE id = x'00'")
        assert await pair.differences() == []


async def test_rows_that_are_as_they_should_be_are_not_rewritten(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, USERS, PEOPLE) as pair:
        before = await pair.rows("SELECT id, xmin::text FROM users ORDER BY id")
        await pair.write("UPDATE users SET name = name, age = age")
        await pair.write("UPDATE users SET age = 99 WHERE id = 3", "UPDATE users SET age = 50 WHERE id = 3")
        assert await pair.rows("SELECT id, xmin::text FROM users ORDER BY id") == before


async def test_a_batch_of_many_rounds_arrives_as_one(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, USERS, round_entries=7) as pair:
        many = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        await pair.write(f"{many}INSERT INTO users SELECT i, 'u' || i, i FROM n")
        await pair.write("UPDATE users SET age = 0 WHERE id % 3 = 0", "DELETE FROM users WHERE id % 5 = 0")
        assert await pair.rows("SELECT count(*), count(DISTINCT xmin::text) FROM users WHERE age > 0") == [(533, 1)]
        assert await pair.differences() == []


# --- families ---------------------------------------------------------------------------------------------------------


async def test_children_that_outlive_their_parent_wait_in_quarantine_until_it_returns(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(
        tmp_path,
        any_database,
        *(PARENTS, CHILDREN, GRANDCHILDREN),
        "INSERT INTO parents VALUES (1, 'p'), (2, 'q')",
        "INSERT INTO children VALUES (10, 1, 'c'), (20, 2, 'd')",
        "INSERT INTO grandchildren VALUES (100, 10), (200, 20)",
    ) as pair:
        await pair.write("DELETE FROM parents WHERE id = 1")
        assert await pair.held() == {"children 10": "orphan", "grandchildren 100": "orphan"}
        assert await pair.rows("SELECT id FROM children") == [(20,)]
        assert await pair.differences() == []
        await pair.write("INSERT INTO parents VALUES (1, 'back')")
        assert await pair.held() == {}
        assert await pair.rows("SELECT id FROM grandchildren ORDER BY id") == [(100,), (200,)]
        assert await pair.differences() == []


async def test_an_orphan_that_is_deleted_leaves_the_quarantine(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, PARENTS, CHILDREN) as pair:
        await pair.write("INSERT INTO children VALUES (1, 7, 'c'), (2, 7, 'd')")
        assert await pair.held() == {"children 1": "orphan", "children 2": "orphan"}
        await pair.write("DELETE FROM children WHERE id = 1")
        await pair.write("UPDATE children SET parent = NULL WHERE id = 2")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_orphans_of_the_first_load_are_released_by_replication(tmp_path: Path, any_database: str) -> None:
    orphans = "INSERT INTO children VALUES (1, 7, 'c'), (2, 8, 'd')"
    async with replicated(tmp_path, any_database, PARENTS, CHILDREN, orphans) as pair:
        assert await pair.held() == {"children 1": "orphan", "children 2": "orphan"}
        await pair.write("INSERT INTO parents VALUES (8, 'late')")
        assert await pair.held() == {"children 1": "orphan"}
        assert await pair.differences() == []


async def test_children_move_to_another_parent_while_their_own_is_deleted(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        *(PARENTS, CHILDREN, GRANDCHILDREN),
        "INSERT INTO parents VALUES (1, 'p')",
        "INSERT INTO children VALUES (10, 1, 'c'), (11, 1, 'd')",
        "INSERT INTO grandchildren VALUES (100, 10), (110, 11)",
    ) as pair:
        await pair.write(
            "INSERT INTO parents VALUES (2, 'q')",
            "UPDATE children SET parent = 2 WHERE id = 10",
            "PRAGMA foreign_keys",
            "DELETE FROM children WHERE id = 11",
            "DELETE FROM grandchildren WHERE child = 11",
            "DELETE FROM parents WHERE id = 1",
        )
        assert await pair.rows("SELECT id, parent FROM children") == [(10, 2)]
        assert await pair.rows("SELECT id FROM grandchildren") == [(100,)]
        assert await pair.differences() == []
        assert await pair.held() == {}


async def test_a_parents_key_changes_with_its_children(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p ON UPDATE CASCADE)",
        "INSERT INTO p VALUES (1), (2)",
        "INSERT INTO c VALUES (10, 1), (20, 2)",
    ) as pair:
        await pair.write("UPDATE p SET id = 101 WHERE id = 1")
        assert await pair.rows("SELECT p FROM c ORDER BY id") == [(101,), (2,)]
        assert await pair.differences() == []


async def test_children_do_not_follow_a_parent_that_they_did_not_follow_in_sqlite(
    tmp_path: Path, any_database: str
) -> None:
    """SQLite did not enforce the foreign key, Postgres does: its ON UPDATE CASCADE must not have the last word."""
    async with replicated(
        tmp_path,
        any_database,
        "PRAGMA foreign_keys = OFF",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE)",
        "CREATE TABLE c(id INTEGER PRIMARY KEY, code TEXT REFERENCES p(code) ON UPDATE CASCADE)",
        "INSERT INTO p VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO c VALUES (10, 'a'), (20, 'b')",
    ) as pair:
        await pair.write("UPDATE p SET code = 'z' WHERE id = 1")
        assert await pair.held() == {"c 10": "orphan"}
        assert await pair.differences() == []
        await pair.write(
            "UPDATE p SET code = 'tmp' WHERE id = 1",
            "UPDATE p SET code = 'a' WHERE id = 2",
            "UPDATE p SET code = 'b' WHERE id = 1",
        )
        assert await pair.held() == {}
        assert await pair.rows("SELECT c.id, p.id FROM c JOIN p USING (code) ORDER BY 1") == [(10, 2), (20, 1)]
        assert await pair.differences() == []


async def test_rows_that_refer_to_their_own_table_follow(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        "CREATE TABLE tree(id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree(id) ON DELETE CASCADE, name TEXT)",
        "INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 2, 'b'), (4, 3, 'c')",
    ) as pair:
        await pair.write("UPDATE tree SET up = 1 WHERE id = 4", "DELETE FROM tree WHERE id IN (2, 3)")
        assert await pair.rows("SELECT id, up FROM tree ORDER BY id") == [(1, None), (4, 1)]
        await pair.write("INSERT INTO tree VALUES (9, 8, 'x'), (8, 7, 'y'), (7, 7, 'its own')")
        assert await pair.differences() == []
        await pair.write("DELETE FROM tree WHERE id = 7")
        assert await pair.held() == {"tree 8": "orphan", "tree 9": "orphan"}
        await pair.write("INSERT INTO tree VALUES (7, 1, 'again')")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_tables_that_refer_to_each_other_follow(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b INTEGER REFERENCES b(id))",
        "CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a(id))",
    ) as pair:
        await pair.write("INSERT INTO a VALUES (1, 1)", "INSERT INTO b VALUES (1, 1)")
        assert await pair.rows("SELECT a.id, b.id FROM a JOIN b ON a.b = b.id AND b.a = a.id") == [(1, 1)]
        await pair.write("INSERT INTO a VALUES (2, 2)")
        await pair.write("INSERT INTO b VALUES (2, 2)")
        assert await pair.held() == {}
        await pair.write("DELETE FROM b WHERE id = 2")
        assert await pair.held() == {"a 2": "orphan"}
        await pair.write("DELETE FROM a", "DELETE FROM b")
        assert await pair.differences() == []


# --- the target's own ways --------------------------------------------------------------------------------------------


async def test_triggers_of_the_target_do_not_bend_rows_and_are_recorded(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, USERS, PEOPLE) as pair:
        await pair.replica.close()
        await execute(
            any_database,
            """
            CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.age := -1; RETURN NEW; END';
            CREATE TRIGGER toucher BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
            """,
        )
        await pair.write("UPDATE users SET age = 31 WHERE id = 1")
        assert await pair.differences() == []
        recorded = await fetch(any_database, "SELECT target_table, trigger_name, enabled FROM cdc.disabled_trigger")
        assert [tuple(row) for row in recorded] == [("users", "toucher", "O")]


# --- the position and the file ----------------------------------------------------------------------------------------


async def test_pruning_keeps_the_newest_entry_and_the_one_at_the_position(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        for age in range(20):
            await pair.write(f"UPDATE users SET age = {age}")
        await pair.replica.close()
    config = pair.config
    with Daemon(_pruning_at_once(config)) as daemon:
        at = "SELECT seq FROM cdc.stream"

        async def pruned() -> bool:
            return bool(_entries(config.source.path)[0] == await value(database, at))

        await wait_for(pruned, "everything below the position to be pruned", daemon=daemon)
        assert daemon.terminate() == 0
    low, high = _entries(config.source.path)
    assert low == high == await value(database, at)
    await drain(config)


async def test_a_second_daemon_is_refused_by_the_name_of_the_first(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS) as pair:
        with pytest.raises(AlreadyRunning, match="cdc daemon"):
            await drain(pair.config)


async def test_the_daemon_follows_another_process(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(USERS)
    async with replicated(tmp_path, database) as pair:
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            for number in range(50):
                app.execute("INSERT INTO users VALUES (?, ?, ?)", (number, f"u{number}", number))
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            assert await value(database, "SELECT count(*) FROM users") == 50
            assert daemon.terminate() == 0


async def test_a_connection_lost_while_applying_is_made_anew_and_nothing_is_forgotten(
    tmp_path: Path, database: str
) -> None:
    """The file is not touched again, so nothing but the daemon's own memory could tell that changes wait in it."""
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            holder = await asyncpg.connect(database)
            async with holder.transaction():
                await holder.execute("LOCK TABLE users")
                pair.app.execute("UPDATE users SET age = 1")

                async def stuck() -> bool:
                    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted"
                    return bool(await holder.fetchval(waiting))

                await wait_for(stuck, "the daemon to wait for the table", daemon=daemon)
                await holder.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted"
                )
            await holder.close()
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            assert await pair.differences() == []
            assert daemon.terminate() == 0


def _entries(path: Path) -> tuple[int, int]:
    connection = application(path)
    try:
        row = connection.execute("SELECT min(seq), max(seq) FROM _cdc_changelog").get
        return int(row[0]), int(row[1])
    finally:
        connection.close()


def _pruning_at_once(config: Config) -> Config:
    replicate = msgspec.structs.replace(
        config.replicate, prune_entries=1, prune_seconds=0.0, heartbeat_seconds=0.05, poll_seconds=0.05
    )
    return msgspec.structs.replace(config, replicate=replicate)


# --- texts that are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [1, 1_000])
async def test_a_key_that_is_no_utf8_is_held_and_nothing_stops_for_it(
    tmp_path: Path, database: str, entries: int
) -> None:
    """SQLite calls text whatever bytes it is told to; such a key stands in the changelog, and in its newest entry."""
    table = "CREATE TABLE t(k TEXT PRIMARY KEY, v) WITHOUT ROWID"
    async with replicated(tmp_path, database, table, "INSERT INTO t VALUES ('a', 1)", round_entries=entries) as pair:
        await pair.write("INSERT INTO t VALUES (CAST(x'61ff' AS TEXT), 1)")
        await pair.write(
            "INSERT INTO t VALUES ('b', 2)",
            "UPDATE t SET v = 3 WHERE k = CAST(x'61ff' AS TEXT)",
            "INSERT INTO t VALUES (CAST(x'c3' AS TEXT), 4)",
        )
        assert await pair.rows("SELECT k FROM t ORDER BY 1") == [("a",), ("b",)]
        assert await value(database, "SELECT count(*) FROM cdc.quarantine") == 2
        await pair.write("DELETE FROM t WHERE k IN (CAST(x'61ff' AS TEXT), CAST(x'c3' AS TEXT))")
        assert await value(database, "SELECT count(*) FROM cdc.quarantine") == 0
        assert await pair.differences() == []
