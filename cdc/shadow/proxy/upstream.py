"""One instance of the application, asked over connections that are kept open."""

import asyncio
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from cdc.shadow.proxy.connections import (
    CONNECT_SECONDS,
    LONGEST_LINE,
    MOST_HEADERS,
    REPEATABLE,
    Arriving,
    Connections,
    too_late,
)
from cdc.shadow.proxy.headers import RawHeaders, end_to_end, for_library, value_of
from cdc.shadow.proxy.messages import Question, Reply

_NOT_ADDED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

_EVENT_STREAM: Final = b"text/event-stream"  # it never ends, so there is nothing to compare

_TOO_LONG: Final = "it took too long"

Body = aiohttp.StreamReader | None


class Unanswered(Exception):
    """A side gave no answer, or took too long (`late`). Becomes 502 and 504, or a verdict; never leaves this room."""

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late


class NotKept(Exception):
    """An answer that is larger than what is kept, or that never ends, so that it cannot be compared."""


class Upstream:
    """Asks one side."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self._kept = Connections(self.base)
        # A connection that was kept may be closed by the other end in the very moment in which a request is sent. A
        # read is sent again then; whether a write was carried out, nobody would know.
        self._fresh = _session(aiohttp.TCPConnector(limit=0, force_close=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()
        await self._fresh.close()

    async def ask(self, question: Question, body: Body = None, seconds: float | None = None) -> Arriving:
        """The head of the answer, within so many seconds; its body is read by the caller, who ends it.

        Raises `Unanswered`.
        """
        try:
            if body is None and question.method in REPEATABLE:
                return await self._kept.ask(question.method, question.target, question.headers, seconds)
            async with asyncio.timeout(seconds):
                return await self._asked_once(question, body)
        except aiohttp.ConnectionTimeoutError:
            raise Unanswered("it could not be connected to in time", late=True) from None
        except TimeoutError:
            raise Unanswered(_TOO_LONG, late=True) from None
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise Unanswered(type(error).__name__) from None

    async def _asked_once(self, question: Question, body: Body) -> Arriving:
        url = URL(self.base + question.target, encoded=True)
        answer = await self._fresh.request(
            question.method, url, headers=for_library(question.headers), data=body, allow_redirects=False
        )
        return Arriving(answer.status, answer.reason or "", answer.raw_headers, answer.content, answer.close)

    async def answer(self, question: Question, most_bytes: int, seconds: float) -> Reply:
        """The whole answer. Raises `Unanswered`, and `NotKept` for one of more than `most_bytes`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        arriving = await self.ask(question, seconds=seconds)
        # Without reading on: what is larger, or breaks off, closes the connection.
        late = None if arriving.content.is_eof() else loop.call_at(until, arriving.content.set_exception, too_late())
        try:
            headers = end_to_end(arriving.raw_headers)
            body = await _whole_body(arriving, headers, question, most_bytes)
            return Reply(arriving.status, arriving.reason, headers, body)
        finally:
            if late is not None:
                late.cancel()
            arriving.end()


async def _whole_body(arriving: Arriving, headers: RawHeaders, question: Question, most_bytes: int) -> bytes:
    length = value_of(headers, b"content-length") or b""
    if length.isdigit() and int(length) > most_bytes and question.method != "HEAD":
        raise NotKept
    if (value_of(headers, b"content-type") or b"").lower().startswith(_EVENT_STREAM):
        raise NotKept
    kept = bytearray()
    while chunk := await next_chunk(arriving):
        kept += chunk
        if len(kept) > most_bytes:
            raise NotKept
    return bytes(kept)


async def next_chunk(arriving: Arriving) -> bytes:
    """What arrived of a body, empty at its end. Raises `Unanswered` for a body that breaks off."""
    try:
        return await arriving.content.readany()
    except aiohttp.SocketTimeoutError:
        raise Unanswered(_TOO_LONG, late=True) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unanswered(f"its body broke off: {type(error).__name__}") from None


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NOT_ADDED,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        max_headers=MOST_HEADERS,
    )
