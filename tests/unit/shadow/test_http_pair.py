"""A pair counts only where both answers are of one position, whichever side is asked first and whenever one writes."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cdc.shadow import moment
from cdc.shadow.http_pair import Pairs
from cdc.shadow.moment import Moved, Patience


@dataclass
class Sides:
    """Where both databases stand while a script says at which steps something is written; it is applied one later."""

    writes: Iterator[bool]
    written: int = 0
    applied: int = 0

    def step(self) -> None:
        self.applied = self.written
        self.written += next(self.writes, False)

    async def source(self) -> int:
        self.step()
        return self.written

    async def target(self) -> int:
        self.step()
        return self.applied

    async def baseline(self) -> int:
        self.step()
        return self.written

    async def candidate(self) -> int:
        self.step()
        return self.applied


@pytest.mark.parametrize("candidate_first", [False, True])
async def test_answers_of_two_positions_are_never_a_pair(
    candidate_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moment, "LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(moment, "LOOK_SECONDS", 0.0)
    for script in itertools.product([False, True], repeat=8):
        sides = Sides(iter(script))
        pairs = Pairs(sides, Patience())
        pairs._candidate_first = not candidate_first
        pair = await pairs.pair(sides.baseline, sides.candidate)
        assert not isinstance(pair, Moved)
        assert pair.baseline == pair.candidate == pair.seq, script


async def test_the_order_turns_about_while_nothing_is_written() -> None:
    asked: list[str] = []
    sides = Sides(iter(()))

    async def ours() -> None:
        asked.append("baseline")

    async def theirs() -> None:
        asked.append("candidate")

    pairs = Pairs(sides, Patience())
    for _ in range(2):
        await pairs.pair(ours, theirs)
    assert asked == ["baseline", "candidate", "candidate", "baseline"]
