"""Rows of Postgres that SQLite cannot hold: they wait, with the reason, until somebody corrects them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.facts.drained import RefusedRow
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.outbox.reading import OutboxReading
from cdc.postgres.record.part import RecordPart

SQL: Final = load("uncarried")
MOST: Final = 100  # that are told of


@dataclass(frozen=True, slots=True)
class UncarriedRow:
    """A row by its source table and the texts of its key in Postgres, and why SQLite cannot hold it."""

    source_table: str
    key: tuple[str, ...]
    column: str
    detail: str
    remedy: str
    since: datetime

    def __str__(self) -> str:
        """For people."""
        column = f", {self.column}" if self.column else ""
        return f"{self.source_table} {', '.join(self.key)}{column}: {self.detail}"


class Uncarried(RecordPart):
    """Those of one source."""

    async def note(self, reading: OutboxReading, refused: Iterable[RefusedRow], targets: Mapping[str, str]) -> None:
        """What became of the rows of a reading, in the caller's transaction and before its entries are forgotten.

        `targets` are the names in Postgres by source table.
        """
        await self._connection.execute(SQL["settle"], self._source_id, reading.finished, reading.snapshot)
        rows = [
            (
                self._source_id,
                targets[row.table],
                list(row.key),
                row.table,
                row.why.column,
                row.why.detail,
                row.why.remedy,
            )
            for row in refused
        ]
        await self._connection.executemany(SQL["note"], rows)

    async def retry(self) -> None:
        """Have all of them carried again."""
        with translated("carrying rows again that SQLite could not hold"):
            await self._connection.execute(SQL["retry"], self._source_id)

    async def count(self) -> int:
        """How many there are."""
        with translated("reading what SQLite cannot hold"):
            return int(await self._connection.fetchval(SQL["count"], self._source_id))

    async def read(self) -> list[UncarriedRow]:
        """The oldest of them."""
        with translated("reading what SQLite cannot hold"):
            rows = await self._connection.fetch(SQL["read"], self._source_id, MOST)
        return [UncarriedRow(r[0], tuple(r[1]), *r[2:]) for r in rows]
