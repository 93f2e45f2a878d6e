"""Apply: changes from the changelog to Postgres, against Postgres' own merge of the same rows from a filled stage.

Both sides start from the same rows and end with the same. Ours reads SQLite, converts, stages and merges; the other
finds its stage filled and does only the merge, so a ratio of 1 would mean that everything else costs nothing.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import apsw
import uvloop

from benchmarks import application, changes, report
from benchmarks.application import COLUMNS
from benchmarks.figures import Figure, compared_speeds
from benchmarks.report import Sizes
from benchmarks.rig import Rig, rig
from cdc.postgres.connection.open import Connection
from cdc.stream.session import Session

LEAST_RATIO = 0.70
WORDS = {"insert": "inserts", "update": "updates", "delete": "deletes", "mix": "changes, half of them updates"}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 300_000
    changes: int = 100_000
    rounds: int = 5


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


async def measure(here: Rig, source: apsw.Connection, session: Session, size: Size) -> list[Figure]:
    """Changes a second of both sides, for each kind in each round; the table keeps its size over a round."""
    speeds: dict[str, tuple[list[float], list[float]]] = {kind: ([], []) for kind in changes.KINDS}
    async with here.postgres() as connection:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("CREATE TABLE twin (LIKE item INCLUDING ALL); INSERT INTO twin TABLE item; ANALYZE")
        for turn in range(size.rounds):
            report.tell(f"round {turn + 1} of {size.rounds}")
            for kind, (ours, theirs) in speeds.items():
                await fill_stage(connection, source, changes.make(source, kind, size.changes, turn))
                sides = [(ours, session.drain), (theirs, lambda: merge(connection))]
                for speed, work in reversed(sides) if turn % 2 else sides:
                    speed.append(size.changes / await timed(connection, work))
            if await connection.fetchval("SELECT count(*) FROM (TABLE item EXCEPT TABLE twin) AS d"):
                raise SystemExit("the two sides differ")
    return [
        compared_speeds(
            *both,
            id=f"apply.{kind}",
            what=f"apply of {size.changes:,} {WORDS[kind]}, beside Postgres' own merge",
            unit="changes/s",
            least_ratio=LEAST_RATIO,
        )
        for kind, both in speeds.items()
    ]


def run(size: Size) -> list[Figure]:
    async def work() -> list[Figure]:
        source = application.make(here.database, size.rows)
        await here.up()
        async with here.session() as session:
            found = await measure(here, source, session, size)
        source.close()
        return found

    with rig() as here:
        return uvloop.run(work())


SIZES = Sizes(full=Size(), quick=Size(rows=60_000, changes=20_000, rounds=3), check=Size(rounds=3))

if __name__ == "__main__":
    report.main(run, SIZES)
