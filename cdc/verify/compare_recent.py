"""What changed since a position, compared: of a file that was found equal before, that is all that can differ now.

The keys are in the changelog. Each round reads what was logged since the one before, and looks at every key that is not
settled yet: one that is alike is done with, for if it changes again it is logged again. Once the file is fenced and
drained, a round must settle them all. Of a table whose rows may have changed without an entry of their own, as those do
that look something up in another table, a round looks at every row.
"""

from collections.abc import Callable, Iterable
from typing import Final, Self

from cdc.canonical.rules import Canonical
from cdc.config import Config
from cdc.errors import TargetStateLost
from cdc.facts.changes import Position
from cdc.facts.progress import Progress, Silent
from cdc.facts.row_key import show_key
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues
from cdc.postgres.record.record import Record
from cdc.postgres.tables import catalogue
from cdc.postgres.tables.hashed_rows import TargetRows, letting_go, snapshot
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.changelog.verify_reader import Logged, Reader
from cdc.sqlite.connection.verify_scratch import DIFFERENT, EXTRA, MISSING, Scratch
from cdc.threads import to_its_end
from cdc.verify.compare_ranges import ComparedTable
from cdc.verify.compare_table import Comparison, note_news

SHOWN_KEYS: Final = 5


class RecentComparison:
    """Compares the keys logged after a position; `compared` counts them, each as often as it was looked at."""

    def __init__(self, record: Record, reader: Reader, scratch: Scratch, comparisons: dict[str, Comparison]) -> None:
        self._record = record
        self._reader = reader
        self._scratch = scratch
        self._comparisons = comparisons
        self.compared = 0

    @classmethod
    async def open(
        cls, record: Record, config: Config, look: Look, maps: tuple[TableMap, ...], since: Position
    ) -> Self:
        """Begin after `since`; raises `SourceError` when the changelog does not reach back to it."""
        targets = await catalogue.read_tables(record.connection, config.target.schema, [m.target for m in maps])
        if gone := [m.target for m in maps if m.target not in targets]:
            raise TargetStateLost(
                f"tables do not exist in Postgres any more: {', '.join(gone)}",
                remedy="`cdc verify` tells what is missing, `cdc run` makes it again",
            )
        reader = await to_its_end(Reader, config, look, maps, since)
        scratch = await to_its_end(Scratch, config.state.dir)
        comparisons: dict[str, Comparison] = {}
        for mapped in maps:
            target = targets[mapped.target]
            rows = TargetRows(record.connection, record.source_id, mapped, target)
            comparisons[mapped.source.name] = Comparison(
                ComparedTable(reader, scratch, mapped, Canonical(mapped, target), rows)
            )
        return cls(record, reader, scratch, comparisons)

    def close(self) -> None:
        """Let go of the file, and remove the notes."""
        self._reader.close()
        self._scratch.close()

    async def everything(self, progress: Progress) -> None:
        """Look at every row of every table, in one state of Postgres; what differs is looked at again by each round."""
        connection = self._record.connection
        async with snapshot(connection):
            held = await self._record.quarantine.keys_of(None)
            for name, comparison in self._comparisons.items():
                progress.start(f"comparing {name}", None)
                await to_its_end(comparison.know, held.get(name, []))
                async with letting_go(connection):
                    await self._whole(comparison, progress)
                progress.finish()

    def note(self, table: str, keys: Iterable[KeyValues]) -> None:
        """Have these keys of a source table looked at with the next round as well."""
        self._comparisons[table].note(Logged(table, key, 0) for key in keys)

    async def round(self) -> int:
        """Look at every key that is not settled; returns how many are not settled after it, in one state of Postgres.

        A key that changes on either side meanwhile may stay unsettled; when nothing can change, what stays differs.
        """
        await to_its_end(self._reader.news, self._note)
        connection = self._record.connection
        async with snapshot(connection):
            state = await self._record.stream.read()
            assert state is not None
            assert state.position is not None
            held = await self._record.quarantine.keys_of(None)
            for name, comparison in self._comparisons.items():
                self._scratch.forget(name)
                if not comparison.unknown and not self._scratch.in_flight(name):
                    continue
                await to_its_end(comparison.know, held.get(name, []))
                async with letting_go(connection):
                    if comparison.unknown:
                        await self._whole(comparison, Silent())
                    self.compared += self._scratch.in_flight(name)
                    await comparison.recheck(state.position.seq)
                self._scratch.settle(name, state.position.seq)
        return sum(map(self._scratch.in_flight, self._comparisons))

    async def _whole(self, comparison: Comparison, progress: Progress) -> None:
        """Look at every row; what differs is in flight from then on."""
        await comparison.run(self._counting(progress))
        self._scratch.refly(comparison.name)
        comparison.unknown = False

    def _counting(self, progress: Progress) -> Callable[[int], None]:
        def advance(rows: int) -> None:
            self.compared += rows
            progress.advance(rows)

        return advance

    def differing(self) -> str:
        """What the last round found, for people: `item: id 5, 7; and 3 more`."""
        told = []
        for name in self._comparisons:
            kinds = (DIFFERENT, MISSING, EXTRA)
            rows = sum(self._scratch.count(name, kind) for kind in kinds)
            keys = [key for kind in kinds for key in self._scratch.samples(name, kind, SHOWN_KEYS)][:SHOWN_KEYS]
            if rows:
                more = f" and {rows - len(keys):,} more" if rows > len(keys) else ""
                told.append(f"{name}: {', '.join(map(show_key, keys))}{more}")
        return "; ".join(told)

    def _note(self, entries: list[Logged]) -> None:
        for comparison in note_news(self._comparisons, entries):
            comparison.unknown = True
