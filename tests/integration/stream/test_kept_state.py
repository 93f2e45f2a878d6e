"""What an earlier version left behind goes on: the application's file, the state folder and the database."""

import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from harness import Rows, execute, fetch
from installation import Installation

KEPT = Path(__file__).with_name("kept")
VERSIONS = sorted(file.stem for file in KEPT.glob("*.sql"))


@pytest.fixture(params=VERSIONS)
async def left_behind(request: pytest.FixtureRequest, site: Installation) -> Installation:
    """The installation of an earlier version, where this test may write; its configuration is that of `cdc init`."""
    site.database.unlink()
    with tarfile.open(KEPT / f"{request.param}.tar.gz") as archive:
        archive.extractall(site.folder, filter="data")
    dump = (KEPT / f"{request.param}.sql").read_text(encoding="utf-8").replace("@FILE@", str(site.database))
    await execute(site.dsn, dump)
    return site


async def rows(site: Installation, sql: str) -> Rows:
    return await fetch(site.dsn, sql)


def in_file(site: Installation, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(site.database)) as connection:
        return connection.execute(sql).fetchall()


async def test_it_goes_on_from_where_it_was(left_behind: Installation) -> None:
    code, _, err = left_behind.process("run", "--until-idle")
    assert code == 0, err
    ids = "SELECT id FROM video ORDER BY id"
    assert [tuple(row) for row in await rows(left_behind, ids)] == in_file(left_behind, ids)  # with what was missed
    assert left_behind.process("verify")[0] == 0
    status = json.loads(left_behind.process("status", "--json")[1])
    assert (status["phase"], status["quarantine"]["total"], status["lag"]["changes"]) == ("replicate", 2, 0)
    assert [left["column"] for left in status["pending"]] == ["gone"]
    assert json.loads(left_behind.process("audit", "--json")[1])["verdict"]["whole"] is True


async def test_its_leftovers_can_still_be_dropped_and_its_quarantine_released(left_behind: Installation) -> None:
    assert left_behind.process("run", "--until-idle")[0] == 0
    assert left_behind.process("schema", "--apply-pending")[0] == 0
    assert await rows(left_behind, "SELECT FROM pg_attribute WHERE attname = 'gone' AND NOT attisdropped") == []
    with closing(sqlite3.connect(left_behind.database)) as connection:
        connection.execute("UPDATE note SET n = 8 WHERE n = 'no number'")
        connection.execute("INSERT INTO video(id, title) VALUES ('nobody', 'a parent')")
        connection.commit()
    assert left_behind.process("run", "--until-idle")[0] == 0
    assert await rows(left_behind, "SELECT FROM cdc.quarantine") == []
    assert left_behind.process("verify")[0] == 0
