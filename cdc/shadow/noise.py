"""What differs from itself: a place where the baseline answers otherwise each time says nothing about the candidate."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from cdc.facts.shadow import Verdict
from cdc.shadow.compare_http import Compared

MOST_QUESTIONS: Final = 3  # to the baseline, where a pair differs


async def without_noise(compared: Compared, itself: Callable[[], Awaitable[Compared | None]]) -> Compared:
    """What is left of a pair that differs without the noisy places; `NOISE` where nothing is.

    `itself` asks the baseline again and compares that answer with its first one, None where there is none of the same
    position. It is called once for a difference that is real, and a few times at most.
    """
    noisy: set[str] = set()
    real = compared.differences
    for _ in range(MOST_QUESTIONS):
        again = await itself()
        if again is None:
            break
        noisy |= {difference.path for difference in again.differences}
        real = tuple(difference for difference in compared.differences if not within(difference.path, noisy))
        if not noisy or not real:
            break
    return replace(compared, verdict=compared.verdict if real else Verdict.NOISE, differences=real)


def within(path: str, places: set[str]) -> bool:
    """Whether a place is one of those, or lies within one."""
    return any(path == place or path.startswith((f"{place}[", f"{place} > ")) for place in places)
