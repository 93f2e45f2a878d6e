"""Rows counted on both sides while the daemon follows: rows in Postgres and rows held are the rows of SQLite.

Done with a heartbeat, a few tables at a time in turn, where it is cheap: small tables, and nothing waits to be applied.
A row that somebody deleted or added in Postgres shows here; one that was altered is for `cdc verify`.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.changes import Position
from cdc.facts.table_map import TableMap
from cdc.postgres.record.record import Record
from cdc.postgres.record.verification import Verification
from cdc.postgres.tables import counts
from cdc.postgres.tables.counts import Counted
from cdc.sqlite.changelog.source import Source

TABLES_AT_ONCE: Final = 20
MOST_BYTES: Final = 4 * 1024 * 1024  # of a table in Postgres, without its long values: counted in some milliseconds


@dataclass(frozen=True, slots=True)
class Miscount:
    """A table whose rows do not add up; `source_rows` stops one above what is expected."""

    table: str
    target_rows: int
    held_rows: int
    source_rows: int

    @property
    def expected(self) -> int:
        """Rows that SQLite should have."""
        return self.target_rows + self.held_rows

    @property
    def difference(self) -> int:
        """Rows that Postgres lacks, at most one of them counted, or below zero those that it has too many."""
        return self.source_rows - self.expected

    @property
    def remedy(self) -> str:
        """What shows which rows they are."""
        return f"see which rows they are with `cdc verify --table {shlex.quote(self.table)}`; `--repair` moves them"

    def text(self) -> str:
        """For people."""
        more = "more" if self.source_rows > self.expected else f"{self.source_rows:,}"
        return (
            f"{self.table} has {self.target_rows:,} rows in Postgres and {self.held_rows:,} held, and SQLite has {more}"
        )


class RowCounts:
    """Counts the tables of one source in turn, and tells of each miscount once."""

    def __init__(self, record: Record, maps: Sequence[TableMap]) -> None:
        self._record = record
        self._maps = list(maps)
        self._told: dict[str, int] = {}  # the difference by table: numbers of a table that grows are new each time

    async def look(self, source: Source, at: Position) -> tuple[Miscount, ...]:
        """Count the next few tables; returns what does not add up and was not told before.

        Postgres must be at the position `at`, and stay there. Nothing is counted when SQLite has gone on.
        """
        portion, rest = self._maps[:TABLES_AT_ONCE], self._maps[TABLES_AT_ONCE:]
        self._maps = rest + portion
        counted = await counts.count_small(self._record.connection, self._record.source_id, portion, MOST_BYTES)
        rows = await source.count({table: c.rows + c.held for table, c in counted.items()}, at)
        wrong = _wrong(counted, rows)
        new = tuple(miscount for miscount in wrong if self._told.get(miscount.table) != miscount.difference)
        still = {table: difference for table, difference in self._told.items() if table not in rows}
        self._told = still | {miscount.table: miscount.difference for miscount in wrong}
        for miscount in new:
            await self._record.verifications.record(_as_verification(miscount, at))
        return new


def _wrong(counted: dict[str, Counted], rows: dict[str, int]) -> list[Miscount]:
    found = [Miscount(name, counted[name].rows, counted[name].held, there) for name, there in rows.items()]
    return [miscount for miscount in found if miscount.difference]


def _as_verification(miscount: Miscount, at: Position) -> Verification:
    missing, extra = max(0, miscount.difference), max(0, -miscount.difference)
    return Verification.of_unequal(miscount.table, at.seq, quarantined=miscount.held_rows, missing=missing, extra=extra)
