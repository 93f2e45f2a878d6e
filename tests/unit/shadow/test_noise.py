"""Noise is what the baseline differs from itself in: it is taken out of a difference, and no more than that."""

import pytest

from cdc.facts.shadow import Difference, Verdict
from cdc.shadow.compare_http import Compared
from cdc.shadow.noise import MOST_QUESTIONS, without_noise


def differing(*paths: str) -> Compared:
    return Compared(Verdict.DIFFERENT, tuple(Difference(path, "1", "2") for path in paths))


SAME = Compared(Verdict.EQUAL)
A, B = differing("$['a']"), differing("$['b']")


@pytest.mark.parametrize(
    ("pair", "answers", "left", "questions"),
    [
        (["$['a']"], [SAME], ["$['a']"], 1),
        (["$['a']"], [None], ["$['a']"], 1),
        (["$['a'][0]", "$['a']['x']"], [A], [], 1),
        (["$['ab']"], [A] * MOST_QUESTIONS, ["$['ab']"], MOST_QUESTIONS),
        (["$['a']", "$['b']"], [A, B], [], 2),
        (["$['a']", "$['c']"], [A, SAME, None], ["$['c']"], 3),
        (["$['a']", "$['c']"], [A, None], ["$['c']"], 2),
    ],
)
async def test_the_places_that_are_noisy_are_taken_out(
    pair: list[str], answers: list[Compared | None], left: list[str], questions: int
) -> None:
    coming = iter(answers)
    asked = 0

    async def itself() -> Compared | None:
        nonlocal asked
        asked += 1
        return next(coming)

    found = await without_noise(differing(*pair), itself)
    assert [difference.path for difference in found.differences] == left
    assert found.verdict is (Verdict.DIFFERENT if left else Verdict.NOISE)
    assert asked == questions
