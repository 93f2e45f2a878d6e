"""Two applications that write without a pause into one file: whether batches end, and how much of it has arrived.

Each is a process of its own that commits transactions of 100 rows for some seconds. What was written and what was
applied is looked at in the moment in which they end; a daemon that waits for a quiet file would have applied nothing.
"""

import asyncio
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import apsw
import uvloop

from benchmarks import application, report
from benchmarks.figures import Figure
from benchmarks.report import Sizes
from benchmarks.rig import Rig, rig
from cdc.postgres.connection.open import Connection

WRITERS = 2
PER_TRANSACTION = 100
KEYS = 200_000
LEAST_BATCHES = 2


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: int = 30


@dataclass(frozen=True)
class Reached:
    """What was there when the writers ended; the longest rest is the longest time in which no batch ended."""

    written: int
    applied: int
    batches: int
    longest_rest: float
    caught_up: float


async def measure(here: Rig, source: apsw.Connection, size: Size) -> Reached:
    await here.up()
    newest = "SELECT max(seq) FROM _cdc_changelog"
    async with here.postgres() as connection, here.daemon():
        before = source.execute(newest).get
        writers = [start(here.database, number, size.seconds) for number in range(WRITERS)]
        seen = await watch(connection, writers)
        written = source.execute(newest).get
        began = time.perf_counter()
        while await position(connection) < written:  # noqa: ASYNC110 (the other end is a process)
            await asyncio.sleep(0.02)
        taken = time.perf_counter() - began
    moments = [moment for moment, _ in seen]
    rests = [later - earlier for earlier, later in zip(moments, [*moments[1:], began], strict=True)]
    return Reached(written - before, seen[-1][1] - before, len(seen) - 1, max(rests), taken)


async def watch(connection: Connection, writers: "list[subprocess.Popen[bytes]]") -> list[tuple[float, int]]:
    """The moments at which the position moved, with the positions, until all writers ended."""
    seen = [(time.perf_counter(), await position(connection))]
    while any(writer.poll() is None for writer in writers):
        await asyncio.sleep(0.02)
        if (now := await position(connection)) != seen[-1][1]:
            seen.append((time.perf_counter(), now))
    if any(writer.returncode for writer in writers):
        raise SystemExit("a writer failed")
    return seen


async def position(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT seq FROM cdc.stream"))


def start(database: Path, number: int, seconds: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.two_writers", "write", str(database), str(number), str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def write(database: str, number: int, seconds: float) -> None:
    """One of the applications: Python's own sqlite3, which waits for the other up to half a minute."""
    file = sqlite3.connect(database, timeout=30, isolation_level=None)
    file.execute("PRAGMA synchronous = NORMAL")
    ends = time.monotonic() + seconds
    key = number * KEYS // WRITERS
    while time.monotonic() < ends:
        file.execute("BEGIN IMMEDIATE")
        rows = [(key + n) % KEYS for n in range(PER_TRANSACTION)]
        file.executemany("REPLACE INTO item(id, name, note) VALUES (?, 'name', 'note')", [(row,) for row in rows])
        file.execute("COMMIT")
        key += PER_TRANSACTION
    file.close()


def figures(found: Reached, size: Size) -> list[Figure]:
    pace = found.written / size.seconds
    return [
        Figure(
            id="two_writers.applied",
            what=f"applied while {WRITERS} processes write for {size.seconds} s without a pause, beside written",
            value=found.applied / size.seconds,
            beside=pace,
            unit="entries/s",
            ratio=found.applied / found.written,
        ),
        Figure(
            id="two_writers.batches",
            what="batches that ended meanwhile",
            value=found.batches,
            unit="batches",
            least=LEAST_BATCHES,
        ),
        Figure(
            id="two_writers.rest",
            what="the longest time in which none ended",
            value=found.longest_rest,
            unit="s",
        ),
        Figure(
            id="two_writers.caught_up",
            what="everything was applied after the writers ended",
            value=found.caught_up,
            unit="s",
        ),
    ]


def run(size: Size) -> list[Figure]:
    with rig() as here:
        source = application.connect(here.database)
        source.execute(application.CREATE)
        try:
            return figures(uvloop.run(measure(here, source, size)), size)
        finally:
            source.close()


SIZES = Sizes(full=Size(), quick=Size(seconds=3))

if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        report.main(run, SIZES)
