"""What the rows of a table of SQLite came to when it was read, range by range of its key."""

from dataclasses import dataclass
from datetime import datetime

from cdc.facts.key_range import KeyRange


@dataclass(frozen=True, slots=True)
class SummedRange:
    """The rows of a range of keys: how many, and their hash in the order of their keys, None where there are none."""

    keys: KeyRange
    rows: int
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class SourceSums:
    """All rows of a table, in ranges that leave no key out; they were read at `summed_at`."""

    ranges: tuple[SummedRange, ...]
    summed_at: datetime

    @property
    def rows(self) -> int:
        """How many there were."""
        return sum(part.rows for part in self.ranges)
