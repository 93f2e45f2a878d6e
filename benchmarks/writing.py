"""An application that commits one row at a time at a steady pace, in a process of its own.

It is what most applications are: Python's own sqlite3 with its defaults, so it waits up to five seconds for a lock.
For each commit it sends the row's id, the moment when the commit returned and how long the write took (perf_counter,
which all processes of a machine share) to standard output.

python -m benchmarks.writing FILE FIRST-ID COMMITS PER-SECOND
"""

import os
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

LAYOUT: Final = struct.Struct("=qdd")


class Write(NamedTuple):
    """One commit: `at` in seconds of perf_counter, `took` in seconds."""

    id: int
    at: float
    took: float


def create(database: Path, journal: str) -> None:
    """A new file in a journal mode, with the table the application writes to."""
    connection = sqlite3.connect(database)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, note TEXT)")
    connection.close()


def command(database: Path, first: int, commits: int, per_second: int) -> list[str]:
    """What starts the application."""
    return [sys.executable, "-m", "benchmarks.writing", *map(str, (database, first, commits, per_second))]


def write(database: Path, first: int, commits: int, per_second: int) -> list[Write]:
    """Run the application to its end; raises when one of its writes failed."""
    ended = subprocess.run(command(database, first, commits, per_second), stdout=subprocess.PIPE, check=True)
    return [Write(*found) for found in LAYOUT.iter_unpack(ended.stdout)]


def per_second(writes: list[Write]) -> float:
    """The pace that was reached."""
    return (len(writes) - 1) / (writes[-1].at - writes[0].at)


def main() -> None:
    """The application itself."""
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    database.execute("PRAGMA synchronous = NORMAL")
    first, commits, pace = map(int, sys.argv[2:])
    due = time.perf_counter()
    for n in range(first, first + commits):
        time.sleep(max(0.0, due - time.perf_counter()))
        due += 1 / pace
        began = time.perf_counter()
        database.execute("INSERT INTO item VALUES (?, 'name', 'note')", (n,))
        ended = time.perf_counter()
        os.write(1, LAYOUT.pack(n, ended, ended - began))


if __name__ == "__main__":
    main()
