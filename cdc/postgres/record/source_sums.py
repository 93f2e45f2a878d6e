"""What tables of SQLite came to at their last whole comparison, with the place in the audit trail from which on every
batch names the tables that it was of.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from cdc.facts.key_range import KeyRange
from cdc.facts.source_sums import SourceSums, SummedRange
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("sums")
# Entries that may come in between: what they are about moves no row and changes no mapping. What is not here might.
HARMLESS: Final = (
    *("quarantine", "release", "acknowledge", "quarantine acknowledge"),  # whose rows are in a batch
    *("verify", "run", "up", "pause", "resume", "report", "count rows", "find a difference", "end of a difference"),
    *("find an altered schema", "end of an altered schema", "shadow http", "shadow proxy", "shadow sql"),
    *("load shadow rules", "hold writes", "release writes"),
)
MOST_ENTRIES: Final = 200_000  # that are looked through


class KeptSums(RecordPart):
    """The sums of one source's tables, each with the signature of how it was read."""

    async def usable(self) -> dict[str, tuple[bytes, SourceSums]]:
        """Signature and sums of each source table of which no batch was since; in the caller's snapshot."""
        with translated("reading earlier sums"):
            rows = await self._connection.fetch(SQL["usable"], self._source_id, list(HARMLESS), MOST_ENTRIES)
        return {
            row["source_table"]: (
                row["signature"],
                SourceSums(_ranges(row["lasts"], row["rows"], row["hashes"]), row["summed_at"]),
            )
            for row in rows
        }

    async def place(self) -> int | None:
        """Where the audit trail ends, in the caller's snapshot; None in a schema of an older version, without sums."""
        with translated("reading the audit trail's end"):
            if not await self._knows("source_sums"):
                return None
            place: int | None = await self._connection.fetchval(SQL["audit_n"], self._source_id)
            return place

    async def store(self, place: int, sums: Mapping[str, tuple[bytes, SourceSums]], compared: Sequence[str]) -> None:
        """Keep sums, read when the trail ended at that place, in place of those of all that were compared."""
        with translated("keeping sums"):
            await self._connection.execute(SQL["forget"], self._source_id, list(compared))
            for table, (signature, found) in sums.items():
                lasts = [part.keys.last for part in found.ranges]
                rows, hashes = [part.rows for part in found.ranges], [part.hash for part in found.ranges]
                values = (table, signature, place, found.summed_at, lasts, rows, hashes)
                await self._connection.execute(SQL["store"], self._source_id, *values)


def _ranges(
    lasts: Sequence[int | None], rows: Sequence[int], hashes: Sequence[bytes | None]
) -> tuple[SummedRange, ...]:
    borders = pairwise([None, *lasts])
    return tuple(
        SummedRange(KeyRange(after, last), count, hash_)
        for (after, last), count, hash_ in zip(borders, rows, hashes, strict=True)
    )
