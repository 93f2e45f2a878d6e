"""Rows whose key in Postgres says nothing of their key in SQLite: which is which is remembered, whatever happens."""

import random
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from harness import application, drain, execute, fetch, live, make_config, quarantined, up, value

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.stream.resync import request_resync
from cdc.verify import verify

BY_PAIR: Final = TableOptions(target_key=["a", "b"], skip=["id"])
KEYED_APART: Final = """
CREATE TABLE t (a text NOT NULL, b bigint NOT NULL, v text, u text UNIQUE, PRIMARY KEY (a, b));
"""


def adopted(folder: Path, dsn: str, **tables: TableOptions) -> Config:
    config = make_config(folder, folder / "app.db", dsn, tables=tables)
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, adopt=True))


async def misplaced(config: Config) -> list[str]:
    """What the comparison finds, which knows rows by their key in SQLite."""
    report = await verify(config, None, False, Silent())
    return [f"{t.table}: {t.samples}" for t in report.tables if t.different or t.missing or t.extra or t.problem]


async def test_a_row_keeps_its_place_when_its_key_in_postgres_changes(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, v TEXT, u TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES (1, 'x', 1, 'one', NULL), (2, 'x', 2, 'two', NULL), (3, 'y', 1, 'three', 'u')")
    await execute(any_database, KEYED_APART)
    config = adopted(tmp_path, any_database, t=BY_PAIR)
    await up(config)
    for sql in (
        "UPDATE t SET a = 'z' WHERE id = 1",
        "UPDATE t SET b = 3 - b WHERE a = 'x'; UPDATE t SET a = 'x', b = 2 WHERE id = 1",
        "UPDATE t SET a = CASE id WHEN 1 THEN 'p' ELSE 'q' END, b = 7 WHERE id < 3; UPDATE t SET u = id",
        "UPDATE t SET a = CASE id WHEN 1 THEN 'q' ELSE 'p' END WHERE id < 3",
        "DELETE FROM t WHERE id = 1; INSERT INTO t(a, b, v) VALUES ('q', 7, 'anew')",
        "UPDATE t SET id = 77 WHERE id = 2",
        "DELETE FROM t WHERE id = 77",
    ):
        app.execute(sql).fetchall()
        await drain(config)
        rows = {tuple(row) for row in await fetch(any_database, "SELECT a, b, v, u FROM t")}
        assert rows == set(app.execute("SELECT a, b, v, u FROM t")), sql
        assert await misplaced(config) == []
    app.close()


async def test_two_rows_of_one_key_in_postgres_cannot_both_be_there(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, v TEXT, u TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES (1, 'x', 1, 'one', NULL), (2, 'x', 1, 'two', NULL)")
    await execute(any_database, KEYED_APART)
    config = adopted(tmp_path, any_database, t=BY_PAIR)
    await up(config)
    assert await value(any_database, "SELECT v FROM t") == "one"
    assert await quarantined(any_database) == [("t", "i2", "constraint")]
    app.execute("UPDATE t SET v = 'still' WHERE id = 2")
    await drain(config)
    assert await value(any_database, "SELECT v FROM t") == "one"
    app.execute("DELETE FROM t WHERE id = 1")
    await drain(config)
    assert await value(any_database, "SELECT v FROM t") == "still"
    assert await quarantined(any_database) == []
    app.close()


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_each_key_is_held_by_one_of_the_rows_that_have_it(
    tmp_path: Path, any_database: str, seed: int
) -> None:
    chance = random.Random(seed)
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, v TEXT, u TEXT)").fetchall()
    await execute(any_database, KEYED_APART)
    config = adopted(tmp_path, any_database, t=BY_PAIR)
    await up(config)
    async with live(config) as replica:
        for turn in range(8):
            with app:
                for _ in range(chance.randint(1, 12)):
                    app.execute(*_statement(chance))
            if turn == 5:
                await replica.close()
                await request_resync(config)
            await replica.sync()
            await _check(config, app, any_database)
    app.close()


def _statement(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    id_, a, b = chance.randint(1, 8), chance.choice("xyz"), chance.choice([1, 2, None])
    v, u = str(chance.random()), chance.choice([None, None, "p", "q"])
    return chance.choice(
        [
            ("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?, ?)", (id_, a, b, v, u)),
            ("UPDATE t SET a = ?, b = ? WHERE id = ?", (a, b, id_)),
            ("UPDATE t SET b = 3 - b WHERE a = ?", (a,)),
            ("UPDATE t SET v = ?, u = ? WHERE id = ?", (v, u, id_)),
            ("UPDATE OR REPLACE t SET id = ? WHERE id = ?", (id_, chance.randint(1, 8))),
            ("DELETE FROM t WHERE id = ?", (id_,)),
        ]
    )


async def _check(config: Config, app: Any, dsn: str) -> None:
    here = {f"i{row[0]}": tuple(row[1:]) for row in app.execute("SELECT id, a, b, v, u FROM t")}
    held = {key for _, key, _ in await quarantined(dsn)}
    there = {tuple(row) for row in await fetch(dsn, "SELECT a, b, v, u FROM t")}
    assert there == {row for key, row in here.items() if key not in held}
    assert len(there) == len(here) - len(held)
    taken = {(row[0], row[1]) for row in there} | {("u", row[3]) for row in there if row[3] is not None}
    for key in held:
        a, b, _, u = here[key]
        assert b is None or (a, b) in taken or ("u", u) in taken, f"{key} is kept out for no reason"
    known = {row["source_key"] for row in await fetch(dsn, "SELECT source_key FROM cdc.crosswalk")}
    assert known == here.keys() - held
    assert await misplaced(config) == []


async def test_a_uuid_that_is_made_of_other_values_may_be_the_key_and_have_children(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) ON DELETE CASCADE);"
        "INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (1, 1), (2, 2), (3, 9);"
    ).fetchall()
    app.execute("PRAGMA foreign_keys = OFF")
    await execute(
        any_database,
        "CREATE TABLE p(id uuid PRIMARY KEY, name text);"
        "CREATE TABLE c(id uuid PRIMARY KEY, p uuid NOT NULL REFERENCES p(id) ON DELETE CASCADE);",
    )
    made = "printf('00000000-0000-4000-8000-%012d', {})"
    config = adopted(
        tmp_path,
        any_database,
        p=TableOptions(target_key=["id"], columns={"id": ColumnOptions(expression=made.format("id"))}),
        c=TableOptions(
            target_key=["id"],
            columns={
                "id": ColumnOptions(expression=made.format("id + 100")),
                "p": ColumnOptions(expression=made.format("p")),
            },
        ),
    )
    await up(config)
    pairs = "SELECT right(c.id::text, 3), p.name FROM c JOIN p ON c.p = p.id ORDER BY 1"
    assert [tuple(row) for row in await fetch(any_database, pairs)] == [("101", "a"), ("102", "b")]
    assert await quarantined(any_database) == [("c", "i3", "orphan")]
    app.execute("INSERT INTO p VALUES (9, 'nine'); DELETE FROM p WHERE id = 2")
    await drain(config)
    assert [tuple(row) for row in await fetch(any_database, pairs)] == [("101", "a"), ("103", "nine")]
    assert await quarantined(any_database) == [("c", "i2", "orphan")]
    app.execute("DELETE FROM c WHERE id = 2; UPDATE c SET p = 9 WHERE id = 1")
    await drain(config)
    assert [tuple(row) for row in await fetch(any_database, pairs)] == [("101", "nine"), ("103", "nine")]
    assert (await quarantined(any_database), await misplaced(config)) == ([], [])
    app.close()


