"""Phase 0: snapshots of the application's file, taken while it is written, proven and found again."""

import fcntl
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw

from cdc.errors import SnapshotError, SourceError
from cdc.faults import crash_point, stall_point
from cdc.host import private_files
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.snapshot.integrity import OK, check_integrity, row_counts
from cdc.sqlite.snapshot.manifest import (
    FILE_NAME,
    Manifest,
    changelog_seq,
    count_foreign_key_violations,
    read_manifest,
    sha256_of,
    write_manifest,
)
from cdc.sqlite.snapshot.online_copy import OnlineCopy, Progress, own_files

DATABASE: Final = "database.sqlite"
_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{6}")
REHEARSAL: Final = "rehearsal-"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete snapshot: its folder, the copied database in it, and the facts that prove the copy."""

    folder: Path
    database: Path
    manifest: Manifest


# --- taking ----------------------------------------------------------------------------------------------------------


def take(
    source: Path,
    snapshots: Path,
    *,
    max_writer_pause_seconds: float,
    progress: Progress | None = None,
    finish: Callable[[Path], None] | None = None,
) -> Snapshot:
    """Copy `source` into a new folder under `snapshots`; `progress` is called with bytes done and bytes in all.

    `finish` is given the copy before it is checked, to make of it what is to be kept.
    When this returns, the copy is checked, durable and described by a manifest; when it raises, nothing is left that
    `latest` would return. Raises `SnapshotError`, `SourceBusy` or `SourceUnavailable`.
    """
    with own_files(snapshots):
        private_files.make_folder(snapshots)
        with alone(snapshots):
            _sweep(snapshots)
            taken_at = datetime.now(UTC)
            folder = snapshots / f"{taken_at:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"
            private_files.make_folder(folder)
            try:
                copy = OnlineCopy(source, folder / DATABASE, max_writer_pause_seconds, progress)
                mode, method = copy.make()
                if finish is not None:
                    finish(folder / DATABASE)
                manifest = _describe(folder, source, taken_at, mode, method)
                stall_point("snapshot.copy")
                crash_point("snapshot.before_manifest")
                write_manifest(manifest, folder)
                crash_point("snapshot.after_manifest")
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return Snapshot(folder, folder / DATABASE, manifest)


def _describe(folder: Path, source: Path, taken_at: datetime, mode: str, method: str) -> Manifest:
    database = folder / DATABASE
    with closing(open_copy(database)) as connection, translated(f"copy {database}"):
        checked = check_integrity(database)
        integrity = checked.verdict
        if integrity != OK:
            raise SnapshotError(
                f"the copy of {source} does not pass integrity_check: {integrity}",
                remedy="run `PRAGMA integrity_check` on the application's own file: if it fails too, "
                "repair or restore that file first",
            )
        tables = row_counts(database)
        seq = changelog_seq(connection, tables)
        violations = count_foreign_key_violations(connection)
    return Manifest(
        id=folder.name,
        taken_at=taken_at.isoformat(),
        source=str(source.resolve()),
        sqlite_version=apsw.sqlite_lib_version(),
        journal_mode=mode,
        method=method,
        bytes=database.stat().st_size,
        sha256=sha256_of(database),
        integrity_check=integrity,
        foreign_key_violations=violations,
        tables=tables,
        changelog_seq=seq,
        unchecked=dict(checked.unchecked),
        faults=dict(checked.faults),
    )


# --- finding and checking --------------------------------------------------------------------------------------------


def open_snapshot(folder: Path) -> Snapshot:
    """The snapshot in a folder, not yet checked; raises `SnapshotError` when it is not complete."""
    manifest = read_manifest(folder)
    database = folder / DATABASE
    if not database.is_file():
        raise SnapshotError(f"snapshot {folder} has lost its {DATABASE}", remedy="use another snapshot")
    return Snapshot(folder, database, manifest)


def latest(snapshots: Path, source: Path) -> Snapshot | None:
    """The newest complete snapshot of a SQLite file under a folder, or None; half-made ones are passed over."""
    return next(_of(snapshots, source), None)


def older_than_newest(snapshots: Path, source: Path, keep: int) -> list[Snapshot]:
    """Complete snapshots of a SQLite file beyond the newest `keep`, the oldest first."""
    return list(_of(snapshots, source))[keep:][::-1]


def _of(snapshots: Path, source: Path) -> Iterator[Snapshot]:
    """The newest first. A folder may hold those of other files too, which must not be taken for this one's."""
    for name in sorted((path.name for path in _folders(snapshots)), reverse=True):
        with suppress(SnapshotError):
            snapshot = open_snapshot(snapshots / name)
            if snapshot.manifest.source == str(source.resolve()):
                yield snapshot


