"""Pairs of one moment: what a writer does in between never looks like a difference."""

import asyncio
import random
import threading
from pathlib import Path

import asyncpg
from harness import Daemon, application, make_config, up, value, wait_for
from replicated_pair import replicated

from cdc.shadow.moment import Moved, Patience, at_one_position
from cdc.shadow.positions import live_positions


async def test_a_writer_makes_pairs_move_and_never_differ(tmp_path: Path, database: str) -> None:
    """Both sides are asked for a number that every commit changes: bursts of them, with gaps in between."""
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counter VALUES (1, 0)").fetchall()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    ends = threading.Event()

    def write() -> None:
        while not ends.wait(0.05):
            for _ in range(random.randrange(20)):
                app.execute("UPDATE counter SET n = n + 1").fetchall()

    writer = threading.Thread(target=write)
    reader = application(tmp_path / "app.db")
    candidate = await asyncpg.connect(database)

    async def ours() -> int:
        return int(reader.execute("SELECT n FROM counter").get)

    async def theirs() -> int:
        return int(await candidate.fetchval("SELECT n FROM counter"))

    with Daemon(config) as daemon:
        running = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
        await wait_for(lambda: value(database, running), "the daemon to follow", daemon=daemon)
        writer.start()
        try:
            seen: set[int] = set()
            async with live_positions(config) as positions:
                while len(seen) < 5:
                    moment = await at_one_position(positions, ours, theirs, Patience())
                    if not isinstance(moment, Moved):
                        assert moment.baseline == moment.candidate
                        seen.add(moment.seq)
        finally:
            ends.set()
            await asyncio.to_thread(writer.join)
            await candidate.close()
            reader.close()
            app.close()


async def test_a_target_that_does_not_come_along_is_said_to_be_behind(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, "CREATE TABLE t(id INTEGER PRIMARY KEY)") as pair:

        async def nothing() -> None:
            return None

        blocker = await asyncpg.connect(database)
        try:
            async with live_positions(pair.config) as positions, blocker.transaction():
                await blocker.execute("LOCK TABLE t")
                pair.app.execute("INSERT INTO t VALUES (1)")
                assert await at_one_position(positions, nothing, nothing, Patience(seconds=0.3)) == Moved(behind=True)
        finally:
            await blocker.close()
