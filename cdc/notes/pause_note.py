"""The note in the state folder that holds the daemon: it applies nothing for as long as the note is there.

It lies there and not in Postgres, so that it can be left while Postgres is away, and survives a restart of the daemon.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cdc.audit.chain import actor
from cdc.config import Config
from cdc.errors import ConfigError, Paused
from cdc.host import private_files

FILE: Final = "paused.json"


class PauseNote(msgspec.Struct, frozen=True):
    """Since when and by whom the daemon is held; `released` says that the triggers were taken out of the file."""

    since: str
    by: str
    released: bool = False

    def error(self) -> Paused:
        """The error of what cannot be done meanwhile."""
        return Paused(f"replication is paused since {self.since} by {self.by}", remedy="`cdc resume` goes on")


def is_held(config: Config) -> bool:
    """Whether the daemon is held: asked with every step, so it takes microseconds."""
    return os.path.exists(_file(config))  # noqa: PTH110 (called with every step)


def read(config: Config) -> PauseNote | None:
    """The note, or None. One that cannot be read still holds."""
    try:
        return msgspec.json.decode(_file(config).read_bytes(), type=PauseNote)
    except (OSError, msgspec.MsgspecError):
        return PauseNote("?", "?") if is_held(config) else None


def hold(config: Config, *, released: bool) -> PauseNote:
    """Leave the note, or add to the one that is there that the triggers are taken out; raises `ConfigError`."""
    earlier = read(config)
    if earlier is None:
        note = PauseNote(datetime.now(UTC).isoformat(timespec="seconds"), actor(), released)
    else:
        note = PauseNote(earlier.since, earlier.by, released or earlier.released)
    file = _file(config)
    try:
        private_files.replace(file, msgspec.json.encode(note) + b"\n")
    except OSError as error:
        raise _unwritable(file, error) from None
    return note


def let_go(config: Config) -> PauseNote | None:
    """Take the note away; returns it, or None when there was none. Raises `ConfigError`."""
    note, file = read(config), _file(config)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(file, error) from None
    return note


def _file(config: Config) -> Path:
    return config.state.dir / FILE


def _unwritable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the note {file} that holds the daemon cannot be written or removed: {error.strerror}",
        remedy="give this command as the user that the daemon runs as, or make `dir` in [state] writable",
    )
