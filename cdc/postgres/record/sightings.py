"""Where a stream stood in the last minutes, on which file and since which start of the machine.

By these, a file that lost its last commits in a power cut is told from one that somebody put in its place.
"""

from dataclasses import dataclass
from typing import Final

from cdc.facts.changes import Position, Traces
from cdc.host.boot import boot_id
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("sightings")
KEPT_SECONDS: Final = 900.0  # longer than what a power cut can reach, see `cdc.identity.continuity`


@dataclass(frozen=True, slots=True)
class Sighting:
    """A position that the stream had, and how many seconds later a daemon showed its last sign of life."""

    position: Position
    boot: str
    traces: Traces
    before_last_life: float


class Sightings(RecordPart):
    """Where the stream of one source stood."""

    async def note(self, traces: Traces) -> None:
        """Note where the stream stands now, in which file."""
        with translated("noting where the stream stands"):
            facts = (traces.inode, traces.changed_at, traces.log, traces.frames)
            await self._connection.execute(SQL["note"], self._source_id, boot_id(), *facts)
            await self._connection.execute(SQL["forget_older"], self._source_id, KEPT_SECONDS)

    async def forget(self) -> None:
        """Forget every sighting: the stream goes on from a position that it did not reach by itself."""
        await self._connection.execute(SQL["forget"], self._source_id)

    async def read(self) -> tuple[Sighting, ...]:
        """The sightings of about the last 15 minutes, newest first, and one that is older where there is one."""
        with translated("reading where the stream stood"):
            rows = await self._connection.fetch(SQL["read"], self._source_id)
        return tuple(
            Sighting(
                Position(r["seq"], r["entry"]),
                r["boot"],
                Traces(r["inode"], r["changed_at"], r["log"], r["frames"]),
                r["before_last_life"],
            )
            for r in rows
        )
