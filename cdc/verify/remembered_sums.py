"""Sums of SQLite's rows that are remembered from one whole comparison to the next.

Where no change of a table was logged since, its rows are what they were, so SQLite need not be read again: Postgres is,
and has to come to the same sums. It is believed then that every write was logged, which a comparison shows otherwise.
So somebody has to ask for it, and it is told of which tables.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from cdc.canonical.ordered_rows import VERSION
from cdc.facts.source_schema import KeyKind
from cdc.facts.source_sums import SourceSums
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog.source_file import Look
from cdc.verify.compare_table import Comparison

_encode = msgspec.json.Encoder(order="deterministic").encode


class RememberedSums:
    """The sums of one comparison: those of earlier ones are used if they are `trusted`, its own are kept."""

    def __init__(self, record: Record, look: Look, *, trusted: bool) -> None:
        self._record = record
        self._look = look
        self._trusted = trusted
        self._place: int | None = None  # where the audit trail ended when Postgres was read
        self._began = datetime.now(UTC)

    async def offer(
        self, comparisons: Mapping[str, Comparison], tables: Mapping[str, tuple[TableMap, TargetTable]]
    ) -> None:
        """Give comparisons the sums that still hold; in the snapshot in which Postgres is read."""
        self._place = await self._record.sums.place()
        known = await self._record.sums.usable() if self._trusted and self._place is not None else {}
        for name, (signature, sums) in known.items():
            if name in comparisons and name not in self._look.damaged and signature == self._signature(*tables[name]):
                comparisons[name].remembered = sums

    async def keep(
        self, comparisons: Mapping[str, Comparison], tables: Mapping[str, tuple[TableMap, TargetTable]]
    ) -> None:
        """Remember tables that were equal, and of which nothing was logged meanwhile; forget the others."""
        if self._place is None:
            return
        found: dict[str, tuple[bytes, SourceSums]] = {}
        for name, comparison in comparisons.items():
            mapped, target = tables[name]
            ranges = comparison.sums
            if ranges and _is_its_own(mapped):
                since = comparison.remembered.summed_at if comparison.remembered else self._began
                found[name] = self._signature(mapped, target), SourceSums(tuple(ranges), since)
        await self._record.sums.store(self._place, found, list(comparisons))

    def _signature(self, mapped: TableMap, target: TargetTable) -> bytes:
        """What the sums depend on besides the rows."""
        return hashlib.sha256(_encode((VERSION, mapped, target, self._look.signature))).digest()


def _is_its_own(mapped: TableMap) -> bool:
    """Whether the rows of a table depend on its own changes alone: a rowid is another one after VACUUM, and what is
    computed may be so from anything.
    """
    plain = all(column.source is not None and column.function is None for column in mapped.columns)
    return mapped.source.key.kind is KeyKind.INTEGER and plain and not mapped.source.reads
