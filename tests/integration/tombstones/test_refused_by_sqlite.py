"""Where the operator wants it, SQLite itself refuses rows that were deleted, and their children."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from comparison import differences
from harness import Daemon, application, drain, fetch, make_config, up, wait_for

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.config.sections import ReferenceOptions
from cdc.errors import UsageError
from cdc.sqlite.changelog import source_file
from cdc.tombstones import decide
from cdc.tombstones.decide import Wish

TABLES = """
CREATE TABLE video(id TEXT PRIMARY KEY, slug TEXT UNIQUE, title TEXT);
INSERT INTO video VALUES ('a', 's1', 'one'), ('b', 's2', 'two'), ('c', 's3', 'three');
CREATE TABLE summary(id INTEGER PRIMARY KEY AUTOINCREMENT, video TEXT REFERENCES video(id) ON DELETE CASCADE,
    words TEXT);
INSERT INTO summary VALUES (1, 'a', 'x'), (2, 'b', 'y');
CREATE TABLE pair(a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO pair VALUES ('p', 1, 'v'), ('p', 2, 'v');
CREATE TABLE number(id INTEGER PRIMARY KEY, v);
INSERT INTO number VALUES (1, 'v'), (2, 'v'), (3, 'v');
CREATE TABLE free(id TEXT PRIMARY KEY);
INSERT INTO free VALUES ('f');
"""
REFUSED = "was deleted and is not taken in again"


@pytest.fixture
def config(tmp_path: Path, database: str) -> Config:
    refusing = {name: TableOptions(resurrection="refuse") for name in ("video", "pair", "number")}
    return make_config(tmp_path, tmp_path / "app.db", database, tables=refusing)


async def started(config: Config) -> apsw.Connection:
    """The application, with its rows in Postgres."""
    app = application(config.source.path)
    app.execute(TABLES)
    await up(config)
    app.execute("PRAGMA foreign_keys = ON")
    return app


REPLAYS = [
    "INSERT INTO video VALUES ('a', 's1', 'one')",
    "INSERT OR REPLACE INTO video VALUES ('a', 's1', 'one')",
    "INSERT OR IGNORE INTO video VALUES ('a', 's1', 'one')",
    "INSERT INTO video VALUES ('a', 's1', 'one') ON CONFLICT(id) DO UPDATE SET title = excluded.title",
    "INSERT INTO summary(video, words) VALUES ('a', 'a child')",
    "INSERT INTO video SELECT 'a', 's9', 'among others' UNION ALL SELECT 'z', 's8', 'new'",
]


@pytest.mark.parametrize("replay", REPLAYS)
async def test_what_was_deleted_is_refused_with_its_children(config: Config, replay: str) -> None:
    app = await started(config)
    app.execute("PRAGMA foreign_keys = OFF; DELETE FROM video WHERE id = 'a'; DELETE FROM summary WHERE video = 'a'")
    before = app.execute("SELECT * FROM video ORDER BY id").fetchall()
    with pytest.raises(apsw.ConstraintError, match=REFUSED):
        app.execute(replay)
    assert app.execute("SELECT * FROM video ORDER BY id").fetchall() == before
    await drain(config)
    assert await differences(app, config.target.dsn) == []
    app.close()


LIVING = {
    "replaced": "INSERT OR REPLACE INTO video VALUES ('b', 's2', 'again')",
    "replaced, and triggers fire for it": "PRAGMA recursive_triggers = ON; "
    "INSERT OR REPLACE INTO video VALUES ('b', 's2', 'again'); "
    "INSERT OR REPLACE INTO video VALUES ('b', 's2', 'and again'); INSERT INTO summary(video) VALUES ('b')",
    "upserted": "INSERT INTO video VALUES ('b', 's2', 'x') ON CONFLICT(id) DO UPDATE SET title = excluded.title",
    "renamed and back": "UPDATE video SET id = 'moved' WHERE id = 'c'; UPDATE video SET id = 'c' WHERE id = 'moved'",
    "given the key of one that was deleted": "DELETE FROM video WHERE id IN ('c', 'a'); DELETE FROM summary; "
    "UPDATE video SET id = 'c' WHERE id = 'b'; INSERT INTO summary(video) VALUES ('c'); "
    "INSERT OR REPLACE INTO video VALUES ('c', 's2', 'replaced')",
    "an id that SQLite chose": "DELETE FROM number WHERE id = 3; INSERT INTO number(v) VALUES ('new'); "
    "INSERT OR REPLACE INTO number VALUES (3, 'replaced')",
    "part of a key": "DELETE FROM pair WHERE b = 1; INSERT INTO pair VALUES ('p', 3, 'v'), ('q', 1, 'v')",
    "of a table that is free": "DELETE FROM free; INSERT INTO free VALUES ('f')",
    "a child of one that lives": "DELETE FROM summary; INSERT INTO summary(video) VALUES ('b')",
    "whose deletion was undone": "BEGIN; DELETE FROM video WHERE id = 'c'; ROLLBACK; "
    "INSERT OR REPLACE INTO video VALUES ('c', 's3', 'lives')",
}


@pytest.mark.parametrize("name", LIVING)
async def test_a_living_row_is_never_refused(config: Config, name: str) -> None:
    app = await started(config)
    app.execute(LIVING[name])
    await drain(config)
    assert await differences(app, config.target.dsn) == []
    app.close()


async def test_a_key_of_several_columns_and_a_chosen_number_are_refused(config: Config) -> None:
    app = await started(config)
    app.execute("DELETE FROM pair WHERE b = 1; DELETE FROM number WHERE id = 2")
    for replay in ("INSERT INTO pair VALUES ('p', 1, 'v')", "INSERT INTO number VALUES (2, 'v')"):
        with pytest.raises(apsw.ConstraintError, match=REFUSED):
            app.execute(replay)
    app.close()


async def test_a_child_by_a_reference_of_the_configuration_is_refused_as_well(tmp_path: Path, database: str) -> None:
    """Where SQLite declares no foreign key; under another name in Postgres the file has the column all the same."""
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE video(id TEXT PRIMARY KEY); INSERT INTO video VALUES ('a'), ('b')").fetchall()
    app.execute("CREATE TABLE note(id INTEGER PRIMARY KEY, about TEXT, words TEXT)").fetchall()
    to_video = ReferenceOptions(columns=["video_id"], table="video", on_delete="cascade")
    tables = {
        "video": TableOptions(resurrection="refuse"),
        "note": TableOptions(references=[to_video], columns={"about": ColumnOptions(target="video_id")}),
    }
    config = make_config(tmp_path, tmp_path / "app.db", database, tables=tables)
    await up(config)
    app.execute("DELETE FROM video WHERE id = 'a'").fetchall()
    with pytest.raises(apsw.ConstraintError, match=REFUSED):
        app.execute("INSERT INTO note(about) VALUES ('a')")
    app.execute("INSERT INTO note(about) VALUES ('b'), (NULL)").fetchall()
    await drain(config)
    assert [row[0] for row in await fetch(database, "SELECT video_id FROM note ORDER BY id")] == ["b", None]
    app.close()


async def test_what_is_deleted_and_put_in_again_at_once_is_refused_too(config: Config) -> None:
    """No trigger can see that both belong to one transaction: docs/tombstones.md says so."""
    app = await started(config)
    with pytest.raises(apsw.ConstraintError, match=REFUSED):
        app.execute("BEGIN; DELETE FROM video WHERE id = 'c'; INSERT INTO video VALUES ('c', 's3', 'again')")
    app.execute("ROLLBACK")
    assert app.execute("SELECT title FROM video WHERE id = 'c'").get == "three"
    app.close()


async def test_a_person_lets_one_be_created_anew(config: Config) -> None:
    app = await started(config)
    app.execute("DELETE FROM video WHERE id IN ('a', 'c')")
    await drain(config)
    done = await decide.accept(config, Wish("video", "'a'"))
    assert (done.ended, done.applied) == (1, 0)
    app.execute("INSERT INTO video VALUES ('a', 's1', 'anew'); INSERT INTO summary(video) VALUES ('a')")
    with pytest.raises(apsw.ConstraintError, match=REFUSED):
        app.execute("INSERT INTO video VALUES ('c', 's3', 'again')")
    await drain(config)
    assert await differences(app, config.target.dsn) == []
    with pytest.raises(UsageError):
        await decide.accept(config, Wish("video", "'b'"))
    app.close()


async def test_it_forgets_after_the_days(config: Config) -> None:
    app = await started(config)
    app.execute("DELETE FROM video WHERE id = 'a'; DELETE FROM video WHERE id = 'c'")
    app.execute("UPDATE _cdc_tombstone SET at = at - 31 WHERE k1 = 'a'")
    quick = make_config(
        config.state.dir.parent,
        config.source.path,
        config.target.dsn,
        tables=config.tables,
        prune_seconds=0.1,
        heartbeat_seconds=0.1,
    )

    async def forgotten() -> bool:
        return app.execute("SELECT k1 FROM _cdc_tombstone ORDER BY 1").fetchall() == [("c",)]

    with Daemon(quick) as daemon:
        await wait_for(forgotten, "the file to forget", daemon=daemon)
    app.execute("INSERT INTO video VALUES ('a', 's1', 'anew')")
    app.close()


async def test_a_table_that_is_built_anew_goes_on_being_guarded(config: Config) -> None:
    """As frameworks do it: no trigger of ours may name a table that is away meanwhile."""
    app = await started(config)
    app.execute("PRAGMA foreign_keys = OFF")
    app.execute(
        "BEGIN; CREATE TABLE new(id TEXT PRIMARY KEY, slug TEXT UNIQUE, title TEXT, more TEXT);"
        "INSERT INTO new SELECT *, 'm' FROM video; DROP TABLE video; ALTER TABLE new RENAME TO video; COMMIT"
    )
    app.execute("INSERT INTO summary(video) VALUES ('b')")
    await drain(config)
    app.execute("DELETE FROM video WHERE id = 'a'")
    with pytest.raises(apsw.ConstraintError, match=REFUSED):
        app.execute("INSERT INTO video VALUES ('a', 's1', 'again', 'm')")
    await drain(config)
    assert await differences(app, config.target.dsn) == []
    app.close()


async def test_a_schema_push_that_drops_the_table_is_mended(config: Config) -> None:
    app = await started(config)
    app.execute("DROP TABLE _cdc_tombstone")
    with pytest.raises(apsw.SQLError):
        app.execute("DELETE FROM video WHERE id = 'a'")
    assert source_file.relieve(config) > 0
    app.execute("SELECT count(*) FROM video").fetchall()  # by that a connection learns of a schema that others changed
    app.execute("DELETE FROM video WHERE id = 'a'")
    await up(config)
    app.execute("DELETE FROM video WHERE id = 'b'")
    with pytest.raises(apsw.ConstraintError, match=REFUSED):
        app.execute("INSERT INTO video VALUES ('b', 's2', 'again')")
    await drain(config)
    assert await differences(app, config.target.dsn) == []
    app.close()


async def test_it_can_be_switched_on_and_off_and_leaves_no_trace(config: Config) -> None:
    app = await started(config)
    off = make_config(config.state.dir.parent, config.source.path, config.target.dsn)
    app.execute("DELETE FROM video WHERE id = 'a'")
    await drain(off)
    assert list(guards(app)) == []
    app.execute("INSERT INTO video VALUES ('a', 's1', 'anew')")
    await drain(config)
    assert len(list(guards(app))) > 0
    assert await differences(app, config.target.dsn) == []
    source_file.remove_capture(config)
    assert app.execute("SELECT name FROM sqlite_schema WHERE name LIKE '%cdc%'").fetchall() == []
    app.close()


def guards(app: apsw.Connection) -> Iterator[str]:
    rows = app.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%_cdc_tombstone%'")
    yield from (str(row[0]) for row in rows)


async def test_a_row_that_slipped_in_all_the_same_is_told(config: Config) -> None:
    app = await started(config)
    app.execute("DELETE FROM video WHERE id = 'c'")
    await drain(config)
    app.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    app.execute("INSERT INTO video VALUES ('c', 's3', 'slipped in')")
    app.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)
    app.execute("UPDATE video SET title = 'seen' WHERE id = 'c'")
    await drain(config)
    sql = "SELECT key FROM cdc.tombstone WHERE returned_at IS NOT NULL"
    assert [row[0] for row in await fetch(config.target.dsn, sql)] == ["tc"]
    app.close()
