"""Cutover and rollback with a real daemon beside them: nothing is lost in either direction, and nobody writes twice."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import msgspec
import pytest
from harness import (
    Daemon,
    application,
    execute,
    fetch,
    followed,
    quarantined,
    value,
    wait_for,
    wait_until_caught_up,
    wait_until_follows,
)

from cdc.config import Config, CutoverSection, FileFlag
from cdc.cutover import long_writers, prepare, reads, run, survey
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.state import FlagState
from cdc.cutover.plan import Readiness
from cdc.errors import ExitCode, SourceBusy, SwitchError
from cdc.facts.progress import Silent
from cdc.facts.side import Side
from cdc.first_copy import snapshots
from cdc.notes import emergency_note
from cdc.observe.status import gather
from cdc.postgres.server.endpoint import reached
from cdc.reverse import emergency

TABLES = """
CREATE TABLE channel(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE video(id TEXT PRIMARY KEY, channel INTEGER REFERENCES channel(id) ON DELETE CASCADE, title TEXT,
    seen TIMESTAMP, done BOOLEAN, score REAL, extra JSON);
INSERT INTO channel(name) VALUES ('one'), ('two');
INSERT INTO video VALUES
    ('a', 1, 'A', '2024-01-02 03:04:05', 1, 1.5, '{"k": 1}'),
    ('b', 2, 'B', '2024-01-02 03:04:06', 0, 2.0, '{"k": [1, 2]}');
CREATE TABLE empty(id INTEGER PRIMARY KEY AUTOINCREMENT, video TEXT NOT NULL REFERENCES video(id), at DATE NOT NULL);
CREATE TABLE picky(id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n > 7));
"""


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    return await followed(tmp_path, database, TABLES, heartbeat_seconds=0.2)


def quiet(_: str) -> None:
    """Nobody looks at the steps."""


async def rows_in(config: Config, side: str) -> list[Any]:
    sql = "SELECT id, channel, title FROM video ORDER BY id"
    if side == "sqlite":
        reader = apsw.Connection(str(config.source.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return [tuple(row) for row in reader.execute(sql)]
        finally:
            reader.close()
    return [tuple(row) for row in await fetch(config.target.dsn, sql)]


async def ready(config: Config, daemon: Daemon) -> None:
    await wait_until_follows(config, daemon)
    await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
    await snapshots.take_snapshot(config, Silent())
    await prepare.prepare(config, Silent())
    plan = await survey.cutover_plan(config)
    assert plan.readiness is Readiness.READY, ([gate for gate in plan.gates if not gate.passed], daemon.words())


async def picture(config: Config) -> tuple[str, str | None, ExitCode]:
    """What `cdc status` says: the phase, who accepts writes, its exit code; once the daemon has taken over."""
    async with reached(config) as endpoint:
        found = await gather(config, endpoint)
        while not found.daemon_runs:
            found = await gather(config, endpoint)
    assert found.warnings == []
    return found.phase, found.writes, found.exit_code


async def carried(config: Config, daemon: Daemon) -> None:
    async def nothing_waits() -> bool:
        return not await value(config.target.dsn, "SELECT count(*) FROM cdc.outbox")

    await wait_for(nothing_waits, "everything to be carried back", daemon=daemon)


async def test_there_and_back_and_there_again(config: Config) -> None:
    app = application(config.source.path)
    with Daemon(config) as daemon:
        await ready(config, daemon)
        app.execute("UPDATE video SET title = 'A2' WHERE id = 'a'").fetchall()  # after it was prepared
        done = await run.cutover(config, quiet)
        assert done.afterwards == ""
        assert done.refused_seconds < config.cutover.max_refused_seconds
        assert await value(config.target.dsn, "SELECT title FROM video WHERE id = 'a'") == "A2"
        probed = "SELECT detail FROM cdc.switch_step WHERE step = 'probe the way back'"
        assert await value(config.target.dsn, probed) == "tables: 2 by a row, 1 by a marker, 1 by their trigger alone"
        assert await value(config.target.dsn, "SELECT last_value FROM channel_id_seq") == 2  # no number was drawn
        with pytest.raises(apsw.ConstraintError, match="cdc"):
            app.execute("INSERT INTO video(id) VALUES ('refused')").fetchall()
        assert await picture(config) == ("cutover", "Postgres", ExitCode.OK)
        again = await survey.cutover_plan(config)  # of which nothing would mean anything
        assert ([gate.name for gate in again.gates], again.steps, again.exit_code) == (["written to"], (), 2)

        await execute(config.target.dsn, "INSERT INTO channel(name) VALUES ('three') ON CONFLICT (name) DO NOTHING")
        await execute(config.target.dsn, "INSERT INTO video VALUES ('c', 3, 'C', '2025-01-01 00:00:00', true, 3, '{}')")
        await execute(config.target.dsn, "UPDATE video SET title = 'B2' WHERE id = 'b'")
        await execute(config.target.dsn, "DELETE FROM channel WHERE id = 1")  # and its video with it
        await carried(config, daemon)
        assert await rows_in(config, "sqlite") == [("b", 2, "B2"), ("c", 3, "C")]
        stored = app.execute("SELECT seen, done, score, extra FROM video WHERE id = 'b'").fetchall()
        assert stored == [("2024-01-02 03:04:06", 0, 2.0, '{"k": [1, 2]}')]

        back = await survey.rollback_plan(config)
        assert (back.readiness, back.would_lose) == (Readiness.READY, "0")
        await execute(config.target.dsn, "DELETE FROM video WHERE id = 'b'")
        done = await run.rollback(config, quiet, Silent())
        assert done.afterwards == ""
        assert await rows_in(config, "sqlite") == [("c", 3, "C")]
        assert await picture(config) == ("replicate", "SQLite", ExitCode.OK)
        assert [gate.name for gate in (await survey.rollback_plan(config)).gates] == ["written to"]
        with pytest.raises(asyncpg.PostgresError, match="replication"):
            await execute(config.target.dsn, "INSERT INTO video(id) VALUES ('refused')")

        app.execute("INSERT INTO channel(name) VALUES ('four')").fetchall()
        assert app.execute("SELECT max(id) FROM channel").get == 4
        app.execute("INSERT INTO video(id, channel, title) VALUES ('d', 4, 'D')").fetchall()
        await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
        assert await rows_in(config, "postgres") == await rows_in(config, "sqlite") == [("c", 3, "C"), ("d", 4, "D")]

        await prepare.prepare(config, Silent())
        await run.cutover(config, quiet)
        await execute(config.target.dsn, "DELETE FROM video")
        await carried(config, daemon)
        assert await rows_in(config, "sqlite") == []
        assert "compare whole tables" not in daemon.words()
    app.close()


async def test_sqlite_is_opened_without_postgres_and_postgres_given_up_later(config: Config) -> None:
    """What Postgres had and SQLite lacked is saved when they meet again, and SQLite's rows stand."""
    app = application(config.source.path)
    with Daemon(config) as daemon:
        await ready(config, daemon)
        await run.cutover(config, quiet)
        await execute(config.target.dsn, "INSERT INTO video(id, channel, title) VALUES ('carried', 2, 'c')")
        await carried(config, daemon)
        daemon.kill()
    await execute(config.target.dsn, "INSERT INTO video(id, channel, title) VALUES ('lost', 2, 'l')")
    assert (await emergency.missing(config)).changes == 1
    impatient = msgspec.structs.replace(config, source=msgspec.structs.replace(config.source, busy_timeout_seconds=0.1))
    app.execute("BEGIN IMMEDIATE")
    with pytest.raises(SourceBusy):
        emergency.open_sqlite(impatient)
    app.execute("ROLLBACK")
    assert emergency_note.read(config) is None  # what failed does not happen later
    emergency.open_sqlite(config)
    app.execute("INSERT INTO video(id, title) VALUES ('here', 'h')").fetchall()
    with pytest.raises(SwitchError, match="nothing to open"):
        emergency.open_sqlite(config)
    with Daemon(config) as daemon:
        await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
        assert await picture(config) == ("replicate", "SQLite", ExitCode.OK)
    there = ["a", "b", "carried", "here"]
    assert [row[0] for row in await rows_in(config, "sqlite")] == there
    assert [row[0] for row in await rows_in(config, "postgres")] == there
    saved = [file.read_text() for file in config.state.dir.rglob("*.csv")]
    assert len(saved) == 1
    assert "lost" in saved[0]
    app.close()


