"""Memory: of the first copy, of a daemon that finds millions of pending changes, and of one with nothing to do.

All three are the real command in a process of its own. The last one is asked what its rest costs as well.
"""

import asyncio
import random
import time
from dataclasses import dataclass

import uvloop

from benchmarks import application, report
from benchmarks.figures import Figure
from benchmarks.report import Sizes, tell
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
    tell(f"first copy of {size.rows:,} rows")
    application.make(here.database, size.rows).close()
    with here.command("up", "--until-idle") as copy:
        peak = copy.peak_until_end()
    what = f"memory of the first copy of {size.rows:,} rows"
    return Figure(id="memory.copy", what=what, value=peak, unit="MB", most=MOST_MB)


def pending(here: Rig, size: Size) -> list[Figure]:
    tell(f"{size.changes:,} pending changes")
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
        Figure(id="memory.pending", what=f"memory of a daemon that finds {what}", value=peak, unit="MB", most=MOST_MB),
        Figure(id="memory.pending.speed", what=f"apply of {what}", value=speed, unit="changes/s"),
    ]


async def idle(here: Rig, size: Size) -> list[Figure]:
    tell(f"idle for {size.idle_seconds} s")
    compared = "SELECT count(*) > 0 AND bool_and(since IS NOT NULL) FROM cdc.verified_table"
    async with here.daemon() as daemon, here.postgres() as connection:
        # It is idle once every row was compared in the background, too. Nothing tells that it has let the file go.
        while not await connection.fetchval(compared) or daemon.holds(here.database):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        before, wakeups = daemon.cpu_seconds(), daemon.wakeups()
        # Time has to pass here: it is what is measured.
        await asyncio.sleep(size.idle_seconds)
        busy = 100 * (daemon.cpu_seconds() - before) / size.idle_seconds
        woken = (daemon.wakeups() - wakeups) / size.idle_seconds
        connections = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, 'cdc ')"
        )
        resident = daemon.rss_mb()
    return [
        Figure(id="memory.idle.memory", what="memory of an idle daemon", value=resident, unit="MB", most=MOST_IDLE_MB),
        Figure(
            id="memory.idle.processor",
            what="processor time of an idle daemon",
            value=busy,
            unit="% of a core",
            most=MOST_IDLE_PERCENT,
        ),
        Figure(id="memory.idle.wakeups", what="wake-ups of an idle daemon, all threads", value=woken, unit="a second"),
        Figure(
            id="memory.idle.connections", what="connections of an idle daemon", value=connections, unit="to Postgres"
        ),
    ]


def run(size: Size) -> list[Figure]:
    with rig() as here:
        # Idle comes before the changes, because after them it would be busy with pruning.
        return [first_copy(here, size), *uvloop.run(idle(here, size)), *pending(here, size)]


SIZES = Sizes(full=Size(), quick=Size(rows=100_000, changes=200_000, idle_seconds=5))

if __name__ == "__main__":
    report.main(run, SIZES)
