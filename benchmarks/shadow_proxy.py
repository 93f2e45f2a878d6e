"""The proxy before the application: what it adds to an answer, and how many questions a second it puts to both sides.

The application is one that answers at once, in a process for each side, so all time is the proxy's and the client's.
The yardstick of latency is the same client at the application itself, in turns. What is counted as mirrored was
answered by both sides, at one position of both databases, and compared; what was dropped is told beside it. It is
measured at a pace, as users have one: those who ask without a pause take whatever the proxy has, for they come before
comparisons, and that is the other figure.
"""

import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import uvloop

from benchmarks import report, writing
from benchmarks.answering import BODY
from benchmarks.figures import Figure
from benchmarks.process import Process
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig

READY_SECONDS = 30
DRAIN_SECONDS = 30
MOST_ADDED_MS = {"p50": 0.5, "p99": 1.5}
PERCENTS = {"p50": 0.5, "p99": 0.99}
PACE = 5_500  # requests a second of all clients together
LEAST_MIRRORED = 5_000
REQUEST = b"GET /api/items HTTP/1.1\r\nHost: app\r\nAccept: application/json\r\n\r\n"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    requests: int = 1_000  # in a round, one after the other
    clients: int = 32  # at a time
    seconds: int = 8  # for which they ask


class Client:
    """One connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self) -> None:
        """One request; fails when the answer is another one than the application's."""
        self._writer.write(REQUEST)
        await self._reader.readuntil(b"\r\n\r\n")
        if await self._reader.readexactly(len(BODY)) != BODY:
            raise SystemExit("an answer is not the application's")

    async def times(self, requests: int) -> list[float]:
        """Milliseconds that each of them took."""
        taken = []
        for _ in range(requests):
            began = time.perf_counter()
            await self.ask()
            taken.append((time.perf_counter() - began) * 1000)
        return taken

    async def until(self, end: float, pace: float | None) -> int:
        """How many were answered until that moment, so many a second or without a pause."""
        answered, began = 0, time.perf_counter()
        while (now := time.perf_counter()) < end:
            if pace is not None and (early := began + answered / pace - now) > 0:
                await asyncio.sleep(early)
            await self.ask()
            answered += 1
        return answered

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class Ports:
    """Where the sides and the proxy listen."""

    baseline: int
    candidate: int
    proxy: int


async def added(ports: Ports, size: Size) -> list[Figure]:
    """What the proxy adds for one client, in turns with the application itself."""
    direct, proxied = await Client.to(ports.baseline), await Client.to(ports.proxy)
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    for _ in range(size.rounds + 1):
        ours.append(sorted(await proxied.times(size.requests)))
        theirs.append(sorted(await direct.times(size.requests)))
    direct.close()
    proxied.close()
    figures = []
    for name, part in PERCENTS.items():
        # The first round warms up.
        through, bare = (statistics.median(turn[int(size.requests * part)] for turn in t[1:]) for t in (ours, theirs))
        figures.append(
            Figure(
                id=f"shadow_proxy.added.{name}",
                what=f"shadow proxy, one client: {name} added",
                value=through - bare,
                unit="ms",
                most=MOST_ADDED_MS[name],
                beside=bare,
                note=f"{through:.2f} ms through it",
            )
        )
    return figures


@dataclass(frozen=True)
class Load:
    """What many clients got in some seconds, and what the proxy did meanwhile."""

    answered: int
    compared: int
    dropped: int
    seconds: float
    busy: float  # seconds of processor time of the proxy

    @property
    def note(self) -> str:
        """What was left out."""
        share = 100 * self.busy / self.seconds
        return f"{self.dropped:,} of {self.answered:,} were dropped; the proxy had {share:.0f} % of a core"


