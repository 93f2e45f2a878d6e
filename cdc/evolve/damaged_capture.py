"""Capture is not whole: triggers were dropped or changed, as by a migration that builds a table anew.

What was written meanwhile is not in the changelog, so these tables are read as a whole.
"""

from typing import Self

from cdc.evolve.schema_change import SchemaChange, SchemaFacts


class DamagedCapture(SchemaChange):
    """Tables whose changes were not all logged."""

    __slots__ = ()

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """What the look calls damaged, and tables that are fed without any capture."""
        uncaptured = (t.name for t in facts.tables if t.name in facts.decided and t.name not in facts.captured)
        damaged = tuple(dict.fromkeys((*facts.look.damaged, *uncaptured)))
        if not damaged:
            return None
        reasons = tuple(f"capture on {name} was not whole" for name in damaged)
        return cls(reasons=reasons, resync=damaged, needs_capture=True)
