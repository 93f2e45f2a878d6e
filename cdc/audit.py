"""Who did what, when, with what result: one JSON object a line, appended and flushed to disk, never rewritten."""

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cdc.errors import ConfigError

FILE: Final = "audit.jsonl"

Detail = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One step: `at` is ISO 8601 in UTC, `actor` is user@host, `details` hold names and counts, never row values."""

    at: str
    actor: str
    action: str
    result: str
    details: Mapping[str, Detail] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The entry as the file and `cdc audit --json` hold it."""
        return {**asdict(self), "details": dict(self.details)}


def entry(action: str, result: str, details: Mapping[str, Detail] | None = None) -> AuditEntry:
    """An entry of now, by whoever runs this process."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return AuditEntry(at, actor(), action, result, dict(details or {}))


def record(state_dir: Path, action: str, result: str, details: Mapping[str, Detail] | None = None) -> AuditEntry:
    """Append an entry and wait until it is on disk; raises `ConfigError` when the state folder cannot be written."""
    made = entry(action, result, details)
    line = json.dumps(made.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _append(state_dir / FILE, line)
    except OSError as error:
        raise ConfigError(
            f"the audit file {state_dir / FILE} cannot be written: {error.strerror}",
            remedy="make `dir` in [state] a folder that this user may write, with room on its disk",
        ) from None
    return made


def read(state_dir: Path, limit: int | None = None) -> list[AuditEntry]:
    """The newest `limit` entries (all without it), oldest first; empty when nothing was recorded yet."""
    file = state_dir / FILE
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"the audit file {file} cannot be read: {error.strerror}", remedy="read it as the user that runs the daemon"
        ) from None
    return [_decode(line) for line in (lines[-limit:] if limit else lines) if line]


def _append(file: Path, line: bytes) -> None:
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # A line that a crash cut short stays as it is; ours begins on a new one.
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, b"\n" + line if torn else line)
        os.fsync(handle)
    finally:
        os.close(handle)


def _decode(line: str) -> AuditEntry:
    try:
        return AuditEntry(**json.loads(line))
    except (ValueError, TypeError):
        return AuditEntry("", "", "unreadable line", "was cut short by a crash, or edited")


def actor() -> str:
    """Who this is, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
