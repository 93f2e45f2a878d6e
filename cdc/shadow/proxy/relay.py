"""An answer on its way to the client: chunk by chunk as it comes, with the head that the side gave it."""

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

from aiohttp import HttpVersion11, web
from loguru import logger
from multidict import CIMultiDict

from cdc.shadow.proxy.connections import Arriving
from cdc.shadow.proxy.headers import RawHeaders, block, end_to_end, for_library, value_of
from cdc.shadow.proxy.messages import Question, Reply
from cdc.shadow.proxy.upstream import Unanswered, Upstream, next_chunk

_NOT_ADDED: Final = ("Content-Type", "Server")
_WITHOUT_A_BODY: Final = frozenset({204, 304})  # whatever their headers say
_AT_ONCE_BYTES: Final = 65_536  # of a body that is sent without waiting for the client
_TOLD: Final = {502: "the application cannot be reached", 504: "the application does not answer"}


class PassedOn(web.StreamResponse):
    """An answer without what the HTTP library would add of its own; its head is sent `at_once`, or with its body."""

    def __init__(self, status: int, reason: str | None, headers: "CIMultiDict[str]", *, at_once: bool) -> None:
        super().__init__(status=status, reason=reason, headers=headers)
        self._send_headers_immediately = at_once

    async def _prepare_headers(self) -> None:
        missing = [name for name in _NOT_ADDED if name not in self.headers]
        await super()._prepare_headers()
        for name in missing:
            self.headers.pop(name, None)


class AsItCame(web.StreamResponse):
    """An answer that is here as a whole, and goes out in one piece, byte for byte."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(status=reply.status)
        dated = reply.headers if value_of(reply.headers, b"date") else [*reply.headers, _date()]
        line = f"HTTP/1.1 {reply.status} {reply.reason}\r\n".encode("utf-8", "surrogateescape")
        self._bytes = b"".join([line, block(dated), b"\r\n", reply.body])

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it; raises `ConnectionError` where the client is gone."""
        if request.transport is None:
            raise ConnectionResetError
        request.transport.write(self._bytes)

    async def write_eof(self, data: bytes = b"") -> None:
        """All is sent."""

    @property
    def keep_alive(self) -> bool:
        """The connection goes on."""
        return True


def _date() -> tuple[bytes, bytes]:
    return b"Date", formatdate(usegmt=True).encode()  # RFC 9110, 6.6.1: one without it gets it on its way


@dataclass(slots=True)
class Kept:
    """What is kept of an answer while it passes, `most_bytes` of its body, and the seconds that the side took."""

    most_bytes: int
    seconds: float = 0.0
    too_large: bool = False
    answer: Reply | None = None  # once it is whole
    _chunks: list[bytes] = field(default_factory=list)
    _size: int = 0

    def add(self, chunk: bytes) -> None:
        """Keep a part of the body, or nothing of it once it is too large."""
        self._size += len(chunk)
        self.too_large = self.too_large or self._size > self.most_bytes
        if self.too_large:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)

    def end(self, status: int, reason: str, headers: RawHeaders) -> None:
        """The body is whole."""
        if not self.too_large:
            self.answer = Reply(status, reason, headers, b"".join(self._chunks))


async def pass_on(
    request: web.BaseRequest,
    side: Upstream,
    question: Question,
    seconds: float,
    kept: Kept | None = None,
) -> web.StreamResponse:
    """Have a side answer; it gets so many seconds to begin, unless there is a body to be sent first."""
    body = request.content if request.can_read_body else None
    began = time.perf_counter()
    try:
        answer = await side.ask(question, body, None if body else seconds)
    except Unanswered as error:
        return refused(error)
    if kept is not None:
        kept.seconds += time.perf_counter() - began
    try:
        return await _stream(request, answer, kept)
    finally:
        answer.end()


async def _stream(request: web.BaseRequest, answer: Arriving, kept: Kept | None) -> web.StreamResponse:
    headers = end_to_end(answer.raw_headers)
    response: web.StreamResponse | None = None
    while True:
        if response is None and not answer.content.is_eof():
            response = await _begun(request, answer, headers)
        began = time.perf_counter()
        try:
            chunk = await next_chunk(answer)
        except Unanswered:
            # The client has to see that this is not the end, as it would without anybody in between.
            if request.transport is not None:
                request.transport.abort()
            return response or web.Response()
        if kept is not None:
            kept.seconds += time.perf_counter() - began
            kept.add(chunk)
        if answer.content.at_eof():
            break
        if response is not None:
            await response.write(chunk)
    if kept is not None:
        kept.end(answer.status, answer.reason, headers)
    if response is None:
        return await serve(request, Reply(answer.status, answer.reason, headers, chunk))
    await response.write_eof(chunk)
    return response


async def _begun(request: web.BaseRequest, answer: Arriving, headers: RawHeaders) -> web.StreamResponse:
    """An answer of which not all is here yet; its head goes out with the part that is, or at once."""
    response = PassedOn(answer.status, answer.reason, for_library(headers), at_once=answer.content.total_bytes == 0)
    await response.prepare(request)
    return response


async def serve(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Give the client an answer that is there as a whole."""
    if _goes_as_it_is(request, reply):
        return AsItCame(reply)
    response = PassedOn(reply.status, reply.reason, for_library(reply.headers), at_once=False)
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(reply.body)  # waits for a client that reads slowly
    await response.write_eof()
    return response


def _goes_as_it_is(request: web.BaseRequest, reply: Reply) -> bool:
    """Whether a client sees where an answer ends by its head, goes on with its connection, and reads what it gets."""
    if request.transport is None or request.transport.get_write_buffer_size() or len(reply.body) > _AT_ONCE_BYTES:
        return False
    if request.version != HttpVersion11 or not request.keep_alive or reply.status in _WITHOUT_A_BODY:
        return False
    length = value_of(reply.headers, b"content-length")
    return request.method == "HEAD" or length == b"%d" % len(reply.body)


def refused(error: Unanswered) -> web.Response:
    """What a proxy says when the side that is active does not answer."""
    status = 504 if error.late else 502
    logger.bind(reason=error.reason, status=status).warning("the active side did not answer")
    return web.Response(status=status, text=f"{_TOLD[status]}\n")
