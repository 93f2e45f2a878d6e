"""A comparison beside an application that never pauses: what changes meanwhile is looked at again, the rest judged."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Daemon, application, execute, fetch, make_config, up, value, wait_for

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.postgres.connection.changelog_lease import is_kept, keeping_changelog
from cdc.postgres.connection.open import connect
from cdc.verify import verify

TABLES = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE word(w TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 6000)
INSERT INTO item SELECT value, 'name ' || value FROM n;
INSERT INTO word SELECT 'w' || id, id FROM item;
CREATE TABLE tag(id INTEGER PRIMARY KEY, of INTEGER);
INSERT INTO tag SELECT id, id FROM item;
"""
# Rows of one table change with those of another, and have no entries of their own then.
LOOKED_UP = {"name": ColumnOptions(expression="(SELECT name FROM item WHERE item.id = tag.of)", type="text")}


@contextmanager
def hammered(path: Path) -> Iterator[None]:
    """An application that writes as fast as it can during the block; none of its writes may fail."""
    ends, errors = threading.Event(), []

    def write() -> None:
        app = application(path)
        number = 0
        try:
            while not ends.is_set():
                number += 1
                app.execute("UPDATE item SET name = ? WHERE id = ?", (f"n {number}", number % 300 + 1)).fetchall()
                app.execute("REPLACE INTO word VALUES (?, ?)", (f"w{number % 900}", number)).fetchall()
                app.execute("DELETE FROM word WHERE w = ?", (f"w{(number + 7) % 900}",)).fetchall()
        except Exception as error:  # noqa: BLE001 (told by the thread that waits for it)
            errors.append(error)
        finally:
            app.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
    assert errors == []


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    """What is applied is pruned at once, so that a comparison is overtaken wherever it can be."""
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    app.close()
    tables = {"tag": TableOptions(columns=LOOKED_UP)}
    made = make_config(tmp_path, tmp_path / "app.db", database, tables=tables, prune_entries=1, heartbeat_seconds=0.02)
    await up(made)
    return made


async def test_a_busy_table_is_no_error_and_a_difference_beside_it_is_found(config: Config) -> None:
    with Daemon(config) as daemon:
        pruned = "SELECT seq FROM cdc.stream WHERE seq > 2000"
        with hammered(config.source.path):
            await wait_for(lambda: _is_there(config, pruned), "changes to flow", daemon=daemon)
            for _ in range(2):
                report = await verify(config, None, False, Silent())
                assert (report.result, report.problems) == ("equal", ())
                assert {t.table: t.problem for t in report.tables} == {"item": None, "word": None, "tag": None}
                assert all(t.matched >= 5_000 for t in report.tables)  # what is written to is at most 900 rows of it
            await execute(config.target.dsn, "DELETE FROM word WHERE w = 'w5000'; DELETE FROM tag WHERE id = 5000")
            report = await verify(config, None, False, Silent())
            found = {t.table: t.samples for t in report.tables if t.samples}
            assert found.pop("word") == {"missing": ["tw5000"]}
            # Whether it is missing or on its way can only be said in a moment in which nothing it reads is written.
            (tag,) = (t for t in report.tables if t.table == "tag")
            assert found == {"tag": {"missing": ["i5000"]}} or (tag.pending and not found)
        report = await verify(config, None, False, Silent())
        assert {t.table: t.differences for t in report.tables} == {"item": 0, "word": 1, "tag": 1}


async def _is_there(config: Config, sql: str) -> bool:
    return bool(await fetch(config.target.dsn, sql))


async def test_nothing_is_pruned_while_somebody_compares(config: Config) -> None:
    app = application(config.source.path)
    source_id = str(app.execute("SELECT source_id FROM _cdc_state").get)
    counted = "SELECT count(*) FROM _cdc_changelog"
    reader = await connect(config.target.dsn, purpose="test")
    other = await connect(config.target.dsn, purpose="test")
    try:
        with Daemon(config) as daemon:
            async with keeping_changelog(reader, source_id), keeping_changelog(other, source_id):
                app.execute("UPDATE item SET name = 'x' WHERE id <= 50").fetchall()
                applied = "SELECT count(*) = 50 FROM item WHERE name = 'x'"
                await wait_for(lambda: _says(config, applied), "the changes", daemon=daemon)
                await asyncio.sleep(0.5)  # some twenty heartbeats
                assert app.execute(counted).get > 50
                assert await is_kept(reader, source_id)

            async def gone() -> bool:
                return int(str(app.execute(counted).get)) < 5

            await wait_for(gone, "the changelog to be pruned", daemon=daemon)
            assert not await is_kept(other, source_id)
    finally:
        await reader.close()
        await other.close()
        app.close()


async def _says(config: Config, sql: str) -> bool:
    return bool(await value(config.target.dsn, sql))
