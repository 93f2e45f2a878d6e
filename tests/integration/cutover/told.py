"""An application that is told where to read and write: its files, and a small server of real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cdc.config import Config, SourceSection, StateSection, TargetSection, decode_config
from cdc.facts.side import Side

CLOSED = "postgresql://nobody@127.0.0.1:1/app"


def told(folder: Path, flags: Sequence[dict[str, Any]], checks: Sequence[dict[str, Any]] = ()) -> Config:
    """A configuration in a folder with these flags and checks."""
    raw = {"source": {"path": "app.db"}, "target": {"dsn": CLOSED}}
    config = decode_config({**raw, "cutover": {"flags": list(flags), "checks": list(checks)}})
    source, state = SourceSection(folder / "app.db"), StateSection(folder / "state")
    return replace(config, source=source, target=TargetSection(CLOSED), state=state)


def env(path: Path, switch: str = "reads") -> dict[str, Any]:
    """A variable that says which side."""
    return {"kind": "env", "path": str(path), "switch": switch} | {s.value: {"READ_FROM": s.value} for s in Side}


def shell(script: str, switch: str = "both", **keys: Any) -> dict[str, Any]:
    """A script that gets the side as its first argument."""
    return {"kind": "command", "switch": switch, **keys} | {s.value: ["sh", "-c", script, "sh", s.value] for s in Side}


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Server:
    """What it was asked, and what it answers: 200 and nothing, where a test says nothing else."""

    url: str = ""
    asked: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)
    answer: Callable[[str, str, bytes], Answer] = lambda _method, _path, _body: (200, {}, b"")

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body, _ in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a port of its own for the time of a block."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked.append((self.command, self.path, body, dict(self.headers)))
            status, headers, answer = server.answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{listening.server_port}"
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def in_json(**members: Any) -> Answer:
    """An answer of 200."""
    return 200, {"Content-Type": "application/json"}, json.dumps(members).encode()
