"""Latency: from the commit in SQLite to the row visible in Postgres, through a real daemon, at 200 commits a second.

Another session of Postgres asks for the row again and again from the moment the commit returned.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable
from dataclasses import dataclass

import apsw
import uvloop

from benchmarks import application, report
from benchmarks.report import Figure
from benchmarks.rig import Process, Rig, rig

PER_SECOND = 200
WARM_UP = 200  # the first commits find the daemon with nothing prepared yet
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    commits: int = 3_000


async def commit_and_wait(here: Rig, source: apsw.Connection, commits: int) -> list[float]:
    """Milliseconds that each commit took to be seen."""
    taken: list[float] = []
    async with here.postgres() as connection:
        visible = await connection.prepare("SELECT 1 FROM item WHERE id = $1")
        due = time.perf_counter()
        for n in range(commits):
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            source.execute("INSERT INTO item VALUES (?, 'name', 'note')", (n,))
            committed = time.perf_counter()
            while not await visible.fetchval(n):
                if time.perf_counter() - committed > PATIENCE_SECONDS:
                    raise SystemExit(f"a commit did not arrive within {PATIENCE_SECONDS} s")
            taken.append((time.perf_counter() - committed) * 1000)
    return taken


async def measure(here: Rig, size: Size) -> list[Figure]:
    source = application.connect(here.database)
    source.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, note TEXT)")
    await here.up()
    async with here.daemon() as daemon:
        taken, busy = await _with_load(daemon, commit_and_wait(here, source, WARM_UP + size.commits))
    source.close()
    steady = sorted(taken[WARM_UP:])
    what = f"commit to visible at {PER_SECOND} commits/s"
    return [
        Figure(f"{what}, p50", statistics.median(steady), "ms", most=1.5),
        Figure(f"{what}, p95", steady[int(len(steady) * 0.95)], "ms"),
        Figure(f"{what}, p99", steady[int(len(steady) * 0.99)], "ms", most=5.0),
        Figure(f"{what}, processor time of the daemon", busy, "% of a core"),
    ]


async def _with_load(daemon: Process, work: Awaitable[list[float]]) -> tuple[list[float], float]:
    started, before = time.perf_counter(), daemon.cpu_seconds()
    taken = await work
    return taken, 100 * (daemon.cpu_seconds() - before) / (time.perf_counter() - started)


def run(size: Size) -> list[Figure]:
    with rig() as here:
        return uvloop.run(measure(here, size))


QUICK = Size(commits=600)

if __name__ == "__main__":
    report.main(run, Size(), QUICK)
