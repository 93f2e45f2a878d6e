"""Keeps an application from running away from a slow daemon: a file tells it what was seen in Postgres."""

import time
from pathlib import Path

LONGEST_WAIT_SECONDS = 1.0  # then it goes on all the same: the daemon may be stopped or dead on purpose


class Pace:
    """The application's side and the reader's side of one file."""

    def __init__(self, file: Path, far_ahead: int = 60) -> None:
        self._file = file
        self._far_ahead = far_ahead

    def show(self, seen: int) -> None:
        """Tell what was seen in Postgres."""
        partial = Path(f"{self._file}.partial")
        partial.write_text(str(seen))
        partial.replace(self._file)

    def wait(self, committed: int) -> None:
        """Wait, for a moment at most, while what is committed is far ahead of what was seen."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < until and committed > self._seen() + self._far_ahead:
            time.sleep(0.002)

    def _seen(self) -> int:
        return int(self._file.read_text())
