"""Whatever is read from Postgres is a committed state of SQLite, whole, and states never go backwards.

Money moves between accounts of several tables while the daemon applies with small budgets and is killed. Each read must
see the sum that never changes, and exactly the rows of the version whose number it sees.
"""

import asyncio
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from app_processes import Client
from bank_client import ROWS, TOTAL
from comparison import differences
from harness import Daemon, application, make_config, up, wait_for, wait_until_caught_up
from pace import Pace

CLIENT: Final = Path(__file__).with_name("bank_client.py")
READERS: Final = 3
READS: Final = {True: 4_000, False: 1_500}  # of all readers together, by WAL
MOST_TRANSACTIONS: Final = 200_000  # a bound; the writer is told to end before
VERSIONS: Final = {True: 300, False: 60}  # that they see at least
DAEMONS: Final = 3  # each with another budget; all but the last are killed
SEED: Final = 20

_DIGEST: Final = "md5(coalesce(string_agg({row}, ';' ORDER BY {order}), ''))"
_SUM: Final = " + ".join(f"(SELECT coalesce(sum(balance), 0) FROM {table})" for table in ROWS)
_VERSION: Final = "SELECT n FROM version"
_WHOLE: Final = f"SELECT ({_SUM})::bigint, " + ", ".join(
    f"(SELECT {_DIGEST.format(row=row, order=order)} FROM {table}) "
    f"= (SELECT digest FROM checksum WHERE name = '{table}') AS {table}"
    for table, (row, order) in ROWS.items()
)


class Readers:
    """Several connections that read whole states until they are stopped."""

    def __init__(self, dsn: str, pace: Pace) -> None:
        self._dsn = dsn
        self._pace = pace
        self._stopped = False
        self.reads = 0
        self.versions: set[int] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(self._read_on())

    def stop(self) -> None:
        self._stopped = True

    async def _read_on(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        last = 0
        try:
            while not self._stopped:
                last = await self._read(connection, last)
                self.reads += 1
        finally:
            await connection.close()

    async def _read(self, connection: Any, last: int) -> int:
        """One look at everything, in statements that only their snapshot holds together."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            version = int(await connection.fetchval(_VERSION))
            total, *whole = await connection.fetchrow(_WHOLE)
        assert version >= last, f"a reader saw version {version} after {last}"
        assert total == TOTAL, f"version {version} shows a sum of {total}"
        assert all(whole), f"version {version} shows rows of another: {dict(zip(ROWS, whole, strict=True))}"
        if version not in self.versions:
            self.versions.add(version)
            self._pace.show(version)
        return version


@pytest.mark.slow
@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])
async def test_every_read_of_postgres_sees_one_committed_state(tmp_path: Path, database: str, wal: bool) -> None:
    app = application(path := tmp_path / "bank.db", wal=wal)
    pace = Pace(tmp_path / "seen")
    pace.show(0)
    with Client(CLIENT, path, SEED, tmp_path / "seen", 0) as founder:
        founder.end()
    config = make_config(tmp_path, path, database)
    await up(config)
    readers = Readers(database, pace)
    with ExitStack() as running:
        writer = running.enter_context(Client(CLIENT, path, SEED, tmp_path / "seen", MOST_TRANSACTIONS))
        reading = asyncio.create_task(readers.run())
        for number, budget in enumerate(_budgets(), 1):
            config = make_config(tmp_path, path, database, round_entries=budget, round_entries_journal=budget)
            daemon = running.enter_context(Daemon(config))
            await _made(readers, READS[wal] * number // DAEMONS, VERSIONS[wal] * number // DAEMONS, reading, daemon)
            if number < DAEMONS:
                daemon.kill()
        readers.stop()
        await reading
        await asyncio.to_thread(writer.end)
        await wait_until_caught_up(config, database, daemon=daemon)
    assert await differences(app, database) == []
    app.close()


def _budgets() -> list[int]:
    """Changelog entries read in one snapshot: so few that most transactions of the bank need several."""
    chosen = random.Random(SEED)
    return [chosen.randint(2, 30) for _ in range(DAEMONS)]


async def _made(readers: Readers, reads: int, versions: int, reading: "asyncio.Task[None]", daemon: Daemon) -> None:
    async def made() -> bool:
        return reading.done() or (readers.reads >= reads and len(readers.versions) >= versions)

    await wait_for(made, f"{reads} reads of {versions} versions", daemon=daemon)
