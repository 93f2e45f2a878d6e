"""Comparing a table range by range of its key: SQLite's next range is read while Postgres hashes the one before.

Each range is settled by one hash, and its rows are let go at once: a range that is not alike is read again, row by row.
Keys that were logged since Postgres' snapshot are left out on both sides, for they are looked at again anyway: so an
application that writes as fast as it can makes no range look different, and it does not matter when a range is read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from cdc.canonical.rules import Canonical, texts_of
from cdc.facts.key_range import ALL_KEYS, KeyRange
from cdc.facts.row_key import encode_key
from cdc.facts.source_sums import SummedRange
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues, Row
from cdc.postgres.tables.hashed_rows import RangeHash, TargetRows
from cdc.sqlite.changelog.verify_reader import PAGE_ROWS, Reader
from cdc.sqlite.changelog.verify_rows import Page
from cdc.sqlite.connection.verify_scratch import DIFFERENT, EXTRA, MISSING, Scratch
from cdc.threads import to_its_end

RANGE_ROWS: Final = 10_000
READ_ROWS: Final = 2_000  # at a time: more of them would leave the processor's cache before they are hashed
RANGE_BYTES: Final = 8 << 20  # of texts that one hash is made of, about
FIRST_ROWS: Final = 100  # of a table of which nobody knows yet how large its rows are
GROWTH: Final = 10  # from one range to the next
MOST_BYTES: Final = GROWTH * RANGE_BYTES  # that Postgres is asked to put together
MOST_FLYING: Final = 20_000  # keys that one query of Postgres leaves out

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


async def both(ours: Awaitable[Ours], theirs: Awaitable[Theirs]) -> tuple[Ours, Theirs]:
    """SQLite's answer and Postgres'. The thread that reads SQLite is done in any case: its file may be closed then."""
    reading = asyncio.ensure_future(ours)
    try:
        answer = await theirs
    except BaseException:
        await asyncio.wait([reading])
        raise
    return await reading, answer


@dataclass(frozen=True, slots=True)
class Range:
    """All rows of SQLite within `keys`, of which there were `read`, the last of them with the key `last`.

    `hash` is that of all save those in quarantine and those in flight, whose keys are `but`. It is None where one hash
    would be too much to ask for: of rows much larger than those before, or with too many keys in flight. `end` is where
    the next range begins, None after the last one.
    """

    keys: KeyRange
    last: int | None
    but: Sequence[int]
    hash: RangeHash | None
    read: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows that can be judged, how many were left out because they are held, and the keys in flight, if few enough."""

    rows: Sequence[Row]
    held: int
    flying: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """What is compared with what: a table of SQLite, or its rows within `keys`, and those of Postgres in one snapshot.

    `keep_up` is called in a thread after each page of SQLite: it reads what the changelog has that is new, so that
    entries are known before they are pruned. Findings go to the scratch.
    """

    reader: Reader
    scratch: Scratch
    mapped: TableMap
    canonical: Canonical
    target: TargetRows
    keys: KeyRange = ALL_KEYS
    keep_up: Callable[[], object] = lambda: None

    def page(self, after: KeyValues | None, most: int = PAGE_ROWS, last: int | None = None) -> Page:
        """The next rows of SQLite after a place, up to the key `last`, or to the end of the rows that are compared."""
        return self.reader.page(self.mapped, after, self.keys.last if last is None else last, most)

    def look_up(self, keys: Sequence[KeyValues]) -> list[Row]:
        """The rows of SQLite that have exactly one of these keys."""
        return self.reader.look_up(self.mapped, keys)

    def extra(self, key: str) -> tuple[str, str, str, str]:
        """The finding of a row of Postgres that SQLite does not have."""
        return self.mapped.source.name, EXTRA, key, encode_key(self.target.source_key(texts_of(key)))


