"""`/metrics` for Prometheus and `/healthz` for whoever restarts or alerts, served while a daemon or a proxy runs.

The server has threads of its own, because its point is to answer while the loop of the process is stuck.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from loguru import logger
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from cdc.config import Config
from cdc.config.address import host_and_port
from cdc.errors import ConfigError
from cdc.observe.collector import Gauges
from cdc.observe.counters import Tally
from cdc.observe.daemon_state import DaemonState
from cdc.observe.health import judge

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SLOWEST_CLIENT_SECONDS: Final = 5.0  # who sends no request for so long is hung up on
_UNTIL_WOKEN: Final = 3600.0

WELCOME: Final = "cdc: /metrics is for Prometheus, /healthz answers 200 while all is well and 503 with a reason else\n"


@contextmanager
def served(config: Config, daemon_state: DaemonState) -> Iterator[str | None]:
    """Serve both pages for the time of a block, and yield their address; does nothing when `listen` is not set.

    Raises `ConfigError` when the address cannot be listened on.
    """
    if config.metrics.listen is None:
        yield None
        return
    registry = CollectorRegistry()
    daemon_state.listeners = (*daemon_state.listeners, Tally(registry))
    gauges = Gauges(config, daemon_state)
    registry.register(gauges)

    def health() -> dict[str, Any]:
        return judge(daemon_state, gauges.source(), config.metrics.max_lag_seconds).to_json()

    with pages_served(config.metrics.listen, registry, health) as address:
        yield address


@contextmanager
def pages_served(listen: str, registry: CollectorRegistry, health: Callable[[], dict[str, Any]]) -> Iterator[str]:
    """Serve a registry, and what `health` says, which has a member `healthy`; raises `ConfigError`."""
    ProcessCollector(registry=registry)
    with _listening(listen) as server:
        server.set_app(_pages(make_wsgi_app(registry, disable_compression=True), _health(health)))
        with _running(server):
            logger.bind(address=server.address).info("metrics are served")
            yield server.address


def _health(health: Callable[[], dict[str, Any]]) -> "WSGIApplication":
    def answer(_environment: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        found = health()
        status = HTTPStatus.OK if found["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(start, status, "application/json", json.dumps(found, ensure_ascii=False) + "\n")

    return answer


def _pages(metrics: "WSGIApplication", health: "WSGIApplication") -> "WSGIApplication":
    def answer(environment: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(start, HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", "only GET is answered\n")
        match environment["PATH_INFO"]:
            case "/metrics":
                return metrics(environment, start)
            case "/healthz":
                return health(environment, start)
            case "/" | "":
                return _answer(start, HTTPStatus.OK, "text/plain", WELCOME)
            case _:
                return _answer(start, HTTPStatus.NOT_FOUND, "text/plain", "there is only /metrics and /healthz\n")

    return answer


def _answer(start: "StartResponse", status: HTTPStatus, kind: str, text: str) -> list[bytes]:
    body = text.encode()
    headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(f"{status.value} {status.phrase}", [*headers, ("Cache-Control", "no-store")])
    return [body]


# --- the server -------------------------------------------------------------------------------------------------------


class _Requests(WSGIRequestHandler):
    timeout = SLOWEST_CLIENT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
        """Nobody wants a line in the log for every scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # an answer under way does not hold up the end of the daemon
    allow_reuse_port = False  # newer Pythons would share a port that is in use

    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Requests)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)
        # The base class would ask for the name of the address, which can take seconds and is of no use.
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is nobody's trouble."""

    @property
    def address(self) -> str:
        """Where it listens, with the port that was chosen when none was given."""
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}"


@contextmanager
def _listening(listen: str) -> Iterator[_Server]:
    try:
        server = _Server(host_and_port(listen))
    except OSError as error:
        raise ConfigError(
            f"metrics cannot be served at {listen}: {error.strerror or error}",
            remedy="choose another port, or find out which program listens there with `ss -ltnp`",
        ) from None
    try:
        yield server
    finally:
        server.server_close()


@contextmanager
def _running(server: _Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(_UNTIL_WOKEN,), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        # It sleeps until somebody asks, instead of looking up several times a second. This wakes it.
        server.socket.shutdown(socket.SHUT_RDWR)
        server.shutdown()
        thread.join()
