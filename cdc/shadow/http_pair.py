"""One request put to both sides at one position, the order turned about each time, so that neither is always warm."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cdc.shadow.moment import Moment, Moved, Patience, Positions, at_one_position, timed

B = TypeVar("B")
C = TypeVar("C")


@dataclass(slots=True)
class Pairs:
    """Asks pairs of one moment."""

    positions: Positions
    patience: Patience
    _candidate_first: bool = field(default=True)

    async def pair(
        self, baseline: Callable[[], Awaitable[B]], candidate: Callable[[], Awaitable[C]]
    ) -> Moment[B, C] | Moved:
        """Both answers at one position; each second pair asks the candidate first, where nothing is on its way."""
        self._candidate_first = not self._candidate_first
        if self._candidate_first and (moment := await self._turned_about(baseline, candidate)):
            return moment
        return await at_one_position(self.positions, baseline, candidate, self.patience)

    async def _turned_about(
        self, baseline: Callable[[], Awaitable[B]], candidate: Callable[[], Awaitable[C]]
    ) -> Moment[B, C] | None:
        """The candidate's answer first, None where something was written before SQLite had answered too.

        If SQLite still is where Postgres stood before, both stood there all the time: Postgres is never past SQLite.
        """
        seq = await self.positions.target()
        if await self.positions.source() != seq:
            return None  # as it will be at the end; nobody has to be asked for that
        theirs, theirs_seconds = await timed(candidate)
        ours, ours_seconds = await timed(baseline)
        if await self.positions.source() != seq:
            return None
        return Moment(ours, theirs, ours_seconds, theirs_seconds, seq)

    async def still_at(self, seq: int, question: Callable[[], Awaitable[B]]) -> B | None:
        """An answer of the baseline, None when something was written since that position."""
        answer = await question()
        return answer if await self.positions.source() == seq else None
