"""What others lost or bent on the way from SQLite to Postgres, tried at the load and while the application is followed.

docs/losses.md lists all of them; those that have a test of their own elsewhere are not repeated here.
"""

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

import apsw
import asyncpg
import pytest
from harness import application, execute, fetch, make_config, value
from replicated_pair import Pair, replicated

from cdc.config import ColumnOptions, TableOptions
from cdc.errors import SourceError
from cdc.facts.progress import Silent
from cdc.first_copy.preflight import build_plan
from cdc.first_copy.snapshots import take_snapshot


async def write_live(pair: Pair, table: str, *values: str) -> None:
    """The values that were there before the load are written while the application is followed, too."""
    for row in values:
        await pair.write(f"INSERT INTO {table} VALUES ({row})")


# --- values -----------------------------------------------------------------------------------------------------------


async def test_what_is_no_truth_value_is_never_taken_for_one(tmp_path: Path, any_database: str) -> None:
    """SQLite keeps 't', 'true' and 2 in a BOOLEAN column, and an application may hold all of them to be true."""
    table = "CREATE TABLE flags(id INTEGER PRIMARY KEY, on_ BOOLEAN DEFAULT 1, odd BOOLEAN DEFAULT 't')"
    rows = "INSERT INTO flags VALUES (1, 1, 0), (2, 0, 1), (3, 't', 0), (4, 2, 0), (5, 'true', 0), (6, NULL, NULL)"
    async with replicated(tmp_path, any_database, table, rows) as pair:
        assert await pair.rows("SELECT * FROM flags ORDER BY id") == [
            (1, True, False),
            (2, False, True),
            (6, None, None),
        ]
        assert set(await pair.held()) == {"flags 3", "flags 4", "flags 5"}
        await pair.write("INSERT INTO flags(id) VALUES (7)", "UPDATE flags SET on_ = 1 WHERE id = 3")
        assert set(await pair.held()) == {"flags 4", "flags 5", "flags 7"}  # 7 has got the text 't' from its default
        await execute(any_database, "INSERT INTO flags(id) VALUES (8)")
        assert await pair.rows("SELECT on_, odd FROM flags WHERE id = 8") == [(True, None)]
        told = [str(note) for note in (await build_plan(pair.config)).notes]
        assert any("its default 't' is left out" in words for words in told)


DATES: Final = {
    "ms": ("1627303906122", 1627303906122),
    "seconds": ("1627303906", 1627303906),
    "zero": ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "empty": ("''", ""),
    "us_order": ("'12/31/2024'", "12/31/2024"),
    "julian": ("2459422.5", 2459422.5),
}


async def test_dates_that_are_none_arrive_as_they_are(tmp_path: Path, any_database: str) -> None:
    """Milliseconds are not taken for a year, and a zero date becomes no other date."""
    columns = ", ".join(f"{name} DATETIME" for name in DATES)
    row = ", ".join(sql for sql, _ in DATES.values())
    async with replicated(
        tmp_path, any_database, f"CREATE TABLE t({columns})", f"INSERT INTO t VALUES ({row})"
    ) as pair:
        await write_live(pair, "t", row)
        expected = tuple(stored for _, stored in DATES.values())
        assert await pair.rows(f"SELECT {', '.join(DATES)} FROM t") == [expected, expected]
        assert await pair.differences() == []


