"""The application dropped a table, renamed it, or made it one that cannot be replicated as it is.

Its copy stays in Postgres as a leftover, where it is of our making.
"""

from dataclasses import dataclass
from typing import Self

from cdc.errors import SchemaDrift
from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts, is_fed_no_longer
from cdc.mapping.known import Decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTable(SchemaChange):
    """What was decided about the `lost` tables, by their names in SQLite, and which of them others made."""

    lost: Decisions
    adopted: tuple[str, ...]

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """Tables that were fed and that the file has no longer, or only as one that waits."""
        names = {table.name for table in facts.look.schema.tables}
        lost = {name: columns for name, columns in facts.decided.items() if name not in names}
        if not lost:
            return None
        waiting = {table.name: table.reason for table in facts.look.schema.waiting if table.name in lost}
        gone = (is_fed_no_longer(name) for name in lost if name not in waiting)
        waits = (f"table {name} waits: {reason}" for name, reason in waiting.items())
        return cls(lost=lost, adopted=tuple(filter(facts.config.adopts, lost)), reasons=(*gone, *waits))

    def refuse(self) -> None:
        """A copy that others made is not ours to leave behind: raises `SchemaDrift`."""
        if self.adopted:
            raise SchemaDrift(
                f"replicated tables are no longer in the SQLite file, or were renamed: {', '.join(self.adopted)}",
                remedy="if that is meant, add them to `exclude` in [replicate] and drop or keep their copies in "
                "Postgres",
            )

    async def let_go(self, replica: Replica) -> bool:
        """Leave their copies as they are, but for foreign keys from and to them."""
        await replica.leave_tables(self.lost)
        return True
