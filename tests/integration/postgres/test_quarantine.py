"""Rows that Postgres cannot hold: kept by key with the reason, and released when the cause is gone."""

from pathlib import Path

import pytest
from harness import application, drain, execute, fetch, followed, quarantined
from loguru import logger
from replicated_pair import replicated

from cdc.stream.resync import request_resync
from cdc.stream.retry_quarantined import retry_quarantined

pytestmark = pytest.mark.every_postgres

THINGS = "CREATE TABLE things(id INTEGER PRIMARY KEY, n INTEGER, words TEXT, flag BOOLEAN, price REAL)"
GOOD = "INSERT INTO things VALUES (1, 1, 'a', 0, 0.5), (2, 2, 'b', 1, 1.5)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("'seven', 'a', 0, 1.0", "a text"),
        ("1.5, 'a', 0, 1.0", "a real"),
        ("x'07', 'a', 0, 1.0", "a blob"),
        ("1, 'nul' || char(0), 0, 1.0", "NUL"),
        ("1, CAST(x'ff' AS TEXT), 0, 1.0", "UTF-8"),
        ("1, x'61', 0, 1.0", "a blob"),
        ("1, 'a', 2, 1.0", "other than 0 and 1"),
        ("1, 'a', 'yes', 1.0", "a text"),
        ("1, 'a', 0, 'much'", "a text"),
    ],
)
async def test_a_value_that_does_not_fit_holds_back_its_row_only(
    tmp_path: Path, database: str, values: str, words: str
) -> None:
    async with replicated(tmp_path, database, THINGS, GOOD) as pair:
        await pair.write(f"INSERT INTO things VALUES (3, {values})", "INSERT INTO things VALUES (4, 4, 'd', 1, 2.5)")
        assert await pair.held() == {"things 3": "value"}
        assert await pair.rows("SELECT id FROM things ORDER BY id") == [(1,), (2,), (4,)]
        assert await pair.differences() == []
        told = await fetch(database, "SELECT detail, remedy FROM cdc.quarantine")
        assert words in told[0]["detail"]
        assert "correct it in SQLite" in told[0]["remedy"]
        await pair.write("DELETE FROM things WHERE id = 3")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_a_row_that_is_held_back_is_told_in_the_log(tmp_path: Path, any_database: str) -> None:
    told: list[str] = []
    sink = logger.add(told.append, level="WARNING", format="{message} {extra[rows]}")
    try:
        async with replicated(tmp_path, any_database, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)") as pair:
            await pair.write("INSERT INTO t VALUES (1, 1)")
            assert told == []
            await pair.write("INSERT INTO t VALUES (2, 'two'), (3, 'three')")
    finally:
        logger.remove(sink)
    assert told == ["rows went to quarantine: see `cdc quarantine list` 2\n"]


async def test_a_row_that_becomes_bad_leaves_postgres_and_returns_when_it_is_corrected(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, THINGS, GOOD) as pair:
        await pair.write("UPDATE things SET n = 'many' WHERE id = 2")
        assert await pair.rows("SELECT id FROM things") == [(1,)]
        assert await pair.held() == {"things 2": "value"}
        await pair.write("UPDATE things SET words = 'still bad' WHERE id = 2")
        assert await pair.held() == {"things 2": "value"}
        await pair.write("UPDATE things SET n = 22 WHERE id = 2")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_bad_rows_of_the_first_load_are_held_and_released_like_others(tmp_path: Path, any_database: str) -> None:
    bad = "INSERT INTO things VALUES (3, 'x', 'c', 0, 0), (4, 4, CAST(x'c3' AS TEXT), 0, 0)"
    async with replicated(tmp_path, any_database, THINGS, GOOD, bad) as pair:
        assert await pair.held() == {"things 3": "value", "things 4": "value"}
        await pair.write("UPDATE things SET n = 3 WHERE id = 3")
        assert await pair.held() == {"things 4": "value"}
        assert await pair.differences() == []


