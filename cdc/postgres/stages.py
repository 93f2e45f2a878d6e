"""The stages of a session: temporary tables, made when their table has changes for the first time.

An application may have thousands of tables and change a few of them. Every commit empties all stages that a session
has, so those that a batch made for once are dropped again.
"""

from collections.abc import Iterable
from typing import Final

from cdc.postgres.connection import Connection
from cdc.postgres.families import Families

MOST_STAGES: Final = 50  # that stay when a batch is done
DROPPED_AT_ONCE: Final = 100  # each takes a few locks for the time of a transaction


class Stages:
    """Which stages are there. They are made inside a batch's transaction, and are gone with it when it is undone."""

    def __init__(self, connection: Connection, families: Families) -> None:
        self._connection = connection
        self._families = families
        self._there: set[str] = set()
        self._made: set[str] = set()
        self._used: set[str] = set()

    async def need(self, name: str) -> None:
        """Have the stage of a source table, and those of its parents and children, which statements about it read."""
        if name in self._used:
            return
        wanted = self._families.neighbours(name)
        missing = [table for table in self._families.in_order(wanted) if table.source_name not in self._there]
        if missing:
            await self._connection.execute("".join(table.create_stage() for table in missing))
        names = {table.source_name for table in missing}
        self._there |= names
        self._made |= names
        self._used.add(name)

    async def committed(self) -> None:
        """A batch ended: keep what it made, unless it is much; then only what is used by many batches."""
        spare = self._there - self._used if len(self._there) > MOST_STAGES else set()
        if len(self._there) - len(spare) > MOST_STAGES:
            spare = set(self._there)
        await self._drop(spare)
        self._made, self._used = set(), set()

    def undone(self) -> None:
        """A batch was undone, and with it the stages that it made."""
        self._there -= self._made
        self._made, self._used = set(), set()

    async def _drop(self, names: Iterable[str]) -> None:
        stages = [self._families.tables[name].stage for name in names]
        for place in range(0, len(stages), DROPPED_AT_ONCE):
            await self._connection.execute(f"DROP TABLE {', '.join(stages[place : place + DROPPED_AT_ONCE])}")
        self._there -= set(names)
