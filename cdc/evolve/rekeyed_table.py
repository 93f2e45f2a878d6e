"""The application gave a table another key: rows of its copy cannot be found by that any more.

The copy stays as a leftover, and the table is not fed until `cdc schema --apply-pending` has taken it out of the way.
One that others made is mapped by whatever key it has, and never counts as rekeyed.
"""

from dataclasses import dataclass
from typing import Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts, is_fed_no_longer
from cdc.mapping.known import Decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyedTable(SchemaChange):
    """What was decided about the `rekeyed` tables, by their names in SQLite."""

    rekeyed: Decisions

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """Tables that were fed until now and whose copy has another key."""
        rekeyed = {name: columns for name, columns in facts.decided.items() if name in facts.rekeyed}
        return cls(rekeyed=rekeyed, reasons=tuple(map(is_fed_no_longer, rekeyed))) if rekeyed else None

    async def let_go(self, replica: Replica) -> bool:
        """Leave their copies as they are, but for foreign keys from and to them."""
        await replica.leave_tables(self.rekeyed)
        return True
