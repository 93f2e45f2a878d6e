"""A stream knows its targets through one seam: several follow one file, and the slowest holds the changelog."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from harness import application, load, make_config, value
from mirror import Mirror
from replicated_pair import replicated

from cdc.config import Config
from cdc.facts.values import Row
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream.loop import Stream
from cdc.stream.session import Session
from cdc.values.converter import Converted, TableConverter

SCHEMA = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id) ON DELETE CASCADE, n INTEGER);
CREATE TABLE keyless(a, b);
"""
ROWS = """
INSERT INTO parent VALUES (1, 'ann'), (2, 'bob'), (3, 'cy');
INSERT INTO child VALUES (10, 1, 1), (11, 1, 2), (12, 2, 3);
INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (NULL, x'00ff');
"""
WRITES = (
    "INSERT INTO parent SELECT 10 * a.id + b.id, 'p' || a.id || b.id FROM parent AS a, parent AS b",
    "UPDATE parent SET name = name || '!' WHERE id % 3 = 0",
    "REPLACE INTO parent VALUES (4, 'bob')",
    "DELETE FROM parent WHERE id = 1",
    "UPDATE child SET id = id + 1000",
    "INSERT INTO keyless SELECT n, id FROM child",
    "DELETE FROM keyless WHERE a = 1",
)
TABLES = {"parent": "*", "child": "*", "keyless": "rowid, *"}  # as the target's columns have it


def write(app: apsw.Connection, *statements: str) -> None:
    app.execute("PRAGMA foreign_keys = ON")
    for sql in statements:
        app.execute(sql)


def rows_of(app: apsw.Connection) -> dict[str, list[Row]]:
    return {t: sorted(app.execute(f"SELECT {what} FROM {t}"), key=repr) for t, what in TABLES.items()}


def mirrored(mirror: Mirror) -> dict[str, list[Row]]:
    return {table: sorted(mirror.tables[table].values(), key=repr) for table in TABLES}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(application(tmp_path / "app.db")) as connection:
        connection.execute(SCHEMA + ROWS)
        yield connection


async def opened(config: Config, mirror: Mirror) -> Session:
    return await Session.open(config, Endpoint(config), Watch(config.source.path), further=(mirror.open,))


async def drained(session: Session) -> None:
    while await session.drain():
        pass


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_second_target_gets_every_change(
    tmp_path: Path, database: str, app: apsw.Connection, at_once: bool
) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await load(config)
    mirror = Mirror()
    session = await opened(config, mirror)
    for statement in WRITES:
        write(app, statement)
        if not at_once:
            await drained(session)
    await drained(session)
    assert mirrored(mirror) == rows_of(app)
    assert mirror.position == session.position
    await session.tidy()
    assert mirror.beats == 1
    await session.close()
    assert mirror.closed == 1


async def test_one_that_was_away_gets_what_it_missed(tmp_path: Path, database: str, app: apsw.Connection) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await load(config)
    mirror = Mirror()
    session = await opened(config, mirror)
    await drained(session)
    await session.close()
    write(app, *WRITES[:4])
    alone = await Session.open(config, Endpoint(config), Watch(config.source.path))
    await drained(alone)  # Postgres goes on without it
    await alone.close()
    assert mirror.position.seq < alone.position.seq
    batches = mirror.batches
    session = await opened(config, mirror)
    await drained(session)
    await session.close()
    assert mirrored(mirror) == rows_of(app)
    assert mirror.batches == batches + 1


async def test_the_changelog_is_kept_for_the_slowest_target(
    tmp_path: Path, database: str, app: apsw.Connection
) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", database)
    eager = msgspec.structs.replace(config.replicate, prune_entries=1, heartbeat_seconds=0.001)
    config = msgspec.structs.replace(config, replicate=eager)
    await load(config)
    mirror = Mirror()
    session = await opened(config, mirror)
    oldest = "SELECT min(seq) FROM _cdc_changelog"
    try:
        mirror.kept = 0
        write(app, *WRITES)
        await drained(session)
        first = app.execute(oldest).get
        for _ in range(20):  # more than Postgres needs to be durable
            await asyncio.sleep(0.05)
            await session.tidy()
        assert app.execute(oldest).get == first
        mirror.kept = None
        while app.execute(oldest).get == first:  # the test's own deadline ends it
            await asyncio.sleep(0.05)
            await session.tidy()
        assert app.execute(oldest).get <= mirror.position.seq
    finally:
        await session.close()


async def test_streams_of_several_files_run_in_one_loop(tmp_path: Path, database: str) -> None:
    configs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        with closing(application(folder / "app.db")) as app:
            app.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO {name} VALUES (1, 'a')")
        configs.append(make_config(folder, folder / "app.db", database))
        await load(configs[-1])
        with closing(application(folder / "app.db")) as app:
            app.execute(f"INSERT INTO {name} VALUES (2, '{name}')")
    streams = [Stream(config, Endpoint(config)) for config in configs]
    await asyncio.gather(*(stream.run(asyncio.Event(), until_idle=True) for stream in streams))
    assert await value(database, "SELECT v FROM one WHERE id = 2") == "one"
    assert await value(database, "SELECT v FROM two WHERE id = 2") == "two"


# --- a round is converted once ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("INSERT INTO t VALUES (2, 'no number')", "by converting: a value that does not fit"),
        ("INSERT INTO child VALUES (1, 99)", "by Postgres: a parent is missing"),
        ("INSERT INTO t VALUES (4, 4)", "beforehand: a row of the table is in quarantine"),
    ],
)
async def test_a_round_that_cannot_go_directly_is_not_converted_again(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, statement: str, seen: str
) -> None:
    schema = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n BIGINT UNIQUE);"
        "CREATE TABLE child(id INTEGER PRIMARY KEY, t INTEGER REFERENCES t(id))"
    )
    held = ", (9, 'held')" if "beforehand" in seen else ""
    calls = 0
    convert = TableConverter.rows

    def counted(self: TableConverter, rows: list[Row]) -> Converted:
        nonlocal calls
        calls += len(rows) > 0
        return convert(self, rows)

    async with replicated(tmp_path, database, schema, f"INSERT INTO t VALUES (1, 1), (3, 5){held}") as pair:
        await pair.write()
        monkeypatch.setattr(TableConverter, "rows", counted)
        await pair.write(statement)
        assert calls == 1
        assert await pair.differences() == []
