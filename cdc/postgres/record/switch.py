"""What a switch between the two databases goes by, and the journal of every cutover and rollback."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cdc.facts.side import Side
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("switch")

Forms = Mapping[str, Mapping[str, Any]]  # by source table and column


@dataclass(frozen=True, slots=True)
class SwitchState:
    """What is recorded of one source; see `cdc.switch`. A source without a row is one that nobody prepared."""

    switched_at: datetime | None = None
    prepared_at: datetime | None = None
    verified_seq: int | None = None
    forms: Forms = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SwitchStep:
    """One step of an attempt; `outcome` is None while it runs, or where whoever ran it died."""

    run: str
    n: int
    step: str
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: str


class SwitchRecord(RecordPart):
    """What was prepared for a switch of one source, when it was made, and the steps of every attempt."""

    async def read(self) -> SwitchState:
        """What is recorded now."""
        with translated("reading what was prepared"):
            if not await self._knows("switch"):
                return SwitchState()
            row = await self._connection.fetchrow(SQL["read"], self._source_id)
        if row is None:
            return SwitchState()
        return SwitchState(row["switched_at"], row["prepared_at"], row["verified_seq"], json.loads(row["forms"]))

    async def prepare(self, verified_seq: int, forms: Forms) -> None:
        """Note that everything up to an entry is equal in both, and how the application writes its values."""
        with translated("noting what was prepared"):
            await self._connection.execute(SQL["prepare"], self._source_id, verified_seq, json.dumps(forms))

    async def forget_prepared(self) -> None:
        """What was prepared holds no longer."""
        with translated("noting what was prepared"):
            await self._connection.execute(SQL["forget_prepared"], self._source_id)

    async def note_switch(self) -> None:
        """Note that applications write to the other database from now on, in the caller's transaction."""
        await self._connection.execute(SQL["note_switch"], self._source_id)

    async def begin_step(self, run: str, n: int, step: str) -> None:
        """Note that a step begins, so that it is known if whoever carries it out dies."""
        with translated("noting a step of the switch"):
            await self._connection.execute(SQL["begin_step"], self._source_id, run, n, step)

    async def end_step(self, run: str, n: int, outcome: str, detail: str = "") -> None:
        """Note how a step ended."""
        with translated("noting a step of the switch"):
            await self._connection.execute(SQL["end_step"], self._source_id, run, n, outcome, detail)

    async def steps(self) -> list[SwitchStep]:
        """Every step that was noted, oldest first."""
        with translated("reading the steps of the switch"):
            return [SwitchStep(**row) for row in await self._connection.fetch(SQL["steps"], self._source_id)]

    async def usual_milliseconds(self, to: Side) -> dict[str, float]:
        """How long each step of a switch to a side usually took, by its name."""
        with translated("reading the steps of the switch"):
            rows = await self._connection.fetch(SQL["usual"], self._source_id, to)
        return {row["step"]: float(row["milliseconds"]) for row in rows}
