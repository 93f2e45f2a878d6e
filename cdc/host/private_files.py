"""Files and folders that nobody but their owner may read, whatever the umask: the state folder holds rows.

What root makes in a folder of somebody else belongs to that one, so that a daemon can use what `sudo cdc` left there.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; one that is there stays as it is. Raises `OSError`."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        folder.mkdir(FOLDER_MODE)
    except FileExistsError:  # somebody else made it just now, or a file has its name
        if not folder.is_dir():
            raise
        return
    folder.chmod(FOLDER_MODE)
    _hand_over(folder, folder.parent)


def opener(file: str, flags: int) -> int:
    """`os.open` of a file that is made, or was made with other permissions: it is its owner's alone."""
    handle = os.open(file, flags | os.O_CLOEXEC, FILE_MODE)
    if os.fstat(handle).st_mode & 0o777 != FILE_MODE:
        with suppress(OSError):  # made by somebody else, who lets us use it
            os.fchmod(handle, FILE_MODE)
    if flags & os.O_CREAT:
        _hand_over(handle, Path(file).parent)
    return handle


def create(file: Path, mode: Literal["wb", "ab"] = "wb") -> BinaryIO:
    """Open such a file for writing, from its start or at its end."""
    return open(file, mode, opener=opener)  # a path has no such `open`


def replace(file: Path, content: bytes) -> None:
    """Put content in place of a file's, durably: whoever reads it finds all of the old or all of the new one."""
    make_folder(file.parent)
    partial = file.with_name(f"{file.name}.partial")
    with create(partial) as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
    partial.rename(file)


def touch(file: Path) -> None:
    """Make an empty file for a library to fill, which keeps its permissions."""
    create(file, "ab").close()


def _hand_over(target: Path | int, folder: Path) -> None:
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        whose = folder.stat()
        if whose.st_uid != 0:
            os.chown(target, whose.st_uid, whose.st_gid)
