"""A connection that becomes a websocket: from then on bytes pass in both directions as they come."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import web
from yarl import URL

from cdc.shadow.proxy.connections import CONNECT_SECONDS, head_of
from cdc.shadow.proxy.messages import Question
from cdc.shadow.proxy.upstream import Unanswered

_CHUNK: Final = 64 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def tunnel(request: web.BaseRequest, base: str, question: Question) -> web.StreamResponse:
    """Put the request to a side and pass on whatever both say, until one of them ends; raises `Unanswered`.

    The answer to the request is part of it, also one that refuses.
    """
    headers = [*question.headers, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    there = await _connected(base)
    try:
        there[1].write(head_of(question.method, question.target, headers))
        async with _taken_over(request) as here:
            await _until_one_ends(_pass_on(here[0], there[1]), _pass_on(there[0], here[1]))
    finally:
        there[1].close()
    return web.Response()  # nobody reads it: the connection is closed


async def _connected(base: str) -> Streams:
    url = URL(base)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            secure = ssl.create_default_context() if url.scheme == "https" else None
            return await asyncio.open_connection(url.host, url.port, ssl=secure)
    except TimeoutError:
        raise Unanswered("it could not be connected to in time", late=True) from None
    except OSError as error:
        raise Unanswered(type(error).__name__) from None


@asynccontextmanager
async def _taken_over(request: web.BaseRequest) -> AsyncIterator[Streams]:
    """The client's connection as a pair of streams; the HTTP server gets it back closed."""
    transport, server = request.transport, request.protocol
    if transport is None:
        raise Unanswered("the client is gone")
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    try:
        yield reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    finally:
        transport.set_protocol(server)
        transport.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _until_one_ends(*directions: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
