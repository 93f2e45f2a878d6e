"""What applications delete in Postgres, after a cutover, does not come back unnoticed after a rollback either."""

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest
from harness import Daemon, application, drain, execute, fetch, make_config, up, wait_until_follows
from switched_pair import PROBE, done, settled, wait_until_alike

from cdc.config import Config, TableOptions
from cdc.config.cutover import CutoverSection

TABLES = f"""
CREATE TABLE video(id TEXT PRIMARY KEY, title TEXT);
INSERT INTO video VALUES ('a', 'one'), ('b', 'two'), ('c', 'three');
CREATE TABLE summary(id TEXT PRIMARY KEY, video TEXT REFERENCES video(id) ON DELETE CASCADE);
INSERT INTO summary VALUES ('a1', 'a'), ('b1', 'b');
CREATE TABLE rowids(words TEXT);
INSERT INTO rowids VALUES ('x');
{PROBE};
"""
IN_POSTGRES = """
DELETE FROM video WHERE id IN ('a', 'c');
INSERT INTO video VALUES ('c', 'anew'), ('d', 'came'), ('e', 'and went');
DELETE FROM video WHERE id = 'e';
"""


async def replicated(folder: Path, dsn: str, *, refused: bool = False) -> Config:
    """The pair before a cutover; deleted videos are refused by SQLite or told."""
    application(folder / "app.db").execute(TABLES).fetchall()
    tables = {"video": TableOptions(resurrection="refuse" if refused else "warn")}
    config = make_config(folder, folder / "app.db", dsn, heartbeat_seconds=0.2, tables=tables)
    config = msgspec.structs.replace(config, cutover=CutoverSection())
    await up(config)
    return config


async def cut_over(config: Config) -> None:
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await done(config, "cutover", "--prepare")
        await done(config, "cutover")


async def rolled_back(config: Config) -> None:
    with Daemon(config) as daemon:
        assert await settled(config, daemon) == "postgres"
        await wait_until_alike(config, daemon)
        await done(config, "rollback")


async def moved_there_and_back(folder: Path, dsn: str, *, crash_at: str = "", refused: bool = False) -> Config:
    """The pair after a cutover, with work in Postgres, and a rollback; the daemon died once at `crash_at`."""
    config = await replicated(folder, dsn, refused=refused)
    await cut_over(config)
    await execute(dsn, IN_POSTGRES)
    if crash_at:
        with Daemon(config, environment={"CDC_CRASH_AT": crash_at}) as daemon:
            assert await asyncio.to_thread(daemon.wait) == -9
    await rolled_back(config)
    return config


async def tombstones(dsn: str) -> set[tuple[str, str, str, bool]]:
    rows = await fetch(dsn, "SELECT source_table, key, cause, returned_at IS NOT NULL FROM cdc.tombstone")
    assert len(rows) == len({(row[0], row[1]) for row in rows}), "a key has one at most"
    return {tuple(row) for row in rows}


@pytest.mark.parametrize("crash_at", ["", "carry.before_commit", "carry.after_commit"])
async def test_a_key_that_is_deleted_there_has_a_tombstone_and_who_comes_back_is_told(
    tmp_path: Path, database: str, crash_at: str
) -> None:
    config = await moved_there_and_back(tmp_path, database, crash_at=crash_at)
    deleted = {
        ("video", "ta", "postgres", False),
        ("video", "te", "postgres", False),
        ("summary", "ta1", "postgres", False),
    }
    assert await tombstones(database) == deleted
    app = application(config.source.path)
    app.execute("INSERT OR IGNORE INTO video VALUES ('a', 'replayed'), ('b', 'there')").fetchall()
    app.close()
    await drain(config)
    assert await tombstones(database) == deleted - {("video", "ta", "postgres", False)} | {
        ("video", "ta", "postgres", True)
    }


async def test_a_file_that_refuses_what_was_deleted_refuses_what_was_deleted_there(
    tmp_path: Path, database: str
) -> None:
    config = await moved_there_and_back(tmp_path, database, crash_at="carry.after_commit", refused=True)
    app = application(config.source.path)
    for gone in ("INSERT INTO video VALUES ('a', 'x')", "INSERT INTO summary VALUES ('a2', 'a')"):
        with pytest.raises(apsw.ConstraintError, match="was deleted and is not taken in again"):
            app.execute(gone)
    app.execute("INSERT INTO summary VALUES ('c1', 'c'), ('d1', 'd')").fetchall()  # these live, 'c' once more
    assert app.execute("SELECT id FROM video ORDER BY id").fetchall() == [("b",), ("c",), ("d",)]
    app.close()


async def test_a_key_with_a_tombstone_that_is_inserted_there_came_back(tmp_path: Path, database: str) -> None:
    config = await replicated(tmp_path, database, refused=True)
    app = application(config.source.path)
    app.execute("DELETE FROM summary WHERE video = 'a'; DELETE FROM video WHERE id = 'a'").fetchall()
    app.close()
    await drain(config)
    await cut_over(config)
    await execute(database, "INSERT INTO video VALUES ('a', 'anew')")
    await rolled_back(config)
    assert ("video", "ta", "application", True) in await tombstones(database)
    app = application(config.source.path)
    app.execute("INSERT INTO summary VALUES ('a9', 'a')").fetchall()
    assert app.execute("SELECT count(*) FROM _cdc_tombstone WHERE name = 'video'").get == 0
    app.close()
