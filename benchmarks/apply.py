"""Apply: changes from the changelog to Postgres, against Postgres' own merge of the same rows from a filled stage.

Both sides start from the same rows and end with the same. Ours reads SQLite, converts, stages and merges; the other
finds its stage filled and does only the merge, so a ratio of 1 would mean that everything else costs nothing.
"""

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import apsw
import uvloop

from benchmarks import application, report
from benchmarks.application import COLUMNS
from benchmarks.report import Figure
from benchmarks.rig import Rig, rig
from cdc.postgres.connection import Connection
from cdc.postgres.target import Target
from cdc.session import Session
from cdc.sqlite.watch import Watch

LEAST_RATIO = 0.70


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 300_000
    changes: int = 100_000
    rounds: int = 5


def change(source: apsw.Connection, count: int, seed: int) -> list[int]:
    """Half updates, a quarter inserts, a quarter deletes, in transactions of 100; returns the keys touched."""
    ids = [row[0] for row in source.execute("SELECT id FROM item")]
    highest = max(ids)
    touched = random.Random(seed).sample(ids, count)
    for start in range(0, count, 100):
        with source:
            for n in range(start, min(start + 100, count)):
                if n % 4 == 0:
                    touched[n] = highest + 1 + n
                    source.execute(application.INSERT, next(application.items([touched[n]])))
                else:
                    source.execute(application.DELETE if n % 4 == 1 else application.UPDATE, (touched[n],))
    return touched


async def fill_stage(connection: Connection, source: apsw.Connection, keys: list[int]) -> None:
    await connection.execute("DROP TABLE IF EXISTS stage")
    await connection.execute("CREATE TEMP TABLE stage AS SELECT *, false AS gone FROM twin WITH NO DATA")
    found = {key: source.execute("SELECT * FROM item WHERE id = ?", (key,)).fetchone() for key in keys}
    records = [(*row, False) if row else (key, "", *[None] * 5, True) for key, row in found.items()]
    await connection.copy_records_to_table("stage", records=records)


async def merge(connection: Connection) -> None:
    names = ", ".join(COLUMNS)
    sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS[1:])
    async with connection.transaction():
        await connection.execute("DELETE FROM twin USING stage WHERE stage.gone AND twin.id = stage.id")
        await connection.execute(
            f"INSERT INTO twin ({names}) SELECT {names} FROM stage WHERE NOT gone ON CONFLICT (id) DO UPDATE SET {sets}"
        )


async def timed(connection: Connection, work: Callable[[], Awaitable[object]]) -> float:
    # What was written before is on its way to the disk before the clock starts.
    await connection.execute("CHECKPOINT")
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def measure(here: Rig, size: Size) -> list[Figure]:
    source = application.make(here.database, size.rows)
    await here.up()
    ours: list[float] = []
    theirs: list[float] = []
    async with here.postgres() as connection:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("CREATE TABLE twin (LIKE item INCLUDING ALL); INSERT INTO twin TABLE item; ANALYZE")
        session = await Session.open(here.config(), Target(here.config()), Watch(here.database))
        try:
            for turn in range(size.rounds):
                await fill_stage(connection, source, change(source, size.changes, turn))
                sides = [(ours, session.drain), (theirs, lambda: merge(connection))]
                for seconds, work in reversed(sides) if turn % 2 else sides:
                    seconds.append(await timed(connection, work))
                if await connection.fetchval("SELECT count(*) FROM (TABLE item EXCEPT TABLE twin) AS d"):
                    raise SystemExit("the two sides differ")
        finally:
            await session.close()
    source.close()
    ratio = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
    what = f"apply of {size.changes:,} changes, beside Postgres' own merge"
    return [Figure(what, size.changes / statistics.median(ours), "changes/s", ratio, least_ratio=LEAST_RATIO)]


def run(size: Size) -> list[Figure]:
    with rig() as here:
        return uvloop.run(measure(here, size))


QUICK = Size(rows=60_000, changes=20_000, rounds=3)

if __name__ == "__main__":
    report.main(run, Size(), QUICK)
