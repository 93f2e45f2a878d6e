"""Whole tables leave SQLite in bounded chunks and arrive in Postgres through one COPY."""

import datetime
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import apsw
import pytest
import pytest_asyncio

from cdc.errors import TargetError
from cdc.facts.source_schema import Affinity, Column, Index, IndexTerm, Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.values import InvalidText, Row
from cdc.postgres.apply import copy
from cdc.postgres.connection.codecs import use_exact_codecs
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.tables.catalogue import read_tables
from cdc.sqlite.rows import select
from cdc.values.converter import compile_converter


@pytest.fixture
def sqlite() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


@pytest_asyncio.fixture
async def postgres(database: str) -> AsyncIterator[Connection]:
    connection = await connect(database, purpose="test")
    yield connection
    await connection.close()


def mapped(table: Table, *expressions: str) -> TableMap:
    plain = tuple(ColumnMap(c.name, f'"{c.name}"', "text", c.name) for c in table.columns)
    made = tuple(ColumnMap(f"made{n}", text, "text") for n, text in enumerate(expressions))
    return TableMap(table, "public", table.name, plain + made, table.key.columns)


def items(*expressions: str) -> TableMap:
    columns = (Column("id", "INTEGER", Affinity.INTEGER, primary_key=1), Column("v", "TEXT", Affinity.TEXT))
    return mapped(Table("items", columns, Key(KeyKind.INTEGER, ("id",))), *expressions)


def fill(sqlite: apsw.Connection, count: int, value: str = "'v' || value") -> None:
    sqlite.execute("CREATE TABLE items(id INTEGER PRIMARY KEY, v TEXT)")
    numbers = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?)"
    sqlite.execute(f"{numbers} INSERT INTO items SELECT value, {value} FROM n", (count,))


def pages(sqlite: apsw.Connection, table: TableMap, limit: int) -> Iterator[list[Row]]:
    place = select.begin(sqlite, table)
    while place is not None:
        page, place = select.page(sqlite, table, place, limit)
        yield page


async def each(chunks: Sequence[copy.Rows]) -> AsyncIterator[copy.Rows]:
    for chunk in chunks:
        yield chunk


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_chunks_and_pages_hold_every_row_once_in_key_order(sqlite: apsw.Connection, size: int) -> None:
    fill(sqlite, 200)
    expected = [(n, n, f"v{n}") for n in range(1, 201)]
    chunks = list(select.chunks(sqlite, items(), size, 10**6))
    assert [row for chunk in chunks for row in chunk] == expected
    assert all(0 < len(chunk) <= size for chunk in chunks)
    assert [row for page in pages(sqlite, items(), size) for row in page] == expected


def test_a_chunk_is_bounded_in_bytes_however_wide_the_rows_are(sqlite: apsw.Connection) -> None:
    fill(sqlite, 100, "hex(zeroblob(50000))")
    chunks = list(select.chunks(sqlite, items(), 1000, 1_000_000))
    assert sum(map(len, chunks)) == 100
    assert max(map(len, chunks)) <= 12


def test_an_expression_and_the_rowid_are_read_beside_the_columns(sqlite: apsw.Connection) -> None:
    fill(sqlite, 1)
    query = select.select(items("substr(v, 1, 1)", "_rowid_"), "FROM items")
    assert select.fetch(sqlite, query) == [(1, 1, "v1", "v", 1)]


def test_a_broken_text_is_kept_and_leaves_the_other_rows_as_they_are(sqlite: apsw.Connection) -> None:
    fill(sqlite, 100)
    sqlite.execute("UPDATE items SET v = CAST(x'61ff' AS TEXT) WHERE id IN (40, 41)")
    sqlite.execute("UPDATE items SET v = x'61ff' WHERE id = 42")
    found = {key: v for chunk in select.chunks(sqlite, items(), 30, 10**6) for key, _, v in chunk}
    assert len(found) == 100
    assert found[40] == found[41] == InvalidText(b"a\xff")
    assert found[42] == b"a\xff"
    assert found[43] == "v43"
    assert {key: v for page in pages(sqlite, items(), 30) for key, _, v in page} == found


def test_pages_follow_the_collation_that_makes_the_key_unique(sqlite: apsw.Connection) -> None:
    sqlite.execute(
        "CREATE TABLE w(a TEXT COLLATE NOCASE, b, PRIMARY KEY(a COLLATE BINARY, b)) WITHOUT ROWID;"
        "INSERT INTO w VALUES ('a', 1), ('A', 1), ('A', 1.5), ('a', 'x'), ('b', x'00'), ('B', 2);"
        "INSERT INTO w VALUES (CAST(x'ff' AS TEXT), 1)"
    ).fetchall()
    columns = (
        Column("a", "TEXT", Affinity.TEXT, not_null=True, collation="NOCASE", primary_key=1),
        Column("b", "", Affinity.BLOB, not_null=True, primary_key=2),
    )
    index = Index("pk", True, "pk", (IndexTerm("a"), IndexTerm("b")))
    key = Key(KeyKind.COLUMNS, ("a", "b"))
    table = mapped(Table("w", columns, key, (index,), without_rowid=True, rowid_alias=None))
    found = [row for page in pages(sqlite, table, 1) for row in page]
    assert len(found) == len(set(found)) == 7
    assert found == [row for chunk in select.chunks(sqlite, table, 3, 10**6) for row in chunk]


