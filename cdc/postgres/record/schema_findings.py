"""What the targets of a source were last found to have otherwise than they should: for the status and a new daemon."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Final

from cdc.facts.schema_finding import SchemaFinding
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("parity")


class SchemaFindings(RecordPart):
    """The findings about one source's targets."""

    async def read(self) -> tuple[SchemaFinding, ...]:
        """All of them; none where the schema `cdc` is of a version that knew none."""
        with translated("reading what was found of the schema"):
            if not await self._knows("schema_finding"):
                return ()
            return tuple(SchemaFinding(*row) for row in await self._connection.fetch(SQL["findings"], self._source_id))

    async def store(self, findings: Sequence[SchemaFinding], looked_at: Sequence[str], fed: Sequence[str]) -> None:
        """Keep what was found of the source tables `looked_at`, and nothing of tables that are not `fed` any more."""
        with translated("noting what was found of the schema"):
            async with self._connection.transaction():
                await self._connection.execute(SQL["forget_findings"], self._source_id, list(looked_at), list(fed))
                rows = [(self._source_id, *astuple(finding)) for finding in findings]
                await self._connection.executemany(SQL["note_finding"], rows)
