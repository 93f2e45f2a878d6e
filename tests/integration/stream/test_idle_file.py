"""A file that is let go as idle: what is written to it is found, also where it could not be seen at first."""

from pathlib import Path

import msgspec
import pytest
from harness import application, make_config, up, value

from cdc.config import Config
from cdc.facts.changes import Position
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.changelog.source import Source
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream import session as session_module
from cdc.stream.session import Session


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    app.close()
    made = make_config(tmp_path, tmp_path / "app.db", database)
    await up(made)
    return msgspec.structs.replace(made, replicate=msgspec.structs.replace(made.replicate, idle_close_seconds=0.0))


class Hidden:
    """What a commit is for readers between its pages in the -wal file and its end in the index: nothing new."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lasts = False
        has_news = Source.has_news

        async def seen(source: Source, after: Position) -> bool:
            return await has_news(source, after) and not self.lasts

        monkeypatch.setattr(Source, "has_news", seen)


async def let_go(session: Session) -> None:
    """Rest until the file is closed, as the loop does."""
    while session.source.is_open:
        await session.tidy()


async def drained(session: Session) -> None:
    while await session.drain():
        pass


@pytest.mark.parametrize("asleep", [True, False])
async def test_a_commit_that_was_written_and_not_seen_at_first_is_found(
    config: Config, database: str, monkeypatch: pytest.MonkeyPatch, asleep: bool
) -> None:
    """Also when the one look that its writing caused came too early, and nothing is written after it."""
    monkeypatch.setattr(session_module, "UNTOUCHED_SECONDS", 0.2)
    hidden = Hidden(monkeypatch)
    app = application(config.source.path)
    session = await Session.open(config, Endpoint(config), Watch(config.source.path))
    try:
        await drained(session)
        if asleep:
            await let_go(session)
        hidden.lasts = True
        app.execute("INSERT INTO t(v) VALUES ('late')")
        await drained(session)
        await session.tidy()
        hidden.lasts = False
        await drained(session)
        assert await value(database, "SELECT count(*) FROM t") == 1
    finally:
        await session.close()
        app.close()


async def test_an_idle_file_is_looked_into_now_and_then_although_nobody_touched_it(
    config: Config, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that is suspended in a commit lets it be seen whenever it goes on: without a write."""
    monkeypatch.setattr(session_module, "UNTOUCHED_SECONDS", 0.0)
    hidden = Hidden(monkeypatch)
    app = application(config.source.path)
    session = await Session.open(config, Endpoint(config), Watch(config.source.path))
    try:
        await drained(session)
        hidden.lasts = True
        app.execute("INSERT INTO t(v) VALUES ('late')")
        await drained(session)
        await let_go(session)
        hidden.lasts = False
        await drained(session)
        assert await value(database, "SELECT count(*) FROM t") == 0  # nothing tells of it
        monkeypatch.setattr(session_module, "LOOK_ANYWAY_SECONDS", 0.0)
        await drained(session)
        assert await value(database, "SELECT count(*) FROM t") == 1
    finally:
        await session.close()
        app.close()
