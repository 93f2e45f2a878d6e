"""A connection that died without a word: found within half a minute, however long a statement may rightly take.

A middlebox that forgot a connection, or a path that swallows what is sent, leaves both ends waiting. Keepalives of the
kernel end what nobody answers any more. They say nothing where something in between still acknowledges every packet, so
there Postgres itself is asked, over a connection of its own: while it works on our statement all is well, for hours if
need be; if it waits for us while we wait for it, what was said in between is lost. Or it is still on its way, where
something in between takes more than it can hand on (a tunnel over a slow line): Postgres cannot tell the two apart. So
after each connection that was given up the next one has twice as long, or a batch would be sent anew for ever.
"""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from loguru import logger

from cdc.errors import CdcError
from cdc.postgres.connection.statements import load

SILENT_SECONDS: Final = 8.0  # without a byte either way before Postgres is asked
MOST_DOUBLINGS: Final = 3  # of these seconds; the longest silence ends before systemd's watchdog does
REMEMBERED_SECONDS: Final = 3600.0  # how long a connection that was given up makes the next ones patient
LOOK_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
SETTINGS: Final = {  # of the server's end
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
# Of our end. No TCP_USER_TIMEOUT: it would also end a COPY to a server that reads no further because of a lock.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_TCP_INFO_BYTES: Final = slice(120, 136)  # tcpi_bytes_acked and tcpi_bytes_received of Linux

given_up: Final[deque[float]] = deque(maxlen=MOST_DOUBLINGS)  # when; of all connections of this process

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


class Watched(_Connection):
    """A connection that knows since when somebody waits for its answer. `backend` is the server's process."""

    waits_since: float | None = None
    backend: int = 0

    async def execute(self, *args: Any, **options: Any) -> Any:
        """As the driver's."""
        return await self._waited(super().execute(*args, **options))

    async def fetch(self, *args: Any, **options: Any) -> Any:
        """As the driver's."""
        return await self._waited(super().fetch(*args, **options))

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        """As the driver's."""
        return await self._waited(super().fetchval(*args, **options))

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        """As the driver's."""
        return await self._waited(super().fetchrow(*args, **options))

    async def copy_records_to_table(self, *args: Any, records: Any, **options: Any) -> Any:
        """As the driver's. Where records are still being made, Postgres rightly waits for us."""
        copying = super().copy_records_to_table(*args, records=records, **options)
        return await (copying if hasattr(records, "__aiter__") else self._waited(copying))

    async def _waited(self, answer: Awaitable[Any]) -> Any:
        self.waits_since = time.monotonic()
        try:
            return await answer
        finally:
            self.waits_since = None

    @property
    def socket(self) -> socket.socket | None:
        """The TCP socket; None for a socket of this machine, whose ends cannot lose each other."""
        transport: Any = getattr(self, "_transport")  # noqa: B009 (the driver's stubs do not tell of it)
        tcp = transport.get_extra_info("socket")
        return tcp if tcp is not None and tcp.family in (socket.AF_INET, socket.AF_INET6) else None


Reach = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


def watch(connection: Watched, reach: Reach) -> None:
    """Have a connection ended when it died without a word; `reach` opens another one to the same server."""
    tcp = connection.socket
    if tcp is None:
        return
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _KEEPALIVE.items():
        if hasattr(socket, name):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    task = asyncio.create_task(_watch(connection, tcp, reach))

    def ended(_: object) -> None:
        task.cancel()

    connection.add_termination_listener(ended)


async def _watch(connection: Watched, tcp: socket.socket, reach: Reach) -> None:
    moved, moved_at = _traffic(tcp), time.monotonic()
    while not connection.is_closed():
        await asyncio.sleep(LOOK_SECONDS)
        if (now := _traffic(tcp)) != moved:
            moved, moved_at = now, time.monotonic()
        since = connection.waits_since
        if since is None or time.monotonic() - max(since, moved_at) < _patience():
            continue
        # Whether that process of the server has nothing to do, or is gone. No answer says nothing.
        if await _ask(reach, "at_rest", connection.backend) is True:
            await asyncio.sleep(LOOK_SECONDS)  # its answer may have been on its way
            if (connection.waits_since, _traffic(tcp)) == (since, moved):
                await _give_up(connection, reach)
                return


def _patience() -> float:
    """How many seconds without a byte are a silence."""
    late = time.monotonic() - REMEMBERED_SECONDS
    return SILENT_SECONDS * 2.0 ** sum(at > late for at in given_up)


def _traffic(tcp: socket.socket) -> bytes:
    """Changes with every byte that the other end acknowledged or sent; never where the system does not tell."""
    with suppress(OSError, AttributeError):
        return tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[_TCP_INFO_BYTES]
    return struct.pack("QQ", 0, 0)


async def _give_up(connection: Watched, reach: Reach) -> None:
    """End both ends: the server's would hold locks until it notices by itself."""
    given_up.append(time.monotonic())
    logger.bind(backend=connection.backend).warning("the connection to Postgres died without a word; it is given up")
    with suppress(CdcError):
        await _ask(reach, "end", connection.backend)
    connection.terminate()


async def _ask(reach: Reach, query: str, backend: int) -> Any:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            other = await reach()
            try:
                return await other.fetchval(load("activity")[query], backend)
            finally:
                other.terminate()
    except (CdcError, TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
