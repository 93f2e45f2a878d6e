"""What is in the way of a switch: writers that do not end, rows that never rest, rows that SQLite has no value for."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from harness import Daemon, application, execute, wait_for, wait_until_follows
from ledger import ENTRY
from switched_pair import accepting, quiet, set_up, settled

from cdc.config import Config
from cdc.cutover import prepare, run
from cdc.errors import SwitchError
from cdc.facts.progress import Silent

TABLES = f"""
{ENTRY};
CREATE TABLE measure(at REAL NOT NULL PRIMARY KEY, n INTEGER);
INSERT INTO entry VALUES ('busy', 0, NULL);
"""


async def test_ways_back_that_are_hindered(tmp_path: Path, database: str) -> None:
    config = await set_up(tmp_path, database, TABLES, max_refused_seconds=2, tries=1)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await prepare.prepare(config, Silent())
        await cut_over_beside_maintenance(config)

        writer = await asyncpg.connect(database)
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("UPDATE entry SET note = 'long'")
        with pytest.raises(
            SwitchError, match=r"given up at fence Postgres, and everything is as before: .* in the way"
        ):
            await run.rollback(config, quiet, Silent())
        await transaction.rollback()
        await writer.close()
        assert await accepting(config) == {"postgres"}

        await execute(database, "INSERT INTO measure VALUES ('NaN', 1)")
        refused = "everything is as before: rows of Postgres cannot be held by SQLite, such as measure NaN"
        with pytest.raises(SwitchError, match=refused):
            await run.rollback(config, quiet, Silent())
        assert await accepting(config) == {"postgres"}
        await execute(database, "DELETE FROM measure")

        assert await settled(config, daemon) == "postgres"
        written = await written_without_pause(config)
        assert await settled(config, daemon) == "sqlite"
    app = application(config.source.path)
    assert app.execute("SELECT n FROM entry WHERE id = 'busy'").get == written > 0
    app.close()


async def cut_over_beside_maintenance(config: Config) -> None:
    """A vacuum would keep the switch from a table: its end is waited for while SQLite accepts writes."""
    vacuum = await asyncpg.connect(config.target.dsn)
    steps: list[str] = []

    async def holds() -> bool:
        return "hold writes at the proxy" in steps

    async with vacuum.transaction():
        await vacuum.execute("LOCK TABLE entry IN SHARE UPDATE EXCLUSIVE MODE")  # as VACUUM does
        switching = asyncio.create_task(run.cutover(config, steps.append))
        await wait_for(holds, "the switch to begin")
        await asyncio.sleep(0.3)  # six looks
        assert steps[-1] == "hold writes at the proxy"
        assert await accepting(config) == {"sqlite"}
    await switching
    await vacuum.close()


async def written_without_pause(config: Config) -> int:
    """How often a row was written to while the way back was taken: more often than anybody can look at it."""
    writers = [asyncio.create_task(write_until_refused(config.target.dsn)) for _ in range(3)]
    await run.rollback(config, quiet, Silent())
    return sum(await asyncio.gather(*writers))


async def write_until_refused(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    written = 0
    try:
        while True:
            await connection.execute("UPDATE entry SET n = n + 1 WHERE id = 'busy'")
            written += 1
    except asyncpg.ReadOnlySQLTransactionError:
        return written
    finally:
        await connection.close()


async def test_interrupted_while_the_fence_is_lifted(tmp_path: Path, database: str) -> None:
    """What a thread is about to do is waited for, and undone then: never are both open."""
    config = await set_up(tmp_path, database, ENTRY)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await prepare.prepare(config, Silent())
        await run.cutover(config, quiet)
        app = application(config.source.path)

        def interrupt(step: str) -> None:
            if step == "lift the fence":
                app.execute("BEGIN IMMEDIATE")
                loop = asyncio.get_running_loop()
                loop.call_later(0.3, switching.cancel)
                loop.call_later(0.6, app.execute, "ROLLBACK")

        switching = asyncio.create_task(run.rollback(config, interrupt, Silent()))
        with pytest.raises(asyncio.CancelledError):
            await switching
        assert await settled(config, daemon) == "postgres"
        app.close()
