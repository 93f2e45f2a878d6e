"""Two answers of one moment: asked while neither database moved, so that time cannot make them differ.

Every write of the application gets a number in SQLite's changelog, and Postgres stores the number up to which it is
applied in the same transaction as the rows. So an answer of the baseline is of position P if the newest number was P
before and after it, and one of the candidate is of P if Postgres stood at P before and after.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

B = TypeVar("B")
C = TypeVar("C")

LOOK_SECONDS: Final = 0.002
LONGEST_PAUSE_SECONDS: Final = 0.05  # between two attempts


class Positions(Protocol):
    """Where both databases stand, asked again and again."""

    async def source(self) -> int:
        """The number of the newest entry in SQLite's changelog."""

    async def target(self) -> int:
        """The number up to which Postgres has applied it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a pair is asked when something moves, and how many seconds Postgres gets to come along."""

    attempts: int = 20
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Moment(Generic[B, C]):
    """Both answers and the seconds each took, at position `seq`."""

    baseline: B
    candidate: C
    baseline_seconds: float
    candidate_seconds: float
    seq: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Why there is no pair of one moment: something was written at each attempt, or Postgres stayed `behind`."""

    behind: bool


async def at_one_position(
    positions: Positions,
    baseline: Callable[[], Awaitable[B]],
    candidate: Callable[[], Awaitable[C]],
    patience: Patience,
) -> Moment[B, C] | Moved:
    """Ask the baseline, wait for Postgres, ask the candidate, again until both stood still while they were asked.

    Raises what the two questions raise.
    """
    for attempt in range(patience.attempts):
        if attempt:
            # By chance, so as not to keep step with a writer that commits at a steady pace.
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
        seq = await positions.source()
        ours, ours_seconds = await timed(baseline)
        if await positions.source() != seq:
            continue
        reached = await arrival(positions, seq, patience.seconds)
        if reached is None:
            return Moved(behind=True)
        if reached != seq:
            continue
        theirs, theirs_seconds = await timed(candidate)
        if await positions.target() == seq:
            return Moment(ours, theirs, ours_seconds, theirs_seconds, seq)
    return Moved(behind=False)


async def arrival(positions: Positions, seq: int, seconds: float) -> int | None:
    """Where Postgres stands once it has applied an entry, None if it has not within so many seconds."""
    deadline = time.monotonic() + seconds
    while (reached := await positions.target()) < seq:
        if time.monotonic() > deadline:
            return None
        await asyncio.sleep(LOOK_SECONDS)
    return reached


async def timed(question: Callable[[], Awaitable[B]]) -> tuple[B, float]:
    """An answer and the seconds that it took."""
    began = time.perf_counter()
    answer = await question()
    return answer, time.perf_counter() - began
