"""SQLite's schema counter moved by several steps, and nothing in the file shows why.

Dropping a trigger and creating it again with the same text moves it by two, and what was written in between is not in
the changelog. So every table is read as a whole.
"""

from typing import Self

from cdc.evolve.schema_change import SchemaChange, SchemaFacts


class UnseenChanges(SchemaChange):
    """Any table may have changed unseen."""

    __slots__ = ()

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """A counter that moved by anything but the one step of VACUUM."""
        tables = tuple(table.name for table in facts.tables)
        if facts.counter_steps in (0, 1) or not tables:
            return None
        return cls(reasons=(f"the schema changed {facts.counter_steps} times unseen",), resync=tables)
