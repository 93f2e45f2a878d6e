"""Keys that were repaired lately, in `cdc.repaired_row`: one that differs again was written by somebody else again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record import own_schema
from cdc.postgres.record.part import RecordPart

SQL: Final = load("repaired")
KEPT_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class RepairedTable:
    """A source table, how many rows of it were repaired lately, and when the last of them was."""

    source_table: str
    rows: int
    last_at: datetime


class RepairedRows(RecordPart):
    """The keys of one source, encoded as `cdc.facts.row_key.encode_key` does; their digests are kept."""

    async def forget_old(self) -> None:
        """Make room before a repair: what was repaired long ago says nothing about a writer of today."""
        await own_schema.create(self._connection)
        with translated("noting what is repaired"):
            await self._connection.execute(SQL["forget"], self._source_id, KEPT_DAYS)

    async def note(self, table: str, keys: Sequence[str]) -> None:
        """Note that these keys of a source table were repaired now."""
        with translated("noting what is repaired"):
            await self._connection.execute(SQL["note"], self._source_id, table, _digests(keys))

    async def among(self, table: str, keys: Sequence[str]) -> tuple[int, datetime | None]:
        """How many of these keys were repaired before, and when the last of them was."""
        with translated("reading what was repaired"):
            if not await self._knows("repaired_row"):
                return 0, None
            row = await self._connection.fetchrow(SQL["among"], self._source_id, table, _digests(keys))
        return (row["rows"], row["at"]) if row else (0, None)

    async def by_table(self) -> list[RepairedTable]:
        """What was repaired within `KEPT_DAYS`, by table."""
        with translated("reading what was repaired"):
            rows = await self._connection.fetch(SQL["by_table"], self._source_id)
        return [RepairedTable(**dict(row)) for row in rows]


def _digests(keys: Sequence[str]) -> list[bytes]:
    return [hashlib.sha256(key.encode()).digest() for key in keys]
