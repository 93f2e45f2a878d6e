"""Comparisons that were made, kept in `cdc.verification`: how old the last one is belongs to the status."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record import own_schema
from cdc.postgres.record.part import RecordPart

SQL: Final = load("verification")

EQUAL: Final = "equal"
DIFFERENT: Final = "different"
CRITICAL: Final = "critical"  # the answers tell nothing: a table could not be compared


@dataclass(frozen=True, slots=True)
class Verification:
    """One comparison of the source tables `names`. `complete` says that they are all; `result` as in `VerifyReport`."""

    started_at: datetime
    finished_at: datetime
    seq: int
    tables: int
    complete: bool
    matched: int
    different: int
    missing: int
    extra: int
    pending: int
    quarantined: int
    repaired: int
    result: str
    names: Sequence[str] = ()

    @classmethod
    def of_unequal(cls, table: str, seq: int, *, quarantined: int = 0, **counts: int) -> Self:
        """A difference that was found without a comparison: the status tells of it until there was one.

        `counts` are rows by kind, `different`, `missing` and `extra`.
        """
        now = datetime.now(UTC)
        none = dict.fromkeys(("different", "missing", "extra"), 0)
        kept = {"tables": 1, "complete": False, "matched": 0, "pending": 0, "repaired": 0, "result": DIFFERENT}
        rows: dict[str, Any] = {**kept, **none, **counts, "quarantined": quarantined}
        return cls(started_at=now, finished_at=now, seq=seq, names=(table,), **rows)


class Verifications(RecordPart):
    """The comparisons of one source."""

    async def record(self, made: Verification) -> None:
        """Keep a comparison."""
        await own_schema.create(self._connection)
        with translated("recording the comparison"):
            await self._connection.execute(
                SQL["record"],
                self._source_id,
                made.started_at,
                made.finished_at,
                made.seq,
                made.tables,
                made.complete,
                made.matched,
                made.different,
                made.missing,
                made.extra,
                made.pending,
                made.quarantined,
                made.repaired,
                made.result,
                list(made.names),
            )

    async def latest(self) -> Verification | None:
        """The newest comparison of all tables, None when there was none."""
        return await self._newest("latest")

    async def newest(self, most: int) -> list[Verification]:
        """The newest comparisons, of some tables or of all, the newest first and at most so many."""
        with translated("reading the comparisons"):
            rows = await self._connection.fetch(SQL["newest"], self._source_id, most)
        return [Verification(**dict(row)) for row in rows]

    async def outstanding(self) -> frozenset[str]:
        """The tables of comparisons of some tables that were not equal, as far as they still count."""
        with translated("reading the last comparison"):
            rows = await self._connection.fetch(SQL["outstanding"], self._source_id)
        return frozenset(row["name"] for row in rows)

    async def differing(self) -> Verification | None:
        """The newest comparison of some tables that was not equal, if none of all of them came later or was equal."""
        return await self._newest("differing")

    async def _newest(self, which: str) -> Verification | None:
        with translated("reading the last comparison"):
            if not await self._knows("verification"):
                return None
            row = await self._connection.fetchrow(SQL[which], self._source_id)
        return Verification(**dict(row)) if row else None