async def loaded(here: Rig, ports: Ports, proxy: Process, size: Size, pace: int | None) -> Load:
    """Have many clients ask, so many times a second together or without a pause."""
    clients = [await Client.to(ports.proxy) for _ in range(size.clients)]
    before, busy = await status(here), proxy.cpu_seconds()
    began = time.perf_counter()
    each = None if pace is None else pace / size.clients
    answered = sum(await asyncio.gather(*[client.until(began + size.seconds, each) for client in clients]))
    took = time.perf_counter() - began
    busy = proxy.cpu_seconds() - busy
    for client in clients:
        client.close()
    after = await drained(here)
    compared = after["verdicts"].get("equal", 0) - before["verdicts"].get("equal", 0)
    dropped = sum(after["not_compared"].values()) - sum(before["not_compared"].values())
    return Load(answered, compared, dropped, took, busy)


async def mirrored(here: Rig, ports: Ports, proxy: Process, size: Size) -> list[Figure]:
    """Requests a second that many clients get answered, and how many of them were compared."""
    paced = await loaded(here, ports, proxy, size, PACE)
    eager = await loaded(here, ports, proxy, size, None)
    what = f"shadow proxy, {size.clients} clients"
    at_pace = f"{what}, {PACE:,} requests a second"
    cost = 1_000_000 * paced.busy / paced.answered
    return [
        Figure(
            id="shadow_proxy.mirrored",
            what=f"{at_pace}: answered by both sides and compared",
            value=paced.compared / paced.seconds,
            unit="a second",
            least=LEAST_MIRRORED,
            note=paced.note,
        ),
        Figure(id="shadow_proxy.cost", what=f"{at_pace}: processor time of the proxy", value=cost, unit="us a request"),
        Figure(
            id="shadow_proxy.answered",
            what=f"{what} without a pause: answered",
            value=eager.answered / eager.seconds,
            unit="a second",
            note=eager.note,
        ),
    ]


async def status(here: Rig) -> dict[str, Any]:
    """What the proxy says of itself."""
    reader, writer = await asyncio.open_unix_connection(str(here.folder / "state" / "proxy.sock"))
    writer.write(b"status\n")
    told: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return told


async def drained(here: Rig) -> dict[str, Any]:
    """The same once no pair waits any more."""
    end = time.perf_counter() + DRAIN_SECONDS
    while (told := await status(here))["pairs_waiting"]:
        if time.perf_counter() > end:
            raise SystemExit(f"pairs wait after {DRAIN_SECONDS} s")
        await asyncio.sleep(0.05)
    return told


# --- what is measured -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def application(port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.answering", str(port)])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.asynccontextmanager
async def proxied(here: Rig) -> AsyncIterator[tuple[Ports, Process]]:
    """Both sides and a proxy before them, each a process."""
    ports = Ports(*[free_port() for _ in range(3)])
    sides = [f"--{side}=http://127.0.0.1:{getattr(ports, side)}" for side in ("baseline", "candidate")]
    with application(ports.baseline), application(ports.candidate):
        for port in (ports.baseline, ports.candidate):
            await reached(port)
        with here.command("shadow", "proxy", *sides, f"--listen=127.0.0.1:{ports.proxy}") as proxy:
            await reached(ports.proxy, proxy)
            yield ports, proxy


async def reached(port: int, process: Process | None = None) -> None:
    """Wait until somebody answers there."""
    end = time.perf_counter() + READY_SECONDS
    while time.perf_counter() < end:
        if process is not None:
            process.check()
        with contextlib.suppress(OSError, EOFError):
            client = await Client.to(port)
            await client.ask()
            client.close()
            return
        await asyncio.sleep(0.05)
    raise SystemExit(f"nobody answers within {READY_SECONDS} s")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def measure(size: Size, here: Rig) -> list[Figure]:
    writing.create(here.database, "wal")
    await here.up()
    async with proxied(here) as (ports, proxy):
        tell("one client")
        figures = await added(ports, size)
        tell(f"{size.clients} clients")
        return [*figures, *await mirrored(here, ports, proxy, size)]


def run(size: Size) -> list[Figure]:
    with rig() as here:
        return uvloop.run(measure(size, here))


SIZES = Sizes(full=Size(), quick=Size(rounds=2, seconds=3))

if __name__ == "__main__":
    report.main(run, SIZES)
