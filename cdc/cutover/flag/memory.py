"""What is kept of the flags: what those were told that cannot be asked, and a change that did not end."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from cdc.cutover.flag.state import FlagState
from cdc.errors import ConfigError, StillWorking
from cdc.host import private_files

FILE: Final = "flags.json"
LOCK: Final = "flags.lock"


class Memory(msgspec.Struct, frozen=True):
    """`state` is what all were told last, None before the first time; `told` those of them that cannot be asked.

    `towards` is a change that began and has not ended, and `before` what it began at, None where that is not known.
    """

    state: FlagState | None = None
    told: tuple[str, ...] = ()
    before: FlagState | None = None
    towards: FlagState | None = None


def recall(state_dir: Path) -> Memory:
    """What is kept; nothing where it cannot be read."""
    try:
        return msgspec.json.decode((state_dir / FILE).read_bytes(), type=Memory)
    except (OSError, msgspec.MsgspecError):
        return Memory()


def keep(state_dir: Path, memory: Memory) -> None:
    """Keep it from now on, also over a power cut; raises `ConfigError`."""
    file = state_dir / FILE
    partial = file.with_name(f"{FILE}.partial")
    try:
        with private_files.create(partial) as output:
            output.write(msgspec.json.encode(memory) + b"\n")
            output.flush()
            os.fsync(output.fileno())
        partial.replace(file)
    except OSError as error:
        raise _unwritable(file, error) from None


@contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Nobody else changes the flags within the block; raises `StillWorking` where somebody does, and `ConfigError`."""
    try:
        private_files.make_folder(state_dir)
        handle = private_files.opener(str(state_dir / LOCK), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _unwritable(state_dir / LOCK, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StillWorking(
                "somebody else is changing the flags",
                remedy="wait until that has ended, then look at them with `cdc flag`",
            ) from None
        yield
    finally:
        os.close(handle)


def _unwritable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"what the flags were told cannot be kept in {file}: {error.strerror}",
        remedy="make `dir` in [state] a folder that this user may write, with room on its disk",
    )
