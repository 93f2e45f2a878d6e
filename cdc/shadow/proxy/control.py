"""A socket in the state folder, for its owner alone: hold writes, release them, ask how it stands.

One command a line: `hold`, `release`, `release baseline`, `release candidate`, `status`. Each is answered with one JSON
object on a line.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cdc.errors import ConfigError
from cdc.host.private_files import FILE_MODE, make_folder
from cdc.shadow.proxy.switch import ActiveSide, Switch

SOCKET: Final = "proxy.sock"
_ANSWER_SECONDS: Final = 5.0
_COMMANDS: Final = ["hold", "release", *(f"release {side}" for side in ActiveSide), "status"]


class ProxyAway(Exception):
    """No proxy listens, or it does not answer; in words, and turned into others by who asked."""


def say_to_proxy(folder: Path, command: str) -> dict[str, Any]:
    """Give the proxy that listens in a folder a command; returns its answer. Raises `ProxyAway`."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ANSWER_SECONDS)
            client.connect(str(folder / SOCKET))
            client.sendall(f"{command}\n".encode())
            with client.makefile("rb") as answers:
                answer: Any = json.loads(answers.readline())
    except (FileNotFoundError, ConnectionRefusedError):
        raise ProxyAway("no proxy runs") from None
    except (OSError, ValueError) as error:
        raise ProxyAway(f"the proxy does not answer: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(answer, dict) or "error" in answer:
        raise ProxyAway("the proxy does not know the command")
    return answer


@asynccontextmanager
async def controlled(folder: Path, switch: Switch, status: Callable[[], dict[str, Any]]) -> AsyncIterator[None]:
    """Listen for the time of a block; `status` is what every command is answered with. Raises `ConfigError`."""
    path = folder / SOCKET

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A line without an end, or the end of the proxy, which is no error of this connection.
        with suppress(ConnectionError, ValueError, asyncio.CancelledError):
            while line := await reader.readline():
                answer = _carry_out(line.decode("utf-8", "replace").strip(), switch)
                writer.write(json.dumps(answer or status()).encode() + b"\n")
                await writer.drain()
        writer.close()

    try:
        if _listened_on(path):
            raise ConfigError(
                f"another proxy listens on the control socket {path}",
                remedy="end it, or give each proxy a configuration with a `dir` of its own in [state]",
            )
        bound = _bound(path)
    except OSError as error:
        raise ConfigError(
            f"the proxy's control socket {path} cannot be made: {error.strerror or error}",
            remedy="have `dir` in [state] name a folder with a short path that may be written to",
        ) from None
    server = await asyncio.start_unix_server(connected, sock=bound)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def _carry_out(command: str, switch: Switch) -> dict[str, Any] | None:
    """Do it; an answer only where there is something wrong."""
    match command.split():
        case ["hold"]:
            switch.hold()
        case ["release"]:
            switch.release()
        case ["release", ("baseline" | "candidate") as side]:
            switch.release(ActiveSide(side))
        case ["status"]:
            pass
        case _:
            return {"error": f"say one of {', '.join(_COMMANDS)}"}
    return None


def _bound(path: Path) -> socket.socket:
    """A socket that nobody but its owner can connect to, from its first moment on. Raises `OSError`."""
    make_folder(path.parent)
    path.unlink(missing_ok=True)  # of a process that was killed
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~FILE_MODE)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


def _listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True
