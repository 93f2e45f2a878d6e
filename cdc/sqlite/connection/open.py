"""Connections to the application's file: opened carefully, closed without a trace, their errors told in our words.

A live database file is never opened with `open()`: closing any descriptor of it would drop SQLite's own locks.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from cdc.errors import SourceUnavailable
from cdc.sqlite.connection.deadline import SNAPSHOT_SECONDS
from cdc.sqlite.connection.errors import no_database, no_tables, translated
from cdc.sqlite.connection.file import refuse_network_filesystem, require_file, unreachable
from cdc.sqlite.connection.functions import add_helpers
from cdc.sqlite.connection.transactions import LiveConnection, journal_mode, locking

_HEADER: Final = b"SQLite format 3\0"
_ASK_AGAIN_SECONDS: Final = 0.0015
_STEPS_OF_LIFE: Final = (
    100_000  # of SQLite's virtual machine: milliseconds in memory, half a minute on a cold slow disk
)


def open_source(path: Path, busy_timeout_seconds: float = 5.0) -> apsw.Connection:
    """A read-write connection to an existing database; closing it never checkpoints on the application's behalf.

    Raises `SourceUnavailable` when the file is missing, unreadable, not a database, or on a network file system, and
    `SourceBusy` when it stays locked for longer than the timeout.
    """
    require_file(path)
    refuse_network_filesystem(path)
    with translated(f"SQLite file {path}"):
        connection = LiveConnection(path)
        try:
            connection.set_busy_handler(_Patience(busy_timeout_seconds))
            # Who closes a WAL file last would write the whole log into it, and delete the log
            # (https://www.sqlite.org/wal.html): work of the application, at a moment that it does not choose.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            add_helpers(connection)
            _require_writable_database(connection, path)
            if journal_mode(connection) == "wal":
                connection.deadline.reading_seconds = SNAPSHOT_SECONDS
        except BaseException:
            connection.close()
            raise
    return connection


def open_copy(path: Path) -> apsw.Connection:
    """A read-only connection to a snapshot that nobody writes; nothing is created beside it.

    Raises `SourceUnavailable` when the file is missing or is not a database.
    """
    require_file(path)
    wal = Path(f"{path}-wal")
    # An immutable open needs no -shm file but looks at no log either, so it is right only where none is left over.
    option = "mode=ro" if wal.exists() and wal.stat().st_size else "immutable=1"
    with translated(f"SQLite file {path}"):
        uri = f"{path.resolve().as_uri()}?{option}"
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            # Opening reads nothing: only the first read finds out that a file holds no database.
            connection.pragma("schema_version")
            add_helpers(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def require_database(path: Path) -> None:
    """Raises `SourceUnavailable` unless the path names what looks like a SQLite database, which is not opened as one.

    Right only where nothing in this process has the file open in SQLite.
    """
    require_file(path)
    refuse_network_filesystem(path)
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except OSError as error:
        raise unreachable(path, error) from None
    if not header:
        raise no_tables(path)
    if header != _HEADER:
        raise no_database(f"SQLite file {path}")


class _Patience:
    """Waits for a lock by asking often.

    SQLite's own timeout asks up to 100 ms apart, and so misses for seconds the short gaps between the transactions of
    an application that writes without a pause to a rollback journal.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def __call__(self, asked_before: int) -> bool:
        """Sleep for a moment; returns whether SQLite is to ask for the lock again, `asked_before` times it did so."""
        now = time.monotonic()
        if asked_before == 0:
            self._until = now + self._seconds
        time.sleep(random.uniform(_ASK_AGAIN_SECONDS / 4, _ASK_AGAIN_SECONDS))
        return now < self._until


@contextmanager
def showing_life(beat: Callable[[], None]) -> Iterator[None]:
    """While inside, SQLite calls `beat` as it gets on with a statement, on every connection that is opened there."""

    def at_work() -> bool:
        beat()
        return False  # go on

    def opened(connection: apsw.Connection) -> None:
        connection.set_progress_handler(at_work, _STEPS_OF_LIFE)

    apsw.connection_hooks.append(opened)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(opened)


def interrupt_all() -> None:
    """End the statement that each connection of this process is running, with an error in the thread that waits."""
    for connection in apsw.connections():
        with suppress(apsw.ConnectionClosedError):
            connection.interrupt()


def library_version() -> str:
    """The version of the SQLite that this tool brings."""
    return str(apsw.sqlite_lib_version())


def _require_writable_database(connection: apsw.Connection, path: Path) -> None:
    with locking(connection):
        connection.pragma("schema_version")
    # Asked to write, SQLite quietly opens a file read-only when the permissions allow no more.
    if connection.readonly("main"):
        raise SourceUnavailable(
            f"SQLite file {path} is read-only for this user",
            remedy="let the user that runs this tool write the file and its folder: triggers are put into it",
        )
