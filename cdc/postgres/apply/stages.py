"""The stages of a session: temporary tables, made when their table has changes for the first time.

An application may have thousands of tables and change a few of them. Every commit empties all stages that a session
has, so those that a batch made for once are dropped again.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cdc.postgres.apply.fk_graph import Families
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.connection.open import Connection

MOST_STAGES: Final = 50  # that stay when a batch is done
MADE_AT_ONCE: Final = 50  # each takes ten locks for the time of a transaction
DROPPED_AT_ONCE: Final = 100


class Stages:
    """Which stages are there. They are made inside a batch's transaction, and are gone with it when it is undone."""

    def __init__(self, connection: Connection, families: Families) -> None:
        self._connection = connection
        self._families = families
        self._existing: set[str] = set()
        self._created: set[str] = set()
        self._used: set[str] = set()

    async def prepare(self, names: Iterable[str]) -> None:
        """Make the stages of some source tables before a batch begins: inside it, each takes ten locks more."""
        missing = self._missing(set().union(*map(self._families.neighbours, names)))
        # No transaction is open, so each portion's locks are let go before the next one's are taken.
        for place in range(0, len(missing), MADE_AT_ONCE):
            await self._create(missing[place : place + MADE_AT_ONCE])

    async def need(self, name: str) -> None:
        """Have the stage of a source table, and those of its parents and children, which statements about it read."""
        if name not in self._used:
            missing = self._missing(self._families.neighbours(name))
            if missing:
                await self._create(missing)
                self._created |= {table.source_name for table in missing}
            self._used.add(name)

    def _missing(self, names: Iterable[str]) -> list[AppliedTable]:
        return self._families.in_order(set(names) - self._existing)

    async def _create(self, tables: Sequence[AppliedTable]) -> None:
        await self._connection.execute("".join(table.create_stage() for table in tables))
        self._existing |= {table.source_name for table in tables}

    async def committed(self) -> None:
        """A batch ended: keep what it made, unless it is much; then only what is used by many batches."""
        spare = self._existing - self._used if len(self._existing) > MOST_STAGES else set()
        if len(self._existing) - len(spare) > MOST_STAGES:
            spare = set(self._existing)
        stages = [self._families.tables[name].stage for name in spare]
        for place in range(0, len(stages), DROPPED_AT_ONCE):
            await self._connection.execute(f"DROP TABLE {', '.join(stages[place : place + DROPPED_AT_ONCE])}")
        self._existing -= spare
        self._created, self._used = set(), set()

    def undone(self) -> None:
        """Forget the stages that a batch made: it was undone, and they with it."""
        self._existing -= self._created
        self._created, self._used = set(), set()
