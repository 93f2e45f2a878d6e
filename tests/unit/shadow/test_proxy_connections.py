"""Connections to an instance that are kept open: what is read from them, when they are used again, and when not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ClientError, SocketTimeoutError
from aiohttp.http_exceptions import HttpProcessingError

from cdc.shadow.proxy.connections import Connections, head_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG_UP = b""
HOST = [(b"Host", b"app")]


class Scripted:
    """A server whose connections answer one thing after the other; an empty one closes the connection instead."""

    def __init__(self, *answers: Sequence[bytes]) -> None:
        self.asked: list[tuple[int, bytes]] = []  # by the number of the connection
        self._answers = list(answers)
        self.ends: list[asyncio.Future[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        ended = asyncio.get_running_loop().create_future()
        self.ends.append(ended)
        with suppress(asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set_result(None)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len({connection for connection, _ in self.asked})
        for answer in self._answers[number]:
            self.asked.append((number, await reader.readuntil(b"\r\n\r\n")))
            writer.write(answer)
            if answer == HANG_UP or b"close" in answer:
                break
        else:
            await reader.read()


@asynccontextmanager
async def connected(server: Scripted, prefix: str = "") -> AsyncIterator[Connections]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    connections = Connections(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}{prefix}")
    try:
        yield connections
    finally:
        connections.close()
        await asyncio.gather(*server.ends)
        listening.close()
        await listening.wait_closed()


async def get(connections: Connections, method: str = "GET") -> tuple[int, bytes]:
    answer = await connections.ask(method, "/a", HOST)
    try:
        return answer.status, await answer.content.read()
    finally:
        answer.end()


async def test_a_connection_is_used_again_once_its_answer_was_read() -> None:
    server = Scripted([OK, OK], [OK])
    async with connected(server) as connections:
        first = await connections.ask("GET", "/a", HOST)
        assert await get(connections) == (200, b"ok")  # over another one: the first is still open
        assert await first.content.read() == b"ok"
        first.end()
        assert await get(connections) == (200, b"ok")
    assert [number for number, _ in server.asked] == [0, 1, 0]


async def test_a_question_over_a_connection_that_is_closed_in_that_moment_is_put_again() -> None:
    server = Scripted([OK, HANG_UP], [OK])
    async with connected(server) as connections:
        assert [await get(connections), await get(connections)] == [(200, b"ok"), (200, b"ok")]
    assert [number for number, _ in server.asked] == [0, 0, 1]


async def test_a_new_connection_that_is_closed_is_not_tried_again() -> None:
    server = Scripted([HANG_UP], [OK])
    async with connected(server) as connections:
        with pytest.raises(ClientError):
            await get(connections)
    assert len(server.asked) == 1


async def test_an_answer_that_was_not_read_to_its_end_closes_its_connection() -> None:
    server = Scripted([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"], [OK])
    async with connected(server) as connections:
        answer = await connections.ask("GET", "/a", HOST)
        answer.end()
        assert await get(connections) == (200, b"ok")
    assert [number for number, _ in server.asked] == [0, 1]


@pytest.mark.parametrize(
    ("answer", "method", "read"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n" + OK, "GET", (200, b"ok")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", (200, b"")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "GET", (304, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET", (200, b"ok")),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", "GET", (200, b"until the end")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "GET", (200, b"ok")),
    ],
)
async def test_where_an_answer_ends(answer: bytes, method: str, read: tuple[int, bytes]) -> None:
    server = Scripted([answer, OK], [OK])
    async with connected(server) as connections:
        assert await get(connections, method) == read
        assert await get(connections) == (200, b"ok")
    assert [number for number, _ in server.asked] == [0, int(b"close" in answer)]


async def test_an_answer_that_does_not_come_in_time_is_an_error_and_ends_its_connection() -> None:
    server = Scripted([OK, b"HTTP/1.1 2"], [OK])
    async with connected(server) as connections:
        assert await get(connections) == (200, b"ok")
        with pytest.raises(SocketTimeoutError):
            await connections.ask("GET", "/a", HOST, 0.05)
        assert await get(connections) == (200, b"ok")
    assert [number for number, _ in server.asked] == [0, 0, 1]


async def test_what_is_no_answer_is_an_error() -> None:
    async with connected(Scripted([b"SSH-2.0\r\n\r\n"])) as connections:
        with pytest.raises((ClientError, HttpProcessingError)):
            await get(connections)


async def test_a_question_goes_below_the_address_and_names_the_instance_where_the_client_named_none() -> None:
    server = Scripted([OK])
    async with connected(server, "/app") as connections:
        answer = await connections.ask("GET", "/a?b=%20", [(b"X", "ä".encode())])
        answer.end()
    ((_, head),) = server.asked
    assert head.startswith(b"GET /app/a?b=%20 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert head.endswith("\r\nX: ä\r\n\r\n".encode())


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/a\x00"])
def test_no_target_ends_the_line_before_its_end(target: str) -> None:
    with pytest.raises(ValueError, match="blank or a control"):
        head_of("GET", target, [])
