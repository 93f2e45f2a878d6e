"""Memory: of the first copy, of a daemon that finds millions of pending changes, and of one with nothing to do.

All three are the real command in a process of its own.
"""

import random
import time
from dataclasses import dataclass

import uvloop

from benchmarks import application, report
from benchmarks.report import Figure
from benchmarks.rig import Rig, rig

MOST_MB = 150
MOST_IDLE_MB = 90
MOST_IDLE_PERCENT = 1
CHANGES_PER_TRANSACTION = 10_000
SEED = 1


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 2_000_000
    changes: int = 5_000_000
    idle_seconds: int = 20


def first_copy(here: Rig, size: Size) -> Figure:
    application.make(here.database, size.rows).close()
    with here.command("up", "--until-idle") as copy:
        peak = copy.peak_until_end()
    return Figure(f"memory of the first copy of {size.rows:,} rows", peak, "MB", most=MOST_MB)


def pending(here: Rig, size: Size) -> list[Figure]:
    chance = random.Random(SEED)
    source = application.connect(here.database)
    for _ in range(0, size.changes, CHANGES_PER_TRANSACTION):
        with source:
            ids = ((chance.randrange(size.rows),) for _ in range(CHANGES_PER_TRANSACTION))
            source.executemany(application.UPDATE, ids)
    source.close()
    started = time.perf_counter()
    with here.command("run", "--until-idle") as daemon:
        peak = daemon.peak_until_end()
    speed = size.changes / (time.perf_counter() - started)
    what = f"{size.changes:,} pending changes"
    return [
        Figure(f"memory of a daemon that finds {what}", peak, "MB", most=MOST_MB),
        Figure(f"apply of {what}", speed, "changes/s"),
    ]


async def idle(here: Rig, size: Size) -> list[Figure]:
    async with here.daemon() as daemon:
        before = daemon.cpu_seconds()
        # Time has to pass here: it is what is measured.
        time.sleep(size.idle_seconds)  # noqa: ASYNC251
        busy = 100 * (daemon.cpu_seconds() - before) / size.idle_seconds
        return [
            Figure("memory of an idle daemon", daemon.rss_mb(), "MB", most=MOST_IDLE_MB),
            Figure("processor time of an idle daemon", busy, "% of a core", most=MOST_IDLE_PERCENT),
        ]


def run(size: Size) -> list[Figure]:
    with rig() as here:
        # Idle comes before the changes, because after them it would be busy with pruning.
        return [first_copy(here, size), *uvloop.run(idle(here, size)), *pending(here, size)]


QUICK = Size(rows=100_000, changes=200_000, idle_seconds=5)

if __name__ == "__main__":
    report.main(run, Size(), QUICK)
