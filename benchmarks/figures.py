"""What a benchmark answers with: figures, each beside its yardstick and beside what is to be reached.

A ratio is always our speed as a share of the yardstick's, measured in the same run: 2 is twice as fast, 0.5 half as
fast. So more is better everywhere, and a ratio that falls is a regression.
"""

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measurement under an `id` that never changes.

    `value` is None where nothing could be measured, and `note` says why; otherwise the note says what else to know.
    `beside` is the yardstick's value in the same unit. `steady` says that the ratio comes out nearly the same in every
    run, so that a fall means a change of the program. What is to be reached is a least ratio, or a least or most value.
    """

    id: str
    what: str
    value: float | None
    unit: str
    beside: float | None = None
    ratio: float | None = None
    steady: bool = False
    least_ratio: float | None = None
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the figure is as good as it should be; None where nothing was set or nothing measured."""
        checks = (
            None if self.least_ratio is None or self.ratio is None else self.ratio >= self.least_ratio,
            None if self.least is None or self.value is None else self.value >= self.least,
            None if self.most is None or self.value is None else self.value <= self.most,
        )
        known = [check for check in checks if check is not None]
        return all(known) if known else None

    @property
    def reach(self) -> str:
        """What is to be reached, in words."""
        parts = (
            "" if self.least_ratio is None else f"ratio {self.least_ratio:.2f}",
            "" if self.least is None else f"at least {amount(self.least)} {self.unit}",
            "" if self.most is None else f"at most {amount(self.most)} {self.unit}",
        )
        return ", ".join(part for part in parts if part)

    @property
    def measured(self) -> str:
        """The value for people."""
        return "" if self.value is None else f"{amount(self.value)} {self.unit}"


def compared_speeds(ours: Sequence[float], theirs: Sequence[float], **facts: Any) -> Figure:
    """Speeds of rounds in which both sides took turns; the ratio is the median of the rounds' own ratios."""
    ratio = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
    return Figure(value=statistics.median(ours), beside=statistics.median(theirs), ratio=ratio, steady=True, **facts)


def compared_times(ours: Sequence[float], theirs: Sequence[float], **facts: Any) -> Figure:
    """The same for times, of which less is better."""
    ratio = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
    return Figure(value=statistics.median(ours), beside=statistics.median(theirs), ratio=ratio, steady=True, **facts)


def amount(number: float) -> str:
    """A number for people, with three digits that say something and never more than needed."""
    if number == int(number) or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.2f}" if abs(number) < 10 else f"{number:.1f}"


def encode(figures: Sequence[Figure]) -> bytes:
    """Figures as a JSON list."""
    return msgspec.json.encode(figures)


def decode(text: bytes) -> list[Figure]:
    """Figures from a JSON list."""
    return msgspec.json.decode(text, type=list[Figure])
