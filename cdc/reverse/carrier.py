"""Carrying: what waits in the outbox is written to the fenced file, in one transaction, as one snapshot shows it.

After it, SQLite is Postgres as it was in that snapshot. Only then are the entries forgotten, so a crash in between
carries them once more, which changes nothing. The snapshot is read to its end before SQLite is locked: a server that
hangs keeps nobody from the file.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cdc.config import Config
from cdc.errors import SwitchError
from cdc.facts.changed_rows import ChangedRows
from cdc.facts.drained import Drained
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues
from cdc.faults import crash_point
from cdc.postgres.connection.errors import translated
from cdc.postgres.outbox.reading import Outbox
from cdc.postgres.outbox.uncarried import Uncarried
from cdc.postgres.record.durable import flush
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.reverse.forms import FormsByTable
from cdc.sql_names import qualified, quote
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

    `touched` is told the source keys of all rows that are carried, by table; called in a thread.
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
        self._record = record
        self._maps = maps
        self._targets = {m.source.name: targets[m.target] for m in maps}
        self._forms = forms

    async def carry(self, exported: str | None = None) -> Carried | None:
        """Carry all that waits now; None when nothing does. Raises errors of either database, with nothing lost.

        With the name of a snapshot that another transaction has `exported`, SQLite becomes what that one shows.
        """
        if not (await self.outbox.lag()).entries:
            return None
        held = await self._record.quarantine.keys_of(None)
        encoded = {name: frozenset(map(encode_key, keys)) for name, keys in held.items()}
        with KeptPages(self._maps) as kept:
            async with self.outbox.reading(self._maps, exported) as reading:
                async for page in reading.pages():
                    await to_its_end(kept.add, page)
            # An application may commit without waiting for the disk: SQLite must not have what a crash takes back.
            await flush(self._record.connection)
            # Nobody waits for Postgres from here on: SQLite is locked, and `cdc rollback --emergency` may come.
            async with self._draining(encoded) as drain:
                rows = await self._write(drain, kept)
                crash_point("carry.before_commit")
                await to_its_end(drain.commit)
        crash_point("carry.after_commit")
        with translated("forgetting what was carried back"):
            async with self._record.connection.transaction():
                await self.uncarried.note(reading, rows.refused, {m.source.name: m.target for m in self._maps})
                await self._release(rows)
                entries = await self.outbox.forget(reading)
        return Carried(entries, rows)

    async def _release(self, rows: Drained) -> None:
        """Rows that Postgres did not have are in both now, as an application made them there."""
        quarantine = QuarantineWriter(self._record)
        for table in {table for table, _ in rows.overwritten}:
            await quarantine.release(table, [decode_key(key) for name, key in rows.overwritten if name == table])
        await quarantine.tell()

    async def probe(self) -> int:
        """Send a row of each table to SQLite as it is, while the outbox is armed; returns of how many tables.

        So triggers, rights, conversion and the write past the fence are known to work before anything depends on them.
        Raises `SwitchError` when a row does not come, or would come as another one.
        """
        touched = [m for m in self._maps if await self._touch(m)]
        carried = await self.carry()
        rows = carried.rows if carried else Drained({}, {}, {})
        changed = {name for done in (rows.inserted, rows.updated, rows.deleted) for name, n in done.items() if n}
        if (carried.entries if carried else 0) < len(touched) or changed or rows.refused:
            names = ", ".join(sorted(changed | {row.table for row in rows.refused})) or "at least one table"
            raise SwitchError(
                f"rows that were not changed do not come back from Postgres as they are: {names}",
                remedy="nothing was switched; `cdc verify` tells whether both are alike, and this is worth a report",
            )
        return len(touched)

    async def _touch(self, mapped: TableMap) -> bool:
        """Write some row of a table as it is; whether there is one."""
        columns = (self._targets[mapped.source.name].column(name) for name in mapped.target_columns)
        own = next((quote(c.name) for c in columns if c and not c.generated and c.identity != "a"), None)
        if own is None:
            return False
        table = qualified(mapped.schema, mapped.target)
        with translated(f"probing the way back of table {mapped.target}"):
            done = await self._record.connection.execute(
                f"UPDATE {table} SET {own} = {own} WHERE ctid = (SELECT ctid FROM {table} LIMIT 1)"
            )
        return str(done) == "UPDATE 1"

    async def _write(self, drain: Drain, pages: Iterable[ChangedRows]) -> Drained:
        for page in pages:
            await to_its_end(drain.take, page)
        return await to_its_end(drain.settle)

    @asynccontextmanager
    async def _draining(self, held: Mapping[str, frozenset[str]]) -> AsyncIterator[Drain]:
        """One transaction in SQLite, undone on any error."""
        opening = opened_past_fence(self._config)
        connection = await to_its_end(opening.__enter__)
        try:
            drain = Drain(connection, self._targets, self._forms, held, self.touched)
            await to_its_end(drain.begin)
            try:
                fence.require_raised(connection, self._config)
                yield drain
            except BaseException:
                await to_its_end(drain.undo)
                raise
        finally:
            await to_its_end(opening.__exit__, None, None, None)


def _nobody(_table: str, _keys: Iterable[KeyValues]) -> None:
    """Nobody wants to know."""
