"""An answer on its way to the client: chunk by chunk as it comes, with the head that the side gave it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from loguru import logger
from multidict import CIMultiDict

from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.proxy.connections import Arriving
from cdc.shadow.proxy.headers import end_to_end
from cdc.shadow.proxy.upstream import Question, Unanswered, Upstream, next_chunk

_NOT_ADDED: Final = ("Content-Type", "Server")
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


@dataclass(slots=True)
class Kept:
    """What is kept of an answer while it passes, `most_bytes` of its body, and the seconds that the side took."""

    most_bytes: int
    seconds: float = 0.0
    too_large: bool = False
    answer: HttpAnswer | None = None  # once it is whole
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

    def end(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """The body is whole."""
        if not self.too_large:
            self.answer = HttpAnswer(status, tuple(headers), b"".join(self._chunks))


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
    response = PassedOn(answer.status, answer.reason, headers, at_once=not answer.has_begun)
    await response.prepare(request)
    while True:
        began = time.perf_counter()
        try:
            chunk = await next_chunk(answer)
        except Unanswered:
            # The client has to see that this is not the end, as it would without anybody in between.
            if request.transport is not None:
                request.transport.abort()
            return response
        if kept is not None:
            kept.seconds += time.perf_counter() - began
            kept.add(chunk)
        if answer.content.at_eof():
            break
        await response.write(chunk)
    await response.write_eof(chunk)
    if kept is not None:
        kept.end(answer.status, headers.items())
    return response


async def serve(request: web.BaseRequest, answer: HttpAnswer) -> web.StreamResponse:
    """Give the client an answer that is there as a whole."""
    response = PassedOn(answer.status, None, CIMultiDict(answer.headers), at_once=False)
    await response.prepare(request)
    await response.write_eof(answer.body if request.method != "HEAD" else b"")
    return response


def refused(error: Unanswered) -> web.Response:
    """What a proxy says when the side that is active does not answer."""
    status = 504 if error.late else 502
    logger.bind(reason=error.reason, status=status).warning("the active side did not answer")
    return web.Response(status=status, text=f"{_TOLD[status]}\n")
