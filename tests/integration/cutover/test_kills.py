"""A switch that dies at any step leaves one side that accepts writes, with all that either acknowledged.

Nothing but the daemon is there to settle it; the command given again then succeeds.
"""

import os
from pathlib import Path

from harness import Daemon, wait_for, wait_until_follows
from ledger import ENTRY, accepted, both_sides_written, entries_in_postgres, entries_in_sqlite
from switched_pair import done, run, set_up, settled, wait_until_alike

from cdc.config import Config

FORWARD = ("carry.before_commit", "fence.after_commit:2", "switch.step_done:13")
BACKWARD = ("switch.step_done:4", "switch.step_done:10", "switch.step_done:11")
if os.environ.get("CDC_EVERY_STEP"):
    FORWARD = (
        "fence.before_commit",
        "fence.after_commit",
        "carry.before_commit",
        "carry.after_commit",
        "fence.before_commit:2",
        "fence.after_commit:2",
        *(f"switch.step_{kind}:{n}" for n in range(1, 15) for kind in ("begun", "done")),
    )
    BACKWARD = tuple(f"switch.step_{kind}:{n}" for n in range(1, 14) for kind in ("begun", "done"))


async def test_killed_at_a_step(tmp_path: Path, database: str) -> None:
    config = await set_up(tmp_path, database, ENTRY, max_refused_seconds=3)
    side = "sqlite"
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await done(config, "snapshot")
        await done(config, "cutover", "--prepare")
        async with both_sides_written(config.source.path, database, pause=0.02) as ledger:
            for command, steps in (("cutover", FORWARD), ("rollback", BACKWARD)):
                for step in steps:
                    if command == "cutover":
                        side = await towards(config, daemon, side, "sqlite")
                        await done(config, "cutover", "--prepare")
                    else:
                        side = await towards(config, daemon, side, "postgres")
                    code, words = await run(config, command, crash_at=step)
                    assert code == -9, f"{command} {step} ended with {code}:\n{words}\n{daemon.words()}"
                    side = await settled(config, daemon)
                    print(command, step, "->", side)
                    await wait_for(accepted(ledger, side), f"writes after {step}", daemon=daemon)
            side = await towards(config, daemon, side, "sqlite")
        await wait_until_alike(config, daemon)
        here, there = entries_in_sqlite(config.source.path), await entries_in_postgres(database)
        assert ledger.wrong(set(here), "SQLite") + ledger.wrong(set(there), "Postgres") == []
        print(
            ledger.count("sqlite", "acknowledged"), ledger.count("postgres", "acknowledged"), len(ledger.alternations())
        )


async def towards(config: Config, daemon: Daemon, side: str, wanted: str) -> str:
    if side != wanted:
        if wanted == "postgres":
            await done(config, "cutover", "--prepare")
        await done(config, "cutover" if wanted == "postgres" else "rollback")
        assert await settled(config, daemon) == wanted
    return wanted
