"""An application that answers at once: each request of GET with the same kilobyte of JSON, over connections that stay.

It costs next to nothing, so that what is measured is what stands before it.

python -m benchmarks.answering PORT
"""

import asyncio
import sys
from typing import cast

import uvloop

BODY = b'{"items": [' + b", ".join(b'{"id": %d, "title": "item %d"}' % (n, n) for n in range(30)) + b"]}"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
_END_OF_HEAD = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection; requests have no body."""

    def __init__(self) -> None:
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._asked = (self._asked + data).split(_END_OF_HEAD)
        self._transport.write((_HEAD + BODY) * len(heads))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
