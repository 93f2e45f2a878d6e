"""The daemon stands back while a command switches: for exactly as long as that command lives.

A lock on a file in the state folder, which the system lets go with the process that holds it: a switch that was killed
holds nobody up.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cdc.config import Config
from cdc.errors import StillWorking
from cdc.host import private_files

FILE: Final = "switch.lock"
ATTEMPTS: Final = 20
ATTEMPT_SECONDS: Final = 0.01


def is_held(config: Config) -> bool:
    """Whether a switch is under way: asked with every step of the daemon, so it takes microseconds."""
    try:
        descriptor = os.open(_file(config), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@contextmanager
def held(config: Config) -> Iterator[None]:
    """Hold the daemon for the time of a block; raises `StillWorking` when another switch is under way."""
    file = _file(config)
    private_files.make_folder(file.parent)
    # The file stays: one that is taken away could be locked by two, each of whom opened another one.
    descriptor = private_files.opener(str(file), os.O_RDWR | os.O_CREAT)
    try:
        if not any(_locked(descriptor, fcntl.LOCK_EX) for _ in _attempts()):
            raise StillWorking(
                "another command switches between the databases now", remedy="wait until that command is done"
            )
        yield
    finally:
        os.close(descriptor)


def _attempts() -> Iterator[None]:
    """A daemon that only looks has the lock for a moment."""
    for _ in range(ATTEMPTS):
        yield
        time.sleep(ATTEMPT_SECONDS)


def _locked(descriptor: int, kind: int) -> bool:
    """Whether the lock could be taken, which is then held until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file(config: Config) -> Path:
    return config.state.dir / FILE
