"""What the application drops or renames while it is followed stays in Postgres, and nothing else stops for it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw
import msgspec
import pytest
from batch_accounting import trail_breaks
from harness import Daemon, execute, value, wait_for, wait_until_caught_up
from replicated_pair import Pair, replicated

from cdc.config import ColumnOptions, TableOptions
from cdc.errors import AlreadyRunning
from cdc.evolve import drop_leftovers
from cdc.facts.progress import Silent
from cdc.first_copy import create_schema
from cdc.verify.run import verify

FAMILY = (
    "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, mail TEXT UNIQUE)",
    "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, t TEXT)",
    "CREATE INDEX notes_by_t ON notes(t)",
    "INSERT INTO users VALUES (1, 'ann', 'a@x'), (2, 'bob', 'b@x'), (3, 'cy', NULL)",
    "INSERT INTO notes VALUES (1, 1, 'x'), (2, 1, 'y'), (3, 3, 'z')",
)
PENDING = "SELECT source_table, target, column_name FROM cdc.pending ORDER BY target, column_name"
CONSTRAINTS = (
    "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u', 'x') ORDER BY 1, 2"
)
NOT_NULL = (
    "SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
    "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND attnotnull ORDER BY 1"
)

each_or_all = pytest.mark.parametrize("each", [True, False], ids=["step by step", "at once"])


async def migrate(pair: Pair, each: bool, *statements: str) -> None:
    """The application changes its schema, and is seen after each statement or only when all are done."""
    for sql in statements:
        pair.app.execute(sql)
        if each:
            await pair.replica.sync()
    await pair.replica.sync()


async def constraints(pair: Pair) -> list[str]:
    return [f"{table}: {definition}" for table, definition in await pair.rows(CONSTRAINTS)]


async def expect_followed(pair: Pair, *statements: str) -> None:
    """Equal, verified by the product too, and after further writes and a new session as well."""
    assert await pair.differences() == []
    for sql in statements:
        await pair.write(sql)
    assert await pair.differences() == []
    report = await verify(pair.config, None, False, Silent())
    assert report.result == "equal"
    await pair.replica.close()
    await pair.replica.sync()
    assert await pair.differences() == []


# --- columns ----------------------------------------------------------------------------------------------------------


@each_or_all
async def test_a_renamed_column_is_a_new_one_and_the_old_one_stays(tmp_path: Path, database: str, each: bool) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        rename = ("ALTER TABLE users RENAME COLUMN name TO label", "ALTER TABLE notes RENAME COLUMN owner TO user_id")
        await migrate(pair, each, *rename)
        await expect_followed(pair, "INSERT INTO users VALUES (4, 'di', 'd@x')", "INSERT INTO notes VALUES (4, 4, 'n')")
        assert await pair.rows("SELECT id, name, label FROM users ORDER BY id") == [
            *[(1, "ann", "ann"), (2, "bob", "bob"), (3, "cy", "cy"), (4, None, "di")]
        ]
        assert await pair.rows(PENDING) == [("notes", "notes", "owner"), ("users", "users", "name")]
        own = "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE DEFERRABLE"
        assert [c for c in await constraints(pair) if "FOREIGN" in c] == [f"notes: {own}"]
        assert ("users.label",) in await pair.rows(NOT_NULL)
        assert ("users.name",) not in await pair.rows(NOT_NULL)
        assert await pair.held() == {}


async def test_constraints_over_a_column_that_is_gone_refuse_nobody(tmp_path: Path, database: str) -> None:
    made = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a CHECK (a <> 'no'), b TEXT NOT NULL CHECK (b <> ''), UNIQUE(a, b))",
        "CREATE UNIQUE INDEX folded ON t(lower(b))",
        "CREATE TABLE child(id INTEGER PRIMARY KEY, b TEXT REFERENCES p(b))",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, b TEXT UNIQUE)",
        "INSERT INTO t VALUES (1, 'x', 'y'), (2, 'x', 'z')",
        "INSERT INTO p VALUES (1, 'q')",
        "INSERT INTO child VALUES (1, 'q')",
    )
    async with replicated(tmp_path, database, *made) as pair:
        before = await constraints(pair)
        assert len(before) == 6
        await execute(database, "ALTER TABLE t ADD CONSTRAINT given CHECK (b IS NOT NULL)")
        for table, columns, rest in (
            ("t", "id INTEGER PRIMARY KEY, a TEXT", "id, a"),
            ("p", "id INTEGER PRIMARY KEY", "id"),
        ):
            with pair.app:
                pair.app.execute(f"CREATE TABLE {table}_new({columns})")
                pair.app.execute(f"INSERT INTO {table}_new SELECT {rest} FROM {table}")
                pair.app.execute(f"DROP TABLE {table}")
                pair.app.execute(f"ALTER TABLE {table}_new RENAME TO {table}")
        pair.app.execute("INSERT INTO t VALUES (3, 'x'), (4, 'x')")
        pair.app.execute("INSERT INTO p VALUES (2)")
        await pair.replica.sync()
        await expect_followed(pair, "INSERT INTO child VALUES (2, 'nobody')", "DELETE FROM p WHERE id = 1")
        assert await pair.held() == {}
        assert await pair.rows("SELECT b FROM t ORDER BY id") == [("y",), ("z",), (None,), (None,)]
        dropped = [row[0] for row in await pair.rows("SELECT unnest(dropped) FROM cdc.pending ORDER BY 1")]
        assert [words.partition(":")[0] for words in dropped] == [
            *["NOT NULL of t.b", "child_b_fkey of child", "folded of t", "given of t", "p_b_key of p"],
            *["t_a_b_key of t", "t_b_check of t"],
        ]
        assert await constraints(pair) == [], "the CHECK of a is gone from SQLite, and so it is here"


@each_or_all
async def test_a_column_that_comes_back_is_fed_again(tmp_path: Path, database: str, each: bool) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        before = await constraints(pair), await pair.rows(NOT_NULL)
        await migrate(pair, True, "ALTER TABLE notes RENAME COLUMN owner TO o", "INSERT INTO notes VALUES (4, 2, 'w')")
        assert await pair.rows(PENDING) == [("notes", "notes", "owner")]
        await migrate(pair, each, "ALTER TABLE notes RENAME COLUMN o TO owner", "UPDATE notes SET t = 'v' WHERE id = 3")
        assert await pair.rows("SELECT id, owner, o FROM notes ORDER BY id") == [
            *[(1, 1, 1), (2, 1, 1), (3, 3, 3), (4, 2, 2)]
        ]
        assert await pair.rows(PENDING) == [("notes", "notes", "o")]
        assert (await constraints(pair), await pair.rows(NOT_NULL)) == before
        await expect_followed(pair, "INSERT INTO notes VALUES (5, 2, 'u')", "DELETE FROM users WHERE id = 2")


async def test_a_column_comes_back_as_the_type_it_had(tmp_path: Path, database: str) -> None:
    """What the data decided once is not decided anew without the data."""
    made = ("CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME, v)", "INSERT INTO t VALUES (1, 1700000000, 5)")
    async with replicated(tmp_path, database, *made) as pair:
        await migrate(pair, True, "ALTER TABLE t RENAME COLUMN at TO a", "ALTER TABLE t DROP COLUMN v")
        await migrate(pair, True, "ALTER TABLE t RENAME COLUMN a TO at", "ALTER TABLE t ADD COLUMN v")
        await expect_followed(pair, "INSERT INTO t(id, at, v) VALUES (2, 1700000001, 6)")
        assert await pair.rows("SELECT id, at, v FROM t ORDER BY id") == [(1, 1700000000, None), (2, 1700000001, 6)]


async def test_a_column_the_operator_drops_in_postgres_waits_no_longer(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, False, "ALTER TABLE notes DROP COLUMN owner")
        await execute(database, "ALTER TABLE notes DROP COLUMN owner")
        await expect_followed(pair, "INSERT INTO notes VALUES (4, 'w')")
        assert await pair.rows(PENDING) == []


# --- tables -----------------------------------------------------------------------------------------------------------


@each_or_all
async def test_a_renamed_table_is_a_new_one_with_its_family(tmp_path: Path, database: str, each: bool) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        rename = ("ALTER TABLE users RENAME TO people", "ALTER TABLE notes RENAME TO lines")
        await migrate(
            pair, each, *rename, "INSERT INTO people VALUES (4, 'di', 'd@x')", "INSERT INTO lines VALUES (9, 4, 'n')"
        )
        assert await pair.rows(PENDING) == [("notes", "notes", None), ("users", "users", None)]
        assert await pair.rows("SELECT count(*) FROM notes") == [(3,)]
        own = "FOREIGN KEY (owner) REFERENCES people(id) ON DELETE CASCADE DEFERRABLE"
        assert [c for c in await constraints(pair) if "FOREIGN" in c] == [f"lines: {own}"]
        assert await value(database, "SELECT tablename FROM pg_indexes WHERE indexname = 'notes_by_t'") == "lines"
        await expect_followed(pair, "DELETE FROM people WHERE id = 1", "REPLACE INTO people VALUES (5, 'e', 'b@x')")


@each_or_all
async def test_a_dropped_child_does_not_keep_its_parents(tmp_path: Path, database: str, each: bool) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, each, "DROP TABLE notes", "DELETE FROM users")
        assert await pair.rows("SELECT count(*) FROM users") == [(0,)]
        assert await pair.rows("SELECT count(*) FROM notes") == [(3,)]
        await expect_followed(pair, "INSERT INTO users VALUES (7, 'g', NULL)")


async def test_a_dropped_parent_makes_no_orphans_and_leaves_none_in_quarantine(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY, "INSERT INTO users VALUES (9, x'00', 'blob')") as pair:
        assert await pair.held() == {"users 9": "value"}
        await migrate(pair, False, "DROP TABLE users", "INSERT INTO notes VALUES (4, 77, 'w')")
        assert await pair.held() == {}
        await expect_followed(pair, "INSERT INTO notes VALUES (5, 78, 'u')")


@each_or_all
async def test_a_table_that_comes_back_is_fed_again(tmp_path: Path, database: str, each: bool) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        before = await constraints(pair)
        await migrate(pair, True, "DROP TABLE notes", "DROP TABLE users")
        assert len(await pair.rows(PENDING)) == 2
        await migrate(
            pair, each, *FAMILY[:3], "INSERT INTO users VALUES (5, 'e', 'e@x')", "INSERT INTO notes VALUES (5, 5, 'n')"
        )
        assert await pair.rows(PENDING) == []
        assert await pair.rows("SELECT id FROM users") == [(5,)]
        assert await constraints(pair) == before
        await expect_followed(pair, "DELETE FROM users")


async def test_a_table_that_comes_back_may_lack_columns_and_have_others(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, True, "DROP TABLE notes")
        again = "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER, size REAL)"
        await migrate(pair, True, again, "INSERT INTO notes VALUES (8, 1, 1.5)")
        assert await pair.rows(PENDING) == [("notes", "notes", "t")]
        await expect_followed(pair, "INSERT INTO notes VALUES (9, NULL, 2.5)")


async def test_a_configuration_may_still_name_what_is_gone(tmp_path: Path, database: str) -> None:
    named = {
        "users": TableOptions(columns={"mail": ColumnOptions(target="address")}),
        "notes": TableOptions(target="lines"),
    }
    async with replicated(tmp_path, database, *FAMILY, tables=named) as pair:
        await migrate(pair, True, "DROP TABLE notes")
        pair.app.execute("CREATE TABLE u2(id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        pair.app.execute("INSERT INTO u2 SELECT id, name FROM users")
        await migrate(pair, True, "DROP TABLE users", "ALTER TABLE u2 RENAME TO users")
        assert await pair.rows("SELECT id, address FROM users ORDER BY id") == [(1, "a@x"), (2, "b@x"), (3, None)]
        assert ("notes", "lines", None) in await pair.rows(PENDING)


# --- rebuilt ----------------------------------------------------------------------------------------------------------

DJANGO = (
    'CREATE TABLE "new__users"("id" INTEGER PRIMARY KEY, "name" TEXT NOT NULL, "phone" TEXT NULL)',
    'INSERT INTO "new__users"("id", "name") SELECT "id", "name" FROM "users"',
    'DROP TABLE "users"',
    'ALTER TABLE "new__users" RENAME TO "users"',
    'CREATE UNIQUE INDEX "users_phone" ON "users"("phone")',
)
TAIL = "PRIMARY KEY (id), CONSTRAINT fk_owner FOREIGN KEY(owner) REFERENCES users(id) ON DELETE CASCADE)"
ALEMBIC = (
    "CREATE TABLE _alembic_tmp_notes(id INTEGER NOT NULL, owner INTEGER NOT NULL, t VARCHAR(50) DEFAULT 'none', "
    + TAIL,
    "INSERT INTO _alembic_tmp_notes(id, owner, t) SELECT notes.id, notes.owner, notes.t FROM notes",
    "DROP TABLE notes",
    "ALTER TABLE _alembic_tmp_notes RENAME TO notes",
    "CREATE INDEX notes_by_t ON notes(t)",
)


@pytest.mark.parametrize("seen", ["in one transaction", "step by step", "at once"])
@pytest.mark.parametrize("rebuild", [DJANGO, ALEMBIC], ids=["django", "alembic"])
async def test_a_table_is_rebuilt_as_frameworks_do(
    tmp_path: Path, database: str, rebuild: Sequence[str], seen: str
) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        before = {c for c in await constraints(pair) if "mail" not in c}
        if seen == "in one transaction":
            await pair.write(*rebuild)
        else:
            await migrate(pair, seen == "step by step", *rebuild)
        kept = {c for c in await constraints(pair) if "phone" not in c and "_" not in c.partition(":")[0]}
        assert kept - {"users: UNIQUE (mail) DEFERRABLE"} == before
        table = {("users", "users", "mail")} if rebuild is DJANGO else set()
        temporary = set(await pair.rows(PENDING)) - table
        assert all(row[2] is None and row[0] in {"new__users", "_alembic_tmp_notes"} for row in temporary)
        assert not temporary or seen == "step by step"
        assert table <= set(await pair.rows(PENDING))
        await expect_followed(
            pair,
            "INSERT INTO users(id, name) VALUES (4, 'di')",
            "INSERT INTO notes(id, owner) VALUES (9, 4)",
            "DELETE FROM users WHERE id = 2",
        )
        assert await pair.held() == {}


@pytest.mark.parametrize(
    ("strict", "loose", "row"),
    [
        ("v TEXT NOT NULL", "v TEXT", "NULL"),
        ("v TEXT UNIQUE", "v TEXT", "1"),
        ("v INTEGER REFERENCES users", "v INTEGER", "77"),
    ],
    ids=["not null", "unique", "foreign key"],
)
async def test_what_a_rebuilt_table_asks_no_longer_refuses_nobody(
    tmp_path: Path, database: str, strict: str, loose: str, row: str
) -> None:
    made = (*FAMILY, f"CREATE TABLE t(id INTEGER PRIMARY KEY, {strict})", "INSERT INTO t VALUES (1, '1')")
    async with replicated(tmp_path, database, *made) as pair:
        before = await constraints(pair)
        own = "ALTER TABLE users ADD CONSTRAINT own CHECK (id > 0), ADD UNIQUE (mail, id)"
        await execute(database, f"{own}; CREATE UNIQUE INDEX own_too ON notes(t)")
        await pair.write(
            f"CREATE TABLE t_new(id INTEGER PRIMARY KEY, {loose})",
            "INSERT INTO t_new SELECT * FROM t",
            "DROP TABLE t",
            "ALTER TABLE t_new RENAME TO t",
            f"INSERT INTO t VALUES (2, {row})",
        )
        assert await pair.held() == {}
        after = await constraints(pair)
        assert [c for c in after if c in before] == [c for c in before if not c.startswith("t:")]
        assert len([c for c in after if c not in before]) == 2, "what the operator added stays"
        assert await value(database, "SELECT to_regclass('own_too') IS NOT NULL")
        await expect_followed(pair, f"INSERT INTO t VALUES (3, {row})")


@pytest.mark.parametrize("gone", ["ALTER TABLE t DROP COLUMN v", "ALTER TABLE t RENAME COLUMN v TO w"])
async def test_rows_that_a_column_kept_out_come_in_when_it_goes(tmp_path: Path, database: str, gone: str) -> None:
    made = "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO t VALUES (1, 1), (2, 'two')"
    async with replicated(tmp_path, database, *made) as pair:
        assert await pair.held() == {"t 2": "value"}
        await migrate(pair, False, gone)
        assert await pair.held() == ({} if "DROP" in gone else {"t 2": "value"})
        await expect_followed(pair)


async def test_children_that_waited_for_a_dropped_parent_come_in(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY, "INSERT INTO notes VALUES (4, 77, 'w')") as pair:
        assert await pair.held() == {"notes 4": "orphan"}
        await migrate(pair, False, "DROP TABLE users")
        assert await pair.held() == {}
        await expect_followed(pair)


async def test_a_running_daemon_follows_every_kind_of_change_while_the_application_writes(
    tmp_path: Path, database: str
) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            changes = [
                "ALTER TABLE notes RENAME COLUMN t TO words",
                "ALTER TABLE notes ADD COLUMN extra TEXT NOT NULL DEFAULT 'e'",
                *DJANGO,
                "CREATE TABLE more(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES users(id), v)",
                "ALTER TABLE more RENAME TO most",
                "ALTER TABLE notes DROP COLUMN extra",
                "DROP TABLE most",
                "ALTER TABLE notes RENAME TO lines",
                "ALTER TABLE users DROP COLUMN name",
                "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER, t TEXT)",
            ]
            for number, sql in enumerate(changes):
                pair.app.execute(sql)
                for table in ("notes", "lines"):
                    with suppress(apsw.SQLError):
                        pair.app.execute(f"INSERT INTO {table}(id, owner) VALUES ({100 + number}, 1)")
                        pair.app.execute(f"UPDATE {table} SET owner = 2 WHERE id % 3 = {number % 3}")
                if number % 3 == 0:
                    await wait_until_caught_up(pair.config, database, daemon=daemon)

            async def settled() -> bool:
                return await value(database, SETTLED) and await pair.differences() == []

            await wait_for(settled, "both to be equal", daemon=daemon)
            pair.app.execute("INSERT INTO notes VALUES (500, 1, 'after')")
            pair.app.execute("DELETE FROM lines WHERE id > 2")
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            assert await pair.differences() == []
            assert daemon.terminate() == 0
        assert await trail_breaks(pair.config, database) == []


SETTLED = "SELECT to_regclass('lines') IS NOT NULL AND resync = '{}' AND NOT unfinished FROM cdc.stream"

# --- another key ------------------------------------------------------------------------------------------------------


REKEYED = (
    "CREATE TABLE notes_new(owner INTEGER, t TEXT, code TEXT NOT NULL PRIMARY KEY)",
    "INSERT INTO notes_new SELECT owner, t, 'n' || id FROM notes",
    "DROP TABLE notes",
    "ALTER TABLE notes_new RENAME TO notes",
)


@pytest.mark.parametrize(
    "change", [REKEYED, ("ALTER TABLE notes RENAME COLUMN id TO number",)], ids=["rebuilt", "renamed"]
)
async def test_a_table_with_another_key_waits_for_the_operator_and_the_rest_goes_on(
    tmp_path: Path, database: str, change: Sequence[str]
) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await pair.write(*change, "UPDATE users SET name = 'z' WHERE id = 1")
        await pair.write("INSERT INTO users VALUES (9, 'i', 'i@x')", "UPDATE notes SET t = 'unseen'")
        assert await pair.rows("SELECT name FROM users WHERE id IN (1, 9) ORDER BY id") == [("z",), ("i",)]
        assert await pair.rows("SELECT id, t FROM notes ORDER BY id") == [(1, "x"), (2, "y"), (3, "z")], "as it was"
        assert [row[1:] for row in await pair.rows(PENDING)] == [("notes", None)]
        report = await verify(pair.config, None, False, Silent())
        assert [(t.table, bool(t.problem)) for t in report.tables] == [("notes", True), ("users", False)]
        assert await create_schema.create_schema(pair.config) == [], "nothing is made in the place of the copy"
        await pair.replica.close()
        await pair.replica.sync()
        await pair.replica.close()
        assert [str(d.what) for d in await drop_leftovers.drop(pair.config)] == ["notes"]
        await pair.replica.sync()
        assert await pair.rows("SELECT DISTINCT t FROM notes") == [("unseen",)]
        assert await constraints(pair)
        await expect_followed(
            pair, "INSERT INTO notes SELECT * FROM notes WHERE 0", "DELETE FROM notes WHERE owner = 2"
        )
        assert await pair.rows(PENDING) == []


async def test_a_table_that_gets_its_key_back_is_taken_up_again(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await pair.write("ALTER TABLE notes RENAME COLUMN id TO number", "DELETE FROM notes WHERE number = 1")
        assert await pair.rows("SELECT count(*) FROM notes") == [(3,)]
        await pair.write("ALTER TABLE notes RENAME COLUMN number TO id", "INSERT INTO notes VALUES (7, 1, 'again')")
        assert await pair.rows("SELECT id FROM notes ORDER BY id") == [(2,), (3,), (7,)]
        assert await pair.rows(PENDING) == []
        await expect_followed(pair, "UPDATE notes SET t = 'x'")


async def test_a_renamed_key_is_followed_under_its_old_name(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await pair.replica.close()
        pair.app.execute("ALTER TABLE notes RENAME COLUMN id TO number")
        pair.app.execute("INSERT INTO notes VALUES (4, 2, 'w')")
        named = {"notes": TableOptions(columns={"number": ColumnOptions(target="id")})}
        pair.replica._config = msgspec.structs.replace(pair.config, tables=named)
        await pair.replica.sync()
        assert await pair.rows("SELECT id FROM notes ORDER BY id") == [(1,), (2,), (3,), (4,)]
        await pair.write("DELETE FROM notes WHERE number = 1")
        assert await pair.rows("SELECT id FROM notes ORDER BY id") == [(2,), (3,), (4,)]


# --- dropped when the operator says so --------------------------------------------------------------------------------


LEAVE = ("ALTER TABLE users DROP COLUMN name", "DROP TABLE notes")


async def test_what_is_left_over_is_saved_and_dropped(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, True, *LEAVE)
        await pair.replica.close()
        assert await drop_leftovers.render(pair.config) == (
            'DROP TABLE "public"."notes";\nALTER TABLE "public"."users" DROP COLUMN "name";\n'
        )
        assert len(await pair.rows(PENDING)) == 2
        dropped = await drop_leftovers.drop(pair.config)
        assert [(d.what, d.rows) for d in dropped] == [("notes", 3), ("users.name", 3)]
        assert dropped[0].file.read_text() == "id,owner,t\n1,1,x\n2,1,y\n3,3,z\n"
        assert dropped[1].file.read_text() == "id,name\n1,ann\n2,bob\n3,cy\n"
        assert await pair.rows(PENDING) == []
        assert await value(database, "SELECT to_regclass('notes')") is None
        await expect_followed(pair, "INSERT INTO users(id) VALUES (4)")
        await pair.replica.close()
        assert await drop_leftovers.drop(pair.config) == []
        assert await trail_breaks(pair.config, database) == []


async def test_a_column_of_a_table_that_is_gone_goes_with_it(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, True, "DROP INDEX notes_by_t", "ALTER TABLE notes DROP COLUMN t", "DROP TABLE notes")
        assert len(await pair.rows(PENDING)) == 2
        await pair.replica.close()
        assert [d.what for d in await drop_leftovers.drop(pair.config)] == ["notes"]
        assert await pair.rows(PENDING) == []


async def test_what_sqlite_has_again_is_not_dropped(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, True, *LEAVE)
        await pair.replica.close()
        pair.app.execute("ALTER TABLE users ADD COLUMN name TEXT")
        pair.app.execute("UPDATE users SET name = 'new' WHERE id = 1")
        assert [d.what for d in await drop_leftovers.drop(pair.config)] == ["notes"]
        await pair.replica.sync()
        assert await pair.rows(PENDING) == []
        assert await pair.rows("SELECT name FROM users ORDER BY id") == [("new",), (None,), (None,)]


async def test_nothing_is_dropped_while_a_daemon_is_at_work(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:
        await migrate(pair, True, *LEAVE)
        with pytest.raises(AlreadyRunning, match="another daemon") as refused:
            await drop_leftovers.drop(pair.config)
        assert "cdc pause" in refused.value.remedy


# --- cdc schema -------------------------------------------------------------------------------------------------------

CATALOGUE = (
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(adbin, adrelid) "
    "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
    "WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum"
)


async def test_the_schema_command_adds_what_the_source_gained_and_nothing_twice(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *FAMILY) as pair:

        async def catalogue() -> tuple[list[tuple[object, ...]], list[str]]:
            return await pair.rows(CATALOGUE), await constraints(pair)

        before = await catalogue()
        assert await create_schema.create_schema(pair.config) == []
        assert await catalogue() == before
        await pair.replica.close()
        pair.app.execute("ALTER TABLE users ADD COLUMN size INTEGER NOT NULL DEFAULT 5")
        pair.app.execute("CREATE INDEX by_size ON users(size)")
        assert await create_schema.create_schema(pair.config) == ["column size", "index by_size"]
        after = await catalogue()
        gained = [row for row in after[0] if row not in before[0]]
        assert gained == [("by_size", "size", "bigint", False, None), ("users", "size", "bigint", True, "5")]
        assert after[1] == before[1]
        assert await create_schema.create_schema(pair.config) == []
        assert await catalogue() == after
        await pair.replica.sync()
        assert await pair.rows("SELECT size FROM users") == [(5,), (5,), (5,)]
        await expect_followed(pair, "UPDATE users SET size = 6 WHERE id = 1")
