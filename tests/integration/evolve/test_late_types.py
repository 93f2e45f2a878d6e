"""A type that nobody could decide yet is decided by the first values, and by the next ones while they are few."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from harness import application, drain, execute, fetch, load, make_config
from replicated_pair import Pair, replicated

from cdc.facts.progress import Silent
from cdc.first_copy import create_schema, snapshots
from cdc.stream import outgrown

EMPTY = "CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME, any, label STRING)"


@asynccontextmanager
async def late(folder: Path, dsn: str, *statements: str) -> AsyncIterator[Pair]:
    """A pair of a table whose types the data decides; equal, and with nothing held, when the block ends."""
    async with replicated(folder, dsn, *(statements or (EMPTY, "INSERT INTO t(id) VALUES (1), (2)"))) as pair:
        yield pair
        assert await pair.differences() == []
        assert await pair.held() == {}


async def types(pair: Pair, table: str = "t") -> dict[str, str]:
    """The types of a table's columns in Postgres."""
    listed = await pair.rows(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    return dict(listed)


@pytest.mark.parametrize(
    ("column", "written", "type_"),
    [
        ("at", "'2024-02-29 12:00:00'", "timestamp without time zone"),
        ("at", "'2024-02-29T12:00:00.123Z'", "timestamp with time zone"),
        ("at", "1700000000000", "bigint"),
        ("at", "'2024-02-29'", "date"),
        ("at", "'yesterday'", "text"),
        ("any", "'a text'", "text"),
        ("any", "12", "bigint"),
        ("any", "x'00ff'", "bytea"),
        ("label", "7", "numeric"),
        ("label", "'seven'", "text"),
    ],
)
async def test_the_first_value_decides(tmp_path: Path, database: str, column: str, written: str, type_: str) -> None:
    async with late(tmp_path, database) as pair:
        await pair.write(f"UPDATE t SET {column} = {written} WHERE id = 1")
        assert (await types(pair))[column] == type_


async def test_a_column_and_a_table_that_come_later_are_decided_by_their_first_values(
    tmp_path: Path, database: str
) -> None:
    async with late(tmp_path, database) as pair:
        await pair.write("ALTER TABLE t ADD COLUMN seen DATETIME")
        await pair.write("CREATE TABLE u(id INTEGER PRIMARY KEY, at DATETIME)")
        await pair.write("UPDATE t SET seen = '2026-01-01T10:00:00.000Z'", "INSERT INTO u VALUES (1, 1700000000)")
        assert (await types(pair))["seen"] == "timestamp with time zone"
        assert (await types(pair, "u"))["at"] == "bigint"


async def test_all_values_of_the_file_decide_together(tmp_path: Path, database: str) -> None:
    async with late(tmp_path, database) as pair:
        await pair.write("UPDATE t SET at = 1 WHERE id = 1", "UPDATE t SET at = 2.5 WHERE id = 2")
        assert (await types(pair))["at"] == "double precision"


async def test_a_few_values_are_no_last_word(tmp_path: Path, database: str) -> None:
    """The first is naive, the next one has an offset, and then there is a number: each time the type holds them all."""
    async with late(tmp_path, database) as pair:
        await pair.write("UPDATE t SET at = '2024-02-29T12:00:00Z' WHERE id = 1")
        await pair.write("UPDATE t SET at = '2024-02-29' WHERE id = 2")
        assert (await types(pair))["at"] == "text"
        await pair.write("INSERT INTO t(id, at) VALUES (3, 17)")
        assert await pair.rows("SELECT id, at FROM t ORDER BY id") == [
            (1, "'2024-02-29T12:00:00Z'"),
            (2, "'2024-02-29'"),
            (3, "17"),
        ]


async def test_a_slip_among_many_values_waits(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgrown, "ENOUGH_VALUES", 2)
    async with replicated(tmp_path, database, EMPTY) as pair:
        await pair.write("INSERT INTO t(id, at) VALUES (1, 17), (2, 18)")
        await pair.write("INSERT INTO t(id, at) VALUES (3, 'oops')")
        assert (await types(pair))["at"] == "bigint"
        assert await pair.held() == {"t 3": "value"}


async def test_a_value_that_no_type_holds_waits(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, EMPTY) as pair:
        await pair.write("INSERT INTO t(id, at) VALUES (1, CAST(x'ff' AS TEXT)), (2, '2024-02-29 12:00:00')")
        assert await pair.held() == {"t 1": "value"}
        await pair.write("INSERT INTO t(id, at) VALUES (3, '2024-02-29 12:00:01')")
        assert await pair.rows("SELECT id FROM t ORDER BY id") == [(2,), (3,)]


async def test_a_value_that_is_gone_again_decides_nothing(tmp_path: Path, database: str) -> None:
    async with late(tmp_path, database) as pair:
        await pair.write("INSERT INTO t(id, at) VALUES (3, 17)", "DELETE FROM t WHERE id = 3")
        assert (await types(pair))["at"] == "timestamp without time zone"


async def test_what_stands_on_the_column_comes_back(tmp_path: Path, database: str) -> None:
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME NOT NULL DEFAULT 5 CHECK (at <> 6), UNIQUE (at))"
    async with late(tmp_path, database, table, "CREATE INDEX by_at ON t(at DESC)") as pair:
        await pair.write("INSERT INTO t(id, at) VALUES (1, 17)")
        await pair.write("INSERT INTO t(id, at) VALUES (2, 18.5)")
        assert (await types(pair))["at"] == "double precision"
        (row,) = await pair.rows("SELECT pg_get_indexdef('by_at'::regclass)")
        assert row == ("CREATE INDEX by_at ON public.t USING btree (at DESC)",)
        assert await pair.rows("SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'at'")


async def test_the_application_may_be_restarted_anywhere_between(tmp_path: Path, database: str) -> None:
    async with late(tmp_path, database) as pair:
        await pair.replica.close()
        pair.app.execute("UPDATE t SET at = 17 WHERE id = 1")
        await pair.replica.sync()
        await pair.replica.close()
        await pair.write("UPDATE t SET at = 2.5 WHERE id = 2")
        assert (await types(pair))["at"] == "double precision"


async def test_views_of_others_keep_the_column_as_it_is(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, EMPTY) as pair:
        await execute(database, "CREATE VIEW theirs AS SELECT at FROM t")
        await pair.write("INSERT INTO t(id, at) VALUES (1, 17)")
        assert await pair.held() == {"t 1": "value"}
        assert (await types(pair))["at"] == "timestamp without time zone"


async def test_values_that_come_between_the_schema_and_the_load_decide(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(EMPTY)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await snapshots.take_snapshot(config, Silent())
    await create_schema.create_schema(config)
    app.execute("INSERT INTO t(id, at, any) VALUES (1, 17, 'text'), (2, 18, NULL)")
    await load(config)
    app.close()
    await drain(config)
    assert [tuple(row) for row in await fetch(database, 'SELECT id, at, "any" FROM t ORDER BY id')] == [
        (1, 17, "text"),
        (2, 18, None),
    ]
