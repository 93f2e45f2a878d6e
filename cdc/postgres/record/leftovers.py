"""Leftovers: what stands in Postgres and is fed no longer, because the application dropped or renamed it.

Nothing of them is dropped but what would refuse the rows that still come. `cdc schema --apply-pending` drops the rest.
"""

import json
from typing import Final

import asyncpg

from cdc.audit.chain import entry
from cdc.facts.leftover import Leftover
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.audit import AuditTrail
from cdc.postgres.record.part import RecordPart

SQL: Final = load("pending")


class Leftovers(RecordPart):
    """What the application of one source dropped or renamed, and Postgres still has."""

    async def read(self) -> tuple[Leftover, ...]:
        """The leftovers of a source; none where the schema `cdc` is of a version that knew none."""
        with translated("reading the leftovers"):
            if not await self._knows("pending"):
                return ()
            rows = await self._connection.fetch(SQL["read"], self._source_id)
        return tuple(_leftover(row) for row in rows)

    async def forget_gone(self, schema: str) -> None:
        """Strike off leftovers whose table or column somebody dropped from the schema."""
        with translated("looking at the leftovers"):
            await self._connection.execute(SQL["forget_gone"], self._source_id, schema)

    async def take_up(self, leftover: Leftover) -> None:
        """Strike off a leftover that is fed again, and tell of it; in the caller's transaction."""
        await self.forget(leftover)
        details = {"table": leftover.target, "column": leftover.column}
        await AuditTrail(self._connection, self._source_id).append([entry("take up again", "done", details)])

    async def forget(self, leftover: Leftover) -> None:
        """Strike a leftover off the list; in the caller's transaction."""
        await self._connection.execute(SQL["forget"], self._source_id, leftover.target, leftover.column)


def _leftover(row: asyncpg.Record) -> Leftover:
    facts = dict(row)
    return Leftover(**{**facts, "decided": json.loads(facts["decided"]), "dropped": tuple(facts["dropped"])})
