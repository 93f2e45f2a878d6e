"""Who did what, when, with what result: a file of JSON lines in the state folder, appended to and flushed to disk.

Each line is an entry of a chain with its hash at the end (see `chain`). Beside it, a small file remembers how the chain
ends, so that lines that were cut off at the end are missed; it also is what several writers lock.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cdc.audit import segments
from cdc.audit.chain import AuditEntry, Detail, Head, Sealed, actor, decode, entry, line_of, link, split_line
from cdc.audit.check import BROKEN, ChainCheck, ChainVerdict, Witness, last_words
from cdc.audit.segments import FILE
from cdc.errors import ConfigError
from cdc.faults import crash_point
from cdc.host import private_files

__all__ = ["FILE", "AuditEntry", "Detail", "actor", "record"]

END_FILE: Final = "audit.end"
_UNNOTED: Final = f"{END_FILE} is gone, so lines that are missing at the end are not noticed"
_END_BYTES: Final = 320  # always written as a whole, so that it is never half old and half new


def record(state_dir: Path, action: str, result: str, details: Mapping[str, Detail] | None = None) -> AuditEntry:
    """Append an entry and wait until it is on disk; raises `ConfigError` when the state folder cannot be written."""
    new_entry = entry(action, result, details)
    with opened(state_dir) as file:
        file.append([new_entry])
    return new_entry


@contextmanager
def opened(state_dir: Path) -> "Iterator[AuditFile]":
    """The audit file, for this process alone as long as the block lasts; raises `ConfigError`."""
    try:
        private_files.make_folder(state_dir)
        # Asked before the next line makes it. Another process may make it just now, and note its end: see `AuditFile`.
        unnoted = not (state_dir / END_FILE).exists()
        end = private_files.opener(str(state_dir / END_FILE), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(end, fcntl.LOCK_EX)
            yield AuditFile(state_dir, end, unnoted=unnoted)
        finally:
            os.close(end)
    except OSError as error:
        raise ConfigError(
            f"the audit file {state_dir / FILE} cannot be written: {error.strerror}",
            remedy="make `dir` in [state] a folder that this user may write, with room on its disk",
        ) from None


class AuditFile:
    """The audit file while it is locked. `end` is where it ends, `postgres` the end of the other chain, as far as the
    file has copies of it.
    """

    def __init__(self, folder: Path, end: int, *, unnoted: bool) -> None:
        self._folder = folder
        self._end = end
        self.end, self.postgres = _read_end(end)
        noted = self.end
        self._about: list[AuditEntry] = []  # what has to be told of the file itself, before anything else
        self._settle()
        # It is made before the first line: where it is not, somebody took it away, and maybe lines as well.
        if unnoted and not noted.n and self.end.n:
            self._about.append(entry(BROKEN, "done", {"words": _UNNOTED}))

    def append(self, entries: Sequence[AuditEntry], postgres: Head | None = None) -> Head:
        """Append entries and wait until they are on disk; returns where the chain ends then."""
        lines, head = [], self.end
        for next_entry in [*self._about, *entries]:
            head, sealed = link(head, next_entry)
            lines.append(line_of(sealed))
        if lines:
            _append(self._folder / FILE, "".join(lines).encode("ascii"))
        self._about = []
        crash_point("trail.before_end")
        self.end, self.postgres = head, postgres or self.postgres
        self._note_end()
        return head

    def go_on_after(self, head: Head) -> None:
        """Have the next line follow `head` when the file ends before it: what is missing in between stays missing."""
        self.end = max(self.end, head, key=lambda h: h.n)

    def newest(self, count: int) -> list[Sealed]:
        """The last lines, at most so many, the oldest first."""
        return [split_line(line) for line in segments.newest_lines(self._folder, count)]

    def bound(self, most_bytes: int) -> None:
        """Close the file as a segment when it is large, and drop the oldest segments while all exceed `most_bytes`."""
        segments.close_current(self._folder, segments.size_for(most_bytes))
        trimmed = segments.oldest_beyond(self._folder, most_bytes)
        if trimmed:
            # Said first: a crash between the two leaves entries that are said to be gone, which is no break.
            self.append(last_words(map(split_line, segments.lines_of(trimmed))))
            segments.drop(trimmed)

    def _settle(self) -> None:
        """Find the end: the last whole line may be newer than what was noted. A line that a crash cut short goes."""
        with segments.current(self._folder) as file:
            line, torn = segments.tail(file) if file is not None else (b"", b"")
            if file is not None and torn:
                if head_of(split_line(torn)) is not None:
                    # The entry is whole, and lacks its line end only.
                    os.pwrite(file, b"\n", os.fstat(file).st_size)
                    line, torn = torn, b""
                else:
                    os.ftruncate(file, os.fstat(file).st_size - len(torn))
        if torn:
            self._about.append(entry("mend", "done", {"bytes": len(torn)}))
        last = head_of(split_line(line)) or Head()
        if self.end.n < last.n:
            self._see_copies(last.n - self.end.n)
        if not last.n and not self.end.n:
            newest = self.newest(1)
            last = (head_of(newest[0]) if newest else None) or Head()
        self.go_on_after(last)

    def _see_copies(self, count: int) -> None:
        """A crash came before the last lines were noted: which entries of Postgres are among them."""
        for line in self.newest(count):
            decoded = decode(line.text)
            copied = decoded.copy_of if decoded else None
            if copied is not None and copied > self.postgres.n:
                self.postgres = Head(copied)

    def _note_end(self) -> None:
        note = {"n": self.end.n, "hash": self.end.hash, "postgres": [self.postgres.n, self.postgres.hash]}
        os.pwrite(self._end, json.dumps(note).ljust(_END_BYTES - 1).encode() + b"\n", 0)


def head_of(sealed: Sealed) -> Head | None:
    """Number and hash of a sealed entry, None when it has none."""
    decoded = decode(sealed.text) if sealed.hash is not None else None
    return Head(decoded.n, sealed.hash) if decoded and decoded.n and sealed.hash else None


def _read_end(end: int) -> tuple[Head, Head]:
    try:
        note: Any = json.loads(os.pread(end, _END_BYTES, 0) or b"{}")
        return Head(int(note["n"]), str(note["hash"])), Head(int(note["postgres"][0]), str(note["postgres"][1]))
    except (ValueError, LookupError, TypeError):
        return Head(), Head()


def _append(file: Path, data: bytes) -> None:
    handle = private_files.opener(str(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        before = os.fstat(handle).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, before)  # a full disk: no half lines
            raise
    finally:
        os.close(handle)


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrailFile:
    """The file at one moment: every line, and what was noted of its end and of the end of Postgres' chain.

    `end` is None when the note is gone, without which lines that are missing at the end cannot be missed.
    """

    lines: Iterator[Sealed]
    end: Head | None
    postgres: Head

    def examine(self, *witnesses: Witness) -> ChainCheck:
        """A check that knows the end."""
        return ChainCheck(
            "line", (*witnesses, Witness(END_FILE, self.end or Head())), _UNNOTED if self.end is None else ""
        )


@contextmanager
def look(state_dir: Path) -> Iterator[TrailFile]:
    """The file for reading, without holding up who writes it; raises `ConfigError`."""
    try:
        with ExitStack() as stack:
            end, postgres, pieces = _open_all(state_dir, stack)
            yield TrailFile((split_line(line) for line in segments.lines(pieces)), end, postgres)
    except OSError as error:
        raise ConfigError(
            f"the audit file {state_dir / FILE} cannot be read: {error.strerror}",
            remedy="read it as the user that runs the daemon",
        ) from None


def ends(state_dir: Path) -> tuple[Head, Head]:
    """Where the file ends, and where Postgres' chain ended as far as it was copied; without waiting for the lock."""
    try:
        end = os.open(state_dir / END_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return Head(), Head()
    try:
        return _read_end(end)
    finally:
        os.close(end)


def read(state_dir: Path) -> list[AuditEntry]:
    """Every entry there is, the oldest first; lines that cannot be read are left out."""
    with look(state_dir) as file:
        return [decoded for line in file.lines if (decoded := decode(line.text))]


def check(state_dir: Path, *witnesses: Witness) -> ChainVerdict:
    """Check every line of the file; the verdict tells what is missing, was changed, or is not as witnesses remember."""
    with look(state_dir) as file:
        examination = file.examine(*witnesses)
        for line in file.lines:
            examination.see(line)
        return examination.verdict()


def _open_all(state_dir: Path, stack: ExitStack) -> tuple[Head | None, Head, list[segments.Piece]]:
    """The noted ends and the pieces as they belong together: the lock is held while they are opened."""
    try:
        end = os.open(state_dir / END_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        pieces = segments.open_pieces(state_dir, stack)
        if (state_dir / END_FILE).exists():  # made with the first lines, after it was looked for
            return _open_all(state_dir, stack)
        return None, Head(), pieces
    try:
        fcntl.flock(end, fcntl.LOCK_SH)
        return *_read_end(end), segments.open_pieces(state_dir, stack)
    finally:
        os.close(end)
