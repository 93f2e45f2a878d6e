"""Pulling changes into a stage, round by round, until what is staged is the state of one snapshot of SQLite.

Each round is read in a short snapshot of its own, so the application is never held up. A key that changed since an
earlier round has a newer entry, so it is staged again; a table that an entry asks to be read as a whole is read after
that entry, and once more when another such entry comes meanwhile. When the application writes faster than it is read,
no round ever ends at the newest entry: then the rest is read in one snapshot, where nothing new can come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from loguru import logger

from cdc.facts.changes import Position, Round, TableRows
from cdc.target.protocol import ChangeReader, ChangeStage

PACE_ROUNDS: Final = 10  # after which it is seen whether the application writes faster than it is read
LEAST_HEADWAY: Final = 1.25  # so many times what was written meanwhile has to be read
READ_AGAIN: Final = 2  # times that a table is read as a whole, or keys are asked for, before a snapshot is held
# How long the snapshot is held before it is given up. In WAL only the -wal file grows meanwhile: so long without any
# headway, for which Postgres has to stand still. In rollback-journal mode the application's commits wait, and most give
# up after 5 s: so long in all.
HOLD_WAL_SECONDS: Final = 5.0
HOLD_JOURNAL_SECONDS: Final = (1.0, 2.0, 4.0)


class Pull:
    """Stages what is new since a position. `resync` are tables to read as a whole; `beat` shows that there is progress.

    `changes` is the round that was read last; what it holds is not staged yet.
    """

    def __init__(
        self, stage: ChangeStage, reader: ChangeReader, changes: Round, resync: Iterable[str], beat: Callable[[], None]
    ):
        self._stage = stage
        self._reader = reader
        self._changes = changes
        self._tables: Sequence[TableRows] = changes.tables
        self._waiting: dict[str, None] = {}  # tables to read as a whole
        self._read: dict[str, int] = {}  # how many times each was
        self._asked = 0  # for keys that could be released, in vain
        self._pace = Pace(changes)
        self._hold = Hold(reader)
        self._beat = beat
        self._await_whole(resync)

    async def run(self) -> Position:
        """Stage everything; returns the position whose state the stage holds then."""
        try:
            while await self._step():
                self._show_headway()
        finally:
            self._hold.end()
        # Not sooner: a row that was not seen is gone only when everything that changed meanwhile was seen as well.
        for name in self._read:
            await self._stage.end_whole(name)
        return self._changes.position

    async def _step(self) -> bool:
        """Stage what was read and read on; False when the stage is the state of the last snapshot."""
        self._await_whole(self._changes.rescan)
        if self._waiting:
            await self._stage.stage(self._tables)
            await self._stage_whole(next(iter(self._waiting)))
            await self._read_on()
        elif not self._changes.complete:
            # One round goes to the target while the next one is read from the file.
            staging = self._stage.stage(self._tables)
            self._take(await _while_reading(staging, self._reader.read(self._changes.position)))
        else:
            await self._stage.stage(self._tables)
            return await self._release()
        if self._is_outrun():
            await self._hold.begin()
        return True

    def _await_whole(self, names: Iterable[str]) -> None:
        """Have tables read as a whole after what was read by now, and those whose expressions look into them."""
        for name in names:
            self._waiting[name] = None
            for child in self._reader.dependents(name):
                self._waiting[child] = None

    async def _stage_whole(self, name: str) -> None:
        """Read a whole table: an entry that asks for it from now on asks for another time."""
        del self._waiting[name]
        self._read[name] = self._read.get(name, 0) + 1
        await self._stage.begin_whole(name)
        place = None
        while True:
            rows, place = await self._reader.read_page(name, place)
            await self._stage.stage((TableRows(name, rows),))
            self._show_headway()
            if place is None:
                return

    def _show_headway(self) -> None:
        self._beat()
        self._hold.note_headway()

    async def _release(self) -> bool:
        """Read rows again that wait in quarantine for what is staged; False when there is none and all is done."""
        keys = await self._stage.releasable()
        if not keys:
            return False
        self._tables = await self._reader.read_keys(keys, self._changes.position)
        if self._tables:
            changes = self._changes  # the file has not moved on, and all that was new in it is staged
            self._changes = Round(changes.position, (), complete=True, entries=0, newest=changes.newest)
            return True
        self._stage.ask_again(keys)
        self._asked += 1
        await self._read_on()
        if self._is_outrun():
            await self._hold.begin()
        return True

    async def _read_on(self) -> None:
        self._take(await self._reader.read(self._changes.position))

    def _take(self, changes: Round) -> None:
        self._changes, self._tables = changes, changes.tables
        self._pace.note(changes)

    def _is_outrun(self) -> bool:
        again = any(self._read.get(name, 0) >= READ_AGAIN for name in self._changes.rescan)
        return again or self._asked >= READ_AGAIN or self._pace.is_outrun


class Pace:
    """Whether the application writes about as fast as it is read, or faster."""

    def __init__(self, first: Round) -> None:
        self._rounds = [(first.position.seq, first.newest)]

    def note(self, changes: Round) -> None:
        """Take account of a round that was read."""
        self._rounds = [*self._rounds[-PACE_ROUNDS:], (changes.position.seq, changes.newest)]

    @property
    def is_outrun(self) -> bool:
        """Whether the last rounds made little headway against what was written meanwhile."""
        if len(self._rounds) <= PACE_ROUNDS:
            return False
        (first, newest_then), (last, newest_now) = self._rounds[0], self._rounds[-1]
        return last - first < LEAST_HEADWAY * (newest_now - newest_then)


class Hold:
    """A snapshot of SQLite that is held for the rest of a batch, for a bounded time; see `HOLD_WAL_SECONDS`."""

    def __init__(self, reader: ChangeReader) -> None:
        self._reader = reader
        self._limits = [HOLD_WAL_SECONDS] if reader.wal else [*HOLD_JOURNAL_SECONDS]
        self._puts_off = reader.wal
        self._end: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Hold the newest state from now on, if it is not held already.

        It is let go at the limit whatever is being waited for: the batch goes on as before, and holds another later.
        """
        if self._end is None:
            await self._reader.hold()
            limit = self._limits.pop(0) if len(self._limits) > 1 else self._limits[0]
            self._let_go_after(limit)
            logger.info("the application writes faster than it is read: the rest is read in one snapshot")

    def note_headway(self) -> None:
        """Something more was staged: where nobody waits for the snapshot, its limit begins anew."""
        if self._end is not None and self._puts_off:
            self._end.cancel()
            self._let_go_after(HOLD_WAL_SECONDS)

    def _let_go_after(self, seconds: float) -> None:
        self._end = asyncio.get_running_loop().call_later(seconds, self.end)

    def end(self) -> None:
        """Let go of the snapshot where one is held; harmless where none is."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
            self._reader.let_go()


async def _while_reading(staging: Awaitable[None], reading: Awaitable[Round]) -> Round:
    """Stage one round while the next is read; the read is waited for whatever happens, it holds the connection."""
    read = asyncio.ensure_future(reading)
    try:
        await staging
    except BaseException:
        await asyncio.wait([read])
        raise
    return await read
