"""One random application, replicated while it runs and compared again and again: what a seed stands for.

`run_workload` is used by the property test and by the soak run. A seed decides everything: schema, data, statements,
journal mode, moments of syncing, sizes of rounds, which way changes take into Postgres, whether its constraints can
wait for the end of a transaction, which statements run between the reads of a batch, and when everything is compared.

A known gap is left out: a unique value that rows of one table refer to, under a foreign key that cannot wait, cannot
change owners within a batch. Such rows go to quarantine until their table changes again.
"""

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import apsw
from batch_accounting import Witnessed
from comparison import Comparison
from extremes import extreme
from harness import Live, live, load, make_config, newest_entry
from interruptions import CANCEL, TERMINATE, Strikes, cut_off, interrupted, pages_of, strike
from workloads import Workload, make_workload

from cdc.config import Config
from cdc.errors import CdcError
from cdc.postgres.apply import direct
from cdc.retry import is_transient
from cdc.sql_names import quote
from cdc.stream import resync

Weaken = Callable[[apsw.Connection], None]
MOST_ATTEMPTS = 8  # of one sync, more than a run has strikes


@dataclass(frozen=True)
class Place:
    """Where workloads run: a folder of their own, and a database with a connection of the test's."""

    folder: Path
    dsn: str
    connection: Any  # asyncpg.Connection


@dataclass(frozen=True)
class Found:
    """The first difference of a run: after which statement it was seen, and what it is."""

    seed: int
    portable: bool
    statement: int
    differences: list[str]

    def __str__(self) -> str:
        words = "\n  ".join(self.differences)
        return f"seed {self.seed}, portable={self.portable}, after statement {self.statement}:\n  {words}"


@dataclass(frozen=True)
class Choices:
    """What a seed decides beside the workload."""

    wal: bool
    round_entries: int
    round_bytes: int
    direct_rows: int
    sync_share: float
    filled_before: bool
    rigid: bool  # the target's constraints cannot wait, as in tables that somebody else made
    interrupted: float  # how often a read is followed by a statement, before the next read
    page_rows: int  # of a table that is read as a whole
    compared: float  # how often a sync compares all tables as a whole
    struck: float  # how often a step of a batch is its last

    @classmethod
    def of(cls, random: Random, wild: Random) -> "Choices":
        return cls(
            wal=random.random() < 0.6,
            round_entries=random.choice((1, 2, 3, 7, 30, 1000)),
            round_bytes=random.choice((1, 300, 16 * 1024 * 1024)),
            direct_rows=random.choice((0, 3, direct.DIRECT_ROWS)),
            sync_share=random.choice((0.05, 0.2, 0.6)),
            filled_before=random.random() < 0.7,
            rigid=random.random() < 0.4,
            interrupted=wild.choice((0.0, 0.2, 0.7)),
            page_rows=wild.choice((1, 3, 256)),
            compared=wild.choice((0.0, 0.0, 0.3)),
            struck=wild.choice((0.0, 0.0, 0.0, 0.03)),
        )


async def run_workload(
    place: Place,
    seed: int,
    *,
    portable: bool,
    statements: int = 40,
    weaken: Weaken | None = None,
    audited: bool = False,
) -> Found | None:
    """Run the workload of a seed; the first difference, or None when there was none at any sync.

    An `audited` run compares what the audit trail says with what really changed, too.
    """
    random = Random(f"replica {seed} {portable}")
    choices = Choices.of(random, Random(f"interruptions {seed} {portable}"))
    workload = extreme(make_workload(seed, statements, portable=portable), seed, portable=portable)
    folder = place.folder / f"{seed}{'p' if portable else 'u'}"
    folder.mkdir()
    config = make_config(
        folder,
        folder / "app.db",
        place.dsn,
        schema=f"w{folder.name}",
        round_entries=choices.round_entries,
        round_entries_journal=choices.round_entries,
        round_bytes=choices.round_bytes,
    )
    try:
        with _direct_rows(choices.direct_rows), _application(config, choices, workload) as application:
            await load(config)
            if choices.rigid:
                await _make_rigid(place.connection, config.target.schema)
            if weaken is not None:
                weaken(application)
            run = _Run(place, config, application, random)
            if audited:
                await run.witness()
            return await run.follow(workload, seed, portable, choices)
    finally:
        await place.connection.execute(f"DROP SCHEMA IF EXISTS {quote(config.target.schema)} CASCADE")
        shutil.rmtree(folder)


_DEFERRABLE = """
SELECT conrelid::regclass::text AS table_name, quote_ident(conname) AS name, contype = 'f' AS foreign_key,
    replace(pg_get_constraintdef(oid), ' DEFERRABLE', '') AS definition
FROM pg_constraint
WHERE connamespace = $1::text::regnamespace AND condeferrable AND conrelid <> confrelid
"""


