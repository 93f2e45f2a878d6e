"""Some tables compared at one position, while the application writes and the daemon applies.

Postgres is read in one snapshot, which tells its position P. SQLite is read in short pages after that. A row that
changed meanwhile has an entry newer than P in the changelog: its key is in flight, is set aside, and is looked at again
once Postgres has passed it. The changelog is read on after every page, and is not pruned meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from cdc.canonical.rules import Canonical
from cdc.config import Config
from cdc.facts.changes import Position
from cdc.facts.key_range import ALL_KEYS, KeyRange, has_ranges
from cdc.facts.progress import Progress
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.changelog_lease import keeping_changelog
from cdc.postgres.record.record import Record
from cdc.postgres.tables import catalogue
from cdc.postgres.tables.hashed_rows import TargetRows, letting_go, snapshot
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.changelog.verify_reader import Logged, Reader
from cdc.sqlite.connection.verify_scratch import DIFFERENT, EXTRA, MISSING, Scratch
from cdc.threads import to_its_end
from cdc.verify.compare_ranges import ComparedTable
from cdc.verify.compare_table import Comparison, know_quarantined, note_news, run_table
from cdc.verify.recurrence import Recurrence, recurrence
from cdc.verify.remembered_sums import RememberedSums
from cdc.verify.report import TableReport

PASSES: Final = 5  # over the keys in flight, while the application keeps changing them
PATIENCE_SECONDS: Final = 10.0  # for Postgres to pass the keys in flight
LOOK_SECONDS: Final = 0.05
LOOKED_UP_KEYS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Slice:
    """The next so many rows of a table after a key, from its beginning when that is None."""

    after: int | None
    rows: int


class JointComparison:
    """Some tables compared at one position, which `position` is once Postgres was read.

    Of tables in `slices` that have ranges, only a part is compared; `ranges` says which it was. `compared` are the
    tables that could be, with their targets, by source name, `again` those of which repaired rows differ again.
    """

    def __init__(
        self,
        record: Record,
        config: Config,
        look: Look,
        maps: Sequence[TableMap],
        scratch: Scratch,
        slices: Mapping[str, Slice] | None = None,
        sums: RememberedSums | None = None,
    ) -> None:
        self._record = record
        self._connection = record.connection
        self._config = config
        self._look = look
        self._maps = maps
        self._scratch = scratch
        self._slices = slices or {}
        self._sums = sums
        self.ranges: dict[str, KeyRange] = {}
        self.compared: dict[str, tuple[TableMap, TargetTable]] = {}
        self.again: dict[str, Recurrence] = {}
        self._comparisons: dict[str, Comparison] = {}
        self._reader: Reader
        self.position: Position | None = None

    async def compare(self, progress: Progress) -> tuple[TableReport, ...]:
        """All tables at one position, then again what was in flight."""
        async with keeping_changelog(self._connection, self._record.source_id):
            unusable: dict[str, TableReport] = {}
            async with self._at_one_position() as at:
                self.position = at
                self._reader = await to_its_end(Reader, self._config, self._look, self._maps, at)
                try:
                    targets = await catalogue.read_tables(
                        self._connection, self._config.target.schema, [m.target for m in self._maps]
                    )
                    # All begin before the first is read: the news that are read meanwhile may be of any of them.
                    for mapped in self._maps:
                        if problem := await self._begin(mapped, targets.get(mapped.target)):
                            unusable[mapped.source.name] = TableReport(mapped.source.name, problem=problem)
                    if self._sums is not None:
                        await to_its_end(self._read_news)  # of what changed already, nothing is remembered
                        await self._sums.offer(self._comparisons, self.compared)
                    for comparison in self._comparisons.values():
                        await run_table(self._connection, comparison, progress)
                    newest = await self._catch_up(at.seq)
                except BaseException:
                    self._reader.close()
                    raise
            try:
                await self._settle(newest, progress)
                await self._look_at_columns()
            finally:
                self._reader.close()
        names = [m.source.name for m in self._maps]
        for name in self._comparisons:
            await self._look_at_history(name)
        return tuple(unusable[name] if name in unusable else self._comparisons[name].report() for name in names)

    async def keep_sums(self) -> None:
        """Remember what SQLite came to, once all else that was asked for is done."""
        if self._sums is not None:
            await self._sums.keep(self._comparisons, self.compared)

    async def _look_at_columns(self) -> None:
        differing = [c for c in self._comparisons.values() if self._scratch.count(c.name, DIFFERENT)]
        if differing:
            async with snapshot(self._connection):
                for comparison in differing:
                    await comparison.look_at_columns()

    async def _look_at_history(self, name: str) -> None:
        """Find out whether rows that differ were repaired before."""
        kinds = (DIFFERENT, MISSING, EXTRA)
        if any(self._scratch.count(name, kind) for kind in kinds):
            found = (batch for kind in kinds for batch in self._scratch.found(name, kind, LOOKED_UP_KEYS))
            keys = ([encoded for _, encoded in batch] for batch in found)
            if again := await recurrence(self._record, name, self.compared[name][1], keys):
                self.again[name] = again

    @asynccontextmanager
    async def _at_one_position(self) -> AsyncIterator[Position]:
        async with snapshot(self._connection):
            state = await self._record.stream.read()
            assert state is not None
            assert state.position is not None
            yield state.position

    async def _begin(self, mapped: TableMap, target: TargetTable | None) -> str | None:
        """Make the comparison of a table; returns why it cannot be made."""
        if target is None:
            return f"table {mapped.target} does not exist in Postgres"
        canonical = Canonical(mapped, target)
        if canonical.missing:
            return f"columns do not exist in Postgres: {', '.join(canonical.missing)}"
        keys = await self._range(mapped, target)
        rows = TargetRows(self._connection, self._record.source_id, mapped, target, keys)
        table = ComparedTable(self._reader, self._scratch, mapped, canonical, rows, keys, self._read_news)
        comparison = Comparison(table)
        await know_quarantined(self._record, comparison)
        self._comparisons[mapped.source.name] = comparison
        self.compared[mapped.source.name] = mapped, target
        return None

    async def _range(self, mapped: TableMap, target: TargetTable) -> KeyRange:
        part = self._slices.get(mapped.source.name)
        if part is None or not has_ranges(mapped, target):
            return ALL_KEYS
        keys = await to_its_end(self._reader.range_after, mapped, part.after, part.rows)
        self.ranges[mapped.source.name] = keys
        return keys

    async def _catch_up(self, passed: int) -> int:
        """Learn which keys were logged meanwhile, and judge nothing about them; returns the newest entry."""
        newest = await to_its_end(self._read_news)
        for name, comparison in self._comparisons.items():
            self._scratch.land(name, passed)
            self._scratch.withdraw_flying(name)
            if comparison.doubtful:
                self._scratch.refly(name)
                comparison.doubtful = False
        return newest

    def _read_news(self) -> int:
        return self._reader.news(self._note)

    def _note(self, entries: list[Logged]) -> None:
        for comparison in note_news(self._comparisons, entries):
            comparison.doubtful = True

    async def _settle(self, newest: int, progress: Progress) -> None:
        """Look again at what was in flight, for as long as the daemon makes headway, and only so many times."""
        for _ in range(PASSES):
            waiting = [c for c in self._comparisons.values() if c.unknown or self._scratch.in_flight(c.name)]
            if not waiting or not await self._passes(newest):
                return
            async with self._at_one_position() as at:
                for comparison in waiting:
                    # What was written meanwhile may have come there, or left it.
                    await know_quarantined(self._record, comparison)
                    if comparison.unknown:
                        comparison.unknown = False  # Postgres has passed the entries that said so
                        self._scratch.land(comparison.name, at.seq)  # and these are judged with all others
                        await run_table(self._connection, comparison, progress)
                    else:
                        async with letting_go(self._connection):
                            await comparison.recheck(at.seq)
                newest = await self._catch_up(at.seq)

    async def _passes(self, seq: int) -> bool:
        """Whether Postgres passes an entry soon; without a daemon only if it has already."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            state = await self._record.stream.read()
            if state is not None and state.position is not None and state.position.seq >= seq:
                return True
            late = asyncio.get_running_loop().time() > deadline
            if late or not await self._record.daemon_runs():
                return False
            await asyncio.sleep(LOOK_SECONDS)
