"""Where commands that ask Postgres about this source begin: a connection, and which source it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cdc.config import Config

if TYPE_CHECKING:
    from cdc.postgres.record.record import Record


@asynccontextmanager
async def desk(config: Config, purpose: str) -> "AsyncIterator[Record | None]":
    """What Postgres remembers of the source, None when nothing was ever set up."""
    from cdc.postgres.record import own_schema
    from cdc.postgres.record.record import Record
    from cdc.postgres.record.status import find_source_id
    from cdc.postgres.server.endpoint import connected
    from cdc.sqlite.changelog.lag import read_source

    found = await asyncio.to_thread(read_source, config.source)
    async with connected(config, purpose) as connection:
        known = await find_source_id(connection, found.source_id, str(config.source.path))
        if known is None:
            yield None
            return
        await own_schema.make_whole(connection)
        yield Record(connection, known)