async def test_no_time_zone_moves_a_time_stamp(tmp_path: Path, database: str) -> None:
    """Neither that of the database, nor that of the machine: what has no offset gets none."""
    name = await value(database, "SELECT current_database()")
    await execute(database, f'ALTER DATABASE "{name}" SET timezone = "Pacific/Kiritimati"')
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, naive DATETIME, zoned TIMESTAMPTZ, day DATE)"
    row = "'2024-03-10 02:30:00', '2024-03-10 23:59:59-12:00', '2024-03-10'"
    async with replicated(tmp_path, database, table, f"INSERT INTO t VALUES (1, {row})") as pair:
        await write_live(pair, "t", f"2, {row}")
        wanted = "SELECT naive::text, (zoned AT TIME ZONE 'UTC')::text, day::text FROM t"
        found = await pair.rows(wanted)
        assert found == [("2024-03-10 02:30:00", "2024-03-11 11:59:59", "2024-03-10")] * 2
        await pair.write("UPDATE t SET zoned = '2024-03-10 23:59:59' WHERE id = 1")
        assert await pair.held() == {"t 1": "value"}  # its zone would be a guess


async def test_texts_that_postgres_cannot_hold_are_kept_apart_or_kept_as_literals(
    tmp_path: Path, any_database: str
) -> None:
    """NUL, and bytes that are no UTF-8: neither cut, nor emptied, nor replaced by another character."""
    texts = ("'a' || char(0) || 'b'", "CAST(x'c3' AS TEXT)", "CAST(x'edaa80' AS TEXT)", "'fine'")
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)"
    rows = [f"INSERT INTO t VALUES ({n}, {text})" for n, text in enumerate(texts)]
    later = [f"{n + 10}, {text}" for n, text in enumerate(texts)]
    async with replicated(tmp_path, any_database, table, *rows) as pair:
        await write_live(pair, "t", *later)
        assert await pair.rows("SELECT id, v FROM t ORDER BY id") == [(3, "fine"), (13, "fine")]
        assert set(await pair.held()) == {f"t {n}" for n in (0, 1, 2, 10, 11, 12)}
        assert await pair.differences() == []


async def test_with_literals_no_text_is_kept_apart(tmp_path: Path, any_database: str) -> None:
    kept = {"t": TableOptions(columns={"v": ColumnOptions(type="literal")})}
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)"
    rows = "INSERT INTO t VALUES (1, 'a' || char(0) || 'b'), (2, CAST(x'c3' AS TEXT)), (3, 'fine')"
    async with replicated(tmp_path, any_database, table, rows, tables=kept) as pair:
        await write_live(pair, "t", "4, 'a' || char(0) || 'b'")
        assert [row[0] for row in await pair.rows("SELECT v FROM t ORDER BY id")] == [
            "CAST(x'610062' AS TEXT)",
            "CAST(x'c3' AS TEXT)",
            "'fine'",
            "CAST(x'610062' AS TEXT)",
        ]
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_a_text_longer_than_declared_arrives_whole(tmp_path: Path, any_database: str) -> None:
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, short VARCHAR(3), price DECIMAL(4, 1), small TINYINT)"
    row = "'ünïcödé, längër', 123456.789, 3000000000"
    async with replicated(tmp_path, any_database, table, f"INSERT INTO t VALUES (1, {row})") as pair:
        await write_live(pair, "t", f"2, {row}")
        found = await pair.rows("SELECT short, price::text, small FROM t")
        assert found == [("ünïcödé, längër", "123456.789", 3_000_000_000)] * 2


async def test_integers_beyond_64_bits_are_the_reals_that_sqlite_made_of_them(
    tmp_path: Path, any_database: str
) -> None:
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, n NUMERIC, r REAL)"
    rows = ["9223372036854775807, 9223372036854775807", "9223372036854775808, 9e999", "-9223372036854775808, -0.0"]
    async with replicated(tmp_path, any_database, table, f"INSERT INTO t VALUES (1, {rows[0]})") as pair:
        await write_live(pair, "t", *(f"{n}, {row}" for n, row in enumerate(rows, 2)))
        assert pair.app.execute("SELECT typeof(n) FROM t WHERE id = 3").get == "real"
        assert await pair.held() == {}
        assert await pair.rows("SELECT id, n::text, r FROM t ORDER BY id") == [
            (1, "9223372036854775807", 2.0**63),
            (2, "9223372036854775807", 2.0**63),
            (3, "9223372036854776000", float("inf")),  # the shortest decimal that is the same double
            (4, "-9223372036854775808", 0.0),
        ]
        assert await pair.differences() == []


