"""Connections to the application's file: opened carefully, closed without a trace, their errors told in our words.

A live database file is never opened with `open()`: closing any descriptor of it would drop SQLite's own locks.
"""

import random
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

import apsw

from cdc.errors import SourceBusy, SourceError, SourceFull, SourceUnavailable
from cdc.faults import freeze_point
from cdc.sqlite.deadline import SNAPSHOT_SECONDS, Deadline
from cdc.sqlite.functions import add_helpers

_HEADER: Final = b"SQLite format 3\0"
_ASK_AGAIN_SECONDS: Final = 0.0015
_STEPS_IN_A_HURRY: Final = 500  # opcodes between two looks at the clock: some hundred rows
_STEPS_OF_LIFE: Final = (
    100_000  # of SQLite's virtual machine: milliseconds in memory, half a minute on a cold slow disk
)
_MOUNTINFO: Final = Path("/proc/self/mountinfo")
# File systems where locks or the shared memory of WAL do not reach the machine on which the application runs.
_NETWORK: Final = frozenset(
    [
        *["nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs"],
        *["lustre", "beegfs", "gfs2", "ocfs2", "davfs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse"],
        *["fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.cephfs", "fuse.davfs2", "fuse.curlftpfs"],
        *["fuse.smbnetfs", "fuse.juicefs", "fuse.mfs", "fuse.moosefs", "fuse.goofys", "fuse.nfs"],
    ]
)
_UNAVAILABLE: Final = (
    apsw.CantOpenError,
    apsw.NotADBError,
    apsw.CorruptError,
    apsw.IOError,
    apsw.PermissionsError,
    apsw.ReadOnlyError,
    apsw.FormatError,
)


class LiveConnection(apsw.Connection):
    """A connection to the application's file: whatever may lock it is done inside `locking` or a transaction."""

    def __init__(self, path: Path) -> None:
        self.deadline = Deadline()
        super().__init__(str(path.resolve()), flags=apsw.SQLITE_OPEN_READWRITE)

    def close(self, force: bool = False) -> None:
        """Close it; its last lock is taken here."""
        with self.deadline:
            super().close(force)
        self.deadline.close()


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
        raise _unreachable(path, error) from None
    if not header:
        raise no_tables(path)
    if header != _HEADER:
        raise _no_database(f"SQLite file {path}")


def no_tables(path: Path) -> SourceUnavailable:
    """What is said about a database without a table to replicate, as one of zero bytes is."""
    return SourceUnavailable(
        f"SQLite file {path} has no table to replicate",
        remedy="start the application once, so that it makes its tables; else name its right file, or correct `tables` "
        "and `exclude` in [replicate]",
    )


class _Patience:
    """Waits for a lock by asking often.

    SQLite's own timeout asks up to 100 ms apart, and so misses for seconds the short gaps between the transactions of
    an application that writes without a pause to a rollback journal.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def __call__(self, asked_before: int) -> bool:
        """Whether to ask again, after a moment."""
        now = time.monotonic()
        if asked_before == 0:
            self._until = now + self._seconds
        time.sleep(random.uniform(_ASK_AGAIN_SECONDS / 4, _ASK_AGAIN_SECONDS))
        return now < self._until


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns errors of SQLite into `SourceError` and its kinds; messages begin with `what`."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise SourceBusy(
            f"{what} is locked by another connection: {error}",
            remedy="nothing if it passes; otherwise find the process that holds a transaction open, or keeps others "
            "out with `PRAGMA locking_mode = EXCLUSIVE`, which an application that is replicated has to do without",
        ) from error
    except (apsw.NotADBError, apsw.FormatError) as error:
        raise _no_database(what) from error
    except apsw.FullError as error:
        raise SourceFull(
            f"{what}: there is no room left on the disk", remedy="free space where that file lies; nothing is lost"
        ) from error
    except apsw.CorruptError as error:
        raise SourceUnavailable(
            f"{what}: the SQLite file is damaged: {error}",
            remedy="check it with `PRAGMA integrity_check` and restore a good copy",
        ) from error
    except _UNAVAILABLE as error:
        raise SourceUnavailable(
            f"{what}: the SQLite file cannot be opened or used: {error}",
            remedy="check that the file, its folder and their permissions are as the application needs them",
        ) from error
    except apsw.Error as error:
        raise SourceError(
            f"{what}: SQLite refuses: {error}", remedy="see the reason; the file was left as it was"
        ) from error


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


@contextmanager
def stopped_after(connection: apsw.Connection, seconds: float) -> Iterator[None]:
    """Have statements inside end with `apsw.InterruptError` once so much time has passed."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_IN_A_HURRY, id=stopped_after)
    try:
        yield
    finally:
        connection.set_progress_handler(None, id=stopped_after)


