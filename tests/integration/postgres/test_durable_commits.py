"""With `durable_commits`, what a reader has seen is still there after a crash of Postgres."""

import asyncio
import os
import signal
from pathlib import Path

from harness import application, live, make_config, up, value

from cdc.postgres.server import embedded

# The server brings nothing to the disk by itself meanwhile.
SETTINGS = {"fsync": "off", "wal_writer_delay": "10s", "checkpoint_timeout": "1d", "autovacuum": "off"}


async def test_no_state_that_was_seen_is_taken_back_by_a_crash(tmp_path: Path) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    server = await asyncio.to_thread(embedded.start, tmp_path / "postgres", settings=SETTINGS)
    try:
        config = make_config(tmp_path, app.filename, server.dsn, durable_commits=True)
        await up(config)
        async with live(config) as session:
            await session.sync()
            for number in range(1, 20):
                app.execute("INSERT INTO t VALUES (?, 'x')", (number,))
                await session.sync()
                seen = await value(server.dsn, "SELECT max(id) FROM t")
            os.kill(server.pid, signal.SIGQUIT)
    finally:
        await asyncio.to_thread(server.stop)
    server = await asyncio.to_thread(embedded.start, tmp_path / "postgres", settings=SETTINGS)
    try:
        assert await value(server.dsn, "SELECT max(id) FROM t") == seen == 19
    finally:
        await asyncio.to_thread(server.stop)
