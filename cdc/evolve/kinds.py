"""The kinds of schema change, in the order in which they are told and extend Postgres."""

from typing import Final

from cdc.evolve.changed_definition import ChangedDefinition
from cdc.evolve.changed_mapping import ChangedMapping
from cdc.evolve.damaged_capture import DamagedCapture
from cdc.evolve.lost_column import LostColumn
from cdc.evolve.lost_constraint import LostConstraint
from cdc.evolve.lost_table import LostTable
from cdc.evolve.new_column import NewColumn
from cdc.evolve.new_table import NewTable
from cdc.evolve.rekeyed_table import RekeyedTable
from cdc.evolve.renumbered_rows import RenumberedRows
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.evolve.unseen_changes import UnseenChanges

# What is gone is let go of in the opposite order: columns before the tables that they refer to, so that a foreign key
# is noted with its column, and constraints once all that was left is out of the way.
KINDS: Final[tuple[type[SchemaChange], ...]] = (
    ChangedDefinition,
    LostConstraint,
    DamagedCapture,
    NewTable,
    NewColumn,
    RekeyedTable,
    LostTable,
    LostColumn,
    UnseenChanges,
    RenumberedRows,
    ChangedMapping,
)


def detect(facts: SchemaFacts) -> tuple[SchemaChange, ...]:
    """The changes that a file with capture shows, in the order of `KINDS`; none when all is as it was."""
    if facts.look.capture is None:
        raise ValueError("drift is judged on a file with capture")
    changes = tuple(change for kind in KINDS if (change := kind.detect(facts)))
    return changes if any(change.reasons for change in changes) else ()