def locking(connection: apsw.Connection) -> AbstractContextManager[None]:
    """What is read inside locks the application's file for no longer than this process can run; see `deadline`."""
    return connection.deadline if isinstance(connection, LiveConnection) else nullcontext()


@contextmanager
def read_transaction(connection: apsw.Connection) -> Iterator[None]:
    """One snapshot from the first read inside until the block ends; it always ends, so it is never left open."""
    with locking(connection):
        connection.execute("BEGIN")
        try:
            yield
            freeze_point("read.before_end")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def write_transaction(connection: apsw.Connection) -> Iterator[None]:
    """All that is written inside or nothing, with the file locked for writing from the start.

    Where the disk is full or fails, or memory runs out, SQLite has rolled back by itself before it says so: the error
    that comes out of here is that one, never one of a second rollback.
    """
    with _locking_to_write(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _locking_to_write(connection: apsw.Connection) -> AbstractContextManager[None]:
    return connection.deadline.of_a_writer() if isinstance(connection, LiveConnection) else nullcontext()


def not_set_up(path: Path) -> SourceError:
    """The error of a file that carries no capture and never did."""
    return SourceError(f"{path} is not set up for replication", remedy="run `cdc up`")


def library_version() -> str:
    """The version of the SQLite that this tool brings."""
    return str(apsw.sqlite_lib_version())


def journal_mode(connection: apsw.Connection) -> str:
    """The journal mode of the file in lower case: `wal`, `delete`, `truncate`, `persist`, `memory` or `off`."""
    with locking(connection):
        return str(connection.pragma("journal_mode")).lower()


def refuse_network_filesystem(path: Path, mountinfo: str | None = None) -> None:
    """Raises `SourceUnavailable` when the path is on a network file system, told by /proc/self/mountinfo.

    Says nothing where the kernel gives no such list.
    """
    if mountinfo is None:
        try:
            mountinfo = _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return
    point, kind = _mount_of(path.resolve(), mountinfo)
    if kind in _NETWORK:
        raise SourceUnavailable(
            f"SQLite file {path} is on a network file system ({kind} at {point}): "
            "locks and WAL do not work reliably there, so changes could be lost",
            remedy="run this tool on the machine whose disk holds the file",
        )


def _mount_of(path: Path, mountinfo: str) -> tuple[str, str]:
    """The mount point that holds a path and its file system type; a later mount hides an earlier one."""
    best = ("", "")
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        if path.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best


def require_file(path: Path) -> None:
    """Raises `SourceUnavailable` when there is no file, or none that can be reached."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise SourceUnavailable(
            f"SQLite file {path} does not exist",
            remedy="correct the path (`path` in [source]), or make its disk available: is it mounted?",
        ) from None
    except OSError as error:
        raise _unreachable(path, error) from None
    if stat.S_ISDIR(mode):
        raise SourceUnavailable(
            f"SQLite file {path} is a folder", remedy="name the database file inside it (`path` in [source])"
        )
    if not stat.S_ISREG(mode):  # opening a pipe waits for ever, and a device may be read without an end
        raise SourceUnavailable(
            f"SQLite file {path} is a pipe, a socket or a device",
            remedy="name the application's database file (`path` in [source])",
        )


def _unreachable(path: Path, error: OSError) -> SourceUnavailable:
    return SourceUnavailable(
        f"SQLite file {path} cannot be reached: {error.strerror}",
        remedy="let the user that runs this tool enter the folders above the file, and read and write the file",
    )


def _no_database(what: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"{what} is not a SQLite database, or is encrypted",
        remedy="name the application's database file (`path` in [source]); an encrypted one cannot be read",
    )


def _require_writable_database(connection: apsw.Connection, path: Path) -> None:
    with locking(connection):
        connection.pragma("schema_version")
    # Asked to write, SQLite quietly opens a file read-only when the permissions allow no more.
    if connection.readonly("main"):
        raise SourceUnavailable(
            f"SQLite file {path} is read-only for this user",
            remedy="let the user that runs this tool write the file and its folder: triggers are put into it",
        )
