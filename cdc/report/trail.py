"""The audit trail as a report reads it: each entry seen once, in order, while the chain is checked."""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from cdc.audit import trail
from cdc.audit.chain import AuditEntry, Head, Sealed
from cdc.audit.check import ChainCheck, Witness
from cdc.config import Config
from cdc.errors import CdcError
from cdc.postgres.record.record import Record
from cdc.report.facts import AuditFacts

BATCH: Final = "batch"
MOST_ENTRIES: Final = 20_000  # that are kept in memory, beside batches
MOST_BATCHES: Final = 1_000_000


@dataclass
class TrailReading:
    """What is kept of a chain while all of it is checked."""

    check: ChainCheck
    only: str | None = None  # the one action that is kept
    entries: deque[AuditEntry] = field(default_factory=lambda: deque(maxlen=MOST_ENTRIES))
    batches: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=MOST_BATCHES))
    kept: int = 0

    def see(self, stored: Sealed) -> None:
        """Check the next entry, and keep what is told of it."""
        entry = self.check.see(stored)
        if entry is None:
            return
        if self.only not in {None, entry.action}:
            return
        self.kept += 1
        if entry.action != BATCH:
            self.entries.append(entry)
            return
        changes = entry.details.get("changes")
        self.batches.append((entry.at, changes if isinstance(changes, int) else 0))

    def facts(self) -> AuditFacts:
        """What was seen, in the order of time: copies of the other place's entries come in a little later."""
        entries = tuple(sorted(self.entries, key=lambda entry: entry.at))
        dropped = self.kept - len(self.entries) - len(self.batches)
        return AuditFacts(entries, tuple(sorted(self.batches)), dropped)


def read_file(config: Config, postgres_remembers: Head | None = None, only: str | None = None) -> AuditFacts:
    """The trail in the state folder, against what Postgres remembers of its end where that could be asked."""
    witnesses = [] if postgres_remembers is None else [Witness("Postgres", postgres_remembers)]
    try:
        with trail.look(config.state.dir) as file:
            reading = TrailReading(file.examine(*witnesses), only)
            for stored in file.lines:
                reading.see(stored)
    except CdcError as error:
        return AuditFacts(error=error.message)
    return replace(reading.facts(), file=reading.check.verdict())


async def read_postgres(config: Config, record: Record, only: str | None = None) -> AuditFacts:
    """The trail in Postgres, against what was noted of its end beside the file and in the stream's row."""
    _, noted = trail.ends(config.state.dir)
    reading = TrailReading(await record.audit.examination(noted), only)
    async for stored in record.audit.stored():
        reading.see(stored)
    return replace(reading.facts(), postgres=reading.check.verdict())
