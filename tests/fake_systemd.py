"""What systemd is to a service: the socket it is told on, the watchdog, credentials, and what was heard in order."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from harness import DEADLINE_SECONDS, Daemon, wait_for


class Supervisor:
    """Listens where a service tells how it is. `abstract` chooses a socket without a file, as systemd may."""

    def __init__(self, folder: Path, *, watchdog_seconds: float | None = None, abstract: bool = False) -> None:
        self.watchdog_seconds = watchdog_seconds
        self._name = f"@cdc-test-{uuid.uuid4().hex}" if abstract else str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self._name[1:] if abstract else self._name)
        self._heard: list[tuple[float, str]] = []
        # Read at once, as systemd does: the kernel keeps only a few messages that nobody reads.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def environment(self) -> Mapping[str, str]:
        """What a service finds in its environment."""
        watchdog = {"WATCHDOG_USEC": str(int(self.watchdog_seconds * 1_000_000))} if self.watchdog_seconds else {}
        return {"NOTIFY_SOCKET": self._name, **watchdog}

    @property
    def heard(self) -> list[str]:
        """Every line that was told, in order."""
        return [line for _, line in self._heard]

    def count(self, line: str) -> int:
        """How often exactly this was told."""
        return self.heard.count(line)

    @property
    def statuses(self) -> list[str]:
        """The words for `systemctl status`."""
        return [line.removeprefix("STATUS=") for line in self.heard if line.startswith("STATUS=")]

    async def hears(self, wanted: str | Callable[[str], bool], times: int = 1, *, daemon: Daemon | None = None) -> None:
        """Wait until a line, or one that fits, was told so often in all."""
        fits = wanted if callable(wanted) else wanted.__eq__

        async def enough() -> bool:
            return sum(map(bool, map(fits, self.heard))) >= times

        what = "a line that fits" if callable(wanted) else wanted
        try:
            await wait_for(enough, f"{what} to be told {times} times", daemon=daemon)
        except AssertionError as error:
            raise AssertionError(f"{error}\nheard: {self.heard}") from None

    async def pings(self, more: int, *, daemon: Daemon) -> None:
        """Wait for so many signs of life from now on."""
        await self.hears("WATCHDOG=1", self.count("WATCHDOG=1") + more, daemon=daemon)

    async def misses_a_ping(self, *, daemon: Daemon) -> None:
        """Wait until the watchdog's interval went by without a sign of life, when systemd would end the service."""
        assert self.watchdog_seconds is not None
        interval = self.watchdog_seconds
        deadline = time.monotonic() + DEADLINE_SECONDS

        async def expired() -> bool:
            pings = self.count("WATCHDOG=1")
            assert time.monotonic() < deadline, f"{pings} signs of life from a daemon that hangs"
            return bool(pings) and time.monotonic() - self._told_at("WATCHDOG=1") > interval

        await wait_for(expired, "the watchdog to expire", daemon=daemon)

    def _read(self) -> None:
        while message := self._socket.recv(65536).decode():
            self._heard += [(time.monotonic(), line) for line in message.splitlines()]

    def _told_at(self, line: str) -> float:
        return max(at for at, told in self._heard if told == line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._reader.join()
        self._socket.close()
        if not self._name.startswith("@"):
            os.unlink(self._name)  # noqa: PTH108 (a socket, not a file of ours)
