"""Bulk load against psql's own \\copy: the same rows, the same server, alternating rounds, ratios within one run.

    python -m benchmarks.load [--rows 1000000] [--rounds 3] [--json]

Each round loads an empty table three times: from a ready binary file and a ready text file with psql, which had its
rows formatted beforehand, and from the SQLite file through rows, conversion and COPY. Goals: 0.95 of binary, 1.2
of text, under 150 MB of memory in our process. The server is started in a temporary folder and stopped at the end.
"""

import argparse
import datetime
import json
import operator
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw
import uvloop

from cdc.convert import compile_converter
from cdc.model import Affinity, Column, ColumnMap, Key, KeyKind, Table, TableMap, TargetColumn, TargetTable
from cdc.postgres import embedded, load
from cdc.postgres.connection import connect
from cdc.sqlite import rows

SEED: Final = 1
ROWS_PER_CHUNK: Final = 256
BYTES_PER_CHUNK: Final = 1024 * 1024
MEMORY_GOAL_MB: Final = 150
GOALS: Final = {"binary": 0.95, "text": 1.2}

# Name, type in SQLite, type in Postgres, its name in pg_type.
COLUMNS: Final = (
    ("id", "INTEGER PRIMARY KEY", "bigint", "int8"),
    ("amount", "REAL", "double precision", "float8"),
    ("name", "TEXT", "text", "text"),
    ("note", "TEXT", "text", "text"),
    ("active", "BOOLEAN", "boolean", "bool"),
    ("seen_at", "DATETIME", "timestamp without time zone", "timestamp"),
    ("digest", "BLOB", "bytea", "bytea"),
)
CREATE: Final = (
    "CREATE TABLE items ("
    + ", ".join(f"{name} {type_}{' PRIMARY KEY' if name == 'id' else ''}" for name, _, type_, _ in COLUMNS)
    + ")"
)


@dataclass(slots=True)
class Bench:
    """What a run needs: the server, the files, and how many rows they hold."""

    server: embedded.EmbeddedServer
    sqlite: Path
    folder: Path
    rows: int

    def psql(self, *commands: str) -> None:
        program = str(embedded.bundled_binaries() / "psql")
        arguments = [part for command in commands for part in ("-c", command)]
        subprocess.run([program, "-qXAt", "-v", "ON_ERROR_STOP=1", self.server.dsn, *arguments], check=True)

    def empty_table(self) -> None:
        self.psql("SET client_min_messages = warning", "DROP TABLE IF EXISTS items", CREATE, "CHECKPOINT")


def make_rows(count: int) -> Iterator[tuple[object, ...]]:
    chance = random.Random(SEED)
    start = datetime.datetime(2024, 1, 1)
    for n in range(1, count + 1):
        note = None if n % 5 == 0 else "some words about a thing " * chance.randrange(1, 4)
        seen = start + datetime.timedelta(seconds=n * 7, microseconds=chance.randrange(1_000_000))
        yield n, chance.uniform(0, 1e6), f"item number {n}", note, n % 2, str(seen), chance.randbytes(24)


def make_sqlite(path: Path, count: int) -> None:
    connection = apsw.Connection(str(path))
    columns = ", ".join(f"{name} {type_}" for name, type_, _, _ in COLUMNS)
    connection.execute("PRAGMA journal_mode = OFF").fetchall()
    connection.execute(f"CREATE TABLE items ({columns})")
    with connection:
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO items VALUES ({marks})", make_rows(count))
    connection.close()


def mapping() -> tuple[TableMap, TargetTable]:
    columns = tuple(Column(name, type_.split()[0], Affinity.BLOB) for name, type_, _, _ in COLUMNS)
    source = Table("items", columns, Key(KeyKind.INTEGER, ("id",)))
    mapped = tuple(ColumnMap(name, f'"{name}"', type_, name) for name, _, type_, _ in COLUMNS)
    target = tuple(TargetColumn(name, type_, base, not_null=name == "id") for name, _, type_, base in COLUMNS)
    return TableMap(source, "public", "items", mapped, ("id",)), TargetTable("public", "items", target)


async def load_from_sqlite(bench: Bench) -> None:
    table, target = mapping()
    converter = compile_converter(table, target)
    source = apsw.Connection(str(bench.sqlite), flags=apsw.SQLITE_OPEN_READONLY)
    postgres = await connect(bench.server.dsn, purpose="benchmark")

    async def chunks() -> AsyncIterator[load.Rows]:
        for chunk in rows.chunks(source, table, ROWS_PER_CHUNK, BYTES_PER_CHUNK):
            yield converter.rows(chunk).rows

    try:
        loaded = await load.copy_rows(postgres, table, target, chunks())
        if loaded != bench.rows:
            raise SystemExit(f"{loaded} rows were loaded instead of {bench.rows}")
    finally:
        await postgres.close()
        source.close()


def timed(work: Callable[[], None], count: int) -> float:
    """Rows a second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def measure(bench: Bench, rounds: int) -> dict[str, list[float]]:
    ways: dict[str, Callable[[], None]] = {
        "binary": lambda: bench.psql(f"\\copy items FROM '{bench.folder}/items.bin' (FORMAT binary)"),
        "text": lambda: bench.psql(f"\\copy items FROM '{bench.folder}/items.txt'"),
        "sqlite": lambda: uvloop.run(load_from_sqlite(bench)),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        # Each way takes each place, so that warm caches and noise of the machine fall on all alike.
        names = list(ways)[turn % 3 :] + list(ways)[: turn % 3]
        for name in names:
            bench.empty_table()
            speeds[name].append(timed(ways[name], bench.rows))
    return speeds


def report(speeds: dict[str, list[float]]) -> dict[str, object]:
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {way: round(statistics.median(map(operator.truediv, speeds["sqlite"], speeds[way])), 3) for way in GOALS}
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {
        "rows_per_second": {name: round(value) for name, value in medians.items()},
        "ratios": ratios,
        "peak_rss_mb": memory,
        "met": all(ratios[way] >= goal for way, goal in GOALS.items()) and memory < MEMORY_GOAL_MB,
    }


def show(result: dict[str, object]) -> None:
    speeds, ratios = result["rows_per_second"], result["ratios"]
    assert isinstance(speeds, dict)
    assert isinstance(ratios, dict)
    print(f"{'way':<10} {'rows/s':>10} {'ours is':>8} {'goal':>6}")
    for way in ("binary", "text", "sqlite"):
        ours, goal = (f"{ratios[way]:.2f}", f"{GOALS[way]:.2f}") if way in GOALS else ("", "")
        print(f"{way:<10} {speeds[way]:>10,} {ours:>8} {goal:>6}")
    print(f"peak memory of our process {result['peak_rss_mb']} MB, goal under {MEMORY_GOAL_MB} MB")


def run(count: int, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # In a process of its own, so that its memory is not counted as ours.
        command = [sys.executable, "-m", "benchmarks.load", "--make", str(folder / "items.db"), "--rows", str(count)]
        subprocess.run(command, check=True)
        with embedded.start(folder / "server") as server:
            bench = Bench(server, folder / "items.db", folder, count)
            bench.empty_table()
            uvloop.run(load_from_sqlite(bench))
            bench.psql(f"\\copy items TO '{folder}/items.bin' (FORMAT binary)", f"\\copy items TO '{folder}/items.txt'")
            return report(measure(bench, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description="Bulk load against psql's \\copy")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_sqlite(options.make, options.rows)
        return
    result = run(options.rows, options.rounds)
    print(json.dumps(result)) if options.json else show(result)


if __name__ == "__main__":
    main()
