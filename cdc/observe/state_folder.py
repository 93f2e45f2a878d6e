"""How much room the state folder takes, part by part, and how much is left on the disks that matter."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc.config import Config

LOW_BYTES: Final = 512 * 1024 * 1024  # about what the embedded server's log of changes may take by itself

_PARTS: Final = {"snapshots": "snapshots", "postgres": "postgres", "audit": "audit"}


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Bytes by part (`snapshots`, `postgres`, `postgres_log`, `audit`, `other`), and free bytes by disk.

    `free` tells of the disks of the state folder (`state`) and of the SQLite file (`source`), whose changelog grows
    while Postgres is away. What may not be read counts as nothing.
    """

    path: Path
    parts: Mapping[str, int]
    free: Mapping[str, int]

    @property
    def low(self) -> list[str]:
        """Disks without room to spare."""
        return [disk for disk, free in self.free.items() if free < LOW_BYTES]


def measure(config: Config) -> StateFolder:
    """What the folder takes now. Asks for the size of every file, so not for every moment."""
    parts = dict.fromkeys((*_PARTS.values(), "postgres_log", "other"), 0)
    for entry in _entries(config.state.dir):
        size = _size(entry)
        part = _part(entry.name)
        if part == "postgres":
            logs = sum(_size(e) for e in _entries(Path(entry.path)) if e.name.startswith("server.log"))
            parts["postgres_log"] += logs
            size -= logs
        parts[part] += size
    return StateFolder(config.state.dir, parts, _free(config))


def _part(name: str) -> str:
    return next((part for start, part in _PARTS.items() if name.startswith(start)), "other")


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:  # not there yet, gone meanwhile, or not for us to see
        return []


def _size(entry: "os.DirEntry[str]") -> int:
    with suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            return sum(_size(inner) for inner in _entries(Path(entry.path)))
        # Blocks and not length: a sparse file takes what it takes.
        return entry.stat(follow_symlinks=False).st_blocks * 512
    return 0


def _free(config: Config) -> dict[str, int]:
    free = {}
    for disk, folder in (("state", config.state.dir), ("source", config.source.path.resolve().parent)):
        for place in (folder, *folder.parents):  # it may not be there yet, or not be for us to see
            with suppress(OSError):
                free[disk] = shutil.disk_usage(place).free
                break
    return free
