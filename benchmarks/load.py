"""Bulk load against psql's own \\copy: the same rows, the same server, alternating rounds, ratios within one run.

Each round loads an empty table three times: from a ready binary file and a ready text file with psql, which had its
rows formatted beforehand, and from the SQLite file through rows, conversion and COPY.
"""

import datetime
import multiprocessing
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw
import uvloop

from benchmarks import report
from benchmarks.report import Figure
from benchmarks.rig import Rig, peak_rss_mb, rig
from cdc.convert import compile_converter
from cdc.model import Affinity, Column, ColumnMap, Key, KeyKind, Table, TableMap, TargetColumn, TargetTable
from cdc.postgres import load
from cdc.postgres.connection import connect
from cdc.sqlite import rows

SEED: Final = 1
ROWS_PER_CHUNK: Final = 256
BYTES_PER_CHUNK: Final = 1024 * 1024
MOST_MB: Final = 150
LEAST_RATIOS: Final = {"binary": 0.95, "text": 1.2}

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


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 1_000_000
    rounds: int = 3


def empty_table(here: Rig) -> None:
    here.psql("SET client_min_messages = warning", "DROP TABLE IF EXISTS items", CREATE, "CHECKPOINT")


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


async def load_from_sqlite(here: Rig) -> None:
    table, target = mapping()
    converter = compile_converter(table, target)
    source = apsw.Connection(str(here.database), flags=apsw.SQLITE_OPEN_READONLY)
    postgres = await connect(here.dsn, purpose="benchmark")

    async def chunks() -> AsyncIterator[load.Rows]:
        for chunk in rows.chunks(source, table, ROWS_PER_CHUNK, BYTES_PER_CHUNK):
            yield converter.rows(chunk).rows

    try:
        await load.copy_rows(postgres, table, target, chunks())
    finally:
        await postgres.close()
        source.close()


def timed(here: Rig, work: Callable[[], None], count: int) -> float:
    """Rows a second into an empty table."""
    empty_table(here)
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def measure(here: Rig, size: Size) -> dict[str, list[float]]:
    """Rows a second of each way in each round."""
    ways: dict[str, Callable[[], None]] = {
        "binary": lambda: here.psql(f"\\copy items FROM '{here.folder}/items.bin' (FORMAT binary)"),
        "text": lambda: here.psql(f"\\copy items FROM '{here.folder}/items.txt'"),
        "sqlite": lambda: uvloop.run(load_from_sqlite(here)),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(size.rounds):
        # Each way takes each place, so that warm caches and noise of the machine fall on all alike.
        names = list(ways)[turn % 3 :] + list(ways)[: turn % 3]
        for name in names:
            speeds[name].append(timed(here, ways[name], size.rows))
    return speeds


def prepare(here: Rig, size: Size) -> None:
    """The SQLite file, and the same rows in files for psql."""
    # In a process of its own, so that its memory is not counted as ours.
    maker = multiprocessing.get_context("spawn").Process(target=make_sqlite, args=(here.database, size.rows))
    maker.start()
    maker.join()
    empty_table(here)
    uvloop.run(load_from_sqlite(here))
    here.psql(
        f"\\copy items TO '{here.folder}/items.bin' (FORMAT binary)",
        f"\\copy items TO '{here.folder}/items.txt'",
        f"DO $$ BEGIN ASSERT (SELECT count(*) FROM items) = {size.rows}; END $$",
    )


def run(size: Size) -> list[Figure]:
    with rig() as here:
        prepare(here, size)
        speeds = measure(here, size)
    ours = speeds["sqlite"]
    figures = [
        Figure(
            f"bulk load of {size.rows:,} rows, beside \\copy from a {way} file",
            statistics.median(ours),
            "rows/s",
            statistics.median(our / their for our, their in zip(ours, speeds[way], strict=True)),
            least_ratio=least,
        )
        for way, least in LEAST_RATIOS.items()
    ]
    return [*figures, Figure("memory of a bulk load", peak_rss_mb(), "MB", most=MOST_MB)]


QUICK = Size(rows=100_000, rounds=3)

if __name__ == "__main__":
    report.main(run, Size(), QUICK)
