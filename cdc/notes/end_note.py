"""The note that replication was ended on purpose: without it, a file without capture looks as if it had been replaced.

It lies in the state folder, because Postgres may be away when capture is removed; there it is noted as well, for that
frees the tables for another source.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cdc.audit.chain import actor
from cdc.config import Config
from cdc.errors import ConfigError, ReplicationEnded
from cdc.host import private_files

FILE: Final = "ended.json"


class EndNote(msgspec.Struct, frozen=True):
    """Since when (ISO 8601) the file at `source` is not replicated any more, and by whose wish."""

    source: str
    since: str
    by: str


def read(config: Config) -> EndNote | None:
    """The note about this configuration's file, or None."""
    try:
        note = msgspec.json.decode(_file(config).read_bytes(), type=EndNote)
    except (OSError, msgspec.MsgspecError):
        return None
    return note if note.source == str(config.source.path) else None


def leave(config: Config) -> None:
    """Leave the note, if there is none; raises `ConfigError` when the state folder cannot be written."""
    if read(config) is not None:
        return
    note = EndNote(str(config.source.path), datetime.now(UTC).isoformat(timespec="seconds"), actor())
    try:
        private_files.make_folder(_file(config).parent)
        with private_files.create(_file(config)) as output:
            output.write(msgspec.json.encode(note) + b"\n")
    except OSError as error:
        raise ConfigError(
            f"the note {_file(config)} that replication has ended cannot be written: {error.strerror}",
            remedy="make `dir` in [state] a folder that this user may write; nothing was removed",
        ) from None


def forget(config: Config) -> None:
    """Remove the note, for the file is replicated again."""
    if read(config) is not None:
        with suppress(OSError):
            _file(config).unlink()


def ended(config: Config, since: str | datetime) -> ReplicationEnded:
    """The error of what goes on where replication was ended."""
    at = since if isinstance(since, str) else since.isoformat(timespec="seconds")
    return ReplicationEnded(
        f"replication of {config.source.path} was ended on purpose by `cdc cleanup` at {at}",
        remedy="nothing, if that is still meant; `cdc up` begins anew, and says first which rows of Postgres it would "
        "replace",
    )


def _file(config: Config) -> Path:
    return config.state.dir / FILE