def test_a_page_begins_where_the_one_before_ended_and_not_at_the_start(sqlite: apsw.Connection) -> None:
    """By SQLite's own plan: a scan would make the whole table's reading quadratic."""
    sqlite.execute(
        "CREATE TABLE w(a TEXT COLLATE NOCASE, b, PRIMARY KEY(a, b)) WITHOUT ROWID;"
        "INSERT INTO w VALUES ('a', 1), ('b', 1), ('c', 1)"
    ).fetchall()
    columns = (
        Column("a", "TEXT", Affinity.TEXT, not_null=True, collation="NOCASE", primary_key=1),
        Column("b", "", Affinity.BLOB, not_null=True, primary_key=2),
    )
    index = Index("pk", True, "pk", (IndexTerm("a", collation="NOCASE"), IndexTerm("b")))
    key = Key(KeyKind.COLUMNS, ("a", "b"))
    table = mapped(Table("w", columns, key, (index,), without_rowid=True, rowid_alias=None))
    seen: list[tuple[str, Any]] = []

    def trace(_: apsw.Cursor, sql: str, bindings: Any) -> bool:
        seen.append((sql, bindings))
        return True

    sqlite.exec_trace = trace
    assert sum(len(page) for page in pages(sqlite, table, 1)) == 3
    sqlite.exec_trace = None
    later = [(sql, bindings) for sql, bindings in seen if " > (" in sql]
    assert later
    for sql, bindings in later:
        plan = " ".join(str(row[3]) for row in sqlite.execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
        assert "SEARCH" in plan
        assert "SCAN" not in plan


# --- writing ---------------------------------------------------------------------------------------------------------


async def test_rows_arrive_and_are_counted_in_columns_of_any_order_and_name(postgres: Connection) -> None:
    await postgres.execute('CREATE TABLE items (extra int DEFAULT 7, v text, "id" bigint PRIMARY KEY)')
    target = (await read_tables(postgres, "public"))["items"]
    count = await copy.copy_rows(postgres, items(), target, each([[(1, "a"), (2, None)], [], [(3, "c")]]))
    assert count == 3
    found = await postgres.fetch("SELECT id, v, extra FROM items ORDER BY id")
    assert list(map(tuple, found)) == [(1, "a", 7), (2, None, 7), (3, "c", 7)]


async def test_identity_columns_take_the_values_of_the_source(postgres: Connection) -> None:
    await postgres.execute("CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)")
    target = (await read_tables(postgres, "public"))["items"]
    converted = compile_converter(items(), target).rows([(50, 50, "x")])
    assert await copy.copy_rows(postgres, items(), target, each([converted.rows])) == 1
    assert await postgres.fetchval("SELECT id FROM items") == 50


async def test_a_refused_row_leaves_the_table_empty_and_the_connection_usable(postgres: Connection) -> None:
    await postgres.execute("CREATE TABLE items (id bigint PRIMARY KEY, v text CHECK (v <> 'secret'))")
    target = (await read_tables(postgres, "public"))["items"]
    with pytest.raises(TargetError) as caught:
        await copy.copy_rows(postgres, items(), target, each([[(1, "fine"), (2, "secret")]]))
    assert "public.items" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert await postgres.fetchval("SELECT count(*) FROM items") == 0


async def test_an_error_while_reading_ends_the_copy_and_comes_through(postgres: Connection) -> None:
    await postgres.execute("CREATE TABLE items (id bigint PRIMARY KEY, v text)")
    target = (await read_tables(postgres, "public"))["items"]

    async def failing() -> AsyncIterator[copy.Rows]:
        yield [(1, "a")]
        raise LookupError("the file is gone")

    with pytest.raises(LookupError, match="the file is gone"):
        await copy.copy_rows(postgres, items(), target, failing())
    assert await postgres.fetchval("SELECT count(*) FROM items") == 0


async def test_the_codecs_store_far_dates_as_dates_and_still_take_pythons(postgres: Connection) -> None:
    await use_exact_codecs(postgres)
    await use_exact_codecs(postgres)
    moment = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    found = await postgres.fetchrow(
        "SELECT $1::timestamptz = '9999-12-31 23:59:59.999999Z', $2::date[] = '{0001-01-01,2000-01-02}', $3::timestamp",
        moment,
        [datetime.date.min, 1],
        5,
    )
    assert found is not None
    assert tuple(found) == (True, True, datetime.datetime(2000, 1, 1, microsecond=5))
    back = await postgres.fetchrow("SELECT 'infinity'::date, '-infinity'::timestamptz, '2024-02-29'::date")
    assert back is not None
    assert back[0] == datetime.date.max
    assert back[1] == datetime.datetime.min.replace(tzinfo=datetime.UTC)
    assert back[2] == datetime.date(2024, 2, 29)
