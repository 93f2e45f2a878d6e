"""Rehearsals of a cutover and a rollback, as they are remembered: when, of which schema, with what result."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.facts.side import Side
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("rehearsal")
PASSED: Final = "passed"
KEPT: Final = 20  # of each source

BySide = Mapping[Side, Mapping[str, Sequence[float]]]  # milliseconds, by side and step


@dataclass(frozen=True, slots=True)
class RehearsalNote:
    """What is remembered of one rehearsal; `schema_name` is `application_schema` of the file at that time."""

    id: str
    finished_at: datetime
    times: int
    kills: int
    schema_name: str
    result: str
    steps: BySide

    def usual_milliseconds(self, side: Side) -> dict[str, float]:
        """The median of what each step of a switch to a side took."""
        return {name: statistics.median(taken) for name, taken in self.steps.get(side, {}).items()}


@dataclass(frozen=True, slots=True)
class PastRehearsal:
    """How a rehearsal went; `refused` are the seconds for which each `cutover` and each `rollback` refused writes."""

    began_at: datetime
    finished_at: datetime
    times: int
    kills: int
    result: str
    refused: Mapping[str, Sequence[float]]


class Rehearsals(RecordPart):
    """The rehearsals of one source."""

    async def note(
        self, made: RehearsalNote, began_at: datetime, refused_seconds: Mapping[str, Sequence[float]]
    ) -> None:
        """Remember one that has just ended, in place of the oldest ones."""
        with translated("noting the rehearsal"):
            async with self._connection.transaction():
                await self._connection.execute(
                    SQL["note"],
                    made.id,
                    self._source_id,
                    began_at,
                    made.times,
                    made.kills,
                    made.schema_name,
                    made.result,
                    json.dumps(refused_seconds),
                    json.dumps(made.steps),
                )
                await self._connection.execute(SQL["forget_older"], self._source_id, KEPT)

    async def latest(self) -> RehearsalNote | None:
        """The newest one, None where there was none."""
        with translated("reading the rehearsals"):
            # Asked, not tried: an error would end the transaction that a caller may be in.
            if await self._connection.fetchval("SELECT to_regclass('cdc.rehearsal')") is None:
                return None
            row = await self._connection.fetchrow(SQL["latest"], self._source_id)
        return RehearsalNote(**{**row, "steps": json.loads(row["steps"])}) if row else None

    async def past(self) -> list[PastRehearsal]:
        """All that are remembered, the oldest first."""
        with translated("reading the rehearsals"):
            rows = await self._connection.fetch(SQL["past"], self._source_id)
        return [PastRehearsal(**{**row, "refused": json.loads(row["refused"])}) for row in rows]
