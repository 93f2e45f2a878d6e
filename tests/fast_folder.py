"""Where files cost no disk access: what a test leaves there is gone afterwards, and survives no power cut."""

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cdc.postgres.server.postmaster import postmaster_of

_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 2 * 1024**3  # containers often have 64 MB there, which the files of one server fill
_PREFIX: Final = "cdc-tests-"
_YOUNG_SECONDS: Final = 60  # until whoever made a folder surely holds it


@contextmanager
def fast_folder() -> Iterator[str]:
    """A folder of one's own, in memory where there is room for the files of some servers; gone after the block.

    What tests that were killed left in memory goes first, with the servers that go on there.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_memory()) as folder:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(held)


def _memory() -> str | None:
    if not os.access(_MEMORY, os.W_OK):
        return None
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # of another user, or gone by now
            _clear(left)
    return str(_MEMORY) if shutil.disk_usage(_MEMORY).free > _ROOM else None


def _clear(folder: Path) -> None:
    """Remove a folder that nobody holds any more: the kernel lets go of it with the process."""
    if time.time() - folder.stat().st_mtime < _YOUNG_SECONDS:
        return
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for data in folder.rglob("postmaster.pid"):
            if server := postmaster_of(data.parent):
                os.kill(server.pid, signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)
