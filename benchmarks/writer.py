"""The slowest write of an application while the daemon follows it, beside the same without a daemon.

The application commits a row at a time at a steady pace (see `benchmarks.writing`) and takes turns: some seconds with
the daemon, some without. Capture is installed both times, so that the daemon alone makes the difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import uvloop
from msgspec.structs import replace

from benchmarks import report, writing
from benchmarks.figures import Figure, compared_times
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig

JOURNALS = {"wal": "WAL", "delete": "rollback journal"}
PERCENTS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: int = 6
    per_second: int = 200
    rounds: int = 4


async def measure(here: Rig, journal: str, size: Size) -> tuple[list[list[float]], list[list[float]]]:
    """Milliseconds of each write in each round, alone and with a daemon."""
    writing.create(here.database, journal)
    await here.up()
    commits = size.seconds * size.per_second
    alone: list[list[float]] = []
    followed: list[list[float]] = []
    for turn in range(size.rounds):
        tell(f"{JOURNALS[journal]}, round {turn + 1} of {size.rounds}")
        first = turn * 2 * commits
        alone.append(milliseconds(here, first, commits, size))
        async with here.daemon():
            followed.append(milliseconds(here, first + commits, commits, size))
    return alone, followed


def milliseconds(here: Rig, first: int, commits: int, size: Size) -> list[float]:
    return sorted(write.took * 1000 for write in writing.write(here.database, first, commits, size.per_second))


def figures(journal: str, alone: list[list[float]], followed: list[list[float]]) -> Iterator[Figure]:
    """The medians of the rounds; the slowest of all rounds for the slowest."""
    for name, part in PERCENTS.items():
        ours, theirs = (
            [took[min(int(len(took) * part), len(took) - 1)] for took in side] for side in (followed, alone)
        )
        what = f"{JOURNALS[journal]}, followed: {name}"
        figure = compared_times(ours, theirs, id=f"writer.{journal}.{name}", what=what, unit="ms")
        if name == "max":
            figure = replace(figure, value=max(ours), beside=max(theirs))
        # What happens once in a thousand writes is the disk's and the scheduler's affair as well.
        yield replace(figure, steady=name == "p50", ratio=figure.ratio if name in ("p50", "p99") else None)
        bare = f"{JOURNALS[journal]}, alone: {name}"
        yield Figure(id=f"writer.{journal}.alone.{name}", what=bare, value=figure.beside, unit="ms")


def run(size: Size) -> list[Figure]:
    found: list[Figure] = []
    for journal in JOURNALS:
        with rig() as here:
            alone, followed = uvloop.run(measure(here, journal, size))
        found += figures(journal, alone, followed)
    return found


SIZES = Sizes(full=Size(), quick=Size(seconds=2, rounds=2), check=Size())

if __name__ == "__main__":
    report.main(run, SIZES)
