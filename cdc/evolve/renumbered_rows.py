"""Rows have other rowids: the file was vacuumed, or made again from a dump.

Tables whose rows are told apart by them are read as a whole: the entries of their changelog name other rows by now.
"""

from typing import Self

from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.source_schema import KeyKind


class RenumberedRows(SchemaChange):
    """Tables without a declared key, and those with rows whose key has a NULL."""

    __slots__ = ()

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """The mark that VACUUM and dumps take from capture is gone, or the schema counter moved as by VACUUM."""
        by_rowid = tuple(table.name for table in facts.tables if table.key.kind is KeyKind.ROWID)
        by_null_key = tuple(table.name for table in facts.tables if table.null_keys)
        renumbered, vacuumed = facts.look.renumbered, facts.counter_steps == 1 and bool(by_rowid or by_null_key)
        if not (renumbered or vacuumed):
            return None
        reasons = {
            "the file may have been vacuumed, which renumbers rowids": vacuumed,
            "rows were numbered anew, by VACUUM or by a dump that was read in again": renumbered,
        }
        return cls(
            reasons=tuple(reason for reason, holds in reasons.items() if holds),
            resync=tuple(dict.fromkeys((*by_rowid, *(by_null_key if vacuumed else ())))),
            needs_capture=renumbered,
        )
