"""Cutover and rollback with a real daemon beside them: nothing is lost in either direction, and nobody writes twice."""

from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest
from harness import (
    Daemon,
    application,
    execute,
    fetch,
    make_config,
    up,
    value,
    wait_for,
    wait_until_caught_up,
    wait_until_follows,
)

from cdc.config import Config
from cdc.cutover import prepare, run, survey
from cdc.cutover.plan import Readiness
from cdc.errors import ExitCode
from cdc.facts.progress import Silent
from cdc.first_copy import snapshots
from cdc.observe.status import gather
from cdc.postgres.server.endpoint import reached

TABLES = """
CREATE TABLE channel(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE video(id TEXT PRIMARY KEY, channel INTEGER REFERENCES channel(id) ON DELETE CASCADE, title TEXT,
    seen TIMESTAMP, done BOOLEAN, score REAL, extra JSON);
INSERT INTO channel(name) VALUES ('one'), ('two');
INSERT INTO video VALUES
    ('a', 1, 'A', '2024-01-02 03:04:05', 1, 1.5, '{"k": 1}'),
    ('b', 2, 'B', '2024-01-02 03:04:06', 0, 2.0, '{"k": [1, 2]}');
"""


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    app.close()
    made = make_config(tmp_path, tmp_path / "app.db", database, heartbeat_seconds=0.2)
    await up(made)
    return made


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
        with pytest.raises(apsw.ConstraintError, match="cdc"):
            app.execute("INSERT INTO video(id) VALUES ('refused')").fetchall()
        assert await picture(config) == ("cutover", "Postgres", ExitCode.OK)

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
