"""Reaching the configured Postgres: the operator's own, or the embedded server for as long as somebody needs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cdc.config import Config
from cdc.errors import TargetError
from cdc.postgres import embedded
from cdc.postgres.connection import Connection, connect, password_from
from cdc.postgres.embedded import EmbeddedServer

_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


def embedded_folder(config: Config) -> Path:
    """Where the embedded server keeps its data."""
    return config.state.dir / "postgres"


class Target:
    """The configured Postgres. An embedded server is started when it does not run, also when it died meanwhile, and
    stopped by the last who leaves it, whoever started it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._server: EmbeddedServer | None = None

    async def dsn(self) -> str:
        """The DSN of the target, whose server runs now if it is ours to run; raises `TargetError`."""
        if not self._config.target.embedded:
            return self._config.target.dsn
        server = await asyncio.to_thread(embedded.start, embedded_folder(self._config))
        if self._server is None or server.owned:
            self._server = server
        return server.dsn

    async def connect(self, purpose: str) -> Connection:
        """An open connection to the target."""
        dsn = await self.dsn()
        return await connect(dsn, purpose=purpose, password=password_from(self._config.target.password_file))

    async def leave(self) -> None:
        """Nothing more is wanted of the target."""
        server, self._server = self._server, None
        if server is not None and not await _in_use(server):
            await asyncio.to_thread(server.shut_down)


async def _in_use(server: EmbeddedServer) -> bool:
    try:
        connection = await connect(server.dsn, purpose="leaving")
    except TargetError:
        return False  # it does not answer: let it be shut down
    try:
        return bool(await connection.fetchval(_OTHERS))
    finally:
        await connection.close()


@asynccontextmanager
async def reached(config: Config) -> AsyncIterator[Target]:
    """The target for the time of a block."""
    target = Target(config)
    try:
        yield target
    finally:
        await target.leave()


@asynccontextmanager
async def connected(config: Config, purpose: str) -> AsyncIterator[Connection]:
    """A connection to the target for the time of a block, closed afterwards."""
    async with reached(config) as target:
        connection = await target.connect(purpose)
        try:
            yield connection
        finally:
            await connection.close()
