"""Bulk load against psql's own \\copy and against pgloader: the same rows and server, ratios within one run.

Each round loads four times: from a ready binary file and a ready text file with psql, which had its rows formatted
beforehand; from the SQLite file through rows, conversion and COPY; and from the same file with pgloader.
"""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import apsw
import uvloop

from benchmarks import mixed, report
from benchmarks.figures import Figure, compared_speeds
from benchmarks.pgloader import PgLoader
from benchmarks.process import forget_peak, peak_rss_mb
from benchmarks.report import Sizes
from benchmarks.rig import Rig, rig
from cdc.postgres.apply import copy
from cdc.postgres.connection.open import Connection, connect
from cdc.sqlite.rows import select
from cdc.values.converter import compile_converter

ROWS_PER_CHUNK: Final = 256
BYTES_PER_CHUNK: Final = 1024 * 1024
MOST_MB: Final = 150
PEER: Final = "pgloader"
LEAST_RATIOS: Final = {"binary": 0.95, "text": 1.2, PEER: 3.0}
WORDS: Final = {"binary": r"`\copy` from a binary file", "text": r"`\copy` from a text file", PEER: PEER}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 1_000_000
    rounds: int = 5


def empty_table(here: Rig) -> None:
    here.psql("SET client_min_messages = warning", "DROP TABLE IF EXISTS items", mixed.CREATE, "CHECKPOINT")


async def load_from_sqlite(here: Rig) -> None:
    table, target = mixed.mapping()
    converter = compile_converter(table, target)
    source = apsw.Connection(str(here.database), flags=apsw.SQLITE_OPEN_READONLY)
    postgres = await connect(here.dsn, purpose="benchmark")

    async def chunks() -> AsyncIterator[copy.Rows]:
        for chunk in select.chunks(source, table, ROWS_PER_CHUNK, BYTES_PER_CHUNK):
            yield converter.rows(chunk).rows

    try:
        await copy.copy_rows(postgres, table, target, chunks())
    finally:
        await postgres.close()
        source.close()


def timed(here: Rig, work: Callable[[], None], count: int) -> float:
    """Rows a second into an empty table."""
    empty_table(here)
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def measure(here: Rig, ways: dict[str, Callable[[], None]], size: Size) -> dict[str, list[float]]:
    """Rows a second of each way in each round."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(size.rounds):
        report.tell(f"round {turn + 1} of {size.rounds}")
        # Each way takes each place, so that warm caches and noise of the machine fall on all alike.
        first = turn % len(ways)
        for name in (*list(ways)[first:], *list(ways)[:first]):
            speeds[name].append(timed(here, ways[name], size.rows))
    return speeds


def prepare(here: Rig, size: Size) -> None:
    """The SQLite file, and the same rows in files for psql."""
    mixed.make(here.database, size.rows)
    empty_table(here)
    uvloop.run(load_from_sqlite(here))
    here.psql(
        f"\\copy items TO '{here.folder}/items.bin' (FORMAT binary)",
        f"\\copy items TO '{here.folder}/items.txt'",
        f"DO $$ BEGIN ASSERT (SELECT count(*) FROM items) = {size.rows}; END $$",
        "CREATE TABLE ours AS TABLE items",
    )


def run(size: Size) -> list[Figure]:
    with rig() as here:
        prepare(here, size)
        forget_peak()
        ways: dict[str, Callable[[], None]] = {
            "binary": lambda: here.psql(f"\\copy items FROM '{here.folder}/items.bin' (FORMAT binary)"),
            "text": lambda: here.psql(f"\\copy items FROM '{here.folder}/items.txt'"),
            "ours": lambda: uvloop.run(load_from_sqlite(here)),
        }
        peer = PgLoader.find(here.folder, here.database, here.dsn)
        if peer is not None:
            ways[PEER] = peer.run
        speeds = measure(here, ways, size)
        peak = peak_rss_mb()
        note = uvloop.run(what_the_peer_bent(here, peer)) if peer else "not installed"
    figures = [figure(name, speeds, size, note if name == PEER else "") for name in LEAST_RATIOS]
    memory = Figure(id="load.memory", what="memory of a bulk load", value=peak, unit="MB", most=MOST_MB)
    return [*figures, memory]


def figure(name: str, speeds: dict[str, list[float]], size: Size, note: str) -> Figure:
    facts: dict[str, Any] = {
        "id": f"load.{name}",
        "what": f"bulk load of {size.rows:,} rows, beside {WORDS[name]}",
        "unit": "rows/s",
        "least_ratio": LEAST_RATIOS[name],
        "note": note,
    }
    if name not in speeds:
        return Figure(value=None, **facts)
    return compared_speeds(speeds["ours"], speeds[name], **facts)


async def what_the_peer_bent(here: Rig, peer: PgLoader) -> str:
    """In words, how the rows that pgloader left differ from ours."""
    empty_table(here)
    peer.run()
    async with here.postgres() as connection:
        lost = await connection.fetchval("SELECT (SELECT count(*) FROM ours) - (SELECT count(*) FROM items)")
        bent = [told for name, _, type_, _ in mixed.COLUMNS if (told := await _bent(connection, name, type_))]
    return "; ".join([*([f"it left {lost:,} rows out"] if lost else []), *bent]) or "the same rows"


async def _bent(connection: Connection, column: str, type_: str) -> str:
    made = await connection.fetchval(f"SELECT pg_typeof({column})::text FROM items LIMIT 1")
    differ = await connection.fetchval(
        f"SELECT count(*) FROM ours JOIN items USING (id) WHERE ours.{column} IS DISTINCT FROM items.{column}::{type_}"
    )
    told = f"it made {column} {made}" if made != type_ else f"it bent {column}" if differ else ""
    return f"{told}, which changed {differ:,} values" if differ else told


SIZES = Sizes(full=Size(), quick=Size(rows=100_000, rounds=3), check=Size())

if __name__ == "__main__":
    report.main(run, SIZES)
