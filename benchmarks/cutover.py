"""Cutover and rollback under a client that writes all the time: how long nobody accepts its writes, which steps last.

`refused` is what the switch says of itself, `seen` what the client saw: from the last write that one database
acknowledged to the first that the other one did. The client changes single rows at a pace, asks SQLite first and then
Postgres, and is a process of its own, as the daemon is. The file of few rows is as large as the sample's, the other one
shows what the number of rows costs; its ratio compares it with the first.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

import apsw
import asyncpg
import uvloop

from benchmarks import application, report
from benchmarks.figures import Figure
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig
from cdc.cutover import prepare, run
from cdc.cutover.run import Switched
from cdc.facts.progress import Silent

FEW: Final = 313  # as the sample has
READY_SECONDS: Final = 60
MOST_MS: Final = {FEW: 1_000}
MOST_MS_OF_MANY: Final = 5_000
UNITS: Final = {"prepare": "s", "whole": "s", "refused": "ms", "seen": "ms"}
WORDS: Final = {
    "prepare": "to prepare, every row compared",
    "whole": "the whole command",
    "refused": "writes refused",
    "seen": "no write acknowledged to a client",
}


@dataclass(frozen=True)
class Size:
    """How much is measured: rows of the large table, times there and back, and the client's writes a second."""

    rows: int = 1_000_000
    rounds: int = 5
    writes: int = 200


@dataclass
class Found:
    """What each round came to, in the order of rounds, and the milliseconds of each step."""

    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    steps: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def longest(self) -> str:
        """The three steps that last longest."""
        medians = {name: statistics.median(taken) for name, taken in self.steps.items()}
        names = sorted(medians, key=lambda name: -medians[name])[:3]
        return ", ".join(f"{name} {medians[name]:.0f} ms" for name in names)


class Steps:
    """The times between the words of a switch; a step ends where the next one begins."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def __call__(self, words: str) -> None:
        self.told.append((words, time.perf_counter()))

    def milliseconds(self) -> Iterator[tuple[str, float]]:
        ends = [at for _, at in self.told[1:]] + [time.perf_counter()]
        for (name, began), ended in zip(self.told, ends, strict=True):
            yield name, (ended - began) * 1000


# --- the client -------------------------------------------------------------------------------------------------------


class Client:
    """Writes until it is told to end; `gap` is how long it waited when the side changed last."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def gap(self) -> float:
        """Milliseconds; waits until a write was acknowledged by the other side."""
        if not self._pipe.poll(READY_SECONDS):
            raise SystemExit("no side acknowledges the client's writes")
        return float(self._pipe.recv())


@contextmanager
def client(here: Rig, rows: int, pace: int) -> Iterator[Client]:
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_write, args=(theirs, here.database, here.dsn, rows, pace), daemon=True)
    process.start()
    try:
        yield Client(ours)
    finally:
        process.terminate()
        process.join()


def _write(pipe: Pipe, database: Path, dsn: str, rows: int, pace: int) -> None:
    asyncio.run(_written(pipe, database, dsn, rows, pace))


async def _written(pipe: Pipe, database: Path, dsn: str, rows: int, pace: int) -> None:
    source, target = application.connect(database), await asyncpg.connect(dsn)
    source.set_busy_timeout(5_000)
    before, acknowledged, n = "sqlite", time.perf_counter(), 0
    while True:
        key = n * 7919 % rows
        side = "sqlite" if _by_sqlite(source, key) else "postgres" if await _by_postgres(target, key) else None
        if side is not None:
            now = time.perf_counter()
            if side != before:
                pipe.send((now - acknowledged) * 1000)
            before, acknowledged, n = side, now, n + 1
            await asyncio.sleep(1 / pace)


def _by_sqlite(source: apsw.Connection, key: int) -> bool:
    try:
        source.execute(application.UPDATE, (key,)).fetchall()
    except apsw.ConstraintError:
        return False
    return True


async def _by_postgres(target: "asyncpg.Connection[asyncpg.Record]", key: int) -> bool:
    try:
        await target.execute(application.UPDATE.replace("?", "$1"), key)
    except asyncpg.PostgresError:
        return False
    return True


# --- what is measured -------------------------------------------------------------------------------------------------


async def measure(here: Rig, rows: int, size: Size) -> dict[str, Found]:
    """What cutovers and rollbacks come to, by which of them it is."""
    application.make(here.database, rows).close()
    await here.up()
    found = {"cutover": Found(), "rollback": Found()}
    async with here.daemon():
        with client(here, rows, size.writes) as writing:
            for turn in range(size.rounds):
                tell(f"{rows:,} rows, {turn + 1} of {size.rounds}")
                await there_and_back(here, writing, found)
    return found


async def there_and_back(here: Rig, writing: Client, found: Mapping[str, Found]) -> None:
    began = time.perf_counter()
    await prepare.prepare(here.config(), Silent())
    found["cutover"].times["prepare"].append(time.perf_counter() - began)
    for name, result in found.items():
        steps, began = Steps(), time.perf_counter()
        done = await _switch(here, name, steps)
        result.times["whole"].append(time.perf_counter() - began)
        for step, milliseconds in steps.milliseconds():
            result.steps[step].append(milliseconds)
        result.times["refused"].append(done.refused_seconds * 1000)
        result.times["seen"].append(await asyncio.to_thread(writing.gap))


async def _switch(here: Rig, name: str, steps: Steps) -> Switched:
    if name == "cutover":
        return await run.cutover(here.config(), steps)
    return await run.rollback(here.config(), steps, Silent())


def figures(rows: int, found: Mapping[str, Found], few: Mapping[str, Found]) -> Iterator[Figure]:
    for name, result in found.items():
        for kind, taken in result.times.items():
            value = statistics.median(taken)
            of_few = statistics.median(few[name].times[kind])
            bounded = kind in ("refused", "seen")
            yield Figure(
                id=f"cutover.{'few' if rows == FEW else 'many'}.{name}.{kind}",
                what=f"{name} of {rows:,} rows: {WORDS[kind]}",
                value=value,
                unit=UNITS[kind],
                beside=of_few if bounded and rows != FEW else None,
                ratio=of_few / value if bounded and rows != FEW else None,
                most=MOST_MS.get(rows, MOST_MS_OF_MANY) if bounded else None,
                note=result.longest if kind == "whole" else f"at most {max(taken):.0f} ms" if bounded else "",
            )


def run_all(size: Size) -> list[Figure]:
    found = {}
    for rows in (FEW, size.rows):
        with rig() as here:
            found[rows] = uvloop.run(measure(here, rows, size))
    return [figure for rows in found for figure in figures(rows, found[rows], found[FEW])]


SIZES = Sizes(full=Size(), quick=Size(rows=20_000, rounds=2))

if __name__ == "__main__":
    report.main(run_all, SIZES)
