"""The way back, proven before anything depends on it: a row of each table goes to SQLite, and out of sight again.

Triggers, rights, conversion and the write past the fence are used as they will be, and undone on both sides. So no row
is another one afterwards, no entry waits, and SQLite was never locked while Postgres was waited for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.errors import SwitchError
from cdc.facts.drained import Drained
from cdc.facts.table_map import TableMap
from cdc.mapping.reversible import way_back
from cdc.postgres.outbox.probe_rows import Sent, send, undone
from cdc.reverse.carrier import Carrier, read_into
from cdc.sqlite.apply.kept_pages import KeptPages
from cdc.threads import to_its_end

TABLES_AT_ONCE: Final = 50  # each stays locked with its indexes until it is undone, and a server has room for 6,400


@dataclass(frozen=True, slots=True)
class Probed:
    """How many tables were probed: by a row of theirs, by a marker, or where neither can be by their trigger alone."""

    rows: int
    markers: int
    triggers: int

    def __str__(self) -> str:
        """For people."""
        told = ((self.rows, "by a row"), (self.markers, "by a marker"), (self.triggers, "by their trigger alone"))
        return "tables: " + ", ".join(f"{n:,} {how}" for n, how in told if n)


async def probe(carrier: Carrier) -> Probed:
    """Probe every table; for a time when both sides refuse writes.

    Raises `SwitchError` when a row does not come to SQLite, or would come as another one.
    """
    sent: dict[str, Sent] = {}
    with KeptPages(carrier.maps) as kept:
        for first in range(0, len(carrier.maps), TABLES_AT_ONCE):
            sent |= await _sent(carrier, carrier.maps[first : first + TABLES_AT_ONCE], kept)
        came = await _written(carrier, kept)
    if names := ", ".join(sorted(name for name, how in sent.items() if not came.as_sent(name, how))):
        raise SwitchError(
            f"rows that were not changed do not come back from Postgres as they are: {names}",
            remedy="nothing was switched; `cdc verify` tells whether both are alike, and this is worth a report",
        )
    how = Counter(sent.values())
    return Probed(how["row"], how["marker"], how["nothing"])


@dataclass(frozen=True, slots=True)
class Came:
    """What came to SQLite: keys by table, how many rows of them were `cleared` before, and what writing them did."""

    keys: Mapping[str, int]
    cleared: Mapping[str, int]
    done: Drained

    def as_sent(self, table: str, how: Sent) -> bool:
        """Whether a table's rows came as they were sent. SQLite need not hold a marker, which nobody made."""
        if how != "row":
            return self.keys.get(table, 0) == (how == "marker")
        written = self.done.inserted.get(table, 0)
        changed = self.done.updated.get(table, 0) + self.done.deleted.get(table, 0)
        refused = any(row.table == table for row in self.done.refused)
        return self.keys.get(table, 0) == 1 and written == self.cleared.get(table, 0) and not (changed or refused)


async def _sent(carrier: Carrier, maps: Sequence[TableMap], kept: KeptPages) -> dict[str, Sent]:
    connection = carrier.record.connection
    async with undone(connection):
        await carrier.outbox.forget_all()  # until this is undone: what is read is the probe's alone
        sent = {m.source.name: await send(connection, m, carrier.targets[m.source.name]) for m in maps}
        await read_into(kept, await carrier.outbox.reading_within(maps))
    return sent


async def _written(carrier: Carrier, kept: KeptPages) -> Came:
    """Write what was kept, and undo it. Rows are cleared before, so that all of their values have to be written."""
    keys, cleared = Counter[str](), Counter[str]()
    async with carrier.draining({}) as drain:
        for page in kept:
            name = page.mapped.source.name
            keys[name] += len(page.keys)
            if _is_made_anew(page.mapped):
                cleared[name] += await to_its_end(drain.clear, page)
            await to_its_end(drain.take, page)
        return Came(keys, cleared, await to_its_end(drain.settle))


def _is_made_anew(mapped: TableMap) -> bool:
    """Whether SQLite can make a whole row of what Postgres has; where it cannot, the row is only found alike."""
    return way_back(mapped).level != "partly"
