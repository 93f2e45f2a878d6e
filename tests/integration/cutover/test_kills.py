"""A switch that dies at a step leaves one side that accepts writes, with all that either acknowledged.

Nothing but the daemon is there to settle it. The soak of switches (`make soak-switch`) dies at every step.
"""

import asyncio
from collections import Counter
from pathlib import Path

from harness import Daemon, wait_for, wait_until_follows
from ledger import ENTRY, accepted, both_sides_written, entries_in_postgres, entries_in_sqlite
from switched_pair import done, quiet, run, set_up, settled, wait_until_alike

from cdc.cutover import prepare
from cdc.cutover import run as run_here
from cdc.facts.progress import Silent

KILLS = (
    ("cutover", "fence.after_commit:2", "sqlite"),  # refused for good, and Postgres is not open yet
    ("cutover", "switch.step_done:12", "postgres"),  # open, but nobody was told
    ("rollback", "switch.step_done:4", "postgres"),  # Postgres closed, and SQLite has not everything
    ("rollback", "switch.step_done:8", "sqlite"),  # SQLite counts, and is not open yet
)


async def test_killed_at_a_step(tmp_path: Path, database: str) -> None:
    config = await set_up(tmp_path, database, ENTRY)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await done(config, "snapshot")
        await done(config, "cutover", "--prepare")
        async with both_sides_written(config.source.path, database, pause=0.02) as ledger:
            for command, step, side in KILLS:
                code, words = await run(config, command, crash_at=step)
                assert code == -9, f"{command} {step} ended with {code}:\n{words}"
                assert await settled(config, daemon) == side
                await wait_for(accepted(ledger, side), f"writes after {step}", daemon=daemon)
            await done(config, "cutover", "--prepare")
            await done(config, "cutover")
            await wait_for(accepted(ledger, "postgres"), "writes at the end", daemon=daemon)
        await wait_until_alike(config, daemon)
        here, there = entries_in_sqlite(config.source.path), await entries_in_postgres(database)
    assert Counter(here) == Counter(there)
    assert ledger.wrong(set(here)) == []
    assert ledger.moves() == ["postgres", "sqlite", "postgres"]


async def test_daemon_killed_while_it_carries_back(tmp_path: Path, database: str) -> None:
    config = await set_up(tmp_path, database, ENTRY)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await prepare.prepare(config, Silent())
        await run_here.cutover(config, quiet)
        daemon.kill()
    async with both_sides_written(config.source.path, database, pause=0.02) as ledger:
        for step in ("carry.before_commit", "carry.after_commit"):
            with Daemon(config, environment={"CDC_CRASH_AT": step}) as daemon:
                assert await asyncio.to_thread(daemon.wait) == -9
    with Daemon(config) as daemon:
        assert await settled(config, daemon) == "postgres"
        await wait_until_alike(config, daemon)
    assert ledger.wrong(set(entries_in_sqlite(config.source.path))) == []
    assert ledger.moves() == []
