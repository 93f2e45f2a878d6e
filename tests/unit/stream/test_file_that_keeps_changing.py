"""A file that has to be settled anew each time is told of, and the loop does not spin meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from small_tables import config

from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.changelog.errors import schema_changed
from cdc.stream import loop
from cdc.stream.loop import LOST_IN_A_ROW, Stream
from cdc.stream.session import Session


async def test_capture_that_is_lost_again_and_again_is_told_and_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LONGEST_SLOWING_SECONDS", 0.0)
    stop = asyncio.Event()
    opened = 0

    async def lost(*_: Any) -> Session:
        nonlocal opened
        opened += 1
        if opened == LOST_IN_A_ROW + 2:
            stop.set()
        raise schema_changed()

    monkeypatch.setattr(Session, "open", lost)
    told: list[str] = []
    sink = logger.add(lambda message: told.append(message.record["message"]), level="WARNING")
    try:
        given = config(source={"path": str(tmp_path / "app.db")}, state={"dir": str(tmp_path)})
        await Stream(given, Endpoint(given)).run(stop)
    finally:
        logger.remove(sink)
    assert told.count("the file keeps changing") == 2
