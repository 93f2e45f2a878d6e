"""The pieces of the audit file: the one that is written, and older ones, closed and compressed, of which only so many
are kept. Only who holds the file's lock changes anything here.
"""

import gzip
import os
import re
import shutil
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from cdc.audit.chain import decode, split_line
from cdc.host.private_files import create

FILE: Final = "audit.jsonl"
_CLOSED: Final = re.compile(r"audit-(\d{12})\.jsonl(\.gz)?")
LARGEST_SEGMENT: Final = 8 * 1024 * 1024
_PIECES: Final = 8  # what is kept consists of at least so many segments
_CHUNK: Final = 64 * 1024


# --- reading ----------------------------------------------------------------------------------------------------------


def closed(folder: Path) -> list[Path]:
    """The closed segments, the oldest first; one that was being compressed when a crash came is taken uncompressed."""
    by_first = {}  # the name of a segment holds the number of its first line
    for path in sorted(folder.glob("audit-*.jsonl*"), reverse=True):
        if (name := _CLOSED.fullmatch(path.name)) is not None:
            by_first[name[1]] = path
    return [by_first[first] for first in sorted(by_first)]


Piece = tuple[IO[bytes], int]  # an open segment, and how many of its bytes are to be read


def open_pieces(folder: Path, stack: ExitStack) -> list[Piece]:
    """Every piece there is, opened until the stack ends, the oldest first. What is written later is not read."""
    current = folder / FILE
    paths = [*closed(folder), *([current] if current.exists() else [])]
    files = [stack.enter_context(path.open("rb")) for path in paths]
    return [(file, os.fstat(file.fileno()).st_size) for file in files]


def lines(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Every line of these pieces. What is damaged is left out: who checks the chain notices that it is missing."""
    for file, size in pieces:
        if file.name.endswith(".gz"):
            with suppress(gzip.BadGzipFile, EOFError, zlib.error), gzip.open(file) as unpacked:
                yield from unpacked
            continue
        unread = size
        while unread > 0 and (line := file.readline(unread)):
            yield line
            unread -= len(line)


def lines_of(paths: Sequence[Path]) -> Iterator[bytes]:
    """Every line of these segments, while the lock is held."""
    for path in paths:
        with path.open("rb") as file:
            yield from lines([(file, path.stat().st_size)])


def newest_lines(folder: Path, count: int) -> list[bytes]:
    """The last lines there are, at most so many, the oldest first."""
    newest: deque[bytes] = deque()
    for path in reversed([*closed(folder), folder / FILE]):
        if len(newest) < count and path.exists():
            newest.extendleft(reversed(deque(lines_of([path]), maxlen=count - len(newest))))
    return list(newest)


@contextmanager
def current(folder: Path) -> Iterator[int | None]:
    """The file that is written, open; None when there is none."""
    try:
        handle = os.open(folder / FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def tail(file: int) -> tuple[bytes, bytes]:
    """The last whole line of a file, and what stands after it without a line's end."""
    place, data = os.fstat(file).st_size, b""
    while place > 0 and data.rstrip(b"\n").count(b"\n") < 2:
        step = min(max(_CHUNK, len(data)), place)
        place -= step
        data = os.pread(file, step, place) + data
    whole, newline, torn = data.rpartition(b"\n")
    return whole.rpartition(b"\n")[2] + newline, torn


# --- bounding ---------------------------------------------------------------------------------------------------------


def size_for(most_bytes: int) -> int:
    """How large a segment may grow when so much is kept in all."""
    return min(LARGEST_SEGMENT, most_bytes // _PIECES) if most_bytes else LARGEST_SEGMENT


def close_current(folder: Path, size: int) -> None:
    """Close the file that is written when it is so large, and compress what is closed."""
    file = folder / FILE
    if file.exists() and file.stat().st_size >= size and (first := _first_n(file)) is not None:
        file.rename(folder / f"audit-{first:012}.jsonl")
    # All of them, for a crash may have left an older one that is not compressed.
    for path in closed(folder):
        if path.suffix != ".gz":
            _compress(path)


def oldest_beyond(folder: Path, most_bytes: int) -> list[Path]:
    """The segments to drop so that what is left has at most `most_bytes` (0 keeps all)."""
    kept = closed(folder)
    total = sum(path.stat().st_size for path in kept) + size_for(most_bytes)
    beyond = []
    while most_bytes and kept and total > most_bytes:
        total -= kept[0].stat().st_size
        beyond.append(kept.pop(0))
    return beyond


def drop(paths: Sequence[Path]) -> None:
    """Delete segments, the oldest first."""
    for path in paths:
        path.unlink()


def _first_n(file: Path) -> int | None:
    """The number of the first sealed line of a file."""
    with file.open("rb") as opened:
        for line in opened:
            entry = decode(split_line(line).text)
            if entry is not None and entry.n is not None:
                return entry.n
    return None


def _compress(path: Path) -> None:
    done, part = path.with_name(path.name + ".gz"), path.with_name(path.name + ".part")
    with path.open("rb") as plain, create(part) as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as writer:
            shutil.copyfileobj(plain, writer)
        packed.flush()
        os.fsync(packed.fileno())
    part.rename(done)
    path.unlink()
