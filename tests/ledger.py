"""An account of writes that is kept apart from both databases: which were acknowledged, which were refused, and when.

Writers hammer both sides all the time, whichever of them accepts. Each transaction makes rows of its own, so what it
left behind can be looked for on both sides.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw
import asyncpg
from harness import application, fetch

ENTRY = "CREATE TABLE entry(id TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL UNIQUE, note TEXT)"

Side = Literal["sqlite", "postgres"]
Outcome = Literal["acknowledged", "refused", "unknown"]


@dataclass(frozen=True)
class Write:
    """One transaction: its rows, and when it began and ended by a clock that all writers share."""

    side: Side
    rows: tuple[str, ...]
    outcome: Outcome
    began: int
    ended: int
    words: str = ""


@dataclass
class Ledger:
    """Every transaction that any writer tried."""

    writes: list[Write] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    more: Callable[[Side], list[str]] = lambda _side: []  # what else each transaction does

    def new_rows(self, side: Side, rows: int) -> list[tuple[str, int]]:
        """Keys that nobody has, with a number that nobody has either."""
        return [(f"{side} {n}", n) for n in itertools.islice(self.numbers, rows)]

    def count(self, side: Side, outcome: Outcome) -> int:
        """How many transactions of a side ended so."""
        return sum(write.side == side and write.outcome == outcome for write in list(self.writes))

    def alternations(self) -> list[tuple[Write, Write]]:
        """Where acceptance moved: pairs of which the second was begun on the other side after the first was done.

        As many as there can be, so each stands for a switch that was made, or both sides accepted writes.
        """
        found: list[tuple[Write, Write]] = []
        last: Write | None = None
        for write in sorted((w for w in self.writes if w.outcome == "acknowledged"), key=lambda w: w.ended):
            if last is None:
                last = write
            elif write.side != last.side and write.began > last.ended:
                found.append((last, write))
                last = write
        return found

    def moves(self) -> list[Side]:
        """The sides that acceptance moved to, in order."""
        return [after.side for _, after in self.alternations()]

    def wrong(self, there: set[str]) -> list[str]:
        """What is not as it was told, in the rows of one side."""
        problems = []
        for write in self.writes:
            present = [row in there for row in write.rows]
            if (
                (write.outcome == "acknowledged" and not all(present))
                or (write.outcome == "refused" and any(present))
                or any(present) != all(present)
            ):
                problems.append(f"{present} of {write}")
        return problems


def entries_in_sqlite(path: Path) -> list[str]:
    """The keys of all rows there."""
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        reader.set_busy_timeout(5000)
        return [str(row[0]) for row in reader.execute("SELECT id FROM entry")]
    finally:
        reader.close()


async def entries_in_postgres(dsn: str) -> list[str]:
    """The keys of all rows there."""
    return [row[0] for row in await fetch(dsn, "SELECT id FROM entry")]


# --- the writers ------------------------------------------------------------------------------------------------------


def write_to_sqlite(ledger: Ledger, path: Path, stop: threading.Event, pause: float, rows: int) -> None:
    """One application; `rows` are written by a transaction, and one row without any."""
    app = application(path)
    app.pragma("foreign_keys", True)
    while not stop.wait(pause):
        made = ledger.new_rows("sqlite", rows)
        began, outcome, words = time.monotonic_ns(), "acknowledged", ""
        try:
            more = ledger.more("sqlite")
            if rows > 1 or more:
                app.execute("BEGIN IMMEDIATE" if made[0][1] % 2 else "BEGIN")
            for row in made:
                app.execute("INSERT INTO entry(id, n) VALUES (?, ?)", row)
            for sql in more:
                app.execute(sql)
            if rows > 1 or more:
                app.execute("COMMIT")
        except apsw.Error as error:
            outcome, words = "refused", str(error)
        ended = time.monotonic_ns()
        if app.in_transaction:
            app.execute("ROLLBACK")
        ledger.writes.append(Write("sqlite", tuple(row[0] for row in made), outcome, began, ended, words))  # type: ignore[arg-type]
    app.close()


async def write_to_postgres(
    ledger: Ledger, dsn: str, stop: threading.Event, pause: float, rows: int, isolation: str
) -> None:
    """The same with Postgres; a connection that is lost is made anew, and what it was about to commit is unknown."""
    connection: Any = None
    while not stop.is_set():
        await asyncio.sleep(pause)
        if connection is None or connection.is_closed():
            try:
                # What is acknowledged is to be kept, whatever the server's default is.
                connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "on"})
            except (asyncpg.PostgresError, OSError):
                continue
        made = ledger.new_rows("postgres", rows)
        began, outcome, words = time.monotonic_ns(), "acknowledged", ""
        transaction = connection.transaction(isolation=isolation)
        try:
            await transaction.start()
            await connection.fetchval("SELECT count(*) FROM entry WHERE n < 0")  # a snapshot from before the writes
            for row in made:
                await connection.execute("INSERT INTO entry(id, n) VALUES ($1, $2)", *row)
            for sql in ledger.more("postgres"):
                await connection.execute(sql)
            outcome = "unknown"
            await transaction.commit()
            outcome = "acknowledged"
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            lost = connection.is_closed() and outcome == "unknown"
            outcome, words = "unknown" if lost else "refused", str(error)
        ended = time.monotonic_ns()
        if outcome == "refused":
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await transaction.rollback()
        ledger.writes.append(Write("postgres", tuple(row[0] for row in made), outcome, began, ended, words))  # type: ignore[arg-type]
    if connection is not None:
        await connection.close()


@asynccontextmanager
async def both_sides_written(
    path: Path, dsn: str, pause: float = 0.003, ledger: Ledger | None = None
) -> AsyncIterator[Ledger]:
    """Writers of every kind on both sides, for the time of a block; then all of them have ended."""
    ledger, stop = ledger or Ledger(), threading.Event()
    threads = [
        threading.Thread(target=write_to_sqlite, args=(ledger, path, stop, pause, rows), daemon=True) for rows in (1, 3)
    ]
    kinds = ((1, "read_committed"), (4, "read_committed"), (4, "repeatable_read"))
    tasks = [asyncio.create_task(write_to_postgres(ledger, dsn, stop, pause, rows, kind)) for rows, kind in kinds]
    for thread in threads:
        thread.start()
    try:
        yield ledger
    finally:
        stop.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await asyncio.gather(*tasks)


def accepted(ledger: Ledger, side: str) -> Callable[[], Any]:
    """A condition that holds once a side has acknowledged something that was begun after this call."""
    since = time.monotonic_ns()

    async def condition() -> bool:
        return any(w.side == side and w.outcome == "acknowledged" and w.began > since for w in ledger.writes[-200:])

    return condition
