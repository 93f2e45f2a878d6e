"""Waking the loop when the application writes. A wake-up is only a hint: the timer alone is enough for correctness.

Only *modified* events of the main file, its -wal and its -journal count: opening and closing connections makes events
of its own, and a loop that reacted to those would wake itself for ever.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from loguru import logger
from watchdog.events import FileModifiedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

JOIN_SECONDS: Final = 1.0  # a thread of the library's that hangs must not keep the daemon from its end

# While it stops, the library complains of events that it drops; nobody waits for those any more.
logging.getLogger("watchdog").setLevel(logging.CRITICAL)

FileFacts = tuple[tuple[int, int, int], ...]


class Watch:
    """Watches one SQLite file. Needs no connection to it."""

    def __init__(self, path: Path) -> None:
        self._given = path  # a link may lead to another file at any time
        path = path.resolve()  # SQLite keeps -wal and -journal beside the file itself, not beside a link to it
        self._names = (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-journal"))
        self._woken = asyncio.Event()
        self._observer: BaseObserver | None = None
        self._facts: FileFacts = ()
        self._seen = False

    def start(self) -> None:
        """Begin to watch; call from the event loop that will wait. Without file events the timer does."""
        handler = _FileEvents({os.fspath(name) for name in self._names}, asyncio.get_running_loop(), self._woken)
        try:
            # Already making one takes an inotify instance, of which a user may have few.
            self._observer = Observer()
            self._observer.schedule(handler, os.fspath(self._names[0].parent), event_filter=[FileModifiedEvent])
            self._observer.start()
        except OSError as error:
            logger.bind(reason=str(error)).warning("no file events here; looking by timer alone")

    def close(self) -> None:
        """Stop watching."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(JOIN_SECONDS)

    def wake(self) -> None:
        """Wake the loop for another reason than the file, such as a request to stop."""
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for an event, at most so long; True when there was one."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        self._seen = True
        return True

    def changed(self) -> bool:
        """Whether an event came, or size or time stamp of any of the files changed, since the last call."""
        before, self._facts = self._facts, tuple(_facts(name) for name in (self._given, *self._names))
        seen, self._seen = self._seen, False
        return seen or before != self._facts


def _facts(name: Path) -> tuple[int, int, int]:
    try:
        facts = os.stat(name)  # noqa: PTH116 (called with every tick)
    except FileNotFoundError:
        return (0, 0, 0)
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)


class _FileEvents(FileSystemEventHandler):
    """Runs in watchdog's thread and passes modified events on to the event loop."""

    def __init__(self, names: set[str], loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
        self._names = names
        self._loop = loop
        self._woken = woken

    def on_modified(self, event: FileSystemEvent) -> None:
        # Where it is set already, the loop has yet to look at the file, and sees this write then.
        if event.src_path in self._names and not self._woken.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)
