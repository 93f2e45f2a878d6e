"""Some tables compared while applications write to Postgres, and SQLite follows.

First every row: Postgres in one snapshot, SQLite in short pages after it. What differs then may be on its way, so its
keys are looked at again, a few at a time, in a state of both databases that belongs together: a snapshot of Postgres
during which nothing was committed in SQLite. What has no entry there was carried before: SQLite has it as Postgres has
it, or it differs for certain.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cdc.canonical.rules import Canonical
from cdc.config import Config
from cdc.facts.changes import Position
from cdc.facts.progress import Progress
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.outbox.reading import Outbox, WaitingKeys
from cdc.postgres.record.record import Record
from cdc.postgres.tables import catalogue
from cdc.postgres.tables.hashed_rows import TargetRows, snapshot
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.changelog.verify_reader import Reader
from cdc.sqlite.connection.verify_scratch import DIFFERENT, Scratch
from cdc.threads import to_its_end
from cdc.verify.compare_ranges import ComparedTable
from cdc.verify.compare_table import Comparison, know_quarantined, run_table
from cdc.verify.recurrence import Recurrence
from cdc.verify.report import TableReport

PATIENCE_SECONDS: Final = 10.0  # for the daemon to carry what is on its way
LOOK_SECONDS: Final = 0.05
KEYS_AT_A_TIME: Final = 200  # looked at faster than the daemon carries twice


class ReturningComparison:
    """As `JointComparison`, in the other direction; `position` is that of the file, which was fenced there."""

    def __init__(
        self, record: Record, config: Config, look: Look, maps: Sequence[TableMap], scratch: Scratch, at: Position
    ) -> None:
        self._record = record
        self._connection = record.connection
        self._config = config
        self._maps = maps
        self._scratch = scratch
        self._outbox = Outbox(record.connection, record.source_id)
        self._rows: dict[str, TargetRows] = {}
        self._comparisons: dict[str, Comparison] = {}
        self._uncarried: dict[str, int] = {}  # rows by table
        self._alike: dict[str, int] = {}
        self._look = look
        self.position: Position | None = at
        self.compared: dict[str, tuple[TableMap, TargetTable]] = {}
        self.again: dict[str, Recurrence] = {}

    async def compare(self, progress: Progress) -> tuple[TableReport, ...]:
        """All tables, then again what differed, for as long as it may be on its way."""
        assert self.position is not None
        reader = await to_its_end(Reader, self._config, self._look, self._maps, self.position)
        try:
            unusable = await self._begin(reader)
            async with snapshot(self._connection):
                for comparison in self._comparisons.values():
                    await know_quarantined(self._record, comparison)
                    await run_table(self._connection, comparison, progress)
                    self._alike[comparison.name] = comparison.report().matched
                    self._scratch.refly(comparison.name)
            await self._settle(reader)
            await self._look_at_columns()
            await to_its_end(reader.news, lambda _: None)  # it is the same file still
        finally:
            reader.close()
        return tuple(unusable.get(m.source.name) or self._report(self._comparisons[m.source.name]) for m in self._maps)

    async def _begin(self, reader: Reader) -> dict[str, TableReport]:
        """Make the comparisons; returns the tables that cannot be compared."""
        targets = await catalogue.read_tables(
            self._connection, self._config.target.schema, [m.target for m in self._maps]
        )
        unusable = {}
        for mapped in self._maps:
            name, target = mapped.source.name, targets.get(mapped.target)
            if target is None or (canonical := Canonical(mapped, target)).missing:
                what = "columns of it do" if target else "it does"
                unusable[name] = TableReport(name, problem=f"{what} not exist in Postgres any more")
                continue
            rows = self._rows[name] = TargetRows(self._connection, self._record.source_id, mapped, target)
            self._comparisons[name] = Comparison(ComparedTable(reader, self._scratch, mapped, canonical, rows))
            self.compared[name] = mapped, target
            self._uncarried[name] = 0
        return unusable

    async def _settle(self, reader: Reader) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            for name in self._comparisons:
                for encoded in self._scratch.flying(name, 0, KEYS_AT_A_TIME):
                    await self._judge(reader, name, encoded)
            flying = any(self._scratch.in_flight(name) for name in self._comparisons)
            if not flying or time.monotonic() > deadline or not await self._record.daemon_runs():
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _judge(self, reader: Reader, name: str, encoded: Sequence[str]) -> None:
        """Look at some keys again. Those that differ stay in flight unless that is certain."""
        before = await to_its_end(reader.version)
        async with snapshot(self._connection):
            keys = await self._comparisons[name].look_again(encoded)
            waiting = await self._outbox.waiting(self.compared[name][0], self._rows[name].key_form, keys)
        stood_still = await to_its_end(reader.version) == before
        differing = self._scratch.found_among(name, keys)
        self._scratch.land_keys(name, alike := set(keys) - differing)
        self._alike[name] += len(alike)
        unsettled = differing if not stood_still else differing & waiting.on_way
        self._note_uncarried(name, differing - unsettled, waiting)
        self._scratch.land_keys(name, differing - unsettled)
        self._scratch.withdraw(name, unsettled)

    def _note_uncarried(self, name: str, certain: frozenset[str], waiting: WaitingKeys) -> None:
        uncarried = certain & waiting.uncarried
        self._scratch.withdraw(name, uncarried)
        self._uncarried[name] += len(uncarried)

    async def _look_at_columns(self) -> None:
        async with snapshot(self._connection):
            for comparison in self._comparisons.values():
                if self._scratch.count(comparison.name, DIFFERENT):
                    await comparison.look_at_columns()

    def _report(self, comparison: Comparison) -> TableReport:
        name = comparison.name
        alike, uncarried = self._alike[name], self._uncarried[name]
        return replace(comparison.report(), matched=alike, uncarried=uncarried, problem=comparison.failed)
