"""A copy of the application's file to be written to: in the journal mode of the file, and in nobody's way."""

from contextlib import closing
from pathlib import Path

import apsw

from cdc.host import private_files
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.snapshot.online_copy import OnlineCopy, Progress, own_files


def make(source: Path, to: Path, *, max_writer_pause_seconds: float, progress: Progress | None = None) -> None:
    """Copy the file consistently while it is written to; the copy has the same id, and its triggers.

    Raises `SnapshotError` when its writer would have to wait for longer than allowed, or the disk has no room.
    """
    with own_files(to):
        private_files.make_folder(to.parent)
        private_files.touch(to)
        mode, _ = OnlineCopy(source, to, max_writer_pause_seconds, progress).make()
    if mode == "wal":  # the other modes are a matter of each connection
        with closing(apsw.Connection(str(to))) as copy, translated(f"copy {to}"):
            copy.pragma("journal_mode", "wal")
