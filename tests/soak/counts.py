"""What a soak did, counted, and what it found."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counts:
    """Everything that a soak tells at its end."""

    statements: int = 0
    transactions: int = 0
    snapshots: int = 0
    comparisons: int = 0
    batches: int = 0
    strikes: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)  # how daemons ended by themselves
    libraries: set[str] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)

    def wrote(self, told: dict[str, Any], before: dict[str, Any] | None) -> None:
        """Add what one writer did since it was asked before.

        A write that failed is a difference: no application may notice anything.
        """
        before = before or {"statements": 0, "transactions": 0, "failures": []}
        self.statements += told["statements"] - before["statements"]
        self.transactions += told["transactions"] - before["transactions"]
        self.libraries.add(told["sqlite"])
        for words in told["failures"][len(before["failures"]) :]:
            self.differ(f"a write failed: {words}")

    def differ(self, words: str) -> None:
        """Keep a difference, and say it at once; a state that lasts is seen by every look."""
        if words not in self.differences:
            self.differences.append(words)
            print(f"DIFFERENCE {words}", flush=True)

    def lines(self) -> list[str]:
        """The counts in words."""
        struck = ", ".join(f"{count:,} {name}" for name, count in sorted(self.strikes.items())) or "none"
        ended = ", ".join(f"{count:,} with {how}" for how, count in sorted(self.ends.items())) or "none"
        return [
            f"{self.statements:,} statements in {self.transactions:,} transactions",
            f"SQLite {', '.join(sorted(self.libraries))}",
            f"{self.batches:,} batches",
            f"{self.comparisons:,} comparisons of all rows, {self.snapshots:,} snapshots of Postgres",
            f"strikes: {struck}",
            f"daemons that ended by themselves: {ended}",
            f"{len(self.differences):,} differences",
        ]
