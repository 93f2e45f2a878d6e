"""Whether cost grows with the number of tables: the first copy, batches that touch one table, and the comparison.

A batch should cost what its changes cost, however many tables there are that it does not touch. A ratio compares with a
file of one table.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import apsw
import uvloop

from benchmarks import application, report
from benchmarks.figures import Figure
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig
from benchmarks.verify import compare

ROWS = 10  # of each table
LEAST_RATIO = 0.8
UNITS = {"load": "ms a table", "open": "ms", "direct": "ms", "staged": "ms", "verify": "ms a table"}
WORDS = {
    "load": "snapshot, schema and first copy",
    "open": "a daemon begins",
    "direct": "a batch of one change",
    "staged": "a batch of {changes:,} changes of one table",
    "verify": "comparison",
}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    tables: int = 500
    batches: int = 100
    changes: int = 2_000
    staged: int = 20


async def measure(here: Rig, source: apsw.Connection, tables: int, size: Size) -> dict[str, float]:
    """What each thing costs with so many tables, in `UNITS`."""
    tell(f"{tables:,} tables")
    began = time.perf_counter()
    await here.up()
    loaded = time.perf_counter()
    async with here.session() as session:
        opened = time.perf_counter()
        direct = [await batch(source, session.drain, 1, turn) for turn in range(size.batches)]
        staged = [await batch(source, session.drain, size.changes, turn) for turn in range(size.staged)]
    ready = time.perf_counter()
    rows = source.execute("SELECT count(*) FROM t0").get + ROWS * (tables - 1)
    await compare(here.config(), rows)
    return {
        "load": (loaded - began) / tables * 1000,
        "open": (opened - loaded) * 1000,
        "direct": statistics.median(direct[1:]) * 1000,
        "staged": statistics.median(staged[1:]) * 1000,  # the first finds nothing prepared
        "verify": (time.perf_counter() - ready) / tables * 1000,
    }


async def batch(source: apsw.Connection, drain: Callable[[], Awaitable[object]], changes: int, turn: int) -> float:
    """The time that so many changes of the first table take to Postgres."""
    with source:
        rows = ((n, f"turn {turn}") for n in range(changes))
        source.executemany("REPLACE INTO t0 VALUES (?, ?)", rows)
    began = time.perf_counter()
    await drain()
    return time.perf_counter() - began


def of_tables(tables: int, size: Size) -> dict[str, float]:
    """Measure a file of so many tables."""
    with rig() as here:
        source = application.connect(here.database)
        with source:
            for number in range(tables):
                source.execute(f"CREATE TABLE t{number}(id INTEGER PRIMARY KEY, value TEXT)")
                source.executemany(f"INSERT INTO t{number} VALUES (?, 'value')", [(n,) for n in range(ROWS)])
        try:
            return uvloop.run(measure(here, source, tables, size))
        finally:
            source.close()


def figures(one: dict[str, float], many: dict[str, float], size: Size) -> Iterator[Figure]:
    for name, value in many.items():
        batch_alone = name in ("direct", "staged")
        yield Figure(
            id=f"many_tables.{name}",
            what=f"{size.tables:,} tables: {WORDS[name].format(changes=size.changes)}, beside the same with one table",
            value=value,
            beside=one[name],
            unit=UNITS[name],
            ratio=one[name] / value,
            steady=batch_alone,
            least_ratio=LEAST_RATIO if batch_alone else None,
        )


def run(size: Size) -> list[Figure]:
    return list(figures(of_tables(1, size), of_tables(size.tables, size), size))


SIZES = Sizes(full=Size(), quick=Size(tables=50, batches=20, staged=5), check=Size())

if __name__ == "__main__":
    report.main(run, SIZES)
