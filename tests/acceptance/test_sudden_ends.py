"""Daemon and Postgres end suddenly while the application writes on; afterwards both databases are equal."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from app_processes import Client
from comparison import Comparison
from harness import Daemon, application, execute, make_config, up, value, wait_for, wait_until_caught_up
from pace import Pace

from cdc.config import Config
from cdc.postgres.server import embedded
from cdc.postgres.server.embedded import EmbeddedServer

BANK: Final = Path(__file__).with_name("bank_client.py")
SEED: Final = 7
MOST: Final = 200_000  # transactions: a bound; the writer is told to end before
KILLS: Final = 4
# Entries are pruned as soon as they may be, and rounds are so small that many batches take several.
EAGER: Final[dict[str, Any]] = {"round_entries": 40, "prune_entries": 1, "heartbeat_seconds": 0.02}
# Commits stay in memory for as long as Postgres allows, so that a crash loses the last ones.
FORGETFUL: Final = {
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
POSITION: Final = "SELECT seq FROM cdc.stream"


class Bank:
    """The bank's file, and its application in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bank.db"
        self._pace_file = folder / "seen"
        self._pace = Pace(self._pace_file)
        self._pace.show(0)
        self.file = application(self.path)
        with self._client(0) as founder:
            founder.end()

    def _client(self, most: int) -> Client:
        return Client(BANK, self.path, SEED, self._pace_file, most)

    @asynccontextmanager
    async def at_work(self, dsn: str) -> AsyncIterator[None]:
        """The application writes during the block, never far ahead of what Postgres shows."""
        with self._client(MOST) as client:
            following = asyncio.create_task(self._follow(dsn))
            try:
                yield
                await asyncio.to_thread(client.end)
            finally:
                following.cancel()

    async def _follow(self, dsn: str) -> None:
        while True:
            with suppress(OSError, asyncpg.PostgresError):  # Postgres is away now and then
                self._pace.show(await value(dsn, "SELECT n FROM version"))

    def oldest_entry(self) -> int:
        return int(self.file.execute("SELECT min(seq) FROM _cdc_changelog").get)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    found = Bank(tmp_path)
    yield found
    found.file.close()


async def moved_on(dsn: str, entries: int, daemon: Daemon) -> None:
    """Wait until so many more entries were applied."""
    before = await value(dsn, POSITION)

    async def moved() -> bool:
        return bool(await value(dsn, POSITION) >= before + entries)

    await wait_for(moved, f"{entries} entries to be applied", daemon=daemon)


async def expect_equal(bank: Bank, config: Config, daemon: Daemon) -> None:
    dsn = config.target.dsn
    await wait_until_caught_up(config, dsn, daemon=daemon)
    target = await asyncpg.connect(dsn)
    try:
        assert await Comparison(bank.file, target).differences() == []
    finally:
        await target.close()


@pytest.mark.slow
async def test_a_daemon_killed_at_random_moments_loses_nothing(bank: Bank, tmp_path: Path, database: str) -> None:
    config = make_config(tmp_path, bank.path, database, **EAGER)
    await up(config)
    chosen = random.Random(SEED)
    async with bank.at_work(database):
        for _ in range(KILLS):
            with Daemon(config) as daemon:
                await moved_on(database, chosen.randint(1, 1000), daemon)
                daemon.kill()
    with Daemon(config) as daemon:
        await expect_equal(bank, config, daemon)


class Server:
    """A Postgres that loses its last commits when it crashes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = self._start()

    def _start(self) -> EmbeddedServer:
        return embedded.start(self._folder, settings=FORGETFUL)

    @property
    def dsn(self) -> str:
        return self._running.dsn

    def crash(self) -> None:
        """An immediate shutdown: what was not written to the log yet is lost."""
        os.kill(self._running.pid, signal.SIGQUIT)
        self._running.stop()

    def restart(self) -> None:
        self._running = self._start()

    def stop(self) -> None:
        self._running.stop()


@pytest.fixture
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("forgetful"))
    yield server
    server.stop()


@pytest.mark.slow
async def test_postgres_may_lose_its_last_commits_because_nothing_is_pruned_before_it_is_durable(
    bank: Bank, tmp_path: Path, forgetful: Server
) -> None:
    dsn = forgetful.dsn
    config = make_config(tmp_path, bank.path, dsn, **EAGER)
    await up(config)
    with Daemon(config) as daemon:
        async with bank.at_work(dsn):
            await moved_on(dsn, 200, daemon)
            await _prune(bank, dsn, daemon)
            await moved_on(dsn, 200, daemon)
            daemon.process.send_signal(signal.SIGSTOP)  # so that it cannot come back before the look at what is left
            seen = await value(dsn, POSITION)
            forgetful.crash()
            oldest = bank.oldest_entry()
            forgetful.restart()
            durable = await value(dsn, POSITION)
            daemon.process.send_signal(signal.SIGCONT)
            assert durable < seen, "the crash lost nothing, so this shows nothing"
            assert oldest <= durable
            await moved_on(dsn, 200, daemon)
        await expect_equal(bank, config, daemon)


async def _prune(bank: Bank, dsn: str, daemon: Daemon) -> None:
    """Have Postgres write its log out, by a commit that waits for it, and wait until the daemon has pruned."""
    before = bank.oldest_entry()

    async def pruned() -> bool:
        # A transaction that wrote nothing to the log would not wait for the disk.
        await execute(dsn, "SELECT pg_logical_emit_message(true, 'test', 'written')")
        return bank.oldest_entry() > before

    await wait_for(pruned, "entries to be pruned", daemon=daemon)
