"""Reaching the configured Postgres: the operator's own, or the embedded server for as long as somebody needs it."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cdc.config import Config
from cdc.errors import TargetUnavailable
from cdc.host.private_files import make_folder, opener
from cdc.postgres.connection.open import Connection, connect, hang_up, password_for
from cdc.postgres.server import embedded, server_log
from cdc.postgres.server.embedded import READY_SECONDS, EmbeddedServer


def embedded_folder(config: Config) -> Path:
    """Where the embedded server keeps its data."""
    return config.state.dir / "postgres"


def running_dsn(config: Config) -> str | None:
    """The DSN of the target as it is now, None when it is an embedded server that does not run; starts none."""
    return embedded.find(embedded_folder(config)) if config.target.embedded else config.target.dsn


class Endpoint:
    """The configured Postgres. An embedded server is started when it does not run, also when it died meanwhile, and
    stopped by the last who leaves it, whoever started it. `ready_seconds` is how long it may take to start or recover.
    """

    def __init__(self, config: Config, ready_seconds: float = READY_SECONDS) -> None:
        self._config = config
        self._ready_seconds = ready_seconds
        self._server: EmbeddedServer | None = None
        self._users_lock: int | None = None

    async def dsn(self) -> str:
        """The DSN of the target, whose server runs now if it is ours to run; raises `TargetError`."""
        if not self._config.target.embedded:
            return self._config.target.dsn
        server = await asyncio.to_thread(self._start, embedded_folder(self._config))
        return server.dsn

    async def connect(self, purpose: str) -> Connection:
        """An open connection to the target, closed by the caller; an embedded server is started for it where none runs.

        Raises `TargetUnavailable` or `TargetRefused` with the reason.
        """
        dsn = await self.dsn()
        return await connect(dsn, purpose=purpose, password=password_for(self._config.target))

    @asynccontextmanager
    async def connected(self, purpose: str) -> AsyncIterator[Connection]:
        """A connection for the time of a block, closed afterwards."""
        connection = await self.connect(purpose)
        try:
            yield connection
        finally:
            await hang_up(connection)

    def bound_log(self) -> None:
        """Keep the log of an embedded server from growing for ever."""
        if self._server is not None:
            server_log.bound_log(self._server.folder)

    async def leave(self) -> None:
        """Let go of the server: an embedded one is stopped when nobody else uses it."""
        if self._server is not None:
            await asyncio.to_thread(self._stop_if_last, self._server)
            self._server = None

    def _start(self, folder: Path) -> EmbeddedServer:
        # The lock comes first: whoever is leaving now either sees that we are here, or is waited for.
        if self._users_lock is None:
            self._users_lock = _begin_use(folder)
        server = embedded.start(folder, ready_seconds=self._ready_seconds)
        if self._server is None or server.owned:
            self._server = server
        return server

    def _stop_if_last(self, server: EmbeddedServer) -> None:
        lock, self._users_lock = self._users_lock, None
        if lock is None:
            return
        try:
            # Whoever comes now waits for the exclusive lock to go, and then finds no server and starts one.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            server.shut_down()
        except BlockingIOError:
            pass  # somebody else uses the server: the last one stops it
        finally:
            os.close(lock)


def _begin_use(folder: Path) -> int:
    """A shared lock on the server, held for as long as the descriptor is open; the kernel drops it with the process.

    Connections would not do to count who uses the server: a command is between two of them at times.
    """
    try:
        make_folder(folder)
        descriptor = opener(str(folder / "users.lock"), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise TargetUnavailable(
            f"the embedded Postgres cannot keep its data in {folder}: {error.strerror}",
            remedy="make `dir` in [state] a folder that this user may write",
        ) from None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@asynccontextmanager
async def reached(config: Config, ready_seconds: float = READY_SECONDS) -> AsyncIterator[Endpoint]:
    """The target for the time of a block, which lets go of an embedded server at its end; nothing is started before."""
    target = Endpoint(config, ready_seconds)
    try:
        yield target
    finally:
        await target.leave()


@asynccontextmanager
async def connected(config: Config, purpose: str) -> AsyncIterator[Connection]:
    """A connection to the target for the time of a block, closed afterwards."""
    async with reached(config) as target, target.connected(purpose) as connection:
        yield connection
