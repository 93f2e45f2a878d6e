"""Where a switch is killed in a rehearsal: at each step, when it has begun and when it is done, once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cdc.facts.side import Side
from cdc.rehearsal.report import PLANNED

_POINTS = {"begun": "switch.step_begun", "done": "switch.step_done"}


@dataclass(frozen=True, slots=True)
class Kill:
    """A point of a switch `to` a side: step `number`, counted from 1, when it was `begun` or `done`."""

    to: Side
    number: int
    when: str

    @property
    def point(self) -> str:
        """As `CDC_CRASH_AT` names it."""
        return f"{_POINTS[self.when]}:{self.number}"

    @property
    def step(self) -> str:
        """The name of the step."""
        return PLANNED[self.to][self.number - 1].name

    def __str__(self) -> str:
        return f"step {self.number} ({self.step}) {self.when}"


EACH_STEP = tuple(
    Kill(to, number, when) for to, steps in PLANNED.items() for number in range(1, len(steps) + 1) for when in _POINTS
)


class Kills:
    """What is left to be killed; whichever way a kill ends, the next one is of the switch that can be made then."""

    def __init__(self, kills: Sequence[Kill]) -> None:
        self._left = {side: deque(kill for kill in kills if kill.to is side) for side in Side}

    @property
    def left(self) -> int:
        """How many."""
        return sum(map(len, self._left.values()))

    def next(self, to: Side) -> Kill | None:
        """Where to kill the switch to a side, which is about to be made; None lets it be made."""
        return self._left[to].popleft() if self._left[to] else None
