"""The application may hold rows by now that a constraint refused before: what it has no longer goes from our tables.

The file does not tell what it demanded once. So Postgres is asked, whenever another change is followed.
"""

from collections.abc import Mapping
from typing import Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.target_schema import TargetTable
from cdc.postgres.ddl import runner


class LostConstraint(SchemaChange):
    """Uniqueness, foreign keys, CHECKs and NOT NULL that our tables have no longer in SQLite."""

    __slots__ = ()

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """A change each time, without a reason by itself: what the file demanded once can only be asked of Postgres."""
        return cls()

    async def let_go(self, replica: Replica) -> bool:
        """Drop what is demanded no longer."""
        loosened = await replica.leaving.loosen(replica.all_maps, replica.after_load())
        needless = await runner.needless_not_null(replica.connection, replica.all_maps)
        await runner.apply(replica.connection, needless)
        return loosened

    @classmethod
    async def after_rows(cls, replica: Replica, targets: Mapping[str, TargetTable]) -> None:
        """Have every CHECK of ours known as such, so that it can go."""
        await replica.leaving.mark_checks(replica.after_load())
