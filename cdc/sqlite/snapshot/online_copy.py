"""Copying the application's file while the application writes to it, without delaying it for longer than allowed.

In WAL mode a copy inside one read transaction delays nobody. In the rollback-journal modes every reader holds up the
writer's commit, so there the copy shares blocks where the file system can, and otherwise must fit into the allowed
pause: estimated beforehand, and given up when it takes longer after all.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from cdc.errors import SnapshotError
from cdc.host import private_files
from cdc.host.durable import flush
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import journal_mode, locking, read_transaction

_CHUNK_BYTES: Final = 4 * 1024 * 1024  # between two looks at the clock and two calls of `progress`
_SAMPLE_BYTES: Final = 4 * 1024 * 1024  # read to learn how fast this disk is
_SMALL_RATE: Final = 40_000_000  # bytes a second, assumed for files too small to measure
_BEST_RATE: Final = 200_000_000  # bytes a second; a sample from the cache promises too much for the rest of the file
_SPARE_BYTES: Final = 16 * 1024 * 1024  # left free on the disk

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    pass


def estimate_pause_seconds(source: Path) -> float:
    """How long a copy would hold up the application's commits: 0.0 in WAL mode, else from a sample of this disk."""
    with closing(open_source(source)) as connection, translated(f"SQLite file {source}"), locking(connection):
        return 0.0 if journal_mode(connection) == "wal" else _estimate(connection)


class OnlineCopy:
    """One copy on its way from the application's file to a file of ours."""

    def __init__(self, source: Path, to: Path, max_pause_seconds: float, progress: Progress | None) -> None:
        self._source = source
        self._to = to
        self._max_pause = max_pause_seconds
        self._progress = progress or _silent

    def make(self) -> tuple[str, str]:
        """Copy consistently; returns the source's journal mode and the method used."""
        what = f"snapshot of SQLite file {self._source}"
        with closing(open_source(self._source)) as connection, translated(what), locking(connection):
            require_space(self._to.parent, _size(connection))
            mode = journal_mode(connection)
            method = self._copy(connection, mode)
        with closing(apsw.Connection(str(self._to))) as copy, translated(f"copy {self._to}"):
            # The copy of a file in WAL mode says in its header that it is one, too. In exclusive mode SQLite makes no
            # -shm beside it (https://www.sqlite.org/wal.html, "Use of WAL Without Shared-Memory").
            copy.pragma("locking_mode", "exclusive")
            copy.pragma("journal_mode", "delete")
        flush(self._to)
        return mode, method

    def _copy(self, connection: apsw.Connection, mode: str) -> str:
        if mode == "wal":
            self._backup(connection, None)
            return "backup in one read transaction"
        if self._reflink(connection):
            return "reflink"
        expected = _estimate(connection)
        if expected > self._max_pause:
            raise self._too_long(f"would hold up its writer for about {expected:.1f} seconds")
        self._backup(connection, self._max_pause)
        return "backup while the writer waits"

    def _reflink(self, connection: apsw.Connection) -> bool:
        """Share the file's blocks, where the file system can; our read lock keeps the file at rest meanwhile.

        Another process opens the file: if we did, closing it would drop the locks SQLite holds on it for us.
        """
        with _pinned(connection), suppress(OSError, subprocess.TimeoutExpired):
            private_files.touch(self._to)
            command = ["cp", "--reflink=always", "--", str(self._source.resolve()), str(self._to)]
            done = subprocess.run(command, capture_output=True, check=False, timeout=self._max_pause)
            if done.returncode == 0:
                return True
        self._to.unlink(missing_ok=True)
        return False

    def _backup(self, connection: apsw.Connection, max_seconds: float | None) -> None:
        # Without the transaction around it, every commit of the application would start the backup over.
        with own_files(self._to):
            private_files.touch(self._to)
        with own_files(self._to), closing(apsw.Connection(str(self._to))) as copy, _pinned(connection):
            # A copy that is cut short is thrown away, and a whole one is made durable at the end: it needs neither.
            copy.pragma("journal_mode", "off")
            copy.pragma("synchronous", "off")
            page = int(connection.pragma("page_size"))
            started = time.monotonic()
            with copy.backup("main", connection, "main") as backup:
                while not backup.done:
                    if max_seconds is not None and time.monotonic() - started > max_seconds:
                        raise self._too_long("was given up because it held up its writer for longer than estimated")
                    backup.step(max(1, _CHUNK_BYTES // page))
                    self._progress((backup.page_count - backup.remaining) * page, backup.page_count * page)

    def _too_long(self, what: str) -> SnapshotError:
        return SnapshotError(
            f"the snapshot of {self._source} {what}; {self._max_pause:g} seconds are allowed "
            "(in its rollback-journal mode a reader holds up every commit)",
            remedy="raise `max_writer_pause_seconds` in [snapshot] for a quiet hour, stop the application for the "
            "copy, or switch it to WAL (`PRAGMA journal_mode=WAL`), where a copy delays nobody",
        )


@contextmanager
def _pinned(connection: apsw.Connection) -> Iterator[None]:
    with read_transaction(connection):
        # A transaction takes its lock, or its snapshot, with the first read.
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        yield


def _size(connection: apsw.Connection) -> int:
    return int(connection.pragma("page_count")) * int(connection.pragma("page_size"))


def _estimate(connection: apsw.Connection) -> float:
    total = _size(connection)
    if total <= _SAMPLE_BYTES:
        return total / _SMALL_RATE
    page = int(connection.pragma("page_size"))
    with closing(apsw.Connection(":memory:")) as memory:
        memory.pragma("page_size", page)
        started = time.monotonic()
        with memory.backup("main", connection, "main") as backup:
            backup.step(_SAMPLE_BYTES // page)
        elapsed = time.monotonic() - started
    return total / min(_BEST_RATE, _SAMPLE_BYTES / max(elapsed, 1e-6))


def require_space(folder: Path, needed: int) -> None:
    """Raises `SnapshotError` when a copy of so many bytes would leave the disk of `folder` (nearly) full."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise SnapshotError(
            f"{folder} has {free // 2**20} MiB free, the copy needs {(needed + _SPARE_BYTES) // 2**20 + 1} MiB",
            remedy="free disk space there, or set `dir` in [state] to a larger disk",
        )


@contextmanager
def own_files(where: Path) -> Iterator[None]:
    """Turns trouble with our own files into `SnapshotError`."""
    try:
        yield
    except apsw.FullError:
        raise SnapshotError(f"the disk of {where} is full", remedy="free disk space there") from None
    except OSError as error:
        raise SnapshotError(
            f"{where} cannot be used: {error}", remedy="check that the disk has space and we may write there"
        ) from error