async def test_children_of_a_bad_row_wait_for_it(tmp_path: Path, any_database: str) -> None:
    parts = "CREATE TABLE parts(id INTEGER PRIMARY KEY, thing INTEGER REFERENCES things(id) ON DELETE CASCADE)"
    async with replicated(tmp_path, any_database, THINGS, GOOD, parts, "INSERT INTO parts VALUES (10, 1)") as pair:
        await pair.write("UPDATE things SET n = 'bad' WHERE id = 1", "INSERT INTO parts VALUES (11, 1), (20, 2)")
        assert await pair.held() == {"things 1": "value", "parts 10": "orphan", "parts 11": "orphan"}
        assert await pair.differences() == []
        await pair.write("UPDATE things SET n = 1 WHERE id = 1")
        assert await pair.held() == {}
        assert await pair.rows("SELECT id FROM parts ORDER BY id") == [(10,), (11,), (20,)]


async def test_rows_whose_legacy_key_is_null_are_held(tmp_path: Path, any_database: str) -> None:
    """SQLite lets a declared key of an ordinary table be NULL, several times even; a primary key of Postgres cannot."""
    async with replicated(tmp_path, any_database, "CREATE TABLE legacy(id TEXT PRIMARY KEY, v TEXT)") as pair:
        await pair.write("INSERT INTO legacy VALUES (NULL, 'a'), (NULL, 'b'), ('k', 'c')")
        assert await pair.held() == {"legacy NULL (rowid 1)": "value", "legacy NULL (rowid 2)": "value"}
        await pair.write("UPDATE legacy SET id = 'l' WHERE v = 'a'")
        assert await pair.held() == {"legacy NULL (rowid 2)": "value"}
        assert await pair.differences() == []
        await pair.write("DELETE FROM legacy WHERE id IS NULL")
        assert await pair.held() == {}
        assert await pair.rows("SELECT id FROM legacy ORDER BY id") == [("k",), ("l",)]


async def test_keys_of_every_kind_are_named_in_quarantine_and_found_again(tmp_path: Path, any_database: str) -> None:
    async with replicated(
        tmp_path,
        any_database,
        "CREATE TABLE kinds(a BLOB, b REAL, c TEXT, n INTEGER, PRIMARY KEY(a, b, c)) WITHOUT ROWID",
    ) as pair:
        await pair.write("INSERT INTO kinds VALUES (x'00ff', -0.5, char(27) || char(31) || '''', 'bad')")
        assert list((await pair.held()).values()) == ["value"]
        assert await pair.differences() == []
        await pair.write("UPDATE kinds SET n = 1")
        assert await pair.held() == {}
        await pair.write("DELETE FROM kinds")
        assert await pair.rows("SELECT count(*) FROM kinds") == [(0,)]


async def test_what_a_check_of_postgres_refuses_is_held_alone(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, THINGS, GOOD) as pair:
        await execute(any_database, "ALTER TABLE things ADD CONSTRAINT positive CHECK (n > 0)")
        await pair.write(
            "INSERT INTO things VALUES (3, 3, 'c', 0, 0), (4, -4, 'd', 0, 0), (5, 5, 'e', 0, 0), (6, -6, 'f', 0, 0)",
            "UPDATE things SET n = 11 WHERE id = 1",
        )
        assert await pair.held() == {"things 4": "constraint", "things 6": "constraint"}
        assert await pair.rows("SELECT id FROM things ORDER BY id") == [(1,), (2,), (3,), (5,)]
        assert await pair.differences() == []
        told = await fetch(any_database, "SELECT detail, remedy FROM cdc.quarantine")
        assert "positive" in told[0]["detail"]
        assert "quarantine retry" in told[0]["remedy"]


