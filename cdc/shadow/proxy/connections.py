"""Questions without a body, over connections to one instance that are kept open: the path that every read takes twice.

It is written on the HTTP library's own reading of answers. The client that the library makes of it cannot do less than
follow redirects, keep cookies and merge headers, which took more than twice as long: 66 µs of processor time a
question against 25, as the median of three turns.
"""

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from cdc.shadow.proxy.headers import RawHeaders, block, value_of

CONNECT_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 30.0  # of an idle connection
LONGEST_LINE: Final = 64 * 1024  # of a head: whether a head is too long is for the application to say
MOST_HEADERS: Final = 1_000
# What may be sent again where a kept connection was closed by the other end in that moment, RFC 9110, 9.2.2.
REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_OUT_OF_PLACE: Final = re.compile(r"[\x00-\x20\x7f]")  # in a target: it would end there


class Arriving(msgspec.Struct, frozen=True):
    """An answer whose head is here, and whose body is read by whoever asked; `end` has to be called in the end."""

    status: int
    reason: str
    raw_headers: RawHeaders
    content: aiohttp.StreamReader
    end: Callable[[], None]

    @property
    def has_begun(self) -> bool:
        """Whether something of the body is here, or all of it is, which may be nothing."""
        return self.content.total_bytes > 0 or self.content.is_eof()


def head_of(method: str, target: str, headers: RawHeaders) -> bytes:
    """The head of a request on the wire; raises `ValueError` for a target that is none."""
    if _OUT_OF_PLACE.search(target):
        raise ValueError("a target with a blank or a control character")
    line = f"{method} {target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    return b"".join([line, block(headers), b"\r\n"])


def too_late() -> aiohttp.SocketTimeoutError:
    """What whoever waits for an answer is told once its time is up."""
    return aiohttp.SocketTimeoutError("it took too long")


class Connections:
    """Asks one instance, with as many connections as there are questions at a time.

    Raises what the HTTP library does: `ClientError`, `HttpProcessingError`, `OSError`; `ConnectionTimeoutError` for an
    instance that cannot be connected to in time, and `SocketTimeoutError` for one that does not answer in time.
    """

    def __init__(self, base: str) -> None:
        url = URL(base)
        self._host, self._port, self._authority = url.host or "", url.port or 80, url.authority
        self._prefix = url.raw_path.rstrip("/")
        self._ssl = ssl.create_default_context() if url.scheme == "https" else None
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[float, ResponseHandler]] = deque()  # the one that was used last at the end

    async def ask(self, method: str, target: str, headers: RawHeaders, seconds: float | None = None) -> Arriving:
        """The head of the answer to a question of a method that may be repeated, within so many seconds."""
        until = None if seconds is None else self._loop.time() + seconds
        if value_of(headers, b"host") is None:
            headers = [(b"Host", self._authority.encode()), *headers]
        head = head_of(method, self._prefix + target, headers)
        if (kept := self._take()) is not None:
            try:
                return await self._answer(kept, head, method, until)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                pass  # it was closed in the moment in which it was used
        return await self._answer(await self._connected(seconds), head, method, until)

    async def _answer(self, connection: ResponseHandler, head: bytes, method: str, until: float | None) -> Arriving:
        connection.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        # A timer of the loop costs a third of `asyncio.timeout`, and every read is waited for twice.
        late = None if until is None else self._loop.call_at(until, connection.set_exception, too_late())
        try:
            # It is there: one that is new was made just now, one that was kept was looked at.
            cast("asyncio.Transport", connection.transport).write(head)
            message, content = await connection.read()
            while message.code < HTTPStatus.OK and message.code != HTTPStatus.SWITCHING_PROTOCOLS:
                message, content = await connection.read()
        except BaseException:
            connection.close()
            raise
        finally:
            if late is not None:
                late.cancel()
        return Arriving(
            message.code, message.reason, message.raw_headers, content, lambda: self._give_back(connection, content)
        )

    def _take(self) -> ResponseHandler | None:
        while self._idle:
            _, connection = self._idle.pop()
            if connection.is_connected() and not connection.should_close:
                return connection
            connection.close()  # by the other end, or something came over it that nobody asked for
        return None

    def _give_back(self, connection: ResponseHandler, content: aiohttp.StreamReader) -> None:
        """Keep the connection, unless something of the answer is still to come, or the other end closes it."""
        now = time.monotonic()
        if content.at_eof() and not connection.should_close and connection.is_connected():
            self._idle.append((now, connection))
        else:
            connection.close()
        while self._idle and now - self._idle[0][0] > KEPT_SECONDS:
            self._idle.popleft()[1].close()

    async def _connected(self, seconds: float | None) -> ResponseHandler:
        try:
            async with asyncio.timeout(CONNECT_SECONDS if seconds is None else min(CONNECT_SECONDS, seconds)):
                _, connection = await self._loop.create_connection(
                    lambda: ResponseHandler(self._loop), self._host, self._port, ssl=self._ssl
                )
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        return connection

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            self._idle.pop()[1].close()
