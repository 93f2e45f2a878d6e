"""What the targets of a source do without, although the application has it, because rows stood in the way; and views.

So that it is known, when something is missing, whether somebody took it away.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart
from cdc.postgres.tables.statement import EXISTS, Made, Statement

SQL: Final = load("parity")


class LeftOutPlace(NamedTuple):
    """A target table, what a statement would have made of it (`Made`), and the name of that."""

    table: str
    kind: str
    name: str


class LeftOutParts(RecordPart):
    """What one source's targets do without."""

    async def read(self) -> frozenset[LeftOutPlace]:
        """Everything that is left out now."""
        with translated("reading what was left out"):
            return frozenset(
                LeftOutPlace(*row) for row in await self._connection.fetch(SQL["left_out"], self._source_id)
            )

    async def note(self, outcomes: Mapping[Statement, str | None]) -> None:
        """Remember why statements made nothing; one that did, or whose object was there, is forgotten."""
        refused = {s: reason for s, reason in outcomes.items() if reason is not None and reason != EXISTS}
        made = [statement for statement in outcomes if statement not in refused]
        with translated("noting what was left out"):
            if made:
                await self._connection.execute(SQL["forget_left_out"], self._source_id, *_places(made))
            if refused:
                places = _places(list(refused))
                await self._connection.execute(SQL["note_left_out"], self._source_id, *places, list(refused.values()))

    async def index(self, table: str, name: str, why: str) -> None:
        """Remember an index that gave way to a row; part of the transaction that drops it."""
        await self._connection.execute(SQL["note_left_out"], self._source_id, [table], [Made.INDEX], [name], [why])


def _places(statements: Sequence[Statement]) -> tuple[list[str], list[str], list[str]]:
    return [s.table for s in statements], [str(s.kind) for s in statements], [s.object for s in statements]


class MadeViews(RecordPart):
    """The views that were made for one source."""

    async def read(self) -> frozenset[str]:
        """Their names."""
        with translated("reading which views were made"):
            return frozenset(row["name"] for row in await self._connection.fetch(SQL["made_views"], self._source_id))

    async def note(self, name: str) -> None:
        """Remember one; part of the transaction that makes it."""
        await self._connection.execute(SQL["note_view"], self._source_id, name)

    async def forget(self, name: str) -> None:
        """Forget one; part of the transaction that drops it."""
        await self._connection.execute(SQL["forget_view"], self._source_id, name)
