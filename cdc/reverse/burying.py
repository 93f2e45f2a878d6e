"""Tombstones of what applications delete in Postgres: there, and in a file that refuses keys that were deleted.

A key goes by what Postgres shows of it, gone or there, and not by what SQLite had: so whoever carries once more after a
crash writes them once more. A table that comes as a whole tells of no key that is gone.
"""

from cdc.facts.changed_rows import ChangedRows
from cdc.facts.changes import TableRows
from cdc.facts.drained import SourceKeys
from cdc.postgres.record.record import Record
from cdc.postgres.record.tombstone_writer import TombstoneWriter
from cdc.postgres.record.tombstones import POSTGRES
from cdc.sqlite.apply.drain import Drain
from cdc.sqlite.changelog import buried_keys


def remember_in_file(drain: Drain, page: ChangedRows) -> None:
    """Let the file refuse what is gone, and nothing that is there; in the transaction of the drain."""
    source = page.mapped.source
    if source.buries:
        keys = drain.source_keys(page)
        buried_keys.bury(drain.connection, source.name, keys.gone)
        buried_keys.end(drain.connection, {source.name: keys.there})


class Burying:
    """Writes the tombstones of one source in Postgres, which stand for so many `days`."""

    def __init__(self, record: Record, days: int) -> None:
        self._writer = TombstoneWriter(record, days)
        self._is_ready = False

    async def remember(self, keys: SourceKeys) -> None:
        """Note what is gone, and that what is there came back if it had a tombstone; in the caller's transaction."""
        if not keys.mapped.key_lasts:
            return
        if not self._is_ready:
            await self._writer.refresh()
            self._is_ready = True
        name = keys.mapped.source.name
        await self._writer.bury(TableRows(name, deleted=[(key, None) for key in keys.gone]), POSTGRES)
        returned = await self._writer.standing(name, keys.there)
        await self._writer.settle(name, dict.fromkeys(returned, False))
