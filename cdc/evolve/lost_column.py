"""The application dropped columns of a table, or renamed them: in Postgres they stay as leftovers.

Only what would refuse rows without a value for them goes. A table that others made is not ours to loosen: it waits
until the application's own migration has run there as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.mapping.known import Decisions, dropped_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class LostColumn(SchemaChange):
    """What was decided about the columns that are fed no longer, by their table in SQLite and name in Postgres.

    `lost` were fed until now. `of_returned` belong to tables that are fed again and had these columns once.
    """

    lost: Decisions
    of_returned: Decisions

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """Remembered columns without a source among the maps."""
        ours = {name: mapped for name, mapped in facts.maps.items() if not mapped.adopted}
        gone = {name: dropped_columns(mapped, facts.decided) for name, mapped in ours.items()}
        lost = {name: _only(columns, facts.decided[name]) for name, columns in gone.items() if columns}
        returned = {
            leftover.source_table: dict(leftover.decided) for leftover in facts.leftovers if leftover.column is None
        }
        of_returned = {
            name: _only(dropped_columns(facts.maps[name], returned), columns)
            for name, columns in returned.items()
            if name in facts.maps
        }
        if not (lost or of_returned):
            return None
        reasons = tuple(f"columns of {name} are fed no longer: {', '.join(columns)}" for name, columns in lost.items())
        return cls(lost=lost, of_returned=of_returned, reasons=reasons)

    async def let_go(self, replica: Replica) -> bool:
        """Leave the columns as they are, without NOT NULL and without the constraints over them."""
        for name, columns in {**self.lost, **self.of_returned}.items():
            for column, decision in columns.items():
                await replica.leaving.column(replica.maps[name], column, {column: decision})
        return True


def _only(names: Iterable[str], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in names}
