"""Apply: changes from the changelog to Postgres, against Postgres' own merge of the same rows from a filled stage.

Both sides start from the same rows and end with the same. Ours reads SQLite, converts, stages and merges; the other
finds its stage filled and does only the merge, so a ratio of 1 would mean that everything else costs nothing.
"""

import argparse
import asyncio
import json
import random
import statistics
import time

import apsw
import asyncpg

from benchmarks.rig import Rig, Silent, rig
from cdc import service
from cdc.sqlite.watch import Watch
from cdc.stream import Session

ROWS = 300_000
COLUMNS = "id, name, email, score, visits, note, updated"


def make_source(rows: int, database: str) -> apsw.Connection:
    connection = apsw.Connection(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, score REAL, visits INTEGER, "
        "note TEXT, updated TEXT)"
    )
    with connection:
        connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)", (row(n) for n in range(rows)))
    return connection


def row(n: int) -> tuple[object, ...]:
    return (n, f"name {n}", f"user{n}@example.org", n / 7, n % 1000, "lorem ipsum " * 4, "2026-01-01T00:00:00Z")


def change(source: apsw.Connection, count: int, seed: int) -> list[int]:
    """Half updates, a quarter inserts, a quarter deletes, in transactions of 100; returns the keys touched."""
    chance = random.Random(seed)
    highest = source.execute("SELECT max(id) FROM item").get
    ids = chance.sample(range(highest), count)
    touched = []
    for start in range(0, count, 100):
        with source:
            for n, key in enumerate(ids[start : start + 100], start):
                if n % 4 == 0:
                    key = highest + 1 + n
                    source.execute("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)", row(key))
                elif n % 4 == 1:
                    source.execute("DELETE FROM item WHERE id = ?", (key,))
                else:
                    source.execute("UPDATE item SET visits = visits + 1, note = 'changed' WHERE id = ?", (key,))
                touched.append(key)
    return touched


async def fill_stage(connection: "asyncpg.Connection[asyncpg.Record]", source: apsw.Connection, keys: list[int]) -> None:
    await connection.execute("CREATE TEMP TABLE stage AS SELECT *, false AS gone FROM twin WITH NO DATA")
    present = {}
    for key in keys:
        present[key] = source.execute("SELECT * FROM item WHERE id = ?", (key,)).fetchone()
    records = [(*found, False) if found else (key, "", *[None] * 5, True) for key, found in present.items()]
    await connection.copy_records_to_table("stage", records=records)


async def own_merge(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    started = time.perf_counter()
    async with connection.transaction():
        await connection.execute("DELETE FROM twin USING stage WHERE stage.gone AND twin.id = stage.id")
        sets = ", ".join(f"{c} = EXCLUDED.{c}" for c in COLUMNS.split(", ")[1:])
        await connection.execute(
            f"INSERT INTO twin ({COLUMNS}) SELECT {COLUMNS} FROM stage WHERE NOT gone ON CONFLICT (id) DO UPDATE SET {sets}"
        )
    took = time.perf_counter() - started
    await connection.execute("DROP TABLE stage")
    return took


async def measure(here: Rig, changes: int, rounds: int) -> dict[str, float]:
    source = make_source(ROWS, str(here.database))
    config = here.config(round_entries=20_000)
    await service.up(config, until_idle=True, progress=Silent())
    ours, theirs = [], []
    async with here.postgres() as connection:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("CREATE TABLE twin (LIKE item INCLUDING ALL); INSERT INTO twin SELECT * FROM item")
        session = await Session.open(config, here.dsn, Watch(here.database))
        try:
            for n in range(rounds):
                keys = change(source, changes, n)
                await fill_stage(connection, source, keys)
                await connection.execute("CHECKPOINT")
                theirs.append(await own_merge(connection))
                await connection.execute("CHECKPOINT")
                started = time.perf_counter()
                await session.drain()
                ours.append(time.perf_counter() - started)
                differ = await connection.fetchval("SELECT count(*) FROM (TABLE item EXCEPT TABLE twin) AS d")
                if differ:
                    raise SystemExit(f"the two sides differ in {differ} rows")
        finally:
            await session.close()
    source.close()
    mine, other = statistics.median(ours), statistics.median(theirs)
    return {"changes": changes, "seconds": mine, "merge_seconds": other, "per_second": changes / mine, "ratio": other / mine}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with rig() as here:
        found = asyncio.run(measure(here, options.changes, options.rounds))
    if options.json:
        print(json.dumps(found))
        return
    print(f"apply of {found['changes']:,} changes: {found['seconds']:.2f} s, {found['per_second']:,.0f}/s")
    print(f"Postgres' own merge from a filled stage: {found['merge_seconds']:.2f} s")
    print(f"ratio: {found['ratio']:.2f} (reach 0.70)")


if __name__ == "__main__":
    main()
