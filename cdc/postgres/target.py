"""Reaching the configured Postgres: the operator's own, or the embedded server for as long as it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cdc.config import Config
from cdc.postgres import embedded
from cdc.postgres.connection import Connection, connect, password_from


def embedded_folder(config: Config) -> Path:
    """Where the embedded server keeps its data."""
    return config.state.dir / "postgres"


@asynccontextmanager
async def reached(config: Config) -> AsyncIterator[str]:
    """The target's DSN; an embedded server that was not running runs until the block ends."""
    if not config.target.embedded:
        yield config.target.dsn
        return
    server = await asyncio.to_thread(embedded.start, embedded_folder(config))
    try:
        yield server.dsn
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def connected(config: Config, purpose: str) -> AsyncIterator[Connection]:
    """A connection to the target for the time of a block, closed afterwards."""
    async with reached(config) as dsn:
        connection = await connect(dsn, purpose=purpose, password=password_from(config.target.password_file))
        try:
            yield connection
        finally:
            await connection.close()