async def test_swapped_unique_values_beside_a_refused_row_are_not_refused_with_it(
    tmp_path: Path, any_database: str
) -> None:
    table = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER)"
    rows = "INSERT INTO users VALUES (1, 'ann', 1), (2, 'bob', 2), (3, 'cy', 3)"
    async with replicated(tmp_path, any_database, table, rows) as pair:
        await execute(any_database, "ALTER TABLE users ADD CHECK (age < 100)")
        await pair.write(
            "UPDATE users SET name = 'tmp' WHERE id = 1",
            "UPDATE users SET name = 'ann' WHERE id = 2",
            "UPDATE users SET name = 'bob' WHERE id = 1",
            "UPDATE users SET age = 300 WHERE id = 3",
        )
        assert await pair.held() == {"users 3": "constraint"}
        assert await pair.rows("SELECT name FROM users ORDER BY id") == [("bob",), ("ann",)]
        assert await pair.differences() == []


async def test_a_refused_row_is_tried_again_with_the_next_change_of_its_table(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, THINGS, GOOD) as pair:
        await execute(any_database, "ALTER TABLE things ADD CONSTRAINT positive CHECK (n > 0)")
        await pair.write("UPDATE things SET n = -1 WHERE id = 1")
        assert await pair.held() == {"things 1": "constraint"}
        await execute(any_database, "ALTER TABLE things DROP CONSTRAINT positive")
        await pair.write("INSERT INTO things VALUES (9, 9, 'i', 0, 0)")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_a_refused_row_is_tried_again_on_demand(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, THINGS, GOOD) as pair:
        await execute(any_database, "ALTER TABLE things ADD CONSTRAINT positive CHECK (n > 0)")
        await pair.write("UPDATE things SET n = -n")
        assert await pair.held() == {"things 1": "constraint", "things 2": "constraint"}
        assert await retry_quarantined(pair.config, "things") == 2
        await pair.write()
        await pair.replica.sync()
        assert await pair.held() == {"things 1": "constraint", "things 2": "constraint"}
        await execute(any_database, "ALTER TABLE things DROP CONSTRAINT positive")
        assert await retry_quarantined(pair.config, None) == 2
        await pair.replica.sync()
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_children_of_a_refused_row_wait_for_it_too(tmp_path: Path, any_database: str) -> None:
    parts = "CREATE TABLE parts(id INTEGER PRIMARY KEY, thing INTEGER REFERENCES things(id))"
    async with replicated(tmp_path, any_database, THINGS, GOOD, parts) as pair:
        await execute(any_database, "ALTER TABLE things ADD CONSTRAINT positive CHECK (n > 0)")
        await pair.write("INSERT INTO things VALUES (3, -3, 'c', 0, 0)", "INSERT INTO parts VALUES (30, 3), (10, 1)")
        assert await pair.held() == {"things 3": "constraint", "parts 30": "orphan"}
        assert await pair.differences() == []
        await pair.write("UPDATE things SET n = 3 WHERE id = 3")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_what_was_acknowledged_stays_so_when_every_row_is_compared_again(tmp_path: Path, database: str) -> None:
    known = "SELECT source_table, key FROM cdc.quarantine WHERE acknowledged_by = 'somebody' ORDER BY 1, 2"
    children = "CREATE TABLE parts(id INTEGER PRIMARY KEY, thing INTEGER REFERENCES things(id))"
    config = await followed(tmp_path, database, f"{THINGS}; {children}")
    app = application(config.source.path)
    app.execute("INSERT INTO things VALUES (3, 'x', '', 0, 1), (4, 'y', '', 0, 1); INSERT INTO parts VALUES (1, 3)")
    await drain(config)
    await execute(database, "UPDATE cdc.quarantine SET acknowledged_at = now(), acknowledged_by = 'somebody'")
    app.execute("INSERT INTO things VALUES (5, 'z', '', 0, 1)")
    await request_resync(config)
    await drain(config)
    all_three = [("parts", "i1"), ("things", "i3"), ("things", "i4")]
    assert [tuple(row) for row in await fetch(database, known)] == all_three
    assert len(await quarantined(database)) == 4
    # Another cause is another thing to know of.
    app.execute("UPDATE things SET n = 1.5 WHERE id = 3; UPDATE things SET words = 'other' WHERE id = 4")
    await drain(config)
    assert [tuple(row) for row in await fetch(database, known)] == [("parts", "i1"), ("things", "i4")]
    app.close()
