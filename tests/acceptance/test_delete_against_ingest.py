"""The race this project was made for: contents are ingested with their children while the same contents are deleted.

One process ingests over several transactions, another deletes, the daemon is slow, stopped for moments, killed and
started again. Postgres must show, at every moment, exactly one committed state of SQLite: a deleted row that is
back, or a child without its parent, belongs to no such state.
"""

import asyncio
import json
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
import pytest
from app_processes import Client
from comparison import differences
from harness import Daemon, application, make_config, up, wait_for, wait_until_caught_up
from ingest_client import STATE
from pace import Pace

from cdc.config import Config

CLIENT: Final = Path(__file__).with_name("ingest_client.py")
SAMPLE: Final = Path(__file__).parents[2] / "examples" / "ytv2" / "ytv2_migration_day.db"
# The sample holds one row that Postgres cannot hold, which is another test's subject.
EXTRA: Final = """
UPDATE content SET duration_seconds = CAST(duration_seconds AS INTEGER) WHERE typeof(duration_seconds) <> 'integer';
CREATE TABLE content_files(id INTEGER PRIMARY KEY, content_id TEXT NOT NULL REFERENCES content(id) ON DELETE CASCADE,
    path TEXT NOT NULL);
CREATE TABLE commit_counter(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
INSERT INTO commit_counter VALUES (1, 0);
"""
# A slow daemon: many small rounds to a batch, and much tidying.
SLOW: Final[dict[str, Any]] = {
    "round_entries": 30,
    "round_entries_journal": 20,
    "prune_entries": 40,
    "heartbeat_seconds": 0.1,
}
INGESTS: Final = {True: 100, False: 50}  # by WAL; each is five transactions
DELETES: Final = {True: 150, False: 75}
DISTURBANCES: Final = ("pause", "kill", "pause", "pause", "pause", "kill", "pause", "pause")
# Some states between the first and the last must be seen, or nothing was watched. How many depends on the machine: in
# rollback-journal mode one batch holds some sixty commits when writers keep the daemon waiting for the lock.
LEAST_STATES = {True: 10, False: 4}


class Journal:
    """What the clients committed: by counter, the rows that Postgres must show with it."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open(encoding="utf-8")
        self.pace = Pace(Path(f"{path}.seen"))
        self.pace.show(0)
        self._lines: dict[int, str] = {}
        self._rest = ""

    def rows(self, counter: int) -> list[str]:
        """The rows at a counter. It was written before the commit, so what can be seen is here."""
        self._read()
        found: list[str] = json.loads(self._lines[counter])["rows"]
        return found

    def __len__(self) -> int:
        self._read()
        return len(self._lines)

    def _read(self) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            self._lines[int(line[6 : line.index(",")])] = line

    def close(self) -> None:
        self._file.close()


class Watcher:
    """Reads Postgres all along and holds each state against the journal."""

    def __init__(self, dsn: str, journal: Journal) -> None:
        self._dsn = dsn
        self._journal = journal
        self._stop = asyncio.Event()
        self.counter = 0
        self.states: set[int] = set()

    async def run(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            while not self._stop.is_set():
                counter, rows = await _see(connection)
                assert counter >= self.counter, f"Postgres went back from state {self.counter} to {counter}"
                if counter:
                    _expect(rows, counter, self._journal)
                self.counter = counter
                self._journal.pace.show(counter)
                self.states.add(counter)
        finally:
            await connection.close()

    def stop(self) -> None:
        self._stop.set()


class Disturbed:
    """A daemon that is paused, killed and started again."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.daemon = Daemon(config)

    def kill(self) -> None:
        self.daemon.kill()

    def start(self) -> None:
        self.daemon = Daemon(self._config)

    def pause(self) -> None:
        assert self.daemon.runs, self.daemon.words()
        self.daemon.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.daemon.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.daemon.runs:
            self.daemon.kill()


async def _see(connection: Any) -> tuple[int, list[str]]:
    """The counter and all rows in one snapshot of Postgres."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        counter = await connection.fetchval("SELECT n FROM commit_counter")
        rows = []
        for table, sql in STATE.items():
            rows += ["|".join([table, *map(str, row)]) for row in await connection.fetch(sql)]
    return counter, sorted(rows)


def _expect(rows: list[str], counter: int, journal: Journal) -> None:
    wanted = journal.rows(counter)
    if rows != wanted:
        extra, missing = sorted(set(rows) - set(wanted)), sorted(set(wanted) - set(rows))
        raise AssertionError(f"state {counter}: Postgres has {extra[:5]} and lacks {missing[:5]}")


@pytest.mark.slow
@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])
async def test_a_deleted_row_stays_deleted_whatever_ingests_it_again(tmp_path: Path, database: str, wal: bool) -> None:
    path = tmp_path / "app.db"
    shutil.copy(SAMPLE, path)
    app = application(path, wal=wal)
    app.execute(EXTRA)
    config = make_config(tmp_path, path, database, **SLOW)
    await up(config)
    journal = Journal(tmp_path / "journal")
    watcher = Watcher(database, journal)
    with ExitStack() as running:
        running.callback(journal.close)
        clients = [
            running.enter_context(Client(CLIENT, path, tmp_path / "journal", *role))
            for role in (("ingest", 11, INGESTS[wal]), ("delete", 12, DELETES[wal]))
        ]
        daemon = running.enter_context(Disturbed(config))
        watching = asyncio.create_task(watcher.run())
        await _disturb(daemon, watcher, journal, lambda: any(c.runs for c in clients) and not watching.done())
        for client in clients:
            await asyncio.to_thread(client.end)
        await wait_until_caught_up(config, database, daemon=daemon.daemon)
        await wait_for(lambda: _saw(watcher, len(journal), watching), "the watcher to see the last state")
        watcher.stop()
        await watching
    assert await differences(app, database) == []
    assert len(watcher.states) >= LEAST_STATES[wal], f"only {len(watcher.states)} states were seen"
    app.close()


async def _disturb(daemon: Disturbed, watcher: Watcher, journal: Journal, goes_on: Callable[[], bool]) -> None:
    """Stop the daemon for moments, and kill it and start it again, while the clients work."""
    chosen = random.Random(5)
    for disturbance in DISTURBANCES:
        seen, committed = watcher.counter, len(journal)
        kill = disturbance == "kill"
        ahead = chosen.randint(1, 60)
        daemon.kill() if kill else daemon.pause()
        await _at_most_a_second(lambda: len(journal) >= committed + ahead or not goes_on())  # noqa: B023
        daemon.start() if kill else daemon.go_on()
        await _at_most_a_second(lambda: watcher.counter >= seen + ahead or not goes_on())  # noqa: B023


async def _at_most_a_second(condition: Callable[[], bool]) -> None:
    """Wait for a condition; a second later go on without it, for a paused reader may hold the writers up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 1.0
    while not condition() and loop.time() < until:  # noqa: ASYNC110 (files and processes give no event)
        await asyncio.sleep(0.005)


async def _saw(watcher: Watcher, counter: int, watching: "asyncio.Task[None]") -> bool:
    if watching.done():
        watching.result()
    return watcher.counter == counter
