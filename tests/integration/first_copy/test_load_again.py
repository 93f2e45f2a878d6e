"""A first copy that ended after its foreign keys were made, and whose snapshot is gone: rows come in their order."""

import shutil
import signal
from pathlib import Path

import asyncpg
import pytest
from comparison import Comparison
from harness import Daemon, application, execute, make_config, up

from cdc.errors import TargetNotEmpty
from cdc.facts.progress import Silent
from cdc.first_copy import create_schema, loader, snapshots

SCHEMA = """
CREATE TABLE a_child(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES z_parent(id) ON DELETE CASCADE, v TEXT);
CREATE TABLE z_parent(id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO z_parent VALUES (1, 'one'), (2, 'two');
INSERT INTO a_child VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 99, 'without a parent');
"""


async def test_tables_with_foreign_keys_are_filled_again_without_losing_a_row(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    with Daemon(config, ("up", "--until-idle"), {"CDC_CRASH_AT": "load.before_position"}) as daemon:
        assert daemon.wait() == -signal.SIGKILL, daemon.words()
    shutil.rmtree(snapshots.snapshots_folder(config))
    app.execute("INSERT INTO z_parent VALUES (3, 'three'); INSERT INTO a_child VALUES (4, 3, 'd')")
    app.execute("DELETE FROM a_child WHERE id = 1")
    await up(config)
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM a_child") == 2
        assert await Comparison(app, connection, "public").differences() == []
    finally:
        await connection.close()
        app.close()


async def test_rows_of_others_behind_foreign_keys_are_not_deleted(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SCHEMA)
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await snapshots.take_snapshot(config, Silent())
    await create_schema.create_schema(config)
    await execute(database, "ALTER TABLE a_child ADD FOREIGN KEY (owner) REFERENCES z_parent(id)")
    await execute(database, "INSERT INTO z_parent VALUES (7, 'of somebody else')")
    with pytest.raises(TargetNotEmpty, match="z_parent"):
        await loader.load(config, Silent())
