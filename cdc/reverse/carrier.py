"""Carrying: what waits in the outbox is written to the fenced file, in one transaction, as one snapshot shows it.

After it, SQLite is Postgres as it was in that snapshot. Only then are the entries forgotten, so a crash in between
carries them once more, which changes nothing. The snapshot is read to its end before SQLite is locked: a server that
hangs keeps nobody from the file.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cdc.config import Config
from cdc.facts.drained import Drained
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues
from cdc.faults import crash_point
from cdc.postgres.connection.errors import translated
from cdc.postgres.outbox.reading import Outbox, OutboxReading
from cdc.postgres.outbox.uncarried import Uncarried
from cdc.postgres.record.durable import flush
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.reverse.burying import Burying, remember_in_file
from cdc.reverse.forms import FormsByTable
from cdc.sqlite.apply.drain import Drain
from cdc.sqlite.apply.kept_pages import KeptPages
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.past_fence import opened_past_fence
from cdc.threads import to_its_end


@dataclass(frozen=True, slots=True)
class Carried:
    """What one turn did: how many entries of the outbox it took, and what became of their rows."""

    entries: int
    rows: Drained


class Carrier:
    """Carries for one source, over the connection that holds its lock; `forms` are by source table and target column.

    `targets` become those by source table. `touched` is told the source keys of all rows that are carried, by table;
    called in a thread.
    """

    def __init__(
        self,
        config: Config,
        record: Record,
        maps: Sequence[TableMap],
        targets: Mapping[str, TargetTable],
        forms: FormsByTable,
    ) -> None:
        self.outbox = Outbox(record.connection, record.source_id)
        self.uncarried = Uncarried(record.connection, record.source_id)
        self.touched: Callable[[str, Iterable[KeyValues]], None] = _nobody
        self._config = config
        self.record = record
        self.maps = maps
        self.targets = {m.source.name: targets[m.target] for m in maps}
        self._forms = forms
        self._burying = Burying(record, config.tombstones.kept_days)

    async def carry(self, exported: str | None = None) -> Carried:
        """Carry all that waits now. Raises errors of either database, with nothing lost.

        With the name of a snapshot that another transaction has `exported`, SQLite becomes what that one shows.
        """
        held = await self.record.quarantine.keys_of(None)
        encoded = {name: frozenset(map(encode_key, keys)) for name, keys in held.items()}
        with KeptPages(self.maps) as kept:
            async with self.outbox.reading(self.maps, exported) as reading:
                await read_into(kept, reading)
            # An application may commit without waiting for the disk: SQLite must not have what a crash takes back.
            await flush(self.record.connection)
            # Nobody waits for Postgres from here on: SQLite is locked, and `cdc rollback --emergency` may come.
            async with self.draining(encoded) as drain:
                rows = await self._write(drain, kept)
                crash_point("carry.before_commit")
                await to_its_end(drain.commit)
            crash_point("carry.after_commit")
            with translated("forgetting what was carried back"):
                async with self.record.connection.transaction():
                    await self.uncarried.note(reading, rows.refused, {m.source.name: m.target for m in self.maps})
                    await self._release(rows)
                    for page in kept:
                        await self._burying.remember(drain.source_keys(page))
                    entries = await self.outbox.forget(reading)
        return Carried(entries, rows)

    async def _write(self, drain: Drain, kept: KeptPages) -> Drained:
        for page in kept:
            await to_its_end(drain.take, page)
        rows = await to_its_end(drain.settle)
        if any(m.source.buries for m in self.maps):
            for page in kept:
                await to_its_end(remember_in_file, drain, page)
        return rows

    async def _release(self, rows: Drained) -> None:
        """Rows that Postgres did not have are in both now, as an application made them there."""
        quarantine = QuarantineWriter(self.record)
        for table in {table for table, _ in rows.overwritten}:
            await quarantine.release(table, [decode_key(key) for name, key in rows.overwritten if name == table])
        await quarantine.tell()

    @asynccontextmanager
    async def draining(self, held: Mapping[str, frozenset[str]]) -> AsyncIterator[Drain]:
        """One transaction in SQLite, undone unless it is committed within; raises `FenceDown` when SQLite is open."""
        opening = opened_past_fence(self._config)
        connection = await to_its_end(opening.__enter__)
        try:
            drain = Drain(connection, self.targets, self._forms, held, self.touched)
            await to_its_end(drain.begin)
            try:
                fence.require_raised(connection, self._config)
                yield drain
            finally:
                await to_its_end(drain.undo)
        finally:
            await to_its_end(opening.__exit__, None, None, None)


async def read_into(kept: KeptPages, reading: OutboxReading) -> None:
    """Keep all that a reading shows."""
    async for page in reading.pages():
        await to_its_end(kept.add, page)


def _nobody(_table: str, _keys: Iterable[KeyValues]) -> None:
    """Nobody wants to know."""
