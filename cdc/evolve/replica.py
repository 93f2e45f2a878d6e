"""A source's tables in Postgres, as steps of a schema change work on them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loguru import logger

from cdc.config import Config
from cdc.errors import TargetNotEmpty
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import ObjectKind, ObjectPlace
from cdc.mapping.known import target_name
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl import runner, schema_script
from cdc.postgres.record.leaving import Leaving
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_objects
from cdc.postgres.tables.statement import EXISTS, Made, Statement

# Parts of a table that have a name of their own.
_NAMED: Final = (ObjectKind.UNIQUE, ObjectKind.CHECK, ObjectKind.FOREIGN_KEY, ObjectKind.INDEX)


@dataclass(frozen=True, slots=True)
class Replica:
    """The copies of the tables that are fed now, over a connection that holds the source's lock.

    `maps` are by the tables' names in SQLite. `retyped` are targets and their columns that get another type.
    """

    config: Config
    record: Record
    maps: Mapping[str, TableMap]
    retyped: frozenset[tuple[str, str]] = frozenset()

    @property
    def connection(self) -> Connection:
        """The connection that holds the source's lock."""
        return self.record.connection

    @property
    def all_maps(self) -> list[TableMap]:
        """The maps of all tables."""
        return list(self.maps.values())

    @property
    def leaving(self) -> Leaving:
        """What lets go of columns, tables and constraints that the application has no longer."""
        return Leaving(self.record, self.config.target.schema)

    def after_load(self) -> tuple[Statement, ...]:
        """The statements that make the indexes and constraints of all tables."""
        return schema_script.script(self.all_maps, self.config.target.schema).after_load

    async def leave_tables(self, decided: Mapping[str, Mapping[str, Any]]) -> None:
        """Leave the copies of these source tables as they are, with what was decided about their columns."""
        for name, columns in decided.items():
            await self.leaving.table(name, target_name(self.config, name), columns)

    async def _standing(self) -> Iterable[ObjectPlace]:
        targets = [m.target for m in self.all_maps]
        return await read_objects(self.connection, self.config.target.schema, targets)

    async def make(self, statements: Sequence[Statement]) -> None:
        """Make each object that is missing, for itself; one that cannot be made is left out, which is remembered."""
        # Asked once for all: most often nearly everything is there.
        standing = {(place.table, place.name) for place in await self._standing() if place.kind in _NAMED}
        outcomes = {
            s: EXISTS if (s.table, s.object) in standing and s.kind is not Made.COLUMN else None for s in statements
        }
        for statement in [statement for statement, reason in outcomes.items() if reason is None]:
            try:
                await runner.apply(self.connection, [statement], outcomes.__setitem__, together=False)
            except TargetNotEmpty as error:
                outcomes[statement] = error.message
        for statement, reason in outcomes.items():
            _tell(statement, reason)
        await self.record.left_out.note(outcomes)


def _tell(statement: Statement, reason: str | None) -> None:
    if reason is None:
        logger.bind(object=statement.object).info("made in Postgres what SQLite has")
    elif reason != EXISTS:
        logger.bind(object=statement.object, reason=reason).warning("an index or constraint was left out")
