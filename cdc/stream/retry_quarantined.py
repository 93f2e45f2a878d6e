"""Trying the rows in quarantine again: their keys are logged, and the daemon does the rest."""

import asyncio

from cdc.config import Config
from cdc.identity.active_side import require_sqlite_active
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.errors import not_set_up


async def retry_quarantined(config: Config, table: str | None) -> int:
    """Log quarantined keys again, of one source table or all, so that the daemon tries them; returns how many."""
    look = await asyncio.to_thread(source_file.look, config)
    if look.capture is None:
        raise not_set_up(config.source.path)
    async with connected(config, "quarantine") as connection:
        record = Record(connection, look.capture.source_id)
        await require_sqlite_active(config, await record.stream.read())
        keys = await record.quarantine.keys_of(table)
    return await asyncio.to_thread(source_file.log_again, config, keys)
