"""What happens between two steps of a batch: the application writes on, Postgres ends connections, the process dies.

In this process and by a seed, so that a moment which takes luck to meet is met again.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any, Final

import pytest

from cdc import faults
from cdc.errors import TargetUnavailable
from cdc.sqlite.changelog import changelog
from cdc.sqlite.changelog.source import Source

READS: Final = ("read", "read_page", "read_keys")
# What Postgres can do to every connection of ours at any moment.
TERMINATE: Final = "pg_terminate_backend"
CANCEL: Final = "pg_cancel_backend"

Write = Callable[[], Awaitable[None]]


@contextlib.contextmanager
def interrupted(write: Write) -> Iterator[None]:
    """Call `write` after each read of a source, before what was read is staged."""
    with pytest.MonkeyPatch.context() as patched:
        for name in READS:
            patched.setattr(Source, name, _followed(getattr(Source, name), write))
        yield


def _followed(read: Callable[..., Any], write: Write) -> Callable[..., Any]:
    async def read_and_write(source: Source, *arguments: Any) -> Any:
        found = await read(source, *arguments)
        await write()
        return found

    return read_and_write


@contextlib.contextmanager
def pages_of(rows: int) -> Iterator[None]:
    """Let whole tables be read in pages that begin this small."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(changelog, "FIRST_PAGE_ROWS", rows)
        yield


class Strikes:
    """Which steps are struck: each by the same chance, until a number is used up, so that every batch ends at last."""

    def __init__(self, random: Random, share: float, most: int = 4) -> None:
        self._random = random
        self._share = share
        self._left = most

    def due(self) -> bool:
        struck = self._left > 0 and self._random.random() < self._share
        self._left -= struck
        return struck


@contextlib.contextmanager
def cut_off(strikes: Strikes) -> Iterator[None]:
    """End a batch between two of its steps, wherever a test may end the process; what the batch did is lost."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(faults, "_crash", _Cuts(strikes))
        yield


class _Cuts:
    """In place of the point that an environment variable names."""

    def __init__(self, strikes: Strikes) -> None:
        self._strikes = strikes

    def is_reached(self, name: str) -> bool:
        if name.startswith("apply.") and self._strikes.due():
            raise TargetUnavailable(f"cut off at {name}", remedy="none: a test did it")
        return False


async def strike(connection: Any, function: str) -> None:
    """Have Postgres end the connections of ours, or what they are doing."""
    await connection.execute(
        f"SELECT {function}(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE 'cdc %' AND datname = current_database() AND pid <> pg_backend_pid()"
    )
