"""The log of the embedded server: kept from growing for ever, and asked for its last words when a start fails."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from cdc.errors import TargetUnavailable
from cdc.host import private_files

_LONGEST: Final = 10 * 1024 * 1024  # bytes, then the log is put aside
_SHOWN_LINES: Final = 5

_REMEDIES: Final = (
    ("No space left on device", "free disk space on that file system and start again"),
    ("pre-existing shared memory", "wait a moment: processes of the server that was killed have not ended yet"),
    ("shared memory", "free memory, or lower `shared_buffers` in postgresql.conf of that folder"),
    ("Cannot allocate memory", "free memory, or lower `shared_buffers` in postgresql.conf of that folder"),
    ("lock file", "another server uses that folder: stop it first"),
    ("Permission denied", "give the folder and everything in it to the user who runs cdc"),
    ("postgresql.conf", "correct that setting in postgresql.conf of that folder"),
)


def bound_log(folder: Path) -> None:
    """Put the server's log aside once it is too long, also while the server runs: it appends, wherever the end is."""
    log = folder / "server.log"
    with contextlib.suppress(OSError):  # a full disk, or no log yet: the log is not worth an error
        if log.stat().st_size > _LONGEST:
            private_files.touch(log.with_name("server.log.1"))
            shutil.copyfile(log, log.with_name("server.log.1"))
            os.truncate(log, 0)


def open_log(log: Path) -> int:
    """Make sure the log exists and is not too long; returns its size."""
    bound_log(log.parent)
    private_files.touch(log)
    return log.stat().st_size


def last_lines(log: bytes) -> str:
    """The end of a log, in one line."""
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    return " | ".join(lines[-_SHOWN_LINES:])


def cannot_start(folder: Path, reason: str, last_words: str = "") -> TargetUnavailable:
    """The error of a start that failed, with a remedy where the words are known to have one."""
    why = f"{reason}; its last words: {last_words}" if last_words else reason
    advice = next((remedy for sign, remedy in _REMEDIES if sign in why), "see the reason")
    return TargetUnavailable(
        f"the embedded Postgres in {folder} cannot be started: {why}",
        remedy=f"{advice}; server.log in that folder tells more",
    )