async def test_keys_of_different_classes_stay_different_rows(tmp_path: Path, any_database: str) -> None:
    """A declared key without a type holds 1, '1', 1.5 and x'31' beside each other."""
    keys = (
        "1",
        "'1'",
        "1.5",
        "x'31'",
        "'a'",
        "'A'",
        "'a '",
        "''",
        "x''",
        "-1",
        "9007199254740993",
        "9007199254740992.0",
    )
    table = "CREATE TABLE t(k NOT NULL PRIMARY KEY, v INTEGER)"
    rows = [f"INSERT INTO t VALUES ({key}, {n})" for n, key in enumerate(keys)]
    async with replicated(tmp_path, any_database, table, *rows) as pair:
        assert await pair.rows("SELECT count(DISTINCT k) FROM t") == [(len(keys),)]
        await pair.write("UPDATE t SET v = v + 100 WHERE k = '1'", "DELETE FROM t WHERE k = x'31'")
        assert await pair.rows("SELECT v FROM t WHERE v > 99") == [(101,)]
        assert await pair.rows("SELECT count(*) FROM t") == [(len(keys) - 1,)]
        assert await pair.differences() == []


JSON: Final = {
    '\'{"b": 1, "a": [1.50, 1e3, 12345678901234567890]}\'': "there",
    "'\"text\"'": "there",
    "7": "there",
    "NULL": "there",
    '\'{"a": 1, "a": 2}\'': "held",
    "'\"\\u0000\"'": "held",
    "'[NaN]'": "held",
    "'{\"a\": '": "held",
    "''": "held",
    "x'7b7d'": "held",
}


async def test_json_arrives_without_a_lost_key_or_digit(tmp_path: Path, any_database: str) -> None:
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, doc JSON, raw TEXT)"
    rows = [f"INSERT INTO t VALUES ({n}, {doc}, '{{not: json')" for n, doc in enumerate(JSON)]
    as_jsonb = {"t": TableOptions(columns={"doc": ColumnOptions(type="jsonb")})}
    async with replicated(tmp_path, any_database, table, *rows, tables=as_jsonb) as pair:
        await write_live(pair, "t", *(f"{n + 50}, {doc}, ''" for n, doc in enumerate(JSON)))
        held = {n for n, fate in enumerate(JSON.values()) if fate == "held"}
        assert set(await pair.held()) == {f"t {n + base}" for n in held for base in (0, 50)}
        assert await pair.rows("SELECT doc #>> '{a,0}', doc #>> '{a,2}' FROM t WHERE id = 0") == [
            ("1.50", "12345678901234567890")
        ]
        assert await pair.differences() == []


async def test_json_that_jsonb_would_not_keep_arrives_as_it_is_written(tmp_path: Path, any_database: str) -> None:
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, doc JSON, fine JSON, packed JSONB, at TIME UNIQUE, geom POINT)"
    rows = (
        """INSERT INTO t VALUES (1, '{"a": 1}', '{"a": 1}', jsonb('[1]'), '12:34', x'4750')""",
        """INSERT INTO t VALUES (2, '{"a": 1, "a": 2}', 5, x'0C', '12:34:00.5', NULL)""",
    )
    async with replicated(tmp_path, any_database, table, *rows) as pair:
        # Two texts of SQLite, and one time of day: what SQLite holds unique is not so in Postgres.
        await write_live(pair, "t", """3, '{', '"x"', jsonb('{}'), '12:34:00', x'00'""")
        assert await pair.held() == {}
        assert await pair.rows("SELECT pg_typeof(doc)::text, doc FROM t WHERE id > 1 ORDER BY id") == [
            ("text", '{"a": 1, "a": 2}'),
            ("text", "{"),
        ]
        types = (
            "SELECT pg_typeof(fine)::text, pg_typeof(packed)::text, pg_typeof(at)::text, pg_typeof(geom)::text FROM t"
        )
        assert set(await pair.rows(types)) == {("jsonb", "bytea", "time without time zone", "bytea")}
        assert await pair.differences() == []


