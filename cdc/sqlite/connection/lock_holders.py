"""Who keeps the application's file locked, by the kernel's list of locks: nothing of the file is opened."""

import os
from collections.abc import Collection, Iterator
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
    readers_count = not _shm(path).exists()
    found = writers(path) or (set(_holders(path, _SHARED)) - {os.getpid()} if readers_count else set())
    return f"process {named(found)}" if found else "another connection"


def writers(path: Path) -> frozenset[int]:
    """The other processes that have a write transaction open on this file now; there can be one at a time."""
    path = path.resolve()
    found = {*_holders(_shm(path), _WAL_WRITE_LOCK), *_holders(path, _RESERVED)}
    return frozenset(found - {os.getpid()})


def named(processes: Collection[int]) -> str:
    """Processes in words: `4711 (bot), 4712 (sqlite3)`."""
    return ", ".join(f"{pid} ({_name(pid)})" for pid in sorted(processes))


def _shm(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")


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
