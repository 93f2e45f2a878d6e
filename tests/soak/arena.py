"""Several sources in one Postgres, writers that go on, strikes at random moments, and looks at what came of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
from counts import Counts
from harness import value
from servers import Server
from sources import Kind, Source
from strikes import NEEDS_A_PERSON, STRIKES

EPISODE_SECONDS: Final = (2.0, 12.0)
WATCH_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 0.2
NEEDS_PERSON: Final = 2  # the exit code after which nothing starts the daemon again
TOLD_LINES: Final = 6  # of a daemon's log


class Arena:
    """Everything that runs, and the one who decides what happens to it."""

    def __init__(self, folder: Path, server: Server, kinds: Sequence[Kind], seed: int, strikes: Sequence[str]) -> None:
        self.counts = Counts()
        self._random = Random(f"soak {seed}")
        self._server = server
        self._strikes = strikes
        self._tampered: set[str] = set()  # sources whose file a person may have to accept
        self._ending: dict[str, str] = {}
        self.sources = [
            Source(kind, folder / kind.name, server.dsn, Random(f"{seed} {kind.name}"), self.counts) for kind in kinds
        ]

    async def run(self, seconds: float) -> None:
        """Episodes until the time is over; the last look is at everything."""
        async with self._running():
            ends = time.monotonic() + seconds  # the first copies do not count
            while time.monotonic() < ends:
                await self._episode(min(ends, time.monotonic() + self._random.uniform(*EPISODE_SECONDS)))
            self.counts.batches = int(
                await value(self._server.dsn, "SELECT count(*) FROM cdc.audit WHERE entry ->> 'action' = 'batch'")
            )

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for source in self.sources:
                await asyncio.to_thread(self._begin, source)
                stack.callback(self._end, source)
            tasks = [
                asyncio.create_task(work) for work in (*map(self._watch, self.sources), *map(self._look, self.sources))
            ]
            stack.push_async_callback(_cancelled, tasks)
            yield

    def _begin(self, source: Source) -> None:
        source.found()
        source.configure()
        if source.command("--quiet", "up", "--until-idle"):
            raise RuntimeError(f"the first copy failed: {self.counts.differences[-1]}")
        source.start()
        source.start_writers()

    def _end(self, source: Source) -> None:
        if source.writers is not None:
            source.writers.kill()
        source.stop()

    async def _episode(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._random.uniform(0.1, 2.0)))
            if self._strikes:
                await self._strike(self._random.choice(self._strikes), self._random.choice(self.sources))
        for source in self.sources:
            await self._compare(source)

    async def _strike(self, name: str, source: Source) -> None:
        self.counts.strikes[name] += 1
        if name in NEEDS_A_PERSON:
            self._tampered.add(source.kind.name)
        await STRIKES[name](source, self._server, self._random)

    async def _compare(self, source: Source) -> None:
        """Hold the writers, let the daemon come to the end, and read everything on both sides."""
        assert source.writers is not None
        with source.writers.held():
            try:
                await source.caught_up()
                found = await source.differences()
            except AssertionError as error:
                found = [str(error)]
            if found:
                await self._tell(source, found)
        self._tampered.discard(source.kind.name)

    async def _tell(self, source: Source, found: Sequence[str]) -> None:
        """Keep a difference, and whether our own comparison sees it; then heal it, so that the next one is another."""
        verified = await asyncio.to_thread(source.command, "verify")
        blind = " (`cdc verify` saw nothing)" if verified == 0 else ""
        struck = ", ".join(f"{count} {name}" for name, count in self.counts.strikes.items())
        self.counts.differ(
            f"{source.kind.name}{blind} after {struck}: {'; '.join(words[:12_000] for words in found[:3])}"
        )
        async with source.hands:
            await asyncio.to_thread(source.stop)
            await asyncio.to_thread(source.resync)
            source.start()
        with suppress(AssertionError):
            await source.caught_up()

    async def _watch(self, source: Source) -> None:
        """Start a daemon that ended again, as systemd does; where a person is asked for, do what is printed."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            async with source.hands:
                if source.daemon is not None and not source.daemon.runs:
                    await self._restart(source, source.daemon.wait())

    async def _restart(self, source: Source, code: int) -> None:
        self.counts.ends[str(code)] += 1
        assert source.daemon is not None
        words = source.daemon.words().strip().splitlines()[-TOLD_LINES:]
        source.stop()
        if code == NEEDS_PERSON and source.kind.name in self._tampered:
            await asyncio.to_thread(source.resync)
        elif code == NEEDS_PERSON and self._ending.get(source.kind.name) != words[-1]:
            self._ending[source.kind.name] = words[-1]
            self.counts.differ(f"the daemon of {source.kind.name} asks for a person: {' '.join(words)}")
        source.start()

    async def _look(self, source: Source) -> None:
        """Read whole states from Postgres all the time, over connections that end with it."""
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await asyncpg.connect(source.dsn)
                source.seen.clear()  # only a crash ends one, which takes commits away that were not written out
                try:
                    while True:
                        await source.show_applied(connection)
                        for words in await source.look(connection):
                            self.counts.differ(words)
                        await asyncio.sleep(LOOK_SECONDS)
                finally:
                    connection.terminate()
            await asyncio.sleep(LOOK_SECONDS)


async def _cancelled(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
