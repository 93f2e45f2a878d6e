"""An application in two instances, one on SQLite and one on Postgres, whose second one can be made to misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import apsw
import asyncpg
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

COUNTER = "CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counter VALUES (1, 0)"
CHUNKS = [b"one", b"two" * 10_000, b"three"]

Read = Callable[[], Awaitable[int]]


@dataclass
class Instance:
    """One instance: what it was asked, and a way in which its reads go wrong when one is set."""

    read: Read
    write: Callable[[], int] | None = None
    fault: str = ""
    offset: int = 0  # what its counter shows too much
    asked: list[web.BaseRequest] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    runner: web.ServerRunner | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, or do what the fault says."""
        self.asked.append(request)
        if self.fault:
            return await FAULTS[self.fault](self, request)
        answer = ROUTES.get(request.path, _page)
        return await answer(self, request)

    async def stop(self) -> None:
        """End it as a kill would: every connection breaks."""
        if self.runner is not None:
            runner, self.runner = self.runner, None
            for protocol in runner.server.connections if runner.server else ():
                if protocol.transport is not None:
                    protocol.transport.abort()
            await runner.cleanup()


# --- what it answers --------------------------------------------------------------------------------------------------


async def _page(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    headers = CIMultiDict([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Path", request.raw_path)])
    return web.Response(body=request.raw_path.encode(), headers=headers)


async def _count(instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "POST":
        assert instance.write is not None
        return web.json_response({"n": instance.write()})
    return web.json_response({"n": await instance.read() + instance.offset})


async def _drawn(instance: Instance, _request: web.BaseRequest) -> web.StreamResponse:
    """Something else at each question, beside what stays; each side names itself in the address."""
    drawn = len(instance.asked) * 2 + (instance.write is None)
    answer = {"drawn": drawn, "n": await instance.read() + instance.offset}
    return web.json_response(answer, headers={"Location": f"{instance.url}/page{instance.offset}"})


async def _side(instance: Instance, _request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(headers={"X-Served-By": "baseline" if instance.write else "candidate"})


async def _echo(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    body = await request.content.read()
    headers = [[key.decode(), value.decode()] for key, value in request.raw_headers]
    return web.json_response({"method": request.method, "headers": headers, "body": body.decode("latin-1")})


async def _unchanged(_instance: Instance, _request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=304, headers={"ETag": '"a"'})


async def _chunks(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in CHUNKS:
        await response.write(chunk)
    return response


async def _events(instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    """A first event at once, the second when it is released."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await instance.released.wait()
    await response.write(b"data: second\n\n")
    return response


async def _socket(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=["echo"])
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def _wait(instance: Instance, _request: web.BaseRequest) -> web.StreamResponse:
    await instance.released.wait()
    return web.Response(text="released")


# --- what a candidate may do ------------------------------------------------------------------------------------------


async def _drip(instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        while not instance.released.is_set():
            await response.write(b".")
            await asyncio.sleep(0.01)
    return response


async def _large(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(1_600):
            await response.write(b"x" * 65_536)
    return response


async def _cut(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"not all of it")
    assert request.transport is not None
    request.transport.close()
    return response


async def _garbage(_instance: Instance, request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"\x00\xff\xfe no HTTP at all\r\n\r\n" * 100)
    request.transport.close()
    return web.Response()


async def _claims_gzip(_instance: Instance, _request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"})


async def _error(_instance: Instance, _request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=500, text="broken")


Answer = Callable[[Instance, web.BaseRequest], Awaitable[web.StreamResponse]]

ROUTES: dict[str, Answer] = {
    "/count": _count,
    "/drawn": _drawn,
    "/side": _side,
    "/echo": _echo,
    "/unchanged": _unchanged,
    "/chunks": _chunks,
    "/events": _events,
    "/socket": _socket,
    "/broken": _cut,
    "/wait": _wait,
}

FAULTS: dict[str, Answer] = {
    "hangs": _wait,
    "drips": _drip,
    "answers 100 MB": _large,
    "closes within the body": _cut,
    "sends garbage": _garbage,
    "claims another encoding": _claims_gzip,
    "fails": _error,
}


@asynccontextmanager
async def served(instance: Instance) -> AsyncIterator[Instance]:
    """The instance on a port of its own, for the time of a block."""
    server = web.Server(instance.handle, handler_cancellation=True, auto_decompress=False, access_log=None)
    instance.runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await instance.runner.setup()
    await web.TCPSite(instance.runner, "127.0.0.1", 0).start()
    instance.url = f"http://127.0.0.1:{instance.runner.addresses[0][1]}"
    try:
        yield instance
    finally:
        instance.released.set()
        await instance.stop()


@asynccontextmanager
async def both_sides(app: apsw.Connection, dsn: str) -> AsyncIterator[tuple[Instance, Instance]]:
    """The baseline on the file of `app`, and the candidate on Postgres."""
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=8)

    async def ours() -> int:
        return int(app.execute("SELECT n FROM counter").get)

    def write() -> int:
        return int(app.execute("UPDATE counter SET n = n + 1 RETURNING n").get)

    async def theirs() -> int:
        return int(await pool.fetchval("SELECT n FROM counter"))

    try:
        async with served(Instance(ours, write)) as baseline, served(Instance(theirs)) as candidate:
            yield baseline, candidate
    finally:
        await pool.close()
