"""What a running daemon shows of itself in the state folder, so that others know of it while Postgres is away.

The daemon holds a lock on a small file for as long as it runs; the kernel drops it with the process. Nothing depends on
the file: a daemon that cannot write it runs without.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cdc.config import Config
from cdc.host.private_files import make_folder, opener
from cdc.observe.daemon_state import DaemonState, Listener

FILE: Final = "daemon.json"
_ATTEMPTS: Final = 50  # to get the lock, which others hold only for as long as it takes to look
_BETWEEN_SECONDS: Final = 0.01
_TOUCH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Presence:
    """A daemon that runs on this machine: its process, what it is doing and since when (ISO 8601).

    `error` is why the last attempt failed and `attempts` how many failed in a row, None and 0 while all is well.
    `silent_seconds` is how long ago its process last ran.
    """

    pid: int
    source: str
    doing: str
    since: str
    error: str | None
    attempts: int
    silent_seconds: float = 0.0


@contextmanager
def shown(config: Config, daemon_state: DaemonState) -> Iterator[None]:
    """Show the daemon for the time of a block."""
    file = config.state.dir / FILE
    handle = _claimed(file)
    if handle is None:
        yield
        return
    showing = _Showing(handle, str(config.source.path))
    daemon_state.listeners = (*daemon_state.listeners, showing)
    showing.turned(daemon_state)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


def look(config: Config) -> Presence | None:
    """The daemon of this source as it shows itself on this machine; None when none does, or it may not be seen."""
    try:
        with (config.state.dir / FILE).open("rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None  # left by a daemon that was killed
            age = time.time() - os.fstat(file.fileno()).st_mtime
            found = replace(Presence(**json.load(file)), silent_seconds=max(0.0, age))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.source == str(config.source.path) else None


class _Showing(Listener):
    """Writes what the daemon does into the file, when it turns to something else."""

    def __init__(self, handle: int, source: str) -> None:
        self._handle = handle
        self._source = source
        self._doing = ""
        self._since = ""
        self._touched_at = time.monotonic()

    def lives(self) -> None:
        """Touch the file now and then: who is stopped or hangs does not."""
        now = time.monotonic()
        if now - self._touched_at >= _TOUCH_SECONDS:
            self._touched_at = now
            with suppress(OSError):
                os.utime(self._handle)

    def turned(self, daemon_state: DaemonState) -> None:
        """The daemon does something else now, or an attempt failed."""
        if daemon_state.doing.value != self._doing:
            self._doing, self._since = daemon_state.doing.value, datetime.now(UTC).isoformat(timespec="seconds")
        told = Presence(
            os.getpid(), self._source, self._doing, self._since, daemon_state.last_error, daemon_state.attempts
        )
        line = json.dumps(asdict(told)).encode() + b"\n"
        with suppress(OSError):  # a full disk is no reason to end
            os.pwrite(self._handle, line, 0)
            os.ftruncate(self._handle, len(line))


def _claimed(file: Path) -> int | None:
    """The file, made where it is missing, and locked; None when another daemon has it or the folder refuses it."""
    for _ in range(_ATTEMPTS):
        try:
            make_folder(file.parent)
            handle = opener(str(file), os.O_RDWR | os.O_CREAT)
        except OSError:
            return None
        if _lock(handle, fcntl.LOCK_EX) and _still_named(file, handle):
            return handle
        os.close(handle)
        time.sleep(_BETWEEN_SECONDS)
    return None


def _lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _still_named(file: Path, handle: int) -> bool:
    """Whether the file was not removed by a daemon that ended while this one waited for it."""
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except OSError:
        return False
