"""One instance of the application, asked over connections that are kept open."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.proxy.headers import end_to_end, marked

CONNECT_SECONDS: Final = 5.0
LONGEST_LINE: Final = 64 * 1024  # of a head: whether a head is too long is for the application to say
MOST_HEADERS: Final = 1_000
_NOT_ADDED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

_EVENT_STREAM: Final = "text/event-stream"  # it never ends, so there is nothing to compare

Body = aiohttp.StreamReader | None


class Unanswered(Exception):
    """A side gave no answer, or took too long (`late`). Becomes 502 and 504, or a verdict; never leaves this room."""

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late


class NotKept(Exception):
    """An answer that is larger than what is kept, or that never ends, so that it cannot be compared."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it goes on: the target of its first line byte for byte, and the headers meant for the other end."""

    method: str
    target: str
    headers: "CIMultiDict[str]"

    def marked(self) -> "Question":
        """The same, marked as one that nobody waits for."""
        return Question(self.method, self.target, marked(self.headers))


class Upstream:
    """Asks one side. `most_connections` of 0 is as many as are needed."""

    def __init__(self, base: str, most_connections: int = 0) -> None:
        self.base = base.rstrip("/")
        self._kept = _session(aiohttp.TCPConnector(limit=most_connections, keepalive_timeout=30))
        # A connection that was kept may be closed by the other end in the very moment in which a request is sent. A
        # read is sent again then, which aiohttp does by itself; whether a write was carried out, nobody would know.
        self._fresh = _session(aiohttp.TCPConnector(limit=most_connections, force_close=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._kept.close()
        await self._fresh.close()

    async def ask(self, question: Question, body: Body = None, *, fresh: bool = False) -> aiohttp.ClientResponse:
        """The head of the answer; its body is read by the caller. Raises `Unanswered`."""
        session = self._fresh if fresh or body is not None else self._kept
        url = URL(self.base + question.target, encoded=True)
        try:
            return await session.request(
                question.method, url, headers=question.headers, data=body, allow_redirects=False
            )
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise Unanswered("it could not be connected to in time", late=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unanswered(type(error).__name__) from None

    async def answer(self, question: Question, most_bytes: int, seconds: float) -> HttpAnswer:
        """The whole answer. Raises `Unanswered`, and `NotKept` for one of more than `most_bytes`."""
        try:
            async with asyncio.timeout(seconds):
                response = await self.ask(question)
                # Without reading on: what is larger, or breaks off, closes the connection.
                try:
                    return HttpAnswer(response.status, headers_of(response), await _whole_body(response, most_bytes))
                finally:
                    response.close() if not response.content.at_eof() else response.release()
        except TimeoutError:
            raise Unanswered("it took too long", late=True) from None


async def _whole_body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    if (response.content_length or 0) > most_bytes and response.method != "HEAD":
        raise NotKept
    if response.content_type == _EVENT_STREAM:
        raise NotKept
    kept = bytearray()
    while chunk := await next_chunk(response):
        kept += chunk
        if len(kept) > most_bytes:
            raise NotKept
    return bytes(kept)


async def next_chunk(response: aiohttp.ClientResponse) -> bytes:
    """What arrived of a body, empty at its end. Raises `Unanswered` for a body that breaks off."""
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unanswered(f"its body broke off: {type(error).__name__}") from None


def headers_of(response: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that are meant for the other end."""
    return tuple(end_to_end(response.raw_headers).items())


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
