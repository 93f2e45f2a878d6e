"""What comes back after a repair: rows that were repaired differ again, so somebody wrote them again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cdc.facts.target_schema import TargetTable
from cdc.postgres.record.record import Record
from cdc.postgres.tables.writers import Writers, writers_of


@dataclass(frozen=True, slots=True)
class Recurrence:
    """So many rows that differ were repaired before, the last of them at `repaired_at`; `writers` is who may write."""

    rows: int
    repaired_at: datetime
    writers: Writers

    def words(self) -> str:
        """One sentence for people; what is known of writers is in `writers.lines()`."""
        return (
            f"{self.rows:,} of them were repaired at {self.repaired_at:%Y-%m-%d %H:%M:%S} UTC and differ again: "
            "somebody else writes to this table"
        )

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {"rows": self.rows, "repaired_at": self.repaired_at.isoformat(), "writers": self.writers.to_json()}


async def recurrence(
    record: Record, table: str, target: TargetTable, keys: Iterable[Sequence[str]]
) -> Recurrence | None:
    """Which of these keys (encoded, in batches) of a source table were repaired before; None when none was."""
    rows, newest = 0, None
    for batch in keys:
        found, at = await record.repaired.among(table, batch)
        rows += found
        newest = max(filter(None, (newest, at)), default=None)
    if newest is None:
        return None
    return Recurrence(rows, newest, await writers_of(record.connection, target))
