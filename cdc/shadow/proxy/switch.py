"""Which side is active, and a hold on writes for the moment in which that changes.

While writes are held they wait, and nobody's fails: each goes to the active side once the hold ends, at the latest
after `WAIT_SECONDS`. A hold that nobody ends ends by itself.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, Final

from loguru import logger

WAIT_SECONDS: Final = 1.0
LONGEST_HOLD_SECONDS: Final = 10.0


class ActiveSide(StrEnum):
    """Who is asked."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


# Records what happened in the audit trail: an action, and its details by name.
TellTrail = Callable[..., None]


def tell_nobody(action: str, **details: str | float | None) -> None:
    """What happens is recorded nowhere."""


class TooManyHeld(Exception):
    """As many writes wait as may; becomes 503 and never leaves this room."""


class Switch:
    """`most_held` bounds how many writes may wait at a time; holds and changes of the side are told by `tell`."""

    def __init__(self, most_held: int, active: ActiveSide = ActiveSide.BASELINE, tell: TellTrail = tell_nobody) -> None:
        self.active = active
        self._most_held = most_held
        self.tell = tell
        self._held_at = 0.0
        self._held_before = 0
        self._open = asyncio.Event()
        self._open.set()
        self._ends: asyncio.TimerHandle | None = None
        self.waiting = 0
        self.writing = 0  # under way, at either side
        self.held = 0  # that ever waited

    @property
    def holds(self) -> bool:
        """Whether writes wait."""
        return not self._open.is_set()

    def hold(self) -> None:
        """Have writes wait from now on; those under way go on, see `writing`."""
        if not self.holds:
            self._held_at, self._held_before = time.monotonic(), self.held
            self.tell("hold writes", active=self.active.value)
        self._open.clear()
        self._forget_end()
        self._ends = asyncio.get_running_loop().call_later(LONGEST_HOLD_SECONDS, self._let_go)

    def release(self, switch_to: ActiveSide | None = None) -> None:
        """Let them go on, to another side from now on when one is given."""
        before, self.active = self.active, switch_to or self.active
        if self.active is not before:
            logger.bind(active=self.active.value).warning("the active side has changed")
        if self.holds or self.active is not before:
            seconds = round(time.monotonic() - self._held_at, 3) if self.holds else 0.0
            writes = self.held - self._held_before if self.holds else 0
            self.tell("release writes", active=self.active.value, before=before.value, seconds=seconds, writes=writes)
        self._forget_end()
        self._open.set()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[ActiveSide]:
        """The side that a write goes to; waits while writes are held. Raises `TooManyHeld`."""
        if self.holds:
            await self._wait()
        self.writing += 1
        try:
            yield self.active
        finally:
            self.writing -= 1

    def to_json(self) -> dict[str, Any]:
        """How it stands."""
        counts = {"waiting": self.waiting, "writing": self.writing, "held": self.held}
        return {"active": self.active.value, "holds": self.holds, **counts}

    async def _wait(self) -> None:
        if self.waiting >= self._most_held:
            raise TooManyHeld
        self.waiting += 1
        self.held += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._open.wait(), WAIT_SECONDS)
        finally:
            self.waiting -= 1

    def _let_go(self) -> None:
        logger.bind(seconds=LONGEST_HOLD_SECONDS).warning("writes were held for too long and go on")
        self.release()

    def _forget_end(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
