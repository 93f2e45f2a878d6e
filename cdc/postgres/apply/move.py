"""Moving rows from their stages to the targets: in which order, what makes room for what, and what Postgres refuses.

A stage that is moved is consistent (see `staged`). What still can be in the way are unique values that change owners.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final, Literal

import asyncpg

from cdc.facts.changes import Rejection
from cdc.postgres.apply import fk_sql
from cdc.postgres.apply.fk_graph import Families
from cdc.postgres.apply.stage_sql import AppliedTable, at_once
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import REFUSED, is_refusal, why_refused

IN_THE_WAY: Final = (
    asyncpg.UniqueViolationError,
    asyncpg.ExclusionViolationError,
    asyncpg.ForeignKeyViolationError,
)

Place = tuple[int, int]  # a ctid: it names a row of a stage for as long as nothing updates that row


class Mover:
    """Moves the stages of one batch, inside its transaction.

    With `making_room` it frees unique values before rows move. That takes more statements, so it is not tried first.
    """

    def __init__(self, connection: Connection, families: Families) -> None:
        self._connection = connection
        self._families = families
        self._moved: dict[str, Counter[str]] = {}
        self.making_room = False
        self.twice: set[str] = set()  # source tables whose rows were moved twice: their counts are of before

    async def move(self, staged: Sequence[AppliedTable]) -> dict[str, Counter[str]]:
        """Parents first for upserts, children first for deletes; a table nobody refers to deletes first.

        `staged` have parents first. Returns how many rows of each source table were `deleted` and `upserted`. Lets the
        driver's errors through, for the caller to undo what was moved until then.
        """
        bent = {r.child.source_name for r in self._families.references if r.drags}
        self._moved = {table.source_name: Counter[str]() for table in staged}
        # Where rows are moved twice, what moved them says nothing about how many are different afterwards.
        twice = [table for table in staged if self.making_room or table.source_name in bent]
        self.twice = {table.source_name for table in twice}
        counted: dict[str, Counter[str]] = {}
        for table in twice:
            counted[table.source_name] = Counter(dict(await self._connection.fetchrow(table.count_moves()) or {}))
        if self.making_room:
            await self._make_room(staged)
        rings = self._families.rings(self._moved.keys())
        for ring in rings:
            # Where no child can be in the way, rows that go leave their unique values to those that come.
            if not self._referred_to(ring):
                await self._move(ring, "deleted")
            await self._move(ring, "upserted")
        for ring in reversed(rings):
            if self._referred_to(ring):
                await self._move(ring, "deleted")
        # What Postgres did to children along with their parents is put right.
        for ring in rings:
            await self._move([table for table in ring if table.source_name in bent], "upserted")
        return self._moved | counted

    def _referred_to(self, ring: Sequence[AppliedTable]) -> bool:
        return any(table.source_name in self._families.referenced for table in ring)

    async def _move(self, ring: Sequence[AppliedTable], what: Literal["deleted", "upserted"]) -> None:
        """Delete or upsert what is staged; in one statement for tables that refer to each other in a circle."""
        if not ring:
            return
        statements = [t.delete_from_stage if what == "deleted" else t.upsert_from_stage for t in ring]
        if len(ring) == 1:
            done = await self._connection.execute(statements[0])
            counts = [int(done.rpartition(" ")[2])]  # Postgres answers `INSERT 0 5`
        else:
            counts = list(await self._connection.fetchrow(at_once(statements)) or ())
        for table, count in zip(ring, counts, strict=True):
            self._moved[table.source_name][what] += count

    async def _make_room(self, staged: Sequence[AppliedTable]) -> None:
        """Free unique values that change owners; a parent stays, because children hang on it."""
        repointed = await self._repoint({table.source_name for table in staged})
        for table in reversed(staged):
            if self._families.may_vacate(table):
                await self._connection.execute(table.vacate())
                continue
            # Values of expression indexes and of parts of a key cannot be parked. A parent that leaves frees them by
            # leaving first, once no child refers to it: not where Postgres would take children along.
            if repointed and table.source_name not in self._families.cascading:
                await self._connection.execute(table.delete_from_stage)
            for statement in filter(None, map(table.park, table.swappable)):
                # Where not even a stand-in is taken, the value has to wait for its row.
                with suppress(*REFUSED):
                    async with self._connection.transaction():
                        await self._connection.execute(statement)

    async def _repoint(self, names: Collection[str]) -> bool:
        """Whether no child that stays refers to a parent that leaves, so that parents can leave first."""
        try:
            async with self._connection.transaction():
                for reference in self._families.references:
                    if reference.child.source_name in names:
                        await self._connection.execute(fk_sql.repoint(reference))
        except REFUSED:
            return False  # a foreign key or a unique one that cannot wait
        return True

    async def find_refused(self, staged: Sequence[AppliedTable]) -> dict[AppliedTable, dict[Place, Rejection]]:
        """Which staged rows Postgres refuses, with its words; tried for real, parents first, and undone."""
        refused: dict[AppliedTable, dict[Place, Rejection]] = {}
        trial = self._connection.transaction()
        await trial.start()
        # Rows go in one by one here, so a value may be wanted before its owner gave it up.
        await self._make_room(staged)
        for table in staged:
            if table.source_name not in self._families.referenced:
                await self._connection.execute(table.delete_from_stage)
            places = await self._connection.fetch(f"SELECT ctid FROM {table.stage} WHERE NOT _cdc_gone")
            rejections: dict[Place, Rejection] = {}
            await self._try_rows(table, [record["ctid"] for record in places], rejections)
            if rejections:
                refused[table] = rejections
        # Only the words were wanted: rows move in the next attempt, without those that are refused.
        await trial.rollback()
        return refused

    async def _try_rows(self, table: AppliedTable, places: list[Place], refused: dict[Place, Rejection]) -> None:
        """Upsert rows in halves, keeping what Postgres takes, until each refused row stands alone."""
        if not places:
            return
        try:
            async with self._connection.transaction():
                await self._connection.execute(table.upsert_subset, places)
                if table.check_uniques:
                    await self._connection.execute(table.check_uniques)
        except (asyncpg.InternalServerError, *REFUSED) as error:
            if not is_refusal(error):
                raise
            if len(places) == 1:
                refused[places[0]] = why_refused(error)
                return
            middle = len(places) // 2
            await self._try_rows(table, places[:middle], refused)
            await self._try_rows(table, places[middle:], refused)
