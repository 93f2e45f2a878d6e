"""Capture: what the triggers cost the application, in transactions of 100 rows and in commits of one row.

Two files with the same rows, one of them with capture, take turns. In WAL mode synchronous NORMAL and OFF differ only
in the waits for the disk at checkpoints, which say more about the disk than about triggers: here it is OFF.
"""

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from benchmarks import application, report
from benchmarks.application import Value
from benchmarks.figures import Figure, compared_times
from benchmarks.report import Sizes
from cdc.config import decode_config
from cdc.sqlite.changelog import source_file

ROWS_PER_TRANSACTION = 100
MOST_IN_TRANSACTION = 1.5  # microseconds a row
MOST_ALONE = 25.0  # microseconds a commit

Rows = Sequence[tuple[Value, ...]]
Work = Callable[[apsw.Connection, str, Rows], None]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 200_000
    changes: int = 20_000
    commits: int = 3_000
    rounds: int = 11


def make(database: Path, rows: int, *, captured: bool) -> apsw.Connection:
    connection = application.make(database, rows)
    if captured:
        source_file.install(
            decode_config({"source": {"path": str(database)}, "target": {"dsn": "postgresql://nobody"}})
        )
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def in_transactions(connection: apsw.Connection, sql: str, rows: Rows) -> None:
    for start in range(0, len(rows), ROWS_PER_TRANSACTION):
        with connection:
            connection.executemany(sql, rows[start : start + ROWS_PER_TRANSACTION])


def alone(connection: apsw.Connection, sql: str, rows: Rows) -> None:
    for row in rows:
        connection.execute(sql, row)


def turn(connection: apsw.Connection, work: Work, changes: int, size: Size, seed: int) -> dict[str, float]:
    """Microseconds a row of each operation; the table holds the same number of rows afterwards."""
    chance = random.Random(seed)
    some = [(n,) for n in chance.sample(range(size.rows), changes)]
    new = list(application.items(range(size.rows, size.rows + changes)))
    added = [row[:1] for row in new]
    chance.shuffle(added)
    steps: dict[str, tuple[str, Rows]] = {
        "insert": (application.INSERT, new),
        "update": (application.UPDATE, some),
        "delete": (application.DELETE, added),
    }
    return {name: timed(work, connection, sql, rows) for name, (sql, rows) in steps.items()}


def timed(work: Work, connection: apsw.Connection, sql: str, rows: Rows) -> float:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    work(connection, sql, rows)
    took = time.perf_counter() - started
    gc.enable()
    return took / len(rows) * 1e6


def compare(
    bare: apsw.Connection, captured: apsw.Connection, work: Work, changes: int, size: Size
) -> dict[str, list[tuple[float, float]]]:
    """For each operation the bare and the captured time of each round."""
    found: dict[str, list[tuple[float, float]]] = {}
    for n in range(size.rounds):
        connections = {"bare": bare, "captured": captured}
        order = list(connections) if n % 2 else list(reversed(connections))
        times = {name: turn(connections[name], work, changes, size, n) for name in order}
        for operation in times["bare"]:
            found.setdefault(operation, []).append((times["bare"][operation], times["captured"][operation]))
        # As the daemon does once all is applied.
        captured.execute("DELETE FROM _cdc_changelog WHERE seq < (SELECT max(seq) FROM _cdc_changelog)")
    return found


def figures(found: dict[str, list[tuple[float, float]]], how: str, words: str, most: float) -> list[Figure]:
    """What capture costs; the yardstick is the file without it, so a ratio of 0.5 means half its speed."""
    made = []
    for operation, times in found.items():
        bare, captured = zip(*times, strict=True)
        name = f"capture.{operation}.{how}"
        made.append(compared_times(captured, bare, id=name, what=f"{operation} with capture, {words}", unit="µs a row"))
        more = statistics.median(slow - fast for fast, slow in times)
        what = f"capture adds to {operation}, {words}"
        made.append(Figure(id=f"{name}.added", what=what, value=more, unit="µs a row", most=most))
    return made


def run(size: Size) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        bare = make(Path(folder) / "bare.db", size.rows, captured=False)
        captured = make(Path(folder) / "captured.db", size.rows, captured=True)
        together = compare(bare, captured, in_transactions, size.changes, size)
        singly = compare(bare, captured, alone, size.commits, size)
        bare.close()
        captured.close()
    words = f"{ROWS_PER_TRANSACTION} rows a transaction"
    return [
        *figures(together, "many", words, MOST_IN_TRANSACTION),
        *figures(singly, "single", "a row a commit", MOST_ALONE),
    ]


SIZES = Sizes(full=Size(), quick=Size(rows=50_000, changes=5_000, commits=500, rounds=5), check=Size())

if __name__ == "__main__":
    report.main(run, SIZES)
