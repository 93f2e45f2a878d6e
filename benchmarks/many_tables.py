"""Whether cost grows with the number of tables: the first copy, batches that touch one table, and the comparison.

A batch should cost what its changes cost, however many tables there are that it does not touch. A ratio compares with a
file of one table.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop

from benchmarks import application, report
from benchmarks.figures import Figure, compared_times
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig
from benchmarks.verify import compare
from cdc.stream.session import Session

ROWS = 10  # of each table
LEAST_RATIO = 0.8
BATCHES = {"direct": "one change", "staged": "{changes:,} changes of one table"}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    tables: int = 500
    direct: int = 100
    staged: int = 20
    changes: int = 2_000


@dataclass
class Side:
    """A file with so many tables, and what was measured of it."""

    here: Rig
    tables: int
    batches: dict[str, list[float]] = field(default_factory=lambda: {"direct": [], "staged": []})
    load: float = 0.0
    verify: float = 0.0

    def __post_init__(self) -> None:
        self.source = application.connect(self.here.database)
        with self.source:
            for number in range(self.tables):
                self.source.execute(f"CREATE TABLE t{number}(id INTEGER PRIMARY KEY, value TEXT)")
                self.source.executemany(f"INSERT INTO t{number} VALUES (?, 'value')", [(n,) for n in range(ROWS)])

    async def copy(self) -> None:
        """Seconds of the first copy, with the snapshot before it and the schema."""
        tell(f"{self.tables:,} tables")
        began = time.perf_counter()
        await self.here.up()
        self.load = time.perf_counter() - began

    async def batch(self, session: Session, kind: str, changes: int, turn: int) -> None:
        """Seconds that so many changes of the first table take to Postgres."""
        with self.source:
            rows = [(n, f"turn {turn}") for n in range(changes)]
            self.source.executemany("REPLACE INTO t0 VALUES (?, ?)", rows)
        began = time.perf_counter()
        await session.drain()
        self.batches[kind].append(time.perf_counter() - began)

    async def compare(self) -> None:
        """Seconds of a comparison of everything."""
        rows = self.source.execute("SELECT count(*) FROM t0").get + ROWS * (self.tables - 1)
        began = time.perf_counter()
        await compare(self.here.config(), rows)
        self.verify = time.perf_counter() - began


async def measure(one: Side, many: Side, size: Size) -> None:
    """Batches of both sides take turns, so that what else the machine does bends both."""
    for side in (one, many):
        await side.copy()
    async with one.here.session() as first, many.here.session() as second:
        for kind, turns, changes in (("direct", size.direct, 1), ("staged", size.staged, size.changes)):
            tell(f"batches of {BATCHES[kind].format(changes=changes)}")
            for turn in range(turns + 1):
                await one.batch(first, kind, changes, turn)
                await many.batch(second, kind, changes, turn)
    for side in (one, many):
        await side.compare()


def figures(one: Side, many: Side, size: Size) -> Iterator[Figure]:
    for kind, words in BATCHES.items():
        ours, theirs = ([taken * 1000 for taken in side.batches[kind][1:]] for side in (many, one))
        yield compared_times(  # the first batch finds nothing prepared
            ours,
            theirs,
            id=f"many_tables.{kind}",
            what=f"a batch of {words.format(changes=size.changes)}, beside the same in a file of one table",
            unit="ms",
            least_ratio=LEAST_RATIO,
        )
    for name, what in (("load", "snapshot, schema and first copy"), ("verify", "comparison")):
        value = getattr(many, name)
        yield Figure(
            id=f"many_tables.{name}",
            what=f"{what} of {size.tables:,} tables, beside one table",
            value=value,
            beside=getattr(one, name),
            unit="s",
            note=f"{value / size.tables * 1000:.1f} ms a table",
        )


def run(size: Size) -> list[Figure]:
    with rig() as alone, rig() as among:
        one, many = Side(alone, 1), Side(among, size.tables)
        try:
            uvloop.run(measure(one, many, size))
        finally:
            for side in (one, many):
                side.source.close()
    return list(figures(one, many, size))


SIZES = Sizes(full=Size(), quick=Size(tables=50, direct=20, staged=5), check=Size())

if __name__ == "__main__":
    report.main(run, SIZES)
