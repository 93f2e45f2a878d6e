"""A schema of Postgres to try things in: made empty or with tables like others, and gone afterwards without a trace.

Its comment says whose it is, so what a killed command left behind is found.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from cdc.facts.target_schema import TargetForeignKey, TargetTable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.record.own_schema import SCHEMA
from cdc.postgres.tables.statement import shorten
from cdc.sql_names import listed, qualified, quote, quote_literal

SQL: Final = load("scratch")


class ScratchSchema:
    """One scratch schema over one connection."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self._connection = connection

    async def make(self, source_id: str) -> None:
        """Make it, as scratch of a source."""
        with translated("making a scratch schema"):
            async with self._connection.transaction():
                await self._connection.execute(f"CREATE SCHEMA {quote(self.name)}")
                await self._connection.execute(
                    f"COMMENT ON SCHEMA {quote(self.name)} IS {quote_literal(_mark(source_id))}"
                )

    async def copy_tables(self, tables: Mapping[str, TargetTable]) -> tuple[str, ...]:
        """Make empty tables like these of another schema; returns what of them has no copy, in words.

        Nothing in a copy reaches back: a number that it gives is of a sequence of its own, a foreign key leads to
        another copy, and no trigger is there, for nobody can tell what its function writes to.
        """
        with translated("making tables like those of the target"):
            for table in tables.values():
                await self._connection.execute(
                    f"CREATE TABLE {self._place(table.name)} (LIKE {qualified(table.schema, table.name)} INCLUDING ALL)"
                )
            for schema in {table.schema for table in tables.values()}:
                for row in await self._connection.fetch(SQL["serials"], schema, list(tables)):
                    await self._number(row["table_name"], row["column_name"])
            for table in tables.values():
                for key in table.foreign_keys:
                    if _is_among(key, tables):
                        await self._connection.execute(self._refer(table.name, key))
        return tuple(words for table in tables.values() for words in _left_out(table, tables))

    async def sources(self) -> list[str]:
        """The ids of the sources that feed tables of it."""
        with translated("looking for what was tried"):
            return [row["source_id"] for row in await self._connection.fetch(SQL["sources"], self.name)]

    async def drop(self) -> None:
        """Drop it and all that it holds, a table at a time: Postgres has only so many locks for one transaction."""
        with translated("dropping a scratch schema"):
            for row in await self._connection.fetch(SQL["tables"], self.name):
                await self._connection.execute(f"DROP TABLE IF EXISTS {self._place(row['name'])} CASCADE")
            await self._connection.execute(f"DROP SCHEMA IF EXISTS {quote(self.name)} CASCADE")

    async def _number(self, table: str, column: str) -> None:
        sequence = self._place(shorten(f"{table}_{column}_scratch", table, column))
        await self._connection.execute(f"CREATE SEQUENCE {sequence}")
        await self._connection.execute(
            f"ALTER TABLE {self._place(table)} ALTER COLUMN {quote(column)} "
            f"SET DEFAULT nextval({quote_literal(sequence)}::regclass)"
        )
        await self._connection.execute(f"ALTER SEQUENCE {sequence} OWNED BY {self._place(table)}.{quote(column)}")

    def _refer(self, table: str, key: TargetForeignKey) -> str:
        return (
            f"ALTER TABLE {self._place(table)} ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({listed(key.columns)}) "
            f"REFERENCES {self._place(key.parent)} ({listed(key.parent_columns)}) "
            f"ON UPDATE {key.on_update} ON DELETE {key.on_delete}{' DEFERRABLE' if key.deferrable else ''}"
        )

    def _place(self, table: str) -> str:
        return qualified(self.name, table)


async def left_behind(connection: Connection, source_id: str) -> list[ScratchSchema]:
    """The scratch schemas of a source that are there."""
    with translated("looking for scratch schemas"):
        rows = await connection.fetch(SQL["left_behind"], _mark(source_id))
    return [ScratchSchema(connection, row["name"]) for row in rows]


async def forget_source(connection: Connection, source_id: str) -> None:
    """Take every row of a source out of the schema `cdc`."""
    with translated("forgetting what was tried"):
        async with connection.transaction():
            for row in await connection.fetch(SQL["remembering"]):
                await connection.execute(
                    f"DELETE FROM {qualified(SCHEMA, row['name'])} WHERE source_id = $1", source_id
                )


def _mark(source_id: str) -> str:
    return f"cdc: scratch of {source_id}"


def _is_among(key: TargetForeignKey, tables: Mapping[str, TargetTable]) -> bool:
    parent = tables.get(key.parent)
    return parent is not None and parent.schema == key.parent_schema


def _left_out(table: TargetTable, tables: Mapping[str, TargetTable]) -> Iterator[str]:
    for key in table.foreign_keys:
        if not _is_among(key, tables):
            yield f"the foreign key {key.name} of {table.name}, which leads to {key.parent_schema}.{key.parent}"
