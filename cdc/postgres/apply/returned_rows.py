"""Rows of one batch whose key has a tombstone: they are taken in and counted, or wait for somebody to decide."""

from collections import Counter
from collections.abc import Iterable, Sequence

from cdc.facts.changes import Rejection
from cdc.facts.row_key import encode_keys
from cdc.facts.values import KeyValues
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.quarantine import came_back
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.tombstone_writer import TombstoneWriter
from cdc.values.converter import Converted

Refused = tuple[KeyValues, Rejection]  # the key in SQLite of a row that is not staged, and why


class ReturnedRows:
    """What becomes of them, and how many were taken in, by source table: `counts`.

    Those of the `holding` tables wait, for they come with another file; so does a row that waited before. Where none
    can wait they are counted by Postgres, once for all rows that moved.
    """

    def __init__(self, connection: Connection, quarantine: QuarantineWriter, tombstones: TombstoneWriter) -> None:
        self._connection = connection
        self._quarantine = quarantine
        self._tombstones = tombstones
        self._free: set[str] = set()  # tables of which no row waits
        self.holding: frozenset[str] = frozenset()
        self.counts: Counter[str] = Counter()

    async def hold(self, table: AppliedTable, converted: Converted) -> tuple[Converted, list[Refused]]:
        """The rows that are to be staged, and those that have to wait."""
        name = table.source_name
        if not table.buries:
            return converted, []
        if name not in self.holding and name not in self._quarantine.tables:
            self._free.add(name)
            return converted, []
        if not (found := await self._tombstones.standing(name, converted.keys)):
            return converted, []
        places = {key: place for place, key in enumerate(encode_keys(converted.keys))}
        strangers = [place for key, place in places.items() if key in found and not found[key]]
        there = await self._there(table, converted, strangers) if name in self.holding else set(strangers)
        waiting = {place: key for key, place in places.items() if key in found and place not in there}
        self.counts[name] += await self._tombstones.settle(name, {key: places[key] in waiting for key in found})
        refused = [(converted.keys[place], came_back(table.key)) for place in waiting]
        return converted.without(waiting) if waiting else converted, refused

    async def note(self, staged: Iterable[AppliedTable]) -> None:
        """Count those that moved and did not have to wait."""
        for table in staged:
            if (name := table.source_name) in self._free:
                self.counts[name] += await self._tombstones.return_staged(name, table.stage, table.source_key("s"))

    async def _there(self, table: AppliedTable, converted: Converted, places: Sequence[int]) -> set[int]:
        """The places of rows that Postgres has although their key has a tombstone: nobody brought them back now."""
        if not places or table.crosswalk is not None:
            return set()
        names = [table.columns.index(column) for column in table.key]
        columns = [[converted.rows[place][name] for place in places] for name in names]
        return {places[record["place"]] for record in await self._connection.fetch(table.among(), *columns)}
