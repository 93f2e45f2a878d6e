"""A socket that passes everything on to a Postgres server and counts the bytes: what a network would have to carry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


@dataclass
class Counted:
    """Where the server can be reached, and what has passed so far in both directions."""

    dsn: str
    bytes: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one direction until it ends."""
        while data := await reader.read(1 << 16):
            self.bytes += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def counting(folder: Path, dsn: str) -> AsyncIterator[Counted]:
    """Listen in a folder for as long as the block runs, on behalf of a server with a socket."""
    server = parse_qs(urlsplit(dsn).query)
    name = f".s.PGSQL.{server['port'][0]}"
    counted = Counted(dsn.replace(quote(server["host"][0], safe=""), quote(str(folder), safe="")))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(f"{server['host'][0]}/{name}")
        await asyncio.gather(counted.carry(reader, back), counted.carry(there, writer))

    listening = await asyncio.start_unix_server(connected, str(folder / name))
    try:
        yield counted
    finally:
        listening.close()
