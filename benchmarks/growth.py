"""Whether cost grows with the table: load, apply, latency and comparison at sizes from a thousand rows to ten million.

All is per row or per change, so it should stay flat. A ratio compares a size with 100,000 rows. Each size is measured
in a process of its own, so that none inherits the memory of another.
"""

import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import apsw
import uvloop

from benchmarks import application, report, writing
from benchmarks.figures import Figure
from benchmarks.latency import Watcher
from benchmarks.process import forget_peak, peak_rss_mb
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig
from benchmarks.verify import compare
from cdc.facts.progress import Silent
from cdc.first_copy import create_schema, loader, snapshots

ROWS = (
    "WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id + 1 < ?) "
    "INSERT INTO item SELECT id, 'name ' || id, 'some words about number ' || (id * 7919 % 1000003) FROM n"
)
UPDATE = "UPDATE item SET note = ? WHERE id = ?"
PER_TRANSACTION = 100
PER_SECOND = 200
BASE = 100_000
UNITS = {"load": "µs a row", "memory": "MB", "apply": "µs a change", "latency": "ms", "verify": "µs a row"}
LEAST_RATIO = 0.8


@dataclass(frozen=True)
class Size:
    """How much is measured. Latency is that of single commits at 200 a second, its median."""

    changes: int = 10_000
    rounds: int = 5
    commits: int = 600
    rows: tuple[int, ...] = (1_000, 10_000, BASE, 1_000_000, 10_000_000)


@dataclass(frozen=True)
class Costs:
    """What one size came to, in `UNITS`."""

    load: float
    memory: float
    apply: float
    latency: float
    verify: float


def of_rows(rows: int, size: Size) -> Costs:
    """Measure one size."""
    with rig() as here:
        tell(f"{rows:,} rows")
        writing.create(here.database, "wal")
        source = application.connect(here.database)
        source.execute(ROWS, (rows,))
        found = uvloop.run(measure(here, source, rows, size))
        source.close()
        return found


async def measure(here: Rig, source: apsw.Connection, rows: int, size: Size) -> Costs:
    load, memory = await first_copy(here, rows)
    apply = await apply_changes(here, source, rows, size)
    latency = await single_commits(here, rows, size)
    taken = [await timed_comparison(here, rows + size.commits) for _ in range(1 if rows > BASE else size.rounds)]
    return Costs(load, memory, apply, latency, statistics.median(taken))


async def first_copy(here: Rig, rows: int) -> tuple[float, float]:
    """The load alone: the snapshot before it is bound by the disk."""
    await snapshots.take_snapshot(here.config(), Silent())
    await create_schema.create_schema(here.config())
    forget_peak()
    started = time.perf_counter()
    await loader.load(here.config(), Silent())
    return (time.perf_counter() - started) / rows * 1e6, peak_rss_mb()


async def apply_changes(here: Rig, source: apsw.Connection, rows: int, size: Size) -> float:
    taken = []
    async with here.session() as session:
        for turn in range(size.rounds + 1):
            change(source, rows, size.changes, turn)
            started = time.perf_counter()
            await session.drain()
            taken.append((time.perf_counter() - started) / size.changes * 1e6)
    return statistics.median(taken[1:])  # the first finds nothing prepared


def change(source: apsw.Connection, rows: int, count: int, seed: int) -> None:
    """Updates of rows all over the table."""
    chance = random.Random(seed)
    for _ in range(0, count, PER_TRANSACTION):
        with source:
            keys = [(f"note {chance.random()}", chance.randrange(rows)) for _ in range(PER_TRANSACTION)]
            source.executemany(UPDATE, keys)


async def single_commits(here: Rig, rows: int, size: Size) -> float:
    async with here.postgres() as connection, here.daemon():
        watcher = Watcher(here, connection, first=rows)
        await watcher.follow(size.commits // 3, PER_SECOND)
        taken, _ = await watcher.follow(size.commits - size.commits // 3, PER_SECOND)
    return statistics.median(taken) * 1000


async def timed_comparison(here: Rig, rows: int) -> float:
    started = time.perf_counter()
    await compare(here.config(), rows)
    return (time.perf_counter() - started) / rows * 1e6


def figures(costs: dict[int, Costs]) -> Iterator[Figure]:
    largest = max(costs)
    for rows, found in costs.items():
        for name, value in asdict(found).items():
            ratio = asdict(costs[BASE])[name] / value if rows > BASE else None
            yield Figure(
                id=f"growth.{rows}.{name}",
                what=f"{rows:,} rows: {name}",
                value=value,
                unit=UNITS[name],
                ratio=ratio,
                steady=rows == 1_000_000 and name in ("load", "apply", "verify"),
                least_ratio=LEAST_RATIO if rows == largest and ratio is not None else None,
            )


def run(size: Size) -> list[Figure]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, max_tasks_per_child=1, mp_context=spawn) as processes:
        costs = {rows: processes.submit(of_rows, rows, size).result() for rows in size.rows}
    return list(figures(costs))


SIZES = Sizes(
    full=Size(),
    quick=Size(changes=2_000, rounds=2, commits=150, rows=(1_000, BASE)),
    check=Size(rows=(BASE, 1_000_000)),
)

if __name__ == "__main__":
    report.main(run, SIZES)