# --- schema -----------------------------------------------------------------------------------------------------------


async def test_a_default_is_a_value_and_not_the_text_of_one(tmp_path: Path, any_database: str) -> None:
    columns = {
        "empty TEXT DEFAULT NULL": None,
        "word TEXT DEFAULT 'null'": "null",
        "quoted TEXT DEFAULT '''x'''": "'x'",
        "spoken TEXT DEFAULT 'CURRENT_TIMESTAMP'": "CURRENT_TIMESTAMP",
        "number TEXT DEFAULT 7": "7",
        "flag BOOLEAN DEFAULT TRUE": True,
        "computed TEXT DEFAULT (lower('X'))": None,
    }
    async with replicated(
        tmp_path, any_database, f"CREATE TABLE t(id INTEGER PRIMARY KEY, {', '.join(columns)})"
    ) as pair:
        await execute(any_database, "INSERT INTO t(id) VALUES (1)")
        names = ", ".join(column.split()[0] for column in columns)
        assert await pair.rows(f"SELECT {names} FROM t") == [tuple(columns.values())]
        left_out = [note.object for note in (await build_plan(pair.config)).notes]
        assert left_out == ["computed"]


@asynccontextmanager
async def sorting_as_people_do(dsn: str) -> AsyncIterator[str]:
    """Another database beside the given one, which puts ä beside a and B behind a where the server knows how to."""
    name = await value(dsn, "SELECT current_database()")
    other = name[:40] + "_people"
    create = f"CREATE DATABASE {other} TEMPLATE template0 ENCODING 'UTF8'"
    try:
        await execute(dsn, f"{create} LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'")
    except asyncpg.FeatureNotSupportedError:
        await execute(dsn, create)
    try:
        yield dsn.replace(name, other)
    finally:
        await execute(dsn, f"DROP DATABASE {other} WITH (FORCE)")


async def test_texts_sort_as_in_sqlite_whatever_the_database_is_told(tmp_path: Path, any_database: str) -> None:
    """In a database that sorts as people of a country do."""
    random = Random(17)
    known = [chr(n) for n in range(1, 0x3000) if unicodedata.category(chr(n)) not in ("Cs", "Cn")] + ["\U0001f389"]
    texts = {"".join(random.choices([*known, *"aAbBzZ _-."], k=random.randrange(4))) for _ in range(400)}
    table = "CREATE TABLE t(v TEXT NOT NULL PRIMARY KEY, w VARCHAR(9), n CHARACTER(2))"
    async with sorting_as_people_do(any_database) as sorting, replicated(tmp_path, sorting, table) as pair:
        with pair.app:
            pair.app.executemany("INSERT INTO t VALUES (?1, ?1, ?1)", [(text,) for text in texts])
        await pair.replica.sync()
        for column in "vwn":
            wanted = f"SELECT {column} FROM t ORDER BY {column}"
            assert await pair.rows(wanted) == pair.app.execute(wanted).fetchall()
            assert await pair.rows(f"SELECT max({column}) FROM t") == [(max(texts, key=lambda t: t.encode()),)]


