"""The Postgres of a soak: it crashes and comes back, and forgets what it had not written out."""

import os
import signal
from pathlib import Path
from typing import Final

from cdc.postgres.server import embedded
from cdc.postgres.server.embedded import EmbeddedServer

SETTINGS: Final = {
    "fsync": "off",  # what is written is kept by the kernel: only the processes crash
    "max_connections": "60",
    "max_wal_size": "1GB",
    "wal_writer_delay": "2s",  # commits stay in memory, so that a crash loses the last ones
    "wal_writer_flush_after": "1GB",
}


class Server:
    """One server that can end at any moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: EmbeddedServer | None = None
        self.start()

    @property
    def dsn(self) -> str:
        """Where it is, running or not."""
        assert self._running is not None
        return self._running.dsn

    def start(self) -> None:
        """Start it, or start it again; returns when it takes connections."""
        self._running = embedded.start(self._folder, settings=SETTINGS)

    def crash(self) -> None:
        """An immediate shutdown."""
        assert self._running is not None
        os.kill(self._running.pid, signal.SIGQUIT)
        self._running.stop()

    def stop(self) -> None:
        """Shut down."""
        if self._running is not None:
            self._running.stop()
