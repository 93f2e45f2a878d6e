"""What the files themselves tell, beside what SQLite reads from them: which file it is, and whether its end was lost.

In WAL mode a power cut, or a -wal file that was cut or removed, loses the newest commits and leaves the main file as it
was. Whoever puts a backup in its place writes the main file, or adds to the log. A copy that keeps the time of the last
write holds what was written then.
"""

import os
import struct
from bisect import bisect_left
from pathlib import Path
from typing import BinaryIO, Final

from cdc.facts.changes import Traces

_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24


def read(path: Path) -> Traces:
    """The traces of the file that a path names; raises `OSError` where there is none.

    No lock is on the -wal file, so opening and closing it drops none; the main file is not opened.
    """
    path = path.resolve()
    facts = path.stat()
    log, frames = "", 0
    try:
        with path.with_name(f"{path.name}-wal").open("rb") as wal:
            log, frames = _read_log(wal)
    except FileNotFoundError:
        pass
    return Traces(str(facts.st_ino), str(facts.st_mtime_ns), log, frames)


def _read_log(wal: BinaryIO) -> tuple[str, int]:
    header = wal.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return "", 0
    page, salts = struct.unpack(">I", header[8:12])[0], header[16:24]
    step = _FRAME_HEADER_BYTES + page
    frames = max(0, os.fstat(wal.fileno()).st_size - _HEADER_BYTES) // step

    def is_over(frame: int) -> bool:
        return os.pread(wal.fileno(), 8, _HEADER_BYTES + frame * step + 8) != salts

    # SQLite begins the log anew from its start, with other salts, and leaves older frames behind its end
    # (https://www.sqlite.org/fileformat2.html#walformat): the first one with other salts is the end.
    return salts.hex(), bisect_left(range(frames), x=True, key=is_over)