async def test_a_flag_that_a_killed_switch_left_behind_is_set_back(config: Config, tmp_path: Path) -> None:
    flags = CutoverSection(flags=[FileFlag(kind="file", path=tmp_path / "flag.json")])
    flagged = msgspec.structs.replace(config, cutover=flags)
    Flags(flagged).set_all(FlagState(Side.POSTGRES, Side.POSTGRES))
    with Daemon(flagged) as daemon:

        async def is_back() -> bool:
            return (await asyncio.to_thread(Flags(flagged).now)).state == FlagState(Side.SQLITE, Side.SQLITE)

        await wait_for(is_back, "the flag to say where writes go", daemon=daemon)


async def test_the_last_moment_waits_for_a_word_and_nothing_is_refused_before(config: Config, tmp_path: Path) -> None:
    app = application(config.source.path)
    with Daemon(config) as daemon:
        await ready(config, daemon)
        shown: list[str] = []
        switching = asyncio.create_task(run.cutover(config, shown.append, tmp_path / "go"))

        async def waits() -> bool:
            return "wait for the word" in shown

        await wait_for(waits, "the last moment", daemon=daemon)
        app.execute("INSERT INTO video(id, title) VALUES ('late', 'l')").fetchall()
        (tmp_path / "go").touch()
        await switching
        assert await value(config.target.dsn, "SELECT title FROM video WHERE id = 'late'") == "l"
    app.close()


