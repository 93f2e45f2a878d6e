"""The application that benchmarks have: one table of seven columns in a SQLite file, through the bare engine."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import apsw

CREATE = (
    "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, score REAL, visits INTEGER, "
    "note TEXT, updated TEXT)"
)
COLUMNS = ("id", "name", "email", "score", "visits", "note", "updated")
Value = int | float | str | None
INSERT = "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)"
UPDATE = "UPDATE item SET visits = visits + 1, note = 'changed' WHERE id = ?"
DELETE = "DELETE FROM item WHERE id = ?"


def make(database: Path, rows: int) -> apsw.Connection:
    """A new file in WAL mode with rows 0 to `rows` - 1."""
    connection = connect(database)
    connection.execute(CREATE)
    with connection:
        connection.executemany(INSERT, items(range(rows)))
    return connection


def connect(database: Path) -> apsw.Connection:
    """A connection in WAL mode that waits for the disk at checkpoints only."""
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").fetchall()
    return connection


def items(ids: Iterable[int]) -> Iterator[tuple[Value, ...]]:
    """The row of each id."""
    for n in ids:
        yield n, f"name {n}", f"user{n}@example.org", n / 7, n % 1000, "lorem ipsum " * 4, "2026-01-01T00:00:00Z"
