"""SQLite names have no case, and Postgres folds them: adopted tables and columns are found all the same, for good."""

import asyncio
from pathlib import Path

import pytest
from harness import adopted, application, execute, up, value
from installation import Installation
from test_adopted import told

from cdc.cutover import run as switch
from cdc.errors import ExitCode, TargetTaken
from cdc.facts.progress import Silent
from cdc.verify.run import verify

SOURCE = """
CREATE TABLE Pos ("Lock" TEXT PRIMARY KEY NOT NULL, StreamId INTEGER, owner INTEGER REFERENCES People(Id));
CREATE TABLE People (Id INTEGER PRIMARY KEY, FullName TEXT);
INSERT INTO People VALUES (1, 'a'); INSERT INTO Pos VALUES ('X', 5, 1);
"""
TARGET = """
CREATE TABLE People (Id bigint PRIMARY KEY, FullName text);
CREATE TABLE Pos (Lock text PRIMARY KEY, StreamId bigint, owner bigint REFERENCES People);
"""
ROWS = "SELECT string_agg(concat_ws(':', lock, streamid, owner), ',' ORDER BY lock) FROM pos"


async def test_what_differs_by_letter_case_is_compared_copied_followed_and_verified(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(any_database, TARGET)
    config = adopted(tmp_path, any_database)
    assert await told(config, "blocks") == {}
    await up(config)
    app.execute("INSERT INTO Pos VALUES ('Y', 6, 1); UPDATE Pos SET StreamId = 7 WHERE Lock = 'X'")
    await up(config)
    assert await value(any_database, ROWS) == "X:7:1,Y:6:1"
    report = await verify(config, None, False, Silent())
    assert (report.exit_code, sum(t.matched for t in report.tables)) == (ExitCode.OK, 3)
    app.close()


async def test_what_is_fed_stays_fed_whatever_comes_to_be_called_alike(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(database, TARGET)
    config = adopted(tmp_path, database)
    await up(config)
    await execute(
        database, 'CREATE TABLE "Pos" (LIKE pos INCLUDING ALL); ALTER TABLE pos ADD "StreamId" bigint DEFAULT 9'
    )
    app.execute("UPDATE Pos SET StreamId = 8; ALTER TABLE Pos ADD COLUMN Later TEXT")
    await execute(database, "ALTER TABLE pos ADD later text")
    await up(config)
    assert await value(database, ROWS) == "X:8:1"
    assert await value(database, 'SELECT "StreamId" FROM pos') == 9
    assert await value(database, 'SELECT count(*) FROM "Pos"') == 0
    assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    app.close()


async def test_a_table_that_is_renamed_to_another_case_is_found_again(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(database, TARGET)
    config = adopted(tmp_path, database)
    await up(config)
    await execute(database, 'ALTER TABLE pos RENAME TO "Pos"; ALTER TABLE "Pos" RENAME lock TO "Lock"')
    app.execute("INSERT INTO Pos VALUES ('Y', 6, 1)")
    await up(config)
    assert await value(database, """SELECT string_agg("Lock", ',' ORDER BY 1) FROM "Pos" """) == "X,Y"
    app.close()


async def test_another_file_does_not_take_a_table_under_another_case(tmp_path: Path, database: str) -> None:
    for name, table in (("one", "Pos"), ("two", "pOs")):
        (tmp_path / name).mkdir()
        app = application(tmp_path / name / "app.db")
        app.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        app.close()
    await execute(database, "CREATE TABLE pos (id bigint PRIMARY KEY)")
    await up(adopted(tmp_path / "one", database))
    with pytest.raises(TargetTaken, match=r"another file feeds these tables in Postgres: .*public\.pos"):
        await up(adopted(tmp_path / "two", database))


async def test_where_two_are_called_alike_the_plan_asks(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, Note TEXT)")
    await execute(database, 'CREATE TABLE t (id bigint PRIMARY KEY, note text, "NOTE" text)')
    config = adopted(tmp_path, database)
    assert await told(config, "blocks") == {"t.Note": "table t has no column Note"}
    app.close()


def test_a_cutover_and_the_way_back_use_the_names_that_are_there(site: Installation) -> None:
    site.sql("DROP TABLE t")
    site.sql(SOURCE)
    site.target_sql(TARGET)
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true')
    config = site.switched()
    site.target_sql("INSERT INTO pos VALUES ('Z', 1, 1); UPDATE people SET fullname = 'b'")
    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    app = application(site.database)
    assert list(app.execute("SELECT * FROM Pos WHERE Lock = 'Z'")) == [("Z", 1, 1)]
    assert list(app.execute("SELECT FullName FROM People")) == [("b",)]
    app.close()