async def test_a_full_text_index_fits_its_table_after_a_rollback(config: Config) -> None:
    app = application(config.source.path)
    app.execute("""
        CREATE VIRTUAL TABLE search USING fts5(title, content='video', content_rowid='rowid');
        INSERT INTO search(search) VALUES ('rebuild');
        CREATE TRIGGER video_ai AFTER INSERT ON video BEGIN
            INSERT INTO search(rowid, title) VALUES (new.rowid, new.title); END;
        CREATE TRIGGER video_ad AFTER DELETE ON video BEGIN
            INSERT INTO search(search, rowid, title) VALUES ('delete', old.rowid, old.title); END;
    """).fetchall()
    with Daemon(config) as daemon:
        await ready(config, daemon)
        await run.cutover(config, quiet)
        await execute(config.target.dsn, "INSERT INTO video(id, channel, title) VALUES ('new', 2, 'walrus')")
        await execute(config.target.dsn, "DELETE FROM video WHERE id = 'a'")
        await run.rollback(config, quiet, Silent())
    app.execute("INSERT INTO video(id, channel, title) VALUES ('newer', 2, 'walrus again')").fetchall()
    app.execute("DELETE FROM video WHERE id = 'b'").fetchall()
    app.execute("INSERT INTO search(search, rank) VALUES ('integrity-check', 1)").fetchall()
    found = app.execute("SELECT title FROM search WHERE search MATCH 'walrus' ORDER BY title").fetchall()
    assert found == [("walrus",), ("walrus again",)]
    app.close()


