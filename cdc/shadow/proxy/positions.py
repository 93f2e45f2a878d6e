"""Where both databases stand, in the path of users: no look may wait for anything, and what is not known says so.

SQLite is asked directly. A look costs 25 microseconds, less than half of what it costs in a thread, and waits for no
lock: where the file is locked (a rollback journal in the moment of a commit) the position is unknown, and those pairs
are not compared. A position is that of an answer only if it was the newest before the question and after the answer.
Positions only grow, so one that was read some time before says as much, if it still holds afterwards: several requests
can share a look.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from loguru import logger

from cdc.config import Config
from cdc.errors import CdcError
from cdc.postgres.connection.open import hang_up
from cdc.postgres.record.record import Record
from cdc.postgres.record.shadow import ShadowReads
from cdc.postgres.server.endpoint import Endpoint
from cdc.retry import retrying
from cdc.shadow.moment import LOOK_SECONDS
from cdc.sqlite.changelog.newest import NewestEntry

FLUSH_SECONDS: Final = 10.0  # for Postgres to take what was counted, before its connection is given up
LATELY_SECONDS: Final = 0.001
_NOT_KNOWN: Final = -1

Flush = Callable[[ShadowReads], Awaitable[None]]


class SourcePosition:
    """The newest entry of the changelog, without waiting. Raises `SourceError` where the file carries no capture."""

    def __init__(self, path: Path) -> None:
        self._newest = NewestEntry(path, busy_timeout_seconds=0)
        self._seen: int | None = None
        self._seen_at = 0.0

    def now(self) -> int | None:
        """Its number, None where that cannot be said at once."""
        try:
            self._seen = self._newest.seq()
        except CdcError:
            self._seen = None
        self._seen_at = time.monotonic()
        return self._seen

    def lately(self) -> int | None:
        """What it was within the last moments: enough for before a question, never for after an answer."""
        return self._seen if time.monotonic() - self._seen_at < LATELY_SECONDS else self.now()

    def close(self) -> None:
        """Let go of the file."""
        self._newest.close()


class TargetPosition:
    """Up to which entry Postgres has applied, over a connection that is opened anew whenever it is lost.

    `seq` is the newest that was seen over the connection there is now, -1 where nothing is known. It only grows while
    `connections` stays the same: a Postgres that crashed may have taken back what it showed.
    """

    def __init__(self, config: Config, source_id: str) -> None:
        self._endpoint = Endpoint(config)
        self._source_id = source_id
        self._record: Record | None = None
        self._lost = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[int] | None = None
        self.seq = _NOT_KNOWN
        self.connections = 0

    async def keep_connected(self) -> None:
        """Never ends by itself; raises only what no retry helps against."""
        try:
            while True:
                self._lost.clear()
                connection = await retrying(lambda: self._endpoint.connect("shadow proxy"))
                self._record, self.connections = Record(connection, self._source_id), self.connections + 1
                try:
                    await self._lost.wait()
                finally:
                    self._record = None
                    await hang_up(connection)
        finally:
            with suppress(CdcError):
                await self._endpoint.leave()

    async def read(self) -> int:
        """What Postgres says to a question that is put after this was called; several share one. -1 if unknown."""
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        return await asyncio.shield(self._next)

    async def _read(self) -> int:
        async with self._one_at_a_time:
            self._next = None  # whoever comes from here on needs a later look
            if (record := self._record) is None:
                return _NOT_KNOWN
            try:
                self.seq = await record.stream.applied_seq()
            except CdcError as error:
                self._let_go(error)
            return self.seq

    async def reach(self, seq: int, seconds: float) -> int:
        """Wait until an entry is applied; where Postgres stands then, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.seq < seq:
            if await self.read() >= seq or time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        return self.seq

    async def stood(self, seq: int | None, since: int) -> bool:
        """Whether Postgres stood at an entry all the time from when `seq` was that entry until now.

        `since` is what `connections` was then. Positions only grow over one connection, so the two ends tell.
        """
        return await self.read() == seq and self.connections == since

    async def use(self, flush: Flush) -> bool:
        """Have what was counted added to what Postgres knows; whether it was."""
        async with self._one_at_a_time:
            if (record := self._record) is None:
                return False
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await flush(record.shadow)
            except (CdcError, TimeoutError) as error:
                self._let_go(error)
                return False
            return True

    def _let_go(self, error: Exception) -> None:
        if self._record is not None:
            logger.bind(reason=getattr(error, "message", "no answer in time")).warning("Postgres is away")
        self.seq, self._record = _NOT_KNOWN, None
        self._lost.set()