async def test_a_key_that_changes_owners_keeps_its_children(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, v TEXT); CREATE TABLE c(id INTEGER PRIMARY KEY, p TEXT);"
        "INSERT INTO p VALUES (1, 'a', 'one'), (2, 'b', 'two'); INSERT INTO c VALUES (1, 'a'), (2, 'b');"
    ).fetchall()
    await execute(
        any_database,
        "CREATE TABLE p(name text PRIMARY KEY, v text);"
        "CREATE TABLE c(id bigint PRIMARY KEY, p text REFERENCES p(name) ON DELETE CASCADE);",
    )
    config = adopted(
        tmp_path, any_database, p=TableOptions(target_key=["name"], skip=["id"]), c=TableOptions(target="c")
    )
    await up(config)
    with app:
        app.execute("UPDATE p SET name = CASE name WHEN 'a' THEN 'b' ELSE 'a' END")
    await drain(config)
    pairs = "SELECT c.id, p.name, p.v FROM c JOIN p ON c.p = p.name ORDER BY 1"
    assert [tuple(row) for row in await fetch(any_database, pairs)] == [(1, "a", "two"), (2, "b", "one")]
    with app:
        app.execute("UPDATE p SET name = 'c' WHERE id = 1; UPDATE p SET name = 'b' WHERE id = 2")
    await drain(config)
    assert [tuple(row) for row in await fetch(any_database, pairs)] == [(2, "b", "two")]
    assert await quarantined(any_database) == [("c", "i1", "orphan")]
    assert await misplaced(config) == []
    app.close()


async def test_keys_of_another_spelling_are_read_by_their_format(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id CHAR(32) PRIMARY KEY, v TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES ('0b5c0e5e00004000800000000000000a', 'x'), (upper(hex(zeroblob(16))), 'y')")
    options = TableOptions(columns={"id": ColumnOptions(format="uuid")})
    config = make_config(tmp_path, tmp_path / "app.db", any_database, tables={"t": options})
    await up(config)
    app.execute("UPDATE t SET v = 'z' WHERE v = 'x'; DELETE FROM t WHERE v = 'y'")
    await drain(config)
    found = await fetch(any_database, "SELECT id::text, v FROM t")
    assert [tuple(row) for row in found] == [("0b5c0e5e-0000-4000-8000-00000000000a", "z")]
    assert await misplaced(config) == []
    app.close()
