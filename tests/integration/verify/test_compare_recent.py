"""What changed since a comparison is all that a switch has to look at: it must find every key that differs among it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from harness import Daemon, application, execute, make_config, up, wait_until_caught_up

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.changes import Position
from cdc.postgres.connection.open import connect
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog import source_file
from cdc.verify.compare_recent import RecentComparison

TABLES = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE word(w TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);
WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 3000)
INSERT INTO item SELECT value, 'name ' || value FROM n;
INSERT INTO word SELECT 'w' || id, id FROM item;
"""


async def installed(tmp_path: Path, dsn: str, tables: Mapping[str, TableOptions] | None = None) -> Config:
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    app.close()
    made = make_config(tmp_path, tmp_path / "app.db", dsn, tables=tables)
    await up(made)
    return made


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    return await installed(tmp_path, database)


@asynccontextmanager
async def recent(config: Config, since: Position) -> AsyncIterator[RecentComparison]:
    look = source_file.look(config)
    assert look.capture is not None
    connection = await connect(config.target.dsn, purpose="test")
    try:
        record = Record(connection, look.capture.source_id)
        maps = (await current_tables(record, config, look.schema)).fed
        comparison = await RecentComparison.open(record, config, look, tuple(maps), since)
        try:
            yield comparison
        finally:
            comparison.close()
    finally:
        await connection.close()


async def test_only_keys_that_changed_are_looked_at_and_each_that_differs_is_found(config: Config) -> None:
    since = source_file.look(config).newest
    assert since is not None
    app = application(config.source.path)
    with Daemon(config) as daemon:
        app.execute("UPDATE item SET name = 'new' WHERE id <= 40").fetchall()
        app.execute("DELETE FROM item WHERE id = 50").fetchall()
        app.execute("REPLACE INTO word VALUES ('W7', 70)").fetchall()
        await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
    async with recent(config, since) as comparison:
        assert await comparison.round() == 0
        assert (comparison.compared, comparison.differing()) == (43, "")  # with 'w7', which is 'W7' now
    await execute(
        config.target.dsn, "UPDATE item SET name = 'other' WHERE id IN (7, 2999)"
    )  # 2999 did not change since
    await execute(config.target.dsn, "DELETE FROM word WHERE w = 'W7'")
    await execute(config.target.dsn, "INSERT INTO item VALUES (50, 'back again')")
    async with recent(config, since) as comparison:
        assert await comparison.round() == 3
        assert comparison.differing() == "item: 7, 50; word: 'W7'"
        await execute(config.target.dsn, "DELETE FROM item WHERE id = 50")
        assert await comparison.round() == 2
    app.close()


async def test_what_is_on_its_way_is_settled_once_it_arrived(config: Config) -> None:
    since = source_file.look(config).newest
    assert since is not None
    app = application(config.source.path)
    async with recent(config, since) as comparison:
        app.execute("UPDATE item SET name = 'new' WHERE id <= 40").fetchall()
        assert await comparison.round() == 40  # Postgres does not have them
        with Daemon(config) as daemon:
            await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
        assert await comparison.round() == 0
        app.execute("UPDATE item SET name = 'newer' WHERE id = 1").fetchall()
        assert await comparison.round() == 1
    app.close()


async def test_of_a_table_that_looks_another_up_every_row_is_looked_at(tmp_path: Path, database: str) -> None:
    name = ColumnOptions(expression="(SELECT name FROM item WHERE item.id = word.n)", type="text")
    config = await installed(tmp_path, database, {"word": TableOptions(columns={"name": name})})
    since = source_file.look(config).newest
    assert since is not None
    app = application(config.source.path)
    app.execute("UPDATE item SET name = 'new' WHERE id = 7").fetchall()  # and 'w7' with it, without an entry of its own
    await up(config)
    async with recent(config, since) as comparison:
        assert await comparison.round() == 0
        assert comparison.compared == 3001
    await execute(database, "UPDATE word SET name = 'old' WHERE w = 'w7'")
    async with recent(config, since) as comparison:
        assert await comparison.round() == 1
        assert comparison.differing() == "word: 'w7'"
        await execute(database, "UPDATE word SET name = 'new' WHERE w = 'w7'")
        assert await comparison.round() == 0
    app.close()


async def test_of_a_table_with_an_entry_that_names_no_key_too(config: Config) -> None:
    since = source_file.look(config).newest
    assert since is not None
    app = application(config.source.path)
    app.execute(
        "INSERT INTO _cdc_changelog(tid, op, at) SELECT tid, '*', julianday('now') FROM _cdc_table WHERE name = 'word'"
    ).fetchall()
    await execute(config.target.dsn, "UPDATE word SET n = 0 WHERE w = 'w7'")
    async with recent(config, since) as comparison:
        assert await comparison.round() == 1
        assert comparison.differing() == "word: 'w7'"
    app.close()
