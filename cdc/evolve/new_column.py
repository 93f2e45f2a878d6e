"""The application gave a table columns: they are added, and the table is captured anew and read as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.target_schema import TargetTable
from cdc.postgres.ddl import runner


@dataclass(frozen=True, slots=True, kw_only=True)
class NewColumn(SchemaChange):
    """The `tables` with columns that were not fed before, by their names in SQLite."""

    tables: tuple[str, ...]

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """Tables that were fed, and have columns about which nothing is remembered."""
        known = facts.decided.keys() - facts.awaited.keys()
        fed = ((name, mapped) for name, mapped in facts.maps.items() if name in known)
        tables = tuple(name for name, mapped in fed if set(mapped.target_columns) - facts.decided[name].keys())
        if not tables:
            return None
        reasons = tuple(f"table {name} has new columns" for name in tables)
        return cls(tables=tables, reasons=reasons, resync=tables, needs_capture=True)

    async def extend(self, replica: Replica) -> None:
        """Add the columns; they stay free of NOT NULL where no default fills the rows that are there."""
        maps = [replica.maps[name] for name in self.tables]
        await runner.apply(replica.connection, await runner.missing_columns(replica.connection, maps))

    @classmethod
    async def after_rows(cls, replica: Replica, targets: Mapping[str, TargetTable]) -> None:
        """Make NOT NULL what is so in SQLite, as far as the rows let it be."""
        await replica.make(await runner.missing_not_null(replica.connection, replica.all_maps))
