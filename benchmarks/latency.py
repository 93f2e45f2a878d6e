"""Latency: from the commit in SQLite to the row visible in Postgres, through a real daemon.

An application in a process of its own commits at a steady pace and tells when each commit returned. Another session of
Postgres asks for the newest row again and again for as long as one is on its way. The yardstick is an INSERT of one row
over the same connection, which Postgres need not bring to the disk either, right after.
"""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import uvloop
from msgspec.structs import replace

from benchmarks import report, writing
from benchmarks.figures import Figure
from benchmarks.process import Process
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig
from benchmarks.writing import LAYOUT, Write
from cdc.postgres.connection.open import Connection

WARM_UP = 100  # the first commits find the daemon with nothing prepared yet
PATIENCE_SECONDS = 30
BARE_INSERTS = 1_000
MOST_MS = {"p50": 1.5, "p99": 5.0}  # at the pace and in the mode that the goal is about
PERCENTS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Way:
    """How the application writes, and how the daemon learns of it."""

    journal: str = "wal"
    events: bool = True

    @property
    def id(self) -> str:
        return f"latency.{self.journal}.{'events' if self.events else 'timer'}"

    @property
    def words(self) -> str:
        mode = "WAL" if self.journal == "wal" else "rollback journal"
        return f"latency, {mode}, {'file events' if self.events else 'timer alone'}"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: int = 8
    slow_seconds: int = 15  # at one commit a second
    paces: tuple[int, ...] = (1, 20, 200, 2_000)
    ways: tuple[Way, ...] = (Way(), Way(events=False), Way("delete"), Way("delete", events=False))


@dataclass(frozen=True)
class Cell:
    """What one pace in one way came to: milliseconds sorted, the pace reached, the daemon's share of a core."""

    way: Way
    pace: int
    taken: list[float]
    reached: float
    busy: float
    bare: float

    def figures(self) -> Iterator[Figure]:
        """The distribution, the pace where it was missed, and what the daemon needed."""
        steady = self.pace == 200 and self.way == Way()
        shown = {name: self.taken[int(len(self.taken) * part)] for name, part in PERCENTS.items()}
        for name, value in {**shown, "max": self.taken[-1]}.items():
            figure = self._figure(name, value, "ms")
            if name == "p50":
                figure = replace(figure, beside=self.bare, ratio=self.bare / value, steady=steady)
            yield replace(figure, most=MOST_MS.get(name)) if steady else figure
        yield self._figure("reached", self.reached, "a second")
        yield self._figure("daemon", self.busy, "% of a core")

    def _figure(self, name: str, value: float, unit: str) -> Figure:
        what = f"{self.way.words}, {self.pace:,} a second: {name}"
        return Figure(id=f"{self.way.id}.{self.pace}.{name}", what=what, value=value, unit=unit)


class Watcher:
    """Sees in Postgres what an application committed."""

    def __init__(self, here: Rig, connection: Connection, first: int = 0) -> None:
        self._here = here
        self._connection = connection
        self._next = first

    async def follow(self, commits: int, pace: int) -> tuple[list[float], list[Write]]:
        """Seconds from each commit until it was seen, and the commits."""
        application = await asyncio.create_subprocess_exec(
            *writing.command(self._here.database, self._next, commits, pace), stdout=asyncio.subprocess.PIPE
        )
        self._next += commits
        assert application.stdout is not None
        newest = await self._connection.prepare("SELECT max(id) FROM item")
        arrived: asyncio.Queue[Write | None] = asyncio.Queue()
        reading = asyncio.create_task(_read(application.stdout, arrived))
        writes: list[Write] = []
        waiting: deque[Write] = deque()
        taken: list[float] = []
        while len(taken) < commits:
            while not arrived.empty() or not waiting:
                if (found := await arrived.get()) is None:
                    break
                writes.append(found)
                waiting.append(found)
            if not waiting:
                raise SystemExit("the application ended before it had committed everything")
            seen = await newest.fetchval()
            now = time.perf_counter()
            while waiting and seen is not None and waiting[0].id <= seen:
                taken.append(now - waiting.popleft().at)
            if waiting and now - waiting[0].at > PATIENCE_SECONDS:
                raise SystemExit(f"a commit did not arrive within {PATIENCE_SECONDS} s")
        await reading
        await application.wait()
        return taken, writes

    async def bare(self) -> float:
        """Milliseconds that the median of bare inserts takes."""
        await self._connection.execute("SET synchronous_commit = off; CREATE TABLE IF NOT EXISTS bare (LIKE item)")
        insert = await self._connection.prepare("INSERT INTO bare VALUES ($1, 'name', 'note')")
        taken = []
        for n in range(BARE_INSERTS):
            started = time.perf_counter()
            await insert.fetch(n)
            taken.append((time.perf_counter() - started) * 1000)
        return statistics.median(taken)


async def _read(stream: asyncio.StreamReader, arrived: "asyncio.Queue[Write | None]") -> None:
    while len(found := await stream.read(LAYOUT.size)) == LAYOUT.size:
        arrived.put_nowait(Write(*LAYOUT.unpack(found)))
    arrived.put_nowait(None)


async def measure_way(way: Way, size: Size, here: Rig) -> list[Figure]:
    """One daemon for all paces."""
    writing.create(here.database, way.journal)
    await here.up()
    figures: list[Figure] = []
    async with here.postgres() as connection, here.daemon(events=way.events) as daemon:
        watcher = Watcher(here, connection)
        for pace in size.paces:
            tell(f"{way.words}, {pace:,} commits/s")
            figures += (await cell(watcher, daemon, way, pace, size)).figures()
    return figures


async def cell(watcher: Watcher, daemon: Process, way: Way, pace: int, size: Size) -> Cell:
    await watcher.follow(WARM_UP, 200)
    commits = pace * (size.slow_seconds if pace == 1 else size.seconds)
    started, before = time.perf_counter(), daemon.cpu_seconds()
    taken, writes = await watcher.follow(commits, pace)
    busy = 100 * (daemon.cpu_seconds() - before) / (time.perf_counter() - started)
    milliseconds = sorted(seconds * 1000 for seconds in taken)
    return Cell(way, pace, milliseconds, writing.per_second(writes), busy, await watcher.bare())


def run(size: Size) -> list[Figure]:
    figures: list[Figure] = []
    for way in size.ways:
        with rig() as here:
            figures += uvloop.run(measure_way(way, size, here))
    return figures


SIZES = Sizes(
    full=Size(),
    quick=Size(seconds=2, slow_seconds=3),
    check=Size(paces=(200,), ways=(Way(),)),
)

if __name__ == "__main__":
    report.main(run, SIZES)
