"""How long answers took, as counts in steps of 2 %: small, exact enough to compare, and sums of them are sums."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_STEP: Final = math.log(1.02)
_LEAST: Final = 1e-6  # seconds; nothing is answered faster
_TWO_SIDED_95: Final = 1.96


@dataclass(slots=True)
class Timings:
    """Counts by step: step n holds what took 1.02 to the power of n microseconds."""

    steps: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count one answer."""
        self.steps[round(math.log(max(seconds, _LEAST) / _LEAST) / _STEP)] += 1

    def merge(self, other: "Timings") -> None:
        """Count all that another one counted."""
        self.steps.update(other.steps)

    @property
    def samples(self) -> int:
        """How many were counted."""
        return self.steps.total()

    @property
    def seconds(self) -> float:
        """All of them together, to 1 %."""
        return sum(count * _LEAST * math.exp(step * _STEP) for step, count in self.steps.items())

    def within(self, seconds: float) -> int:
        """How many took no longer than that, to 1 %."""
        last = round(math.log(max(seconds, _LEAST) / _LEAST) / _STEP)
        return sum(count for step, count in self.steps.items() if step <= last)

    def copy(self) -> "Timings":
        """The counts as they are now; they may be added to meanwhile, in another thread."""
        return Timings(self.steps.copy())

    def quantile(self, share: float) -> float:
        """The seconds within which that share of all was answered, to 1 %; needs a sample."""
        return self._at(math.ceil(share * self.samples))

    def interval(self, share: float) -> tuple[float, float]:
        """Between which seconds the quantile of all that could be asked lies, with 95 % confidence.

        By the ranks of the samples themselves (the binomial distribution, by its normal approximation), so nothing is
        assumed of how answers are distributed; with few samples the ends are the shortest and the longest.
        """
        middle, spread = share * self.samples, _TWO_SIDED_95 * math.sqrt(self.samples * share * (1 - share))
        return self._at(math.floor(middle - spread)), self._at(math.ceil(middle + spread) + 1)

    def _at(self, rank: int) -> float:
        """The sample of that rank, the first being 1; ranks beyond the ends are those of the ends."""
        wanted, passed = min(max(rank, 1), self.samples), 0
        for step in sorted(self.steps):
            passed += self.steps[step]
            if passed >= wanted:
                break
        return _LEAST * math.exp(step * _STEP)

    def to_json(self) -> dict[str, int]:
        """The counts by step."""
        return {str(step): count for step, count in sorted(self.steps.items())}

    @classmethod
    def from_json(cls, counts: Mapping[str, int]) -> "Timings":
        """What `to_json` gave."""
        return cls(Counter({int(step): count for step, count in counts.items()}))
