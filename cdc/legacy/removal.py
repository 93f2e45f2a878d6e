"""Named files taken away with a backup, and put back from its manifest.

Every copy is on disk, and proven to be what was read, before the manifest is written; and the manifest is there before
the first file goes. So a removal that was killed at any moment is undone from its manifest, or has removed nothing.
"""

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Final

import msgspec

from cdc.errors import RemovalRefused
from cdc.faults import crash_point
from cdc.host import private_files

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_GIT_SECONDS: Final = 10.0
_GIT_WORDS: Final = {"??": "not in Git", "!!": "ignored by Git"}


class RemovedFile(msgspec.Struct, frozen=True):
    """A file that was removed: where it was, what it was, and the name of its copy beside the manifest."""

    path: str
    copy: str
    sha256: str
    size: int
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    git: str


class RemovalManifest(msgspec.Struct, frozen=True):
    """What one removal took away; `at` in ISO 8601, UTC."""

    format: int
    at: str
    files: list[RemovedFile]


def remove(paths: Sequence[Path], backups: Path) -> Path:
    """Remove files, each a regular one, with a backup in a new folder below `backups`; returns the manifest.

    Raises `RemovalRefused`. Nothing is removed when a file cannot be copied, and none that has changed since.
    """
    now = datetime.now(UTC)
    folder = backups / now.strftime("%Y%m%dT%H%M%S.%fZ")
    with _told("backing up into", folder):
        private_files.make_folder(folder)
    files = [_back_up(path, folder, number) for number, path in enumerate(paths, 1)]
    crash_point("legacy.before_manifest")
    manifest = RemovalManifest(_FORMAT, now.isoformat(), files)
    with _told("writing", folder / MANIFEST):
        private_files.replace(folder / MANIFEST, json.dumps(msgspec.to_builtins(manifest), indent=2).encode())
        _flush(folder)
        _flush(backups)
    for file in files:
        crash_point("legacy.before_removal")
        _take_away(file)
    return folder / MANIFEST


def put_back(manifest_file: Path) -> tuple[list[str], list[str]]:
    """Put back what a manifest tells of; returns the paths that came back, and those that were there as they had been.

    Raises `RemovalRefused`, before anything is written, when a file is there that is another one, or a copy is not what
    was removed.
    """
    manifest = _read(manifest_file)
    folder = manifest_file.resolve().parent
    missing = [file for file in manifest.files if not _is_there(file)]
    contents = [_copy_of(file, folder) for file in missing]
    for file, data in zip(missing, contents, strict=True):
        _restore(file, data)
        crash_point("legacy.after_restore")
    restored = [file.path for file in missing]
    return restored, [file.path for file in manifest.files if file.path not in restored]


def _back_up(path: Path, folder: Path, number: int) -> RemovedFile:
    copy = f"{number:03}-{path.name}"
    with _told("copying", path):
        data, found = _content(path)
        with private_files.create(folder / copy) as output:
            output.write(data)
            output.flush()
            os.fsync(output.fileno())
        os.utime(folder / copy, ns=(found.st_mtime_ns, found.st_mtime_ns))
        written = (folder / copy).read_bytes()
    if written != data:
        raise RemovalRefused(
            f"the copy of {path} is not what was written", remedy="nothing was removed; look at the disk of [state]"
        )
    return RemovedFile(
        path=str(path),
        copy=copy,
        sha256=_hash(data),
        size=len(data),
        mode=stat.S_IMODE(found.st_mode),
        mtime_ns=found.st_mtime_ns,
        uid=found.st_uid,
        gid=found.st_gid,
        git=_git_hint(path),
    )


def _take_away(file: RemovedFile) -> None:
    path = Path(file.path)
    with _told("removing", path):
        data, _ = _content(path)
        if _hash(data) != file.sha256:
            raise RemovalRefused(
                f"{path} was changed while it was backed up, and stays",
                remedy="see who writes it, then give the command again",
            )
        path.unlink()
        _flush(path.parent)


def _read(manifest_file: Path) -> RemovalManifest:
    with _told("reading", manifest_file):
        raw = manifest_file.read_bytes()
    try:
        manifest = msgspec.convert(json.loads(raw), RemovalManifest)
        whole = manifest.format == _FORMAT and all(PurePath(f.copy).name == f.copy for f in manifest.files)
    except (ValueError, msgspec.ValidationError):
        whole = False
    if not whole:
        raise RemovalRefused(
            f"{manifest_file} is no manifest of removed files",
            remedy=f"name the file {MANIFEST} that `cdc cleanup --legacy PATH --apply` told of",
        )
    return manifest


def _is_there(file: RemovedFile) -> bool:
    """Whether a file is there as it had been; raises `RemovalRefused` for anything else of its name."""
    path = Path(file.path)
    with _told("looking at", path):
        if not os.path.lexists(path):
            return False
        same = not path.is_symlink() and path.is_file() and _hash(path.read_bytes()) == file.sha256
    if not same:
        raise RemovalRefused(
            f"{path} is there again, and is not the file that was removed",
            remedy="move it away first; nothing was put back",
        )
    return True


def _copy_of(file: RemovedFile, folder: Path) -> bytes:
    with _told("reading", folder / file.copy):
        data = (folder / file.copy).read_bytes()
    if _hash(data) != file.sha256:
        raise RemovalRefused(
            f"the copy {folder / file.copy} is not what was removed any more",
            remedy=f"nothing was put back; take {file.path} from another backup, or from version control",
        )
    return data


def _restore(file: RemovedFile, data: bytes) -> None:
    """Whole or not at all, and never over another file: it gets its name once it is as it was."""
    path = Path(file.path)
    partial = path.with_name(f".{path.name}.partial")
    with _told("putting back", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with private_files.create(partial) as output:
            output.write(data)
            output.flush()
            if os.geteuid() == 0:
                os.fchown(output.fileno(), file.uid, file.gid)
            os.fchmod(output.fileno(), file.mode)
            os.fsync(output.fileno())
        os.utime(partial, ns=(file.mtime_ns, file.mtime_ns))
        _name(partial, path)
        _flush(path.parent)


def _name(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except PermissionError:  # a file system without links, where looking first has to do
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _content(path: Path) -> tuple[bytes, os.stat_result]:
    """A regular file's content, whatever has taken its name meanwhile: a link is not followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        return file.read(), os.fstat(handle)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # file systems of a network may not know it
            os.fsync(handle)
    finally:
        os.close(handle)


def _git_hint(path: Path) -> str:
    """What Git knows of a file, for whoever reads the manifest; no program of a repository is run for it."""
    command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain", "--ignored", "--", path.name]
    try:
        done = subprocess.run(
            command, cwd=path.parent, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    if done.returncode != 0:
        return "not in Git"
    return _GIT_WORDS.get(done.stdout[:2], "in Git, changed since") if done.stdout else "in Git"


@contextmanager
def _told(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RemovalRefused(
            f"{doing} {path} failed, and no file is lost: {error.strerror}",
            remedy="let this user read and write there, or give the command as one who may; it goes on where it ended",
        ) from None
