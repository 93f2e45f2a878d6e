"""The application comes first: triggers of ours that make its writes fail are taken out, whatever else is the matter.

They do when somebody drops the table that they write to, as a schema push does with tables it does not know. Capture
is put back by the next session, which needs Postgres to know what it goes on from.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import CdcError
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.file_watch import Watch

LOOK_SECONDS: Final = 0.25  # how long writes fail at most while no session looks


async def relieve(config: Config, *, as_last: bool = False) -> None:
    """Take our triggers out of the file if they make the application's writes fail; see `source_file.relieve`."""
    if triggers := await asyncio.to_thread(lambda: source_file.relieve(config, as_last=as_last)):
        logger.bind(triggers=triggers).warning(
            "the changelog was dropped: the triggers that wrote to it were taken out"
        )
        trail.record(config.state.dir, "take triggers out", "done", {"triggers": triggers})


async def stand_by(config: Config, is_needed: Callable[[], bool]) -> None:
    """Look after the file for ever, whenever it was written to while `is_needed`: while no session does."""
    watch = Watch(config.source.path)
    due = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        due = watch.changed() or due
        if due and is_needed():
            with suppress(CdcError):  # locked at this moment, or gone: the next look tells
                await relieve(config, as_last=True)
                due = False
