"""Transactions on the application's file, each within a deadline for the locks that it takes."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

import apsw

from cdc.faults import freeze_point
from cdc.sqlite.connection.deadline import Deadline

_STEPS_IN_A_HURRY: Final = 500  # opcodes between two looks at the clock: some hundred rows


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


@contextmanager
def stopped_after(connection: apsw.Connection, seconds: float) -> Iterator[None]:
    """Have statements inside end with `apsw.InterruptError` once so much time has passed."""
    end = time.monotonic() + seconds
    # Under an id of its own, beside the handler that whoever shows life (`showing_life`) may have set.
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_IN_A_HURRY, id=stopped_after)
    try:
        yield
    finally:
        connection.set_progress_handler(None, id=stopped_after)


def locking(connection: apsw.Connection) -> AbstractContextManager[None]:
    """The context for reads of the application's file: a process that stops running inside is ended; see `deadline`."""
    return connection.deadline if isinstance(connection, LiveConnection) else nullcontext()


@contextmanager
def read_transaction(connection: apsw.Connection) -> Iterator[None]:
    """One snapshot from the first read inside until the block ends; it always ends, so it is never left open."""
    with locking(connection):
        # This takes no lock yet: the snapshot is that of the first read (https://www.sqlite.org/lang_transaction.html).
        connection.execute("BEGIN")
        try:
            yield
            freeze_point("read.before_end")
        finally:
            # Errors of the disk, of memory, or an interruption may have ended it already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def write_transaction(connection: apsw.Connection) -> Iterator[None]:
    """All that is written inside or nothing, with the file locked for writing from the start.

    Nothing that was read before is written: pages are read anew. Where the disk is full or fails, or memory runs out,
    SQLite has rolled back by itself before it says so: the error that comes out of here is that one, never one of a
    second rollback.
    """
    # SQLite takes cached pages for good while the header has the same change counter
    # (https://www.sqlite.org/fileformat.html#file_change_counter). A file that was overwritten in place by a copy with
    # as many commits has it, and a page of the old file would be written into the new one.
    with connection.deadline.of_a_writer() if isinstance(connection, LiveConnection) else nullcontext():
        connection.execute("PRAGMA shrink_memory")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def journal_mode(connection: apsw.Connection) -> str:
    """The journal mode of the file in lower case: `wal`, `delete`, `truncate`, `persist`, `memory` or `off`."""
    with locking(connection):
        return str(connection.pragma("journal_mode")).lower()
