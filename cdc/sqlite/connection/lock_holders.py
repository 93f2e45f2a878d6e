"""Who keeps the application's file locked, by the kernel's list of locks: nothing of the file is opened."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")
# Which bytes mean what: https://www.sqlite.org/walformat.html#wal_locks and the comments of SQLite's src/os_unix.c.
_WAL_WRITE_LOCK: Final = 120  # of the -shm file
_RESERVED: Final = 0x40000001
_SHARED: Final = 0x40000002  # a reader's, in rollback-journal mode; in WAL of everybody who has the file open


def lock_holders(path: Path) -> str:
    """Who keeps a transaction on this file open, in words: the processes, or that it is another connection.

    In rollback-journal mode a reader is one too, when nobody writes. Other containers' processes cannot be seen.
    """
    path = path.resolve()
    shm = path.with_name(f"{path.name}-shm")
    writers = {*_holders(shm, _WAL_WRITE_LOCK), *_holders(path, _RESERVED)}
    found = writers or (set() if shm.exists() else set(_holders(path, _SHARED)))
    named = ", ".join(f"{pid} ({_name(pid)})" for pid in sorted(found - {os.getpid()}))
    return f"process {named}" if named else "another connection"


def _holders(file: Path, byte: int) -> Iterator[int]:
    """The processes that hold a lock on a byte of a file."""
    with suppress(OSError):
        inode = file.stat().st_ino
        for line in _LOCKS.read_text(encoding="ascii", errors="replace").splitlines():
            # 1: POSIX ADVISORY WRITE 4711 08:01:131 1073741825 1073741825; `->` behind the number waits for it
            fields = line.split()
            if len(fields) == 8 and fields[1] == "POSIX" and fields[5].rpartition(":")[2] == str(inode):
                last = float("inf") if fields[7] == "EOF" else int(fields[7])
                if int(fields[6]) <= byte <= last and int(fields[4]) > 0:
                    yield int(fields[4])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
