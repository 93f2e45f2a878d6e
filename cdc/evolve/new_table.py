"""The application made a table, or has one again that was a leftover: it is made, captured, and read as a whole.

One that is adopted is captured at once, and waits for the application's own migration in Postgres; nothing is
remembered of it until then, and then it is new.

Indexes and constraints wait until every row is there: so they are made faster, and rows that break them are known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.target_schema import TargetTable
from cdc.postgres.apply import loaded_orphans
from cdc.postgres.ddl import runner, schema_script
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.tables.statement import Made


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTable(SchemaChange):
    """The `tables` that were not fed before, by their names in SQLite."""

    tables: tuple[str, ...]

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """Tables about which nothing is remembered."""
        waits = facts.awaited.keys() & facts.captured
        unknown = (table.name for table in facts.tables if table.name not in facts.decided)
        tables = tuple(name for name in unknown if name not in waits)
        if not tables:
            return None
        reasons = tuple(f"table {name} is new" for name in tables)
        return cls(tables=tables, reasons=reasons, resync=tables, needs_capture=True)

    async def extend(self, replica: Replica) -> None:
        """Make them without indexes; raises `TargetNotEmpty` when a name is taken by what is not ours.

        One that was a leftover is there already, and may lack columns.
        """
        maps = [replica.maps[name] for name in self.tables]
        await runner.preflight(replica.connection, maps)
        script = schema_script.script(maps, replica.config.target.schema)
        await runner.apply(replica.connection, script.before_load)
        await runner.apply(replica.connection, await runner.missing_columns(replica.connection, maps))

    @classmethod
    async def after_rows(cls, replica: Replica, targets: Mapping[str, TargetTable]) -> None:
        """Make the indexes and constraints that any table lacks; one that fails is left out.

        Before foreign keys, rows without their parents go to quarantine.
        """
        maps, statements = replica.all_maps, replica.after_load()
        await replica.leaving.make_way(maps, await replica.record.leftovers.read(), statements)
        statements = tuple(replace(statement, optional=True) for statement in statements)
        await replica.make([s for s in statements if s.kind is not Made.FOREIGN_KEY])
        await loaded_orphans.remove(replica.connection, QuarantineWriter(replica.record), maps, targets)
        await replica.make([s for s in statements if s.kind is Made.FOREIGN_KEY])