class RangeComparison:
    """One pass over a table in the order of its key.

    `held_rows` are the rows whose keys are in quarantine, `rows` are all others. Some findings are about keys in
    flight.
    """

    def __init__(self, table: ComparedTable) -> None:
        self._table = table
        self._scratch = table.scratch
        self._name = table.mapped.source.name
        self._wanted = FIRST_ROWS
        self.rows = 0
        self.held_rows = 0
        self.sums: list[SummedRange] | None = []  # of all ranges, None where one of them was not simply equal

    async def run(self, advance: Callable[[int], None]) -> None:
        """Compare all of it; `advance` is told how many rows of SQLite were compared."""
        here: Range | None = await to_its_end(self._read, self._table.keys.after)
        while here is not None:
            following, equal = await both(self._read_on(here.end), self._is_equal(here))
            self._sum_up(here, equal=equal)
            if not equal:
                await self._look_closer(here)
            advance(here.read)
            here = following

    def _sum_up(self, here: Range, *, equal: bool) -> None:
        if self.sums is not None and equal and here.hash is not None and not here.but and not self.held_rows:
            self.sums.append(SummedRange(here.keys, here.hash.rows, here.hash.hash))
        else:
            self.sums = None

    async def _read_on(self, after: int | None) -> Range | None:
        return None if after is None else await to_its_end(self._read, after)

    def _read(self, after: int | None) -> Range:
        """The next range, in as many short reads as the file wants it to be."""
        hashed, but, read = self._table.canonical.ordered(), list[int](), 0
        end, last, complete, bearable = after, None, False, True
        while not complete and read < self._wanted and hashed.size < RANGE_BYTES:
            key = None if end is None else (end,)
            page = self._table.page(key, min(READ_ROWS, self._wanted - read))
            complete, begin = page.end is None, end
            end = self._table.keys.last if page.end is None else cast("int", page.end[0])
            last = cast("int", page.rows[-1][0]) if page.rows else last
            settled = self._settled(page.rows, KeyRange(begin, end))
            self.held_rows += settled.held
            self.rows += len(page.rows) - settled.held
            bearable = bearable and settled.flying is not None and len(but) + len(settled.flying) <= MOST_FLYING
            if bearable:
                hashed.add(settled.rows)
            but += settled.flying or ()
            read += len(page.rows)
        if hashed.size:
            self._wanted = max(1, min(RANGE_ROWS, GROWTH * self._wanted, RANGE_BYTES * hashed.rows // hashed.size))
        bearable = bearable and hashed.size <= MOST_BYTES
        hash_ = RangeHash(hashed.rows, hashed.digest()) if bearable else None
        return Range(KeyRange(after, end), last, but, hash_, read, None if complete else end)

    def _settled(self, rows: Sequence[Row], keys: KeyRange) -> Settled:
        """Rows that were just read, without those that are held or in flight."""
        # What is logged by now is all that changed before the last of these rows was read.
        self._table.keep_up()
        ours = _without(rows, self._scratch.known_within(self._name, keys))
        flying = self._scratch.flying_within(self._name, keys, MOST_FLYING)
        return Settled(_without(ours, frozenset(flying or ())), len(rows) - len(ours), flying)

    async def _is_equal(self, here: Range) -> bool:
        return here.hash is not None and here.hash == await self._table.target.hash_within(
            here.keys, here.but, here.hash.rows
        )

    async def _look_closer(self, here: Range) -> None:
        """Compare single rows; what Postgres has in this range comes in batches, for it may be anything."""
        ours, but = await to_its_end(self._read_again, here)
        async for batch in self._table.target.rows_within(here.keys, but):
            findings = []
            for key, there in batch:
                number, digest = ours.pop(key, (None, None))
                if number is None:
                    findings.append(self._table.extra(key))
                elif digest != there:
                    findings.append((self._name, DIFFERENT, key, encode_key((number,))))
            await to_its_end(self._scratch.find, findings)
        missing = [(self._name, MISSING, key, encode_key((number,))) for key, (number, _) in ours.items()]
        await to_its_end(self._scratch.find, missing)

    def _read_again(self, here: Range) -> tuple[dict[str, tuple[int, bytes]], Sequence[int]]:
        """Key and hash of each row of a range by the text of its key, and the keys in flight.

        Rows after the last that was there are new, so they are in flight.
        """
        ours: dict[str, tuple[int, bytes]] = {}
        but = set(here.but)
        end, complete = here.keys.after, here.last is None
        while not complete:
            begin = end
            page = self._table.page(None if begin is None else (begin,), READ_ROWS, here.last)
            complete, end = page.end is None, here.last if page.end is None else cast("int", page.end[0])
            settled = self._settled(page.rows, KeyRange(begin, end))
            hashed = self._table.canonical.hashed(settled.rows)
            for raw, (key, _, digest) in zip(settled.rows, hashed, strict=True):
                ours[key.decode()] = cast("int", raw[0]), digest
            but.update(settled.flying or ())
        return ours, sorted(but)


def _without(rows: Sequence[Row], keys: frozenset[int]) -> Sequence[Row]:
    return [row for row in rows if row[0] not in keys] if keys else rows
