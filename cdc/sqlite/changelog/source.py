"""The SQLite end of a stream: what the file looks like now, and reads of it off the event loop.

One connection is held while changes flow and closed when the file is idle: a reader that is held for ever keeps a -wal
alive that would be replayed over a file moved into its place.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import apsw

from cdc.config import Config
from cdc.facts.changes import Cursor, Position, Round, TableRows, Traces
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues, Row
from cdc.faults import stall_point
from cdc.sqlite.changelog import buried_keys, file_traces, prune
from cdc.sqlite.changelog.budget import Budget
from cdc.sqlite.changelog.changelog import Changelog
from cdc.sqlite.changelog.file_identity import FileIdentity
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import locking
from cdc.sqlite.rows.computed_dependencies import Dependents

WAL = "wal"
FEW_ENTRIES = 100  # read in less time than it takes to change to another thread and back, or little more


class Source:
    """Reads changes of one file under a known capture. Every read checks first that the file still is that file.

    `at` is a position in it: the newest one that was read is looked for in each read that follows.
    """

    def __init__(self, config: Config, look: Look, maps: Mapping[str, TableMap], at: Position) -> None:
        if look.capture is None:
            raise ValueError("a source without capture cannot be read")
        self._config = config
        self._look = look
        self._capture = look.capture
        self._maps = maps
        self._at = at
        self._open: tuple[apsw.Connection, Changelog] | None = None
        entries = config.replicate.round_entries if self.wal else config.replicate.round_entries_journal
        self._budget = Budget(entries, config.replicate.round_bytes)
        self._dependents = Dependents(maps)

    def dependents(self, name: str) -> tuple[str, ...]:
        """The tables whose expressions read a source table."""
        return self._dependents.of(name)

    @property
    def wal(self) -> bool:
        """Whether the file is in WAL mode, in which readers and writers do not wait for each other."""
        return self._look.journal_mode == WAL

    def traces(self) -> Traces:
        """The traces of the files as they are now, under the inode of the file that was looked at."""
        try:
            return replace(file_traces.read(self.path), inode=self._look.traces.inode)
        except OSError:
            return self._look.traces

    @property
    def path(self) -> Path:
        """The application's file."""
        return self._config.source.path

    async def has_news(self, after: Position) -> bool:
        """Whether anything newer than the position can be seen."""
        if self.wal and self._open is not None:
            # Microseconds, and a reader never waits in WAL: not worth a change of thread.
            return self._open[1].ahead(after) != 0
        return await asyncio.to_thread(lambda: self._changelog().ahead(after) != 0)

    async def check(self) -> None:
        """Refuse a file whose capture is not as it was, even where nothing was logged that would be read."""
        await asyncio.to_thread(lambda: self._changelog().check(self._at))

    async def read(self, after: Position) -> Round:
        """The next round after the position.

        In a thread of its own when it may take long: many entries, or a reader that waits for the writer because the
        file is in rollback-journal mode.
        """
        if self.wal and self._open is not None and self._open[1].ahead(after) <= FEW_ENTRIES:
            round_ = self._open[1].read(after, self._budget)
        else:
            round_ = await asyncio.to_thread(self._read, after)
        self._at = round_.position
        return round_

    async def read_keys(self, keys: Mapping[str, Sequence[KeyValues]], at: Position) -> tuple[TableRows, ...]:
        """The rows of some keys at exactly a position; nothing when the file has moved on since."""
        return await asyncio.to_thread(lambda: self._changelog().read_keys(keys, at))

    async def read_page(self, name: str, at: Cursor | None) -> tuple[list[Row], Cursor | None]:
        """A page of a whole table, see `Changelog.read_page`."""
        return await asyncio.to_thread(lambda: self._changelog().read_page(name, at, self._at, self._budget))

    async def hold(self) -> None:
        """Let every read that follows be of one snapshot, until `let_go`; see `Changelog.hold`."""
        await asyncio.to_thread(lambda: self._changelog().hold())

    def let_go(self) -> None:
        """Have each read be of a snapshot of its own again; harmless where none is held."""
        if self._open is not None:
            self._open[1].let_go()

    async def high_water(self) -> dict[str, int]:
        """The largest integer key that each table ever had, see `cdc.sqlite.rows.largest_keys`."""
        return await asyncio.to_thread(lambda: self._changelog().high_water(self._at))

    async def count(self, expected: Mapping[str, int], at: Position) -> dict[str, int]:
        """Rows by source table, up to one more than expected, see `Changelog.count`."""
        return await asyncio.to_thread(lambda: self._changelog().count(expected, at))

    async def prune(self, below: int, applied: Position) -> int:
        """Delete entries older than `below` in small steps, leaving the application room between them.

        Ends before all is done when that takes long, and sooner when there are changes to apply. Returns how many.
        Raises `CaptureLost` when the entry that was `applied` last is not there any more.
        """
        deleted = 0
        steps = prune.prune_steps(self._connection(), below, applied)
        for done in range(1, _MOST_STEPS + 1):
            began = time.monotonic()
            step = await asyncio.to_thread(next, steps, None)
            if step is None:
                break
            deleted += step
            await asyncio.sleep(prune.rest_after(time.monotonic() - began))
            if done >= _LEAST_STEPS and await self.has_news(applied):
                break
        return deleted

    async def forget_deleted(self, days: int) -> int:
        """Forget keys that may not come back and were deleted longer ago, in small steps; returns how many."""
        forgotten = 0
        for _ in range(_MOST_STEPS):
            began = time.monotonic()
            step = await asyncio.to_thread(lambda: buried_keys.prune(self._connection(), days))
            if not step:
                break
            forgotten += step
            await asyncio.sleep(prune.rest_after(time.monotonic() - began))
        return forgotten

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        opened_before, self._open = self._open, None
        if opened_before is not None:
            # A thread that was given up may still be reading: then its end closes the connection.
            with suppress(apsw.ThreadingViolationError):
                opened_before[0].close()

    @property
    def is_open(self) -> bool:
        """Whether a connection to the file is open."""
        return self._open is not None

    def _read(self, after: Position) -> Round:
        stall_point("sqlite.read")
        return self._changelog().read(after, self._budget)

    def _connection(self) -> apsw.Connection:
        self._changelog()
        assert self._open is not None
        return self._open[0]

    def _changelog(self) -> Changelog:
        if self._open is None:
            # Before opening: a file moved into place in between then shows as another file, never goes unnoticed.
            identity = FileIdentity.of(self.path)
            connection = open_source(self.path, self._config.source.busy_timeout_seconds)
            with locking(connection):
                connection.pragma("cache_size", -_CACHE_KIB)
            expected = self._look.signature
            self._open = connection, Changelog(connection, self.path, identity, self._capture, self._maps, expected)
        return self._open[1]


_CACHE_KIB = 16 * 1024  # changed rows lie all over the file; SQLite's own 2 MiB make it read pages again and again
_MOST_STEPS = 100  # about a second on a quick disk, in which nothing else is done
_LEAST_STEPS = 20  # so that an application which never pauses does not grow the changelog for ever