async def test_a_plan_writes_nothing_and_tells_what_postgres_lacks(config: Config) -> None:
    app = application(config.source.path)
    app.execute(
        "CREATE TABLE note(id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT (datetime('now', 'localtime')), "
        "by TEXT DEFAULT NULL, on_day TEXT DEFAULT (null))"
    ).fetchall()
    app.close()
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
    before = [config.source.path.read_bytes(), await contents(config.target.dsn)]
    plan = await survey.cutover_plan(config)
    assert [config.source.path.read_bytes(), await contents(config.target.dsn)] == before
    assert {gate.name for gate in plan.gates if not gate.passed} == {"daemon", "prepared", "verified"}
    assert next(gate.now for gate in plan.gates if gate.name == "verified") == "never"
    assert (await reads.reads_plan(config)).exit_code == ExitCode.DIFFERENCE  # nobody reads what was never compared
    alone = [text for text in plan.unchecked if "has a default in SQLite alone" in text]
    assert alone == ["note.at has a default in SQLite alone: an INSERT without it fails there"]  # NULL is no default


async def contents(dsn: str) -> list[Any]:
    """Every row of every table that is ours or the application's, by name."""
    names = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = ANY($1)"
    tables = [row[0] for row in await fetch(dsn, f"{names} ORDER BY 1", ["cdc", "public"])]
    return [(name, await fetch(dsn, f"SELECT t::text FROM {name} AS t ORDER BY 1")) for name in tables]


async def test_a_row_that_was_held_is_let_go_once_an_application_made_it_in_postgres(config: Config) -> None:
    """What Postgres could not hold stays in SQLite as it is, through both switches, until it is that row in both."""
    app = application(config.source.path)
    for key in ("x", "y"):
        app.execute("INSERT INTO video(id, title, seen) VALUES (?, 'held', 'no date')", (key,)).fetchall()
    with Daemon(config) as daemon:
        await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
        assert {row[1] for row in await quarantined(config.target.dsn)} == {"tx", "ty"}
        await execute(config.target.dsn, "UPDATE cdc.quarantine SET acknowledged_at = now(), acknowledged_by = 'test'")
        await ready(config, daemon)
        await run.cutover(config, quiet)
        await execute(config.target.dsn, "INSERT INTO video(id, title) VALUES ('x', 'made')")
        await carried(config, daemon)
        await run.rollback(config, quiet, Silent())
        titles = app.execute("SELECT id, title, seen FROM video WHERE id IN ('x', 'y') ORDER BY id").fetchall()
        assert titles == [("x", "made", None), ("y", "held", "no date")]
        assert {row[1] for row in await quarantined(config.target.dsn)} == {"ty"}
    app.close()


async def test_whoever_would_hold_a_switch_up_is_named_before(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wrote to a table, and who only reads one whose keys are altered in the moment of the switch."""
    monkeypatch.setattr(long_writers, "LONG_SECONDS", 0.0)
    for sql, named in (
        ("SELECT count(*) FROM channel", True),
        ("SELECT count(*) FROM video", False),
        ("LOCK TABLE video IN ROW EXCLUSIVE MODE", True),
    ):
        other = await asyncpg.connect(config.target.dsn, server_settings={"application_name": "a report"})
        try:
            async with other.transaction():
                await other.execute(sql)
                plan = await survey.cutover_plan(config)
        finally:
            await other.close()
        (gate,) = (gate for gate in plan.gates if gate.name == "long transactions")
        assert (not gate.passed, "a report (process" in gate.now) == (named, named), sql
    writing = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute('BEGIN IMMEDIATE'); "
        "print('writes', flush=True); sys.stdin.read()"
    )
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-c", writing, config.source.path)
    writer = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"writes\n"
        plan = await survey.cutover_plan(config)
    finally:
        writer.kill()
        await writer.wait()
    (gate,) = (gate for gate in plan.gates if gate.name == "long transactions")
    assert gate.now == f"process {writer.pid} ({Path(sys.executable).name}) in SQLite, for more than 1 s"
