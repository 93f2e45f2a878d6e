"""The note that SQLite was opened without Postgres: whoever reaches Postgres next gives it up for good.

It lies in the state folder, because Postgres was away when it was left.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cdc.audit.chain import actor
from cdc.config import Config
from cdc.host import private_files

FILE: Final = "emergency.json"
RETURNED: Final = "returned"  # its time is when SQLite last had everything of Postgres


class EmergencyNote(msgspec.Struct, frozen=True):
    """Since when (ISO 8601) SQLite is open, and by whose wish."""

    since: str
    by: str


def read(config: Config) -> EmergencyNote | None:
    """The note, or None."""
    try:
        return msgspec.json.decode((config.state.dir / FILE).read_bytes(), type=EmergencyNote)
    except (OSError, msgspec.MsgspecError):
        return None


def leave(config: Config) -> None:
    """Leave the note, durably, before SQLite is opened."""
    note = EmergencyNote(datetime.now(UTC).isoformat(timespec="seconds"), actor())
    private_files.replace(config.state.dir / FILE, msgspec.json.encode(note) + b"\n")


def forget(config: Config) -> None:
    """It was seen to."""
    with suppress(FileNotFoundError):
        (config.state.dir / FILE).unlink()


def mark_returned(config: Config) -> None:
    """Note that SQLite has everything of Postgres at this moment."""
    file = _returned(config)
    with suppress(OSError):  # a full disk is no reason to end
        private_files.touch(file)
        file.touch()


def returned_at(config: Config) -> datetime | None:
    """When that was last, None when nobody knows."""
    try:
        return datetime.fromtimestamp(_returned(config).stat().st_mtime, UTC)
    except OSError:
        return None


def _returned(config: Config) -> Path:
    return config.state.dir / RETURNED
