"""Columns are mapped otherwise than before: the operator chose so, or values came that outgrew a provisional type.

The column of a table of ours gets its new type in the transaction that compares the table, so nobody sees it between
the two. Where Postgres holds nothing but NULL in it there is nothing to compare, and it gets the type at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.table_map import TableMap
from cdc.mapping.revision import Revision
from cdc.postgres.ddl import retype, schema_script, views


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedMapping(SchemaChange):
    """What becomes of which column."""

    revisions: tuple[Revision, ...]

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """Columns whose decision counts no more."""
        if not facts.revisions:
            return None
        resync = tuple(dict.fromkeys(r.table for r in facts.revisions if r.compares))
        return cls(revisions=facts.revisions, reasons=tuple(map(str, facts.revisions)), resync=resync)

    async def let_go(self, replica: Replica) -> bool:
        """Take what stands on the columns out of the way."""
        tables = list(self._retyped(replica))
        targets = [mapped.target for mapped in tables]
        if targets:
            await views.drop_outdated(replica.record, replica.config.target.schema, (), targets)
        ours = [*_made_for(replica, tables), *(s.object for s in replica.after_load())]
        for mapped in tables:
            await retype.make_way(replica.record, mapped, ours)
        return False

    async def extend(self, replica: Replica) -> None:
        """Give columns without any value their types at once."""
        empty = {(r.table, r.target) for r in self.revisions if r.empty}
        for mapped in self._retyped(replica):
            columns = tuple(c for c in mapped.columns if (mapped.source.name, c.target) in empty)
            if columns:
                async with replica.connection.transaction():
                    await retype.alter(replica.connection, replace(mapped, columns=columns), keeps_rows=False)
                    await replica.record.waiting.accept_types([mapped.source.name])

    def _retyped(self, replica: Replica) -> Iterator[TableMap]:
        """The maps of the tables with such columns, each marked with the type that Postgres still has."""
        held = {(r.table, r.target): r.held for r in self.revisions if r.retypes}
        for name in dict.fromkeys(table for table, _ in held):
            mapped = replica.maps[name]
            yield replace(mapped, columns=tuple(replace(c, held=held.get((name, c.target))) for c in mapped.columns))


def _made_for(replica: Replica, tables: Sequence[TableMap]) -> Iterator[str]:
    """The names of indexes and constraints that the types asked for which Postgres still has."""
    for mapped in tables:
        columns = (replace(c, type=c.held.type, literal=c.held.literal) if c.held else c for c in mapped.columns)
        before = replace(mapped, columns=tuple(columns))
        yield from (s.object for s in schema_script.script([before], replica.config.target.schema).after_load)
