"""How much of the file one snapshot may read, and what rows that were fetched take of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cdc.facts.values import Row


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one snapshot may read: changelog entries, and bytes of rows (both at least one entry)."""

    entries: int
    bytes: int


class BudgetExceeded(Exception):
    """The rows of a span are larger than the budget."""


class Meter:
    """Estimates the bytes of rows as they are fetched, from every eighth row, and stops a span that is too large.

    A single entry has no limit: it must be read whatever its size.
    """

    def __init__(self, most_bytes: int | None) -> None:
        self._most = most_bytes
        self.bytes = 0

    def weigh(self, fetched: Sequence[Row]) -> None:
        """Add rows that were fetched; raises `BudgetExceeded` once all of them are too many bytes."""
        sample = fetched[::8]
        size = sum(len(value) for row in sample for value in row if isinstance(value, (str, bytes)))
        self.bytes += len(fetched) * 64 + size * len(fetched) // max(1, len(sample))
        if self._most is not None and self.bytes > self._most:
            raise BudgetExceeded
