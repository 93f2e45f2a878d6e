"""A file gets another content at once: who reads it finds the old one or the new one, whole, also after a power cut."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

_NEW_FILE_MODE: Final = 0o644  # it holds no secret, and the application may be another user


def replace_content(path: Path, content: bytes) -> None:
    """Write, flush, and put in place of the file, whose mode, owner and attributes stay; raises `OSError`.

    A symbolic link goes on leading to the same place. A file that is not there is made, readable for everybody.
    """
    target = Path(os.path.realpath(path))
    handle, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _like(target, file.fileno(), partial)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(partial).unlink()
        raise
    _flush_folder(target.parent)


def _like(target: Path, handle: int, partial: str) -> None:
    """Give a new file what belongs to the old one, before anything is in it."""
    try:
        whose = target.stat()
    except FileNotFoundError:
        os.fchmod(handle, _NEW_FILE_MODE)
        if os.geteuid() == 0:  # whose folder it is must be able to replace it
            folder = target.parent.stat()
            os.fchown(handle, folder.st_uid, folder.st_gid)
        return
    made = os.fstat(handle)
    if (whose.st_uid, whose.st_gid) != (made.st_uid, made.st_gid):
        os.fchown(handle, whose.st_uid, whose.st_gid)
    shutil.copystat(target, partial)  # also attributes such as an access list


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
