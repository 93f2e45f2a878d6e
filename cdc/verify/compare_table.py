"""Comparing one table: range by range where its key is a whole number, else by buckets of its keys' hashes.

Single rows of the buckets that do not agree are looked at afterwards. Order never matters there, so it works for every
kind of key and collation; memory holds one page and `BUCKETS` sums.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from cdc.canonical.rules import bucket, key_text
from cdc.errors import TargetError
from cdc.facts.progress import Progress
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.source_sums import SourceSums, SummedRange
from cdc.facts.values import KeyValues, NullKey, Row
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import is_refusal
from cdc.postgres.record.record import Record
from cdc.postgres.tables.hashed_rows import RangeHash, Sum, letting_go
from cdc.sqlite.changelog.verify_reader import Logged
from cdc.sqlite.connection.verify_scratch import DIFFERENT, EXTRA, MISSING
from cdc.threads import to_its_end
from cdc.verify.compare_ranges import ComparedTable, RangeComparison, both
from cdc.verify.report import SAMPLE_KEYS, ColumnDifference, TableReport

LOOKED_UP_KEYS: Final = 500


class Comparison:
    """One table on both sides, or a range of its keys.

    The caller holds the Postgres snapshot, and reads the news of the changelog once more afterwards.
    """

    def __init__(self, table: ComparedTable) -> None:
        self._table = table
        self._scratch = table.scratch
        self._width = table.mapped.source_key_width
        self._rows = 0
        self._quarantined = 0
        self._held_rows = 0  # rows of SQLite whose keys are in quarantine
        self._moved = False  # something in the table changed meanwhile, so its counts are of several moments
        self.name = table.mapped.source.name
        self.reads = table.mapped.source.reads
        self.unknown = False  # an entry said that anything in the table may have changed
        self.doubtful = False  # a table that this one looks up was written to: what differs may be on its way
        self.failed: str | None = None  # why it could not be compared
        self.remembered: SourceSums | None = None  # what SQLite came to, if that still holds; None once it does not
        self._summed: Sequence[SummedRange] | None = None
        self._ends_early = False
        self._columns: dict[str, list[ColumnDifference]] = {}

    def note(self, entries: Iterable[Logged]) -> None:
        """Keys of this table that were logged after the position are in flight."""
        flying = []
        for entry in entries:
            if entry.key is None:
                self._moved = self.unknown = True
            elif self._table.keys.holds(entry.key):
                self._moved = True
                key = key_text(self._table.canonical.key(entry.key))
                flying.append((self.name, key, encode_key(entry.key), entry.seq, _number(entry.key)))
        self._scratch.fly(flying)

    def know(self, keys: Sequence[KeyValues]) -> None:
        """Keys in quarantine must not be in Postgres."""
        held = [(key_text(self._table.canonical.key(key)), _number(key)) for key in keys if self._table.keys.holds(key)]
        self._quarantined = self._scratch.know(self.name, held)

    async def run(self, advance: Callable[[int], None]) -> None:
        """Compare all rows; findings about keys in flight are there too, and are for the caller to withdraw."""
        self.failed = None
        self._scratch.forget(self.name)
        if self._table.target.ranged:
            if not await self._is_as_remembered(advance):
                await self._run_ranges(advance)
        else:
            await self._run_buckets(advance)

    @property
    def sums(self) -> Sequence[SummedRange] | None:
        """What SQLite's rows came to, in ranges; None where they differ, are held, or changed meanwhile."""
        return None if self._moved or self._quarantined or self.failed else self._summed

    async def _is_as_remembered(self, advance: Callable[[int], None]) -> bool:
        """Whether Postgres comes to what SQLite came to, and nothing was logged since: then it need not be read."""
        if self.remembered is None or self._moved or self._quarantined:
            self.remembered = None
            return False
        for part in self.remembered.ranges:
            if await self._table.target.hash_within(part.keys, (), part.rows) != RangeHash(part.rows, part.hash):
                self.remembered = None
                return False
            advance(part.rows)
        self._rows, self._held_rows, self._summed = self.remembered.rows, 0, self.remembered.ranges
        return True

    async def _run_ranges(self, advance: Callable[[int], None]) -> None:
        ranges = RangeComparison(self._table)
        await ranges.run(advance)
        self._rows, self._held_rows, self._summed = ranges.rows, ranges.held_rows, ranges.sums

    async def _run_buckets(self, advance: Callable[[int], None]) -> None:
        self._held_rows = 0
        sums, theirs = await self._both_sums(advance)
        doubtful = [b for b in sums.keys() | theirs.keys() if sums.get(b) != theirs.get(b)]
        self._rows = sum(found.rows for found in sums.values())
        if doubtful:
            await self._look_closer(frozenset(doubtful), advance)

    async def recheck(self, upto: int) -> None:
        """Compare the keys in flight that Postgres has passed; the caller withdraws what flies again."""
        for encoded in self._scratch.flying(self.name, upto, LOOKED_UP_KEYS):
            await self.look_again(encoded)

    async def look_again(self, encoded: Sequence[str]) -> list[str]:
        """Compare the rows of some source keys; returns these keys as findings have them."""
        keys = [decode_key(key) for key in encoded]
        texts = {key_text(made := self._table.canonical.key(key)): (key, made) for key in keys}
        # No row of Postgres has a NULL in its key.
        possible = [
            made for key, made in texts.values() if not isinstance(key[0], NullKey) or self._table.mapped.crosswalk
        ]
        theirs = await self._table.target.look_up(possible)
        rows = await to_its_end(self._table.look_up, keys)
        ours = {text.decode(): row_digest for text, _, row_digest in self._table.canonical.hashed(rows)}
        self._judge({text: key for text, (key, _) in texts.items()}, ours, theirs)
        return list(texts)

    async def look_at_columns(self) -> None:
        """See in which columns some of the rows that differ do; those that are alike by now are left out."""
        self._columns = {}
        encoded = {text: decode_key(text) for text in self._scratch.samples(self.name, DIFFERENT, SAMPLE_KEYS)}
        keys = {key_text(made := self._table.canonical.key(key)): (text, made) for text, key in encoded.items()}
        theirs = await self._table.target.look_at([made for _, made in keys.values()])
        rows = await to_its_end(self._table.look_up, list(encoded.values()))
        for row, (key, ours) in zip(rows, self._table.canonical.texts(rows), strict=True):
            if key not in theirs or key not in keys:
                continue
            texts, shown = theirs[key]
            values = zip(self._table.canonical.names, row[self._width :], ours, texts, shown, strict=True)
            differing = [ColumnDifference(name, value, seen) for name, value, a, b, seen in values if a != b]
            if differing:
                self._columns[keys[key][0]] = differing

    def report(self) -> TableReport:
        """The counts as they stand now."""
        kinds = (DIFFERENT, MISSING, EXTRA)
        counts = {kind: self._scratch.count(self.name, kind) for kind in kinds}
        pending = self._scratch.in_flight(self.name)
        if self.unknown:
            # What may have changed anywhere in it can only be judged once nothing says so any more.
            return TableReport(self.name, pending=max(pending, self._rows), quarantined=self._quarantined)
        return TableReport(
            table=self.name,
            matched=max(0, self._rows - counts[DIFFERENT] - counts[MISSING] - pending),
            pending=pending,
            quarantined=self._quarantined,
            columns=self._columns,
            samples={k: self._scratch.samples(self.name, k, SAMPLE_KEYS) for k in kinds if counts[k]},
            problem=self.failed or self._unaccounted(),
            summed_at=self.remembered.summed_at if self.remembered else None,
            **counts,
        )

    def _unaccounted(self) -> str | None:
        """Rows in Postgres and rows held have to be all rows of SQLite, one for one."""
        if self._moved or self._held_rows == self._quarantined:
            return None
        rows, held = self._rows + self._held_rows, self._quarantined
        return (
            f"SQLite has {rows:,} rows, of which {self._held_rows:,} should be held, and the quarantine has {held:,}: "
            "have them read again by `cdc quarantine retry`"
        )

    # --- the two passes ---

    async def _both_sums(self, advance: Callable[[int], None]) -> tuple[dict[int, Sum], dict[int, Sum]]:
        self._ends_early = False
        return await both(self._sums(advance), self._target_sums())

    async def _target_sums(self) -> dict[int, Sum]:
        try:
            return await self._table.target.sums()
        except BaseException:
            self._ends_early = True  # SQLite need not be read to its end
            raise

    async def _sums(self, advance: Callable[[int], None]) -> dict[int, Sum]:
        counts: defaultdict[int, int] = defaultdict(int)
        combined: defaultdict[int, int] = defaultdict(int)

        def add(rows: Sequence[Row]) -> None:
            for key, key_digest, row_digest in self._table.canonical.hashed(rows):
                if self._quarantined and self._is_known(key.decode()):
                    self._held_rows += 1
                else:
                    place = bucket(key_digest)
                    counts[place] += 1
                    combined[place] ^= int.from_bytes(row_digest[:8], "big")

        await self._each_page(add, advance)
        return {place: Sum(count, combined[place]) for place, count in counts.items()}

    async def _look_closer(self, doubtful: frozenset[int], advance: Callable[[int], None]) -> None:
        self._scratch.clear_target()
        async for batch in self._table.target.rows(sorted(doubtful)):
            await to_its_end(self._scratch.add_target, batch)

        def probe(rows: Sequence[Row]) -> None:
            findings = []
            for raw, (text, key_digest, row_digest) in zip(rows, self._table.canonical.hashed(rows), strict=True):
                if bucket(key_digest) in doubtful and not self._is_known(key := text.decode()):
                    there = self._scratch.take_target(key)
                    if there != row_digest:
                        kind = MISSING if there is None else DIFFERENT
                        findings.append((self.name, kind, key, encode_key(raw[: self._width])))
            self._scratch.find(findings)

        await self._each_page(probe, advance)
        await to_its_end(lambda: self._scratch.find(list(map(self._table.extra, self._scratch.rest_of_target()))))

    async def _each_page(self, work: Callable[[Sequence[Row]], None], advance: Callable[[int], None]) -> None:
        place: KeyValues | None = None if self._table.keys.after is None else (self._table.keys.after,)
        while True:
            page = await to_its_end(self._table.page, place)
            await to_its_end(work, page.rows)
            await to_its_end(self._table.keep_up)
            advance(len(page.rows))
            if page.end is None or self._ends_early:
                return
            place = page.end

    # --- small steps ---

    def _is_known(self, key: str) -> bool:
        return bool(self._quarantined) and self._scratch.is_known(self.name, key)

    def _judge(self, keys: dict[str, KeyValues], ours: dict[str, bytes], theirs: dict[str, bytes]) -> None:
        findings = []
        for text, key in keys.items():
            here = None if self._is_known(text) else ours.get(text)
            there = theirs.get(text)
            if here != there:
                kind = MISSING if there is None else EXTRA if here is None else DIFFERENT
                findings.append((self.name, kind, text, encode_key(key)))
        self._scratch.find(findings)


