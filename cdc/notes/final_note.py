"""The note that the way back was ended on purpose: what it was ended with, and that nothing may begin anew by accident.

It lies in the state folder, because in the end nothing of this tool is left in either database. It is proposed before
the step that ends the way back, and confirmed after it: a proposal alone means nothing.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cdc.audit.chain import actor
from cdc.config import Config
from cdc.errors import ConfigError
from cdc.host import private_files

FILE: Final = "finalized.json"
PROPOSED: Final = "finalizing.json"


class Dump(msgspec.Struct, frozen=True):
    """A dump of the target schema: its file in the state folder, how long it is in bytes, and its SHA-256."""

    file: str
    bytes: int
    sha256: str


class FinalNote(msgspec.Struct, frozen=True):
    """Since when (ISO 8601) the file at `source` does not follow Postgres any more, by whose wish, and what was kept.

    `snapshot` is the last one by its name, with the SHA-256 of its database and how many rows it has. `dump` is None
    until it is made, and stays so `without_dump`. `cleaned` is since when nothing of ours is in either database, but
    for the fence, where it was to stay.
    """

    source: str
    source_id: str
    schema: str
    since: str
    by: str
    snapshot: str
    snapshot_sha256: str
    rows: int
    without_dump: bool = False
    guards_removed: bool = False
    dump: Dump | None = None
    cleaned: str | None = None
    fence_kept: bool = False

    @property
    def complete(self) -> bool:
        """Whether all was done that belongs to the end of the way back."""
        return self.guards_removed and (self.without_dump or self.dump is not None)


def read(config: Config) -> FinalNote | None:
    """The note about this configuration's file, or None."""
    return _read(config, FILE)


def proposed(config: Config) -> FinalNote | None:
    """What was proposed and not confirmed yet, or None."""
    return _read(config, PROPOSED)


def propose(config: Config, note: FinalNote) -> None:
    """Keep what will be true once the way back has ended; raises `ConfigError`."""
    _write(config, PROPOSED, note)


def confirm(config: Config) -> FinalNote | None:
    """What was proposed is true; returns it, or the note that was confirmed before. Raises `ConfigError`."""
    note = proposed(config)
    if note is None:
        return read(config)
    _write(config, FILE, note)
    with suppress(OSError):
        (config.state.dir / PROPOSED).unlink()
    return note


def amend(config: Config, note: FinalNote) -> None:
    """Have the note say more; raises `ConfigError`."""
    _write(config, FILE, note)


def now() -> tuple[str, str]:
    """The moment (ISO 8601), and who acts."""
    return datetime.now(UTC).isoformat(timespec="seconds"), actor()


def path(config: Config) -> Path:
    """Where the note lies."""
    return config.state.dir / FILE


def _read(config: Config, name: str) -> FinalNote | None:
    try:
        note = msgspec.json.decode((config.state.dir / name).read_bytes(), type=FinalNote)
    except (OSError, msgspec.MsgspecError):
        return None
    return note if note.source == str(config.source.path) else None


def _write(config: Config, name: str, note: FinalNote) -> None:
    file = config.state.dir / name
    try:
        private_files.replace(file, msgspec.json.format(msgspec.json.encode(note), indent=2) + b"\n")
    except OSError as error:
        raise ConfigError(
            f"the note {file} that the way back was ended cannot be written: {error.strerror}",
            remedy="make `dir` in [state] a folder that this user may write, then give the command again",
        ) from None
