"""Where both databases stand, over two connections that are kept open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cdc.config import Config
from cdc.errors import TargetError
from cdc.identity.active_side import require_sqlite_active
from cdc.postgres.record import stream_row
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.newest import NewestEntry
from cdc.sqlite.connection.errors import not_set_up


@dataclass(frozen=True, slots=True)
class LivePositions:
    """Implements `cdc.shadow.moment.Positions`; `record` is what Postgres remembers of the source."""

    newest: NewestEntry
    record: Record

    async def source(self) -> int:
        """See `Positions`."""
        return await asyncio.to_thread(self.newest.seq)

    async def target(self) -> int:
        """See `Positions`; -1 while everything has to be compared first, so that nothing can be said."""
        return await self.record.stream.applied_seq()


@asynccontextmanager
async def live_positions(config: Config) -> AsyncIterator[LivePositions]:
    """Both positions for the time of a block.

    Raises errors of either database, `TargetError` where nothing was loaded yet or no daemon follows, and
    `PostgresActive` after a cutover: what is written there has no position that SQLite could be asked at.
    """
    source_id, _ = await asyncio.to_thread(source_file.whose, config)
    if source_id is None:
        raise not_set_up(config.source.path)
    async with connected(config, "shadow reads") as connection:
        record = Record(connection, source_id)
        state = await record.stream.read()
        if state is None or state.position is None:
            raise stream_row.never_loaded()
        await require_sqlite_active(config, state)
        if not await record.daemon_runs():
            raise TargetError(
                f"no daemon follows {config.source.path}, so Postgres does not come along",
                remedy="start it with `cdc run`, and ask again",
            )
        newest = await asyncio.to_thread(NewestEntry, config.source.path, config.source.busy_timeout_seconds)
        try:
            yield LivePositions(newest, record)
        finally:
            await asyncio.to_thread(newest.close)