def note_news(comparisons: Mapping[str, Comparison], entries: Sequence[Logged]) -> list[Comparison]:
    """Tell comparisons, by source table, what was logged of them; returns those that look up a table that changed."""
    changed = {entry.table for entry in entries}
    for name, comparison in comparisons.items():
        comparison.note(entry for entry in entries if entry.table == name)
    return [comparison for comparison in comparisons.values() if changed.intersection(comparison.reads)]


async def know_quarantined(record: Record, comparison: Comparison) -> None:
    """Tell a comparison what is in quarantine at this moment."""
    held = await record.quarantine.keys_of(comparison.name)
    await to_its_end(comparison.know, held.get(comparison.name, []))


async def run_table(connection: Connection, comparison: Comparison, progress: Progress) -> None:
    """Compare all rows of a table, in the caller's snapshot; one that cannot be compared says why in its report."""
    progress.start(f"comparing {comparison.name}", None)
    try:
        async with letting_go(connection):
            await comparison.run(progress.advance)
    except TargetError as error:
        # One value that the server cannot write as text is no reason to leave the other tables alone.
        if not is_refusal(error):
            raise
        comparison.failed = error.message
    progress.finish()


def _number(key: KeyValues) -> int | None:
    return key[0] if len(key) == 1 and isinstance(key[0], int) else None
