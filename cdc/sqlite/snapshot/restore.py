"""A snapshot back as the application's file, and the proof that it can be."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from cdc.errors import SnapshotError
from cdc.host import private_files
from cdc.host.durable import flush
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.snapshot.online_copy import own_files, require_space
from cdc.sqlite.snapshot.snapshot import REHEARSAL, Snapshot, alone, check, check_contents, check_file


def restore(snapshot: Snapshot, to: Path, *, trial: bool = False) -> None:
    """Bring the copy back as a SQLite file in the journal mode the source had, checked before and after.

    The umask says who may read it, but for a `trial`. Raises `SnapshotError`, and then nothing is at `to`; also when
    anything is there already.
    """
    with restoring(snapshot, to, trial=trial):
        pass


@contextmanager
def restoring(snapshot: Snapshot, to: Path, *, trial: bool = False) -> Iterator[Path]:
    """The same, for whoever changes the checked copy before it becomes `to`: it is at the path given, until the end."""
    check(snapshot)
    _require_nothing_there(to)
    partial = to.with_name(f".{to.name}.{secrets.token_hex(3)}.partial")
    with own_files(to):
        require_space(to.parent, snapshot.manifest.bytes)
        try:
            if trial:
                private_files.touch(partial)
            shutil.copyfile(snapshot.database, partial)
            check_file(partial, snapshot.manifest, snapshot.folder.name)
            _set_journal_mode(partial, snapshot.manifest.journal_mode)
            check_contents(partial, snapshot.manifest, snapshot.folder.name)
            yield partial
            flush(partial)
            # Once more: copying took its time, and a -wal that came meanwhile would be replayed over the copy.
            _require_nothing_there(to)
            _publish(partial, to)
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                partial.with_name(partial.name + suffix).unlink(missing_ok=True)
        flush(to.parent)


def rehearse(snapshot: Snapshot) -> None:
    """Prove that the snapshot can be restored: do so beside it and remove the result. Raises `SnapshotError`."""
    snapshots = snapshot.folder.parent
    trial = snapshots / f"{REHEARSAL}{secrets.token_hex(3)}.sqlite"
    with own_files(snapshots), alone(snapshots):
        try:
            restore(snapshot, trial, trial=True)
        finally:
            trial.unlink(missing_ok=True)


def _publish(partial: Path, to: Path) -> None:
    try:
        os.link(partial, to)  # unlike a rename, it never replaces a file that appeared meanwhile
    except FileExistsError:
        raise _occupied(to) from None
    except OSError:  # a file system without hard links
        partial.rename(to)


def _set_journal_mode(database: Path, mode: str) -> None:
    # Only WAL is kept in the file; the other modes are a matter of each connection.
    if mode == "wal":
        with closing(apsw.Connection(str(database))) as connection, translated(f"copy {database}"):
            connection.pragma("journal_mode", "wal")


def _require_nothing_there(to: Path) -> None:
    # SQLite would replay a log that an older file of this name left behind.
    for path in (to, *(to.with_name(to.name + suffix) for suffix in ("-wal", "-journal", "-shm"))):
        if path.exists() or path.is_symlink():
            raise _occupied(path)


def _occupied(path: Path) -> SnapshotError:
    return SnapshotError(
        f"{path} exists already and is not overwritten",
        remedy="restore to another name, or stop the application and move the file away, "
        "with its -wal, -shm and -journal",
    )
