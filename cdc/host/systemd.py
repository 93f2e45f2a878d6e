"""What systemd and a service tell each other: readiness, status, signs of life, credentials; see sd_notify(3).

Where systemd did not start this process, telling does nothing and asking answers None.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_MICROSECONDS: Final = 1_000_000
_LONGEST_STATUS: Final = 300  # characters; it is read in one line of `systemctl status`
_SEND_SECONDS: Final = 1.0  # for a manager that does not read; a full queue must not hold the daemon up


class Manager:
    """The service manager that started this process, if one did."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._status = ""
        self.watchdog_seconds = _watchdog_seconds(environment) if self._address else None

    @property
    def listens(self) -> bool:
        """Whether systemd started this process, and reads what is told here."""
        return bool(self._address)

    def ready(self) -> None:
        """The service does what it is there for; also that a reload is over, whatever came of it."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` must follow."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service begins to end."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The service got something done since it said so last."""
        self._tell("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Starting or stopping goes on, and will say so again within this time."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def status(self, words: str) -> None:
        """What `systemctl status` shows; told again only when it changed."""
        line = " ".join(words.split())[:_LONGEST_STATUS]
        if line != self._status and self._tell(f"STATUS={line}"):
            self._status = line

    def _tell(self, *lines: str) -> bool:
        """Send lines to the manager; returns whether they arrived."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(_SEND_SECONDS)
            channel.connect(address)
            channel.send("\n".join(lines).encode())
            return True
        return False


def credential(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that `LoadCredential=NAME:...` of the unit gave, readable or not; None when it gave none."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    file = Path(folder) / name
    try:
        file.lstat()
    except FileNotFoundError:
        return None
    except OSError:
        pass  # it is for the reader to say what is wrong
    return file


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """How often a sign of life is expected, None when none is, or when it is expected of another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environment["WATCHDOG_USEC"]) / _MICROSECONDS or None
    except (KeyError, ValueError):
        return None
