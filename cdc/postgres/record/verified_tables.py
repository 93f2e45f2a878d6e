"""How far the comparison is that never ends, by table: what `cdc status` tells of, and where a new daemon goes on."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Final

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("verified")


@dataclass(frozen=True, slots=True)
class VerifiedTable:
    """One source table. Every row was compared after `since`, None before the first whole pass.

    `rows` and `differences` were found by that pass; the pass under way began at `began_at` (None when there is none),
    compared the keys up to `after_key`, and found what is counted so far.
    """

    name: str
    since: datetime | None = None
    rows: int = 0
    differences: int = 0
    began_at: datetime | None = None
    after_key: int | None = None
    rows_so_far: int = 0
    differences_so_far: int = 0


@dataclass(frozen=True, slots=True)
class OldestVerified:
    """The table that was compared longest ago: since when every row of it was, or else the stream was begun."""

    table: str
    since: datetime


class VerifiedTables(RecordPart):
    """How far the tables of one source were compared, each by itself."""

    async def read(self) -> dict[str, VerifiedTable]:
        """What is known, by source table."""
        with translated("reading what was compared"):
            rows = await self._connection.fetch(SQL["read"], self._source_id)
        return {row["source_table"]: VerifiedTable(*row) for row in rows}

    async def store(self, tables: Iterable[VerifiedTable]) -> None:
        """Note how far some tables are."""
        with translated("noting what was compared"):
            await self._connection.executemany(SQL["store"], [(self._source_id, *astuple(table)) for table in tables])

    async def begin_anew(self, name: str) -> None:
        """Have a table compared next, from its beginning."""
        with translated("noting what was compared"):
            await self._connection.execute(SQL["begin_anew"], self._source_id, name)

    async def keep(self, names: Sequence[str]) -> None:
        """Forget other tables than these."""
        with translated("noting what was compared"):
            await self._connection.execute(SQL["keep"], self._source_id, list(names))

    async def oldest(self) -> OldestVerified | None:
        """The fed table that was compared longest ago, None where none is fed."""
        with translated("reading what was compared"):
            row = await self._connection.fetchrow(SQL["oldest"], self._source_id)
        return OldestVerified(row["source_table"], row["since"]) if row else None