async def test_a_search_index_goes_on_working_and_what_it_indexes_arrives(tmp_path: Path, any_database: str) -> None:
    """Virtual tables and computed columns stop neither the application nor the copy, and are told; views arrive."""
    schema = """
    CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, size INTEGER AS (length(body)) STORED);
    CREATE VIRTUAL TABLE found USING fts5(body, content = 'notes', content_rowid = 'id');
    CREATE TRIGGER n_in AFTER INSERT ON notes BEGIN INSERT INTO found(rowid, body) VALUES (NEW.id, NEW.body); END;
    CREATE TRIGGER n_out AFTER DELETE ON notes
        BEGIN INSERT INTO found(found, rowid, body) VALUES ('delete', OLD.id, OLD.body); END;
    CREATE VIEW long_notes AS SELECT * FROM notes WHERE size > 3;
    INSERT INTO notes(id, body) VALUES (1, 'red apples');
    """
    async with replicated(tmp_path, any_database, schema) as pair:
        await pair.write("INSERT INTO notes(id, body) VALUES (2, 'green apples'), (3, 'pears')")
        await pair.write("DELETE FROM notes WHERE id = 1")
        assert pair.app.execute("SELECT rowid FROM found WHERE found MATCH 'apples'").fetchall() == [(2,)]
        assert pair.app.execute("SELECT count(*) FROM long_notes").get == 2
        assert await pair.rows("SELECT id, body, size FROM notes ORDER BY id") == [
            (2, "green apples", 12),
            (3, "pears", 5),
        ]
        plan = await build_plan(pair.config)
        assert "found" in {left.name for left in plan.left_out}
        assert plan.views == ("long_notes",)
        assert await pair.rows("SELECT id FROM long_notes ORDER BY id") == [(2,), (3,)]
        assert "size" in {note.object for note in plan.notes}


# --- what triggers are known to get wrong -----------------------------------------------------------------------------

SURVIVORS: Final = (
    "INSERT OR IGNORE INTO t VALUES (9, 'a', 'new')",
    "INSERT INTO t VALUES (9, 'a', 'new') ON CONFLICT (name) DO NOTHING",
    "INSERT INTO t VALUES (9, 'a', 'changed') ON CONFLICT (name) DO UPDATE SET v = excluded.v",
    "INSERT INTO t VALUES (9, 'a', 'never') ON CONFLICT (name) DO UPDATE SET v = 'no' WHERE v = 'nothing'",
    "INSERT OR FAIL INTO t VALUES (7, 'c', 'kept'), (8, 'a', 'refused'), (9, 'd', 'not reached')",
    "INSERT OR ABORT INTO t VALUES (7, 'e', 'taken back'), (8, 'a', 'refused')",
    "UPDATE OR IGNORE t SET name = 'a' WHERE id = 2",
    "UPDATE OR FAIL t SET name = 'b'",
)


@pytest.mark.parametrize("sql", SURVIVORS)
async def test_a_row_that_only_stood_in_the_way_survives(tmp_path: Path, any_database: str, sql: str) -> None:
    """A trigger before the statement sees the same as with REPLACE, but here nobody is deleted."""
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT UNIQUE, v TEXT)"
    rows = "INSERT INTO t VALUES (1, 'a', 'first'), (2, 'b', 'second')"
    async with replicated(tmp_path, any_database, table, rows) as pair:
        with suppress(apsw.ConstraintError):
            pair.app.execute(sql)
        await pair.replica.sync()
        assert await pair.rows("SELECT count(*) FROM t WHERE id IN (1, 2)") == [(2,)]
        assert await pair.differences() == []


# --- files ------------------------------------------------------------------------------------------------------------


async def test_rows_that_break_a_declared_uniqueness_are_told_before_anything_is_copied(
    tmp_path: Path, database: str
) -> None:
    """Old files have them: an index that was damaged, or written past."""
    app = application(tmp_path / "app.db", wal=False)
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX t_name ON t(name)")
    app.execute("INSERT INTO t VALUES (1, 'twice'), (2, 'twice')")
    app.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    app.pragma("writable_schema", 1)
    app.execute("UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX t_name ON t(name)' WHERE name = 't_name'")
    app.pragma("writable_schema", 0)
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    with pytest.raises(SourceError, match="t_name"):
        await take_snapshot(config, Silent())
    assert await fetch(database, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []
