"""Who plays the application writes to whoever takes it, and finds out what was lost."""

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from harness import application, execute, fetch
from small_tables import mapped, table, target_of, text

from cdc.facts.row_rewrite import LoggedWrite, RowRewrite, RowWrite
from cdc.facts.side import Side
from cdc.postgres.connection.open import connect, hang_up
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.rewriting import PostgresWriter
from cdc.rehearsal.application import RehearsingApplication
from cdc.rehearsal.load import recorded_load, rewrites_of
from cdc.sqlite.rows.rewriting import SqliteWriter

MAPPED = mapped(table("t", text("v")))
OPS = ("U", "D")  # of which the second is a row that is deleted and inserted again


@pytest.fixture
def app(tmp_path: Path) -> apsw.Connection:
    app = application(tmp_path / "app.db")
    app.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')"
    ).fetchall()
    return app


@pytest.fixture
async def playing(app: apsw.Connection, database: str) -> AsyncIterator[RehearsingApplication]:
    await execute(database, "CREATE SCHEMA app; CREATE TABLE app.t(id bigint PRIMARY KEY, v text)")
    await execute(database, "INSERT INTO app.t VALUES (1, 'one'), (2, NULL)")
    rewrites: dict[str, RowRewrite] = rewrites_of([MAPPED], {"t": target_of(MAPPED)})
    load = recorded_load([LoggedWrite("t", op, (n,), float(n)) for n, op in enumerate(OPS, 1)])
    connection = await connect(database, purpose="test")
    with closing(SqliteWriter(Path(app.filename), rewrites)) as sqlite:
        made = RehearsingApplication(sqlite, PostgresWriter(connection, rewrites), rewrites, load)
        await made.look()
        yield made
    await hang_up(connection)


async def test_it_sees_who_takes_a_write_and_that_one_of_them_lost_it(
    playing: RehearsingApplication, app: apsw.Connection, database: str
) -> None:
    """A side without a fence takes what it is given, and one with a row that is as it was before has lost a write."""
    assert await playing.accepting() == {Side.SQLITE, Side.POSTGRES}
    assert str(app.execute("SELECT v FROM t WHERE id = 1").get).startswith("one ~")
    assert await playing.lost() == []
    await execute(database, "UPDATE app.t SET v = 'one' WHERE id = 1")
    assert await playing.lost() == ["t"]
    app.execute(
        "CREATE TRIGGER no BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'cdc: this database is read-only'); END"
    )
    assert await playing.accepting() == {Side.POSTGRES}
    assert await playing.lost() == []


async def test_a_table_that_cannot_be_written_to_is_told_and_left_alone(
    playing: RehearsingApplication, app: apsw.Connection
) -> None:
    app.execute("CREATE TRIGGER no BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'never'); END")
    await playing.accepting()
    assert list(playing.failing) == ["t"]
    assert "never" in playing.failing["t"]


async def test_a_row_that_is_written_anew_has_its_values(app: apsw.Connection, database: str) -> None:
    """Also where the target gives numbers of its own, and computes a column."""
    computed = "w text GENERATED ALWAYS AS (upper(v)) STORED"
    made = (
        f"CREATE SCHEMA app; CREATE TABLE app.t(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, {computed})"
    )
    await execute(database, f"{made}; INSERT INTO app.t OVERRIDING SYSTEM VALUE VALUES (2, 'two')")
    app.execute("CREATE TRIGGER seen AFTER INSERT ON t BEGIN UPDATE t SET v = v || '!' WHERE id = 1; END").fetchall()
    connection = await connect(database, purpose="test")
    rewrites = rewrites_of([MAPPED], await read_tables(connection, "app"))
    anew = [RowWrite("t", (2,), 1, replaces=True)]
    with closing(SqliteWriter(Path(app.filename), rewrites)) as sqlite:
        assert sqlite.write(anew) == 1
    assert app.execute("SELECT * FROM t").fetchall() == [(1, "one!"), (2, "two")]
    assert await PostgresWriter(connection, rewrites).write([replace(anew[0], key=("2",))]) == 1
    await hang_up(connection)
    assert [tuple(row) for row in await fetch(database, "SELECT id, v, w FROM app.t")] == [(2, "two", "TWO")]