async def _make_rigid(connection: Any, schema: str) -> None:
    """Let every constraint of a schema be checked with each statement or row, as in tables that others made."""
    for found in await connection.fetch(_DEFERRABLE, quote(schema)):
        table, name = found["table_name"], found["name"]
        if found["foreign_key"]:
            await connection.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {name} NOT DEFERRABLE")
        else:
            definition = found["definition"].replace(" INITIALLY DEFERRED", "")
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


class _Run:
    """A workload under way."""

    def __init__(self, place: Place, config: Config, application: apsw.Connection, random: Random) -> None:
        self._place = place
        self._config = config
        self._application = application
        self._random = random
        self._witnessed: Witnessed | None = None
        self._left: deque[str] = deque()

    async def witness(self) -> None:
        """Look at what the audit trail says from now on."""
        found = newest_entry(self._config.source.path)
        assert found is not None
        self._witnessed = Witnessed(self._place.connection, self._config.target.schema, found[0])
        await self._witnessed.look()

    async def follow(self, workload: Workload, seed: int, portable: bool, choices: Choices) -> Found | None:
        reader = apsw.Connection(str(self._config.source.path))
        comparison = Comparison(reader, self._place.connection, self._config.target.schema)
        self._left = deque([*_filling(workload, not choices.filled_before), *workload.statements])
        count = len(self._left)
        moments = Random(f"moments {seed}")
        strikes = Strikes(moments, choices.struck)
        try:
            with (
                interrupted(lambda: self._interrupt(moments, choices, strikes)),
                cut_off(strikes),
                pages_of(choices.page_rows),
            ):
                async with live(self._config) as replica:
                    while self._left:
                        attempt(self._application, self._left.popleft())
                        if self._left and self._random.random() >= choices.sync_share:
                            continue
                        if moments.random() < choices.compared:
                            await self._compare_all(replica)
                        if found := await self._differences(replica, comparison):
                            return Found(seed, portable, count - len(self._left), found)
        finally:
            reader.close()
        return None

    async def _interrupt(self, moments: Random, choices: Choices, strikes: Strikes) -> None:
        """The application's next statement, between two reads of one batch; the last ones end what is open."""
        while len(self._left) > 2 and moments.random() < choices.interrupted:
            attempt(self._application, self._left.popleft())
        if strikes.due():
            await strike(self._place.connection, moments.choice((TERMINATE, CANCEL)))

    async def _compare_all(self, replica: Live) -> None:
        """Have every table read as a whole with the next sync, as after a file that was restored."""
        await replica.close()
        await resync.request_resync(self._config)

    async def _sync(self, replica: Live) -> None:
        """Begin anew after whatever can be waited for, as the daemon does."""
        for attempt_number in range(MOST_ATTEMPTS):
            try:
                return await replica.sync()
            except CdcError as error:
                if not is_transient(error):
                    raise
                await replica.close()
                await asyncio.sleep(0.01 * 2**attempt_number)  # a lock may be held on until the server notices
        raise AssertionError(f"nothing came of {MOST_ATTEMPTS} attempts")

    async def _differences(self, replica: Live, comparison: Comparison) -> list[str]:
        await self._sync(replica)
        told = await self._witnessed.differences() if self._witnessed else []
        return [*told, *await comparison.differences()]


def attempt(application: apsw.Connection, sql: str) -> None:
    """Run a statement that may fail: a failure is part of the workload.

    Who finds the file locked gives his transaction up, as applications do: else the lock that he has would stay. It is
    ours alone that can be in the way, in rollback-journal mode, and it cannot be waited for in the same thread.
    """
    try:
        application.execute(sql).fetchall()
    except apsw.BusyError:
        if application.in_transaction:
            application.execute("ROLLBACK")
    except (apsw.Error, UnicodeDecodeError):
        pass


@contextlib.contextmanager
def _application(config: Config, choices: Choices, workload: Workload) -> Iterator[apsw.Connection]:
    application = apsw.Connection(str(config.source.path))
    application.limit(apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 20)
    application.pragma("journal_mode", "wal" if choices.wal else "delete")
    application.pragma("synchronous", "off")
    later = [] if choices.filled_before else _filling(workload, True)
    try:
        for sql in workload.setup:
            if sql not in later:
                attempt(application, sql)
        yield application
    finally:
        application.close()


def _filling(workload: Workload, wanted: bool) -> list[str]:
    return [sql for sql in workload.setup if sql.startswith("INSERT")] if wanted else []


@contextlib.contextmanager
def _direct_rows(number: int) -> Iterator[None]:
    before = direct.DIRECT_ROWS
    direct.DIRECT_ROWS = number  # type: ignore[misc]
    try:
        yield
    finally:
        direct.DIRECT_ROWS = before  # type: ignore[misc]
