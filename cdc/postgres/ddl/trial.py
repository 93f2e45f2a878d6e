"""What the schema script of today would make, as Postgres writes it: made for a moment on empty tables.

So what stands in Postgres is compared with the statements themselves, and with no second description of them. The
tables are temporary and taken back in the same transaction: nobody else sees them, and no other table is touched.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import ObjectPlace, SchemaObject
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl import schema_script
from cdc.postgres.ddl.foreign_keys import Link, links
from cdc.postgres.tables.catalogue import read_objects
from cdc.postgres.tables.statement import Made, Statement
from cdc.sql_names import qualified

TABLES_AT_ONCE: Final = 50  # each is locked with its indexes to the transaction's end, and a server has room for 6,400
_TEMPORARY: Final = "pg_temp"
_REFUSALS: Final = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)


async def expected_objects(connection: Connection, maps: Sequence[TableMap]) -> dict[ObjectPlace, SchemaObject]:
    """All parts of the targets of our making, as today's script makes them; none of those that others made.

    What Postgres refuses even on an empty table is left out, as it is when the script runs.
    """
    trial = _SchemaTrial(connection, maps)
    objects: dict[ObjectPlace, SchemaObject] = {}
    with translated("trying the schema on empty tables"):
        for portion in trial.portions():
            objects |= await trial.make(portion)
    return objects


class _SchemaTrial:
    """The script of some maps, with its statements by the table that each belongs to."""

    def __init__(self, connection: Connection, maps: Sequence[TableMap]) -> None:
        self._connection = connection
        self._names = [m.target for m in maps if not m.adopted]
        self._parents = _parents(maps)
        self._statements = _statements(maps)

    def portions(self) -> Iterator[list[str]]:
        """The names of some tables at a time."""
        for first in range(0, len(self._names), TABLES_AT_ONCE):
            yield self._names[first : first + TABLES_AT_ONCE]

    async def make(self, tables: list[str]) -> dict[ObjectPlace, SchemaObject]:
        """What some tables consist of, once their statements were run."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            await self._run(list(self._needed(tables)))
            schema = await self._connection.fetchval(
                "SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()"
            )
            return await read_objects(self._connection, schema, tables)
        finally:
            if not self._connection.is_closed():
                await transaction.rollback()

    def _needed(self, tables: list[str]) -> Iterator[Statement]:
        """The statements of some tables, and the tables and keys that these refer to, in an order that works."""
        referred = {parent for table in tables for parent in self._parents[table]} - set(tables)
        with_keys = [*tables, *sorted(referred)]
        for kind in (Made.TABLE, Made.CONSTRAINT):
            yield from (s for table in with_keys for s in self._statements[table] if s.kind is kind)
        for kind in (Made.CHECK, Made.INDEX, Made.FOREIGN_KEY):
            yield from (s for table in tables for s in self._statements[table] if s.kind is kind)

    async def _run(self, statements: Sequence[Statement]) -> None:
        """All at once, which is one way to the server and back; one by one only where one of them is refused."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(";\n".join(s.sql for s in statements))
        except _REFUSALS:
            for statement in statements:
                await self._try(statement)

    async def _try(self, statement: Statement) -> None:
        try:
            async with self._connection.transaction():
                await self._connection.execute(statement.sql)
        except _REFUSALS:
            if statement.kind is Made.TABLE:
                raise


def _statements(maps: Sequence[TableMap]) -> Mapping[str, list[Statement]]:
    script = schema_script.script([replace(m, schema=_TEMPORARY) for m in maps], _TEMPORARY)
    by_table: defaultdict[str, list[Statement]] = defaultdict(list)
    for statement in (*script.before_load, *script.after_load):
        by_table[statement.table].append(statement)
    for mapped in (m for m in maps if m.adopted):
        # The configuration may refer to a table that others made: one of the same columns and keys stands for it.
        likeness = f"(LIKE {qualified(mapped.schema, mapped.target)} INCLUDING INDEXES)"
        sql = f"CREATE TABLE {qualified(_TEMPORARY, mapped.target)} {likeness}"
        by_table[mapped.target].append(Statement(mapped.target, sql, Made.TABLE, _TEMPORARY, mapped.target))
    return by_table


def _parents(maps: Sequence[TableMap]) -> Mapping[str, set[str]]:
    parents: defaultdict[str, set[str]] = defaultdict(set)
    for link in links(maps):
        if isinstance(link, Link):
            parents[link.child.target].add(link.parent.target)
    return parents
