"""Something between a client and Postgres: a relay that can swallow what it is given, and a pooler of transactions."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_LARGE_BYTES = 16_384

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Hands bytes on between TCP clients and a server. What is muted keeps its sockets, and acknowledges what comes.

    `seconds_per_chunk` is how long it takes for what a large message is handed on in, at most 64 KiB at a time.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.callers = 0
        self.seconds_per_chunk = 0.0

    def mute(self) -> None:
        """Every connection of now passes nothing on any more; new ones do."""
        self._muted |= self._open

    def hold(self) -> set[asyncio.StreamWriter]:
        """The connections of now."""
        return set(self._open)

    async def caller(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.callers += 1
        server_reader, server = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, server}
        await asyncio.gather(self._pump(reader, server), self._pump(server_reader, writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if len(data) >= _LARGE_BYTES:
                    await asyncio.sleep(self.seconds_per_chunk)
                if writer not in self._muted:
                    writer.write(data)
                    await writer.drain()
            if writer not in self._muted:
                writer.close()


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """A relay to a port of this machine, for the time of the block."""
    made = Relay(port)
    server = await asyncio.start_server(made.caller, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.hold():
            writer.transport.abort()


class Pooler:
    """Shares its connections to the server among clients, one transaction at a time, as poolers do in that mode."""

    def __init__(self, socket: str, user: str, database: str) -> None:
        self._socket = socket
        self._startup = _startup(user, database)
        self._idle: list[Stream] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._told = b""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client: it is let in by the pooler itself."""
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while (await _startup_packet(reader))[:4] in (struct.pack("!I", 80877103), struct.pack("!I", 80877104)):
                writer.write(b"N")
            parameters = await self._parameters()
            writer.write(_message(b"R", struct.pack("!I", 0)) + parameters)
            writer.write(_message(b"K", struct.pack("!II", 1, 1)) + _message(b"Z", b"I"))
            asked: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
            reading = asyncio.create_task(_queue(reader, asked))
            try:
                while (first := await asked.get())[0] != b"X":
                    await self._transaction(asked, writer, first)
            finally:
                reading.cancel()

    async def _transaction(
        self, asked: "asyncio.Queue[tuple[bytes, bytes]]", writer: asyncio.StreamWriter, first: tuple[bytes, bytes]
    ) -> None:
        server_reader, server = self._idle.pop() if self._idle else (await self._connect())[0]
        server.write(_message(*first))
        answers = asyncio.create_task(_answers(server_reader, writer))
        while not answers.done():
            more = asyncio.create_task(asked.get())
            await asyncio.wait({answers, more}, return_when=asyncio.FIRST_COMPLETED)
            if more.done():
                server.write(_message(*more.result()))
            else:
                more.cancel()
        answers.result()
        self._idle.append((server_reader, server))

    async def _parameters(self) -> bytes:
        if not self._told:
            stream, self._told = await self._connect()
            self._idle.append(stream)
        return self._told

    async def _connect(self) -> tuple[Stream, bytes]:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        self._writers.append(writer)
        writer.write(self._startup)
        parameters = b""
        while (found := await _read(reader))[0] != b"Z":
            if found[0] == b"S":
                parameters += _message(*found)
        return (reader, writer), parameters

    def close(self) -> None:
        """Let go of everybody."""
        for writer in self._writers:
            writer.transport.abort()


async def _queue(reader: asyncio.StreamReader, into: "asyncio.Queue[tuple[bytes, bytes]]") -> None:
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            into.put_nowait(await _read(reader))
    into.put_nowait((b"X", b""))


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        kind, body = await _read(reader)
        writer.write(_message(kind, body))
        if kind == b"Z" and body == b"I":
            return


async def _startup_packet(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack("!I", await reader.readexactly(4))
    return await reader.readexactly(size - 4)


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    (size,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(size - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _startup(user: str, database: str) -> bytes:
    body = struct.pack("!I", 196608) + f"user\0{user}\0database\0{database}\0\0".encode()
    return struct.pack("!I", len(body) + 4) + body


@asynccontextmanager
async def pooler(socket: str, user: str, database: str) -> AsyncIterator[Pooler]:
    """A pooler in transaction mode for the time of the block."""
    made = Pooler(socket, user, database)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.close()