def check(snapshot: Snapshot) -> None:
    """Prove that the copy is what was taken: size, SHA-256, structure, row counts. Raises `SnapshotError` if not."""
    check_file(snapshot.database, snapshot.manifest, snapshot.folder.name)


def check_file(database: Path, manifest: Manifest, name: str) -> None:
    """Raise `SnapshotError` unless the file is, byte by byte, what the manifest says, and its contents are."""
    with own_files(database):
        size = database.stat().st_size
        if size != manifest.bytes:
            raise _differs(name, f"{database} has {size} bytes, the manifest says {manifest.bytes}")
        if sha256_of(database) != manifest.sha256:
            raise _differs(name, f"the SHA-256 of {database} is not the one in the manifest")
    check_contents(database, manifest, name)


def check_contents(database: Path, manifest: Manifest, name: str) -> None:
    """Raise `SnapshotError` unless SQLite finds the file whole, and in it as many rows as the manifest says."""
    try:
        with translated(f"copy {database}"):
            integrity = check_integrity(database).verdict
            tables = row_counts(database)
    except SourceError as error:
        raise _differs(name, error.message) from error
    if integrity != manifest.integrity_check:
        raise _differs(name, f"{database} does not pass integrity_check: {integrity}")
    for table in sorted(tables.keys() | manifest.tables.keys()):
        found, expected = tables.get(table), manifest.tables.get(table)
        if found != expected:
            raise _differs(name, f"table {table} has {found} rows, the manifest says {expected}")


def _differs(name: str, what: str) -> SnapshotError:
    return SnapshotError(
        f"snapshot {name} does not pass its checks: {what}", remedy="do not use it: take a new one or use another"
    )


def discard(snapshot: Snapshot) -> None:
    """Remove a snapshot; without its manifest it is none at once, whatever happens then."""
    (snapshot.folder / FILE_NAME).unlink(missing_ok=True)
    shutil.rmtree(snapshot.folder, ignore_errors=True)


# --- files -----------------------------------------------------------------------------------------------------------


def _folders(snapshots: Path) -> list[Path]:
    try:
        return [path for path in snapshots.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:  # not there yet, or not for this user to see; who has to write there is told so
        return []


def _sweep(snapshots: Path) -> None:
    """Remove what was cut short: snapshots without a manifest and rehearsals that were not cleaned up."""
    for folder in _folders(snapshots):
        if not (folder / FILE_NAME).exists():
            shutil.rmtree(folder)
    for leftover in [*snapshots.glob(f"{REHEARSAL}*"), *snapshots.glob(f".{REHEARSAL}*")]:
        leftover.unlink()


@contextmanager
def alone(snapshots: Path) -> Iterator[None]:
    """Nobody else takes or rehearses a snapshot in that folder; raises `SnapshotError` where somebody does."""
    with private_files.create(snapshots / "lock", "ab") as lock:
        try:
            # The kernel gives it back with the process, however that ends: a crash leaves no lock behind.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SnapshotError(
                f"another snapshot is being taken or rehearsed in {snapshots}", remedy="wait until it is complete"
            ) from None
        yield
