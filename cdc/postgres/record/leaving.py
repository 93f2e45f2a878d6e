"""Letting go of what the application dropped or renamed: it stays in Postgres as a leftover, and refuses no rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from cdc.audit.chain import entry
from cdc.facts.leftover import Leftover
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import ObjectKind, ObjectPlace, SchemaObject
from cdc.faults import crash_point
from cdc.postgres.connection.errors import translated
from cdc.postgres.record.leftovers import SQL
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.postgres.tables.statement import CHECK_MARK, Made, Statement, comment_on_check
from cdc.sql_names import qualified, quote


class Leaving:
    """Lets go of what the application has no longer, in one schema."""

    def __init__(self, record: Record, schema: str) -> None:
        self._connection = record.connection
        self._record = record
        self._schema = schema

    async def column(self, mapped: TableMap, name: str, decided: Mapping[str, Any]) -> None:
        """Leave a column of a table as it is, in one transaction: rows that come now need no value for it."""
        place = (self._schema, mapped.target, name)
        with translated(f"leaving column {mapped.target}.{name} as it is"):
            async with self._connection.transaction():
                dropped = await self._drop(await self._connection.fetch(SQL["over_column"], *place))
                if await self._connection.fetchval(SQL["refuses_null"], *place):
                    table = qualified(self._schema, mapped.target)
                    await self._connection.execute(f"ALTER TABLE {table} ALTER COLUMN {quote(name)} DROP NOT NULL")
                    dropped.append(f"NOT NULL of {mapped.target}.{name}")
                await self._note(mapped.source.name, mapped.target, name, decided, dropped)
                crash_point("leftover.before_commit")
        crash_point("leftover.after_commit")

    async def table(self, source_table: str, target: str, decided: Mapping[str, Any]) -> None:
        """Leave a whole table as it is, in one transaction: it refers to no other, and no other to it."""
        with translated(f"leaving table {target} as it is"):
            async with self._connection.transaction():
                quarantine = QuarantineWriter(self._record)
                await quarantine.release_table(source_table)
                await quarantine.tell()
                dropped = await self._drop(await self._connection.fetch(SQL["around_table"], self._schema, target))
                await self._note(source_table, target, None, decided, dropped)
                crash_point("leftover.before_commit")
        crash_point("leftover.after_commit")

    async def loosen(self, maps: Sequence[TableMap], statements: Sequence[Statement]) -> bool:
        """Drop uniqueness, foreign keys and CHECKs that our tables have no longer in SQLite; returns whether any were.

        They would refuse rows that the application holds. `statements` make those that it has.
        """
        demanded = {(s.table, s.object) for s in statements}
        ours = [m.target for m in maps if not m.adopted]
        with translated("dropping constraints that are gone"):
            async with self._connection.transaction():
                constraints = await self._connection.fetch(SQL["demanded"], self._schema, ours, CHECK_MARK)
                needless = [record for record in constraints if (record["table"], record["name"]) not in demanded]
                for record, words in zip(needless, await self._drop(needless), strict=True):
                    await self._tell(record["table"], None, [words])
        return bool(needless)

    async def mark_checks(self, statements: Sequence[Statement]) -> None:
        """Mark the CHECKs of ours that stand without a mark: an earlier version made them."""
        checks = [s for s in statements if s.kind is Made.CHECK]
        names = ([s.table for s in checks], [s.object for s in checks])
        with translated("marking CHECKs"):
            for found in await self._connection.fetch(SQL["unmarked_checks"], self._schema, *names):
                await self._connection.execute(comment_on_check(self._schema, found["table"], found["name"]))

    async def outdated(self, places: Sequence[ObjectPlace], standing: Mapping[ObjectPlace, SchemaObject]) -> bool:
        """Drop indexes and constraints that are other ones by now; returns whether any might have refused rows.

        One that others depend on stays, and is told by the comparison of the schema.
        """
        released = False
        with translated("dropping what is another by now"):
            for place in places:
                try:
                    async with self._connection.transaction():
                        await self._connection.execute(self._drop_object(place))
                        words = f"{place.name} of {place.table}: {standing[place].definition}"
                        await self._tell(place.table, None, [words])
                except asyncpg.DependentObjectsStillExistError:
                    continue
                released = released or place.kind is not ObjectKind.INDEX
        return released

    async def default(self, table: str, column: str, definition: str) -> None:
        """Let new rows that somebody else writes have another value in a column."""
        name = qualified(self._schema, table)
        with translated(f"changing the default of {table}.{column}"):
            await self._connection.execute(f"ALTER TABLE {name} ALTER COLUMN {quote(column)} SET DEFAULT {definition}")

    def _drop_object(self, place: ObjectPlace) -> str:
        if place.kind is ObjectKind.INDEX:
            return f"DROP INDEX {qualified(self._schema, place.name)}"
        return f"ALTER TABLE {qualified(self._schema, place.table)} DROP CONSTRAINT {quote(place.name)}"

    async def make_way(
        self, maps: Sequence[TableMap], leftovers: Sequence[Leftover], statements: Sequence[Statement]
    ) -> None:
        """Take names that are needed now from indexes that tables of ours have no longer, or as leftovers."""
        leftover_tables = {leftover.target: leftover for leftover in leftovers if leftover.column is None}
        ours = [*leftover_tables, *(m.target for m in maps if not m.adopted)]
        needed = {(s.table, s.object) for s in statements}
        names = [name for _, name in needed]
        with translated("taking names from indexes that are gone"):
            async with self._connection.transaction():
                for index in await self._connection.fetch(SQL["in_the_way"], self._schema, ours, names):
                    if (index["table"], index["name"]) in needed:
                        continue
                    await self._connection.execute(self._drop_index(index))
                    dropped = [f"{index['name']} of {index['table']}: {index['definition']}"]
                    if of := leftover_tables.get(index["table"]):
                        await self._note(of.source_table, of.target, None, of.decided, dropped)
                    else:
                        await self._tell(index["table"], None, dropped)

    def _drop_index(self, index: asyncpg.Record) -> str:
        if index["constraint"] is None:
            return f"DROP INDEX {qualified(self._schema, index['name'])}"
        return f"ALTER TABLE {qualified(self._schema, index['table'])} DROP CONSTRAINT {quote(index['constraint'])}"

    async def _drop(self, constraints: Sequence[asyncpg.Record]) -> list[str]:
        for constraint in constraints:
            table = qualified(constraint["schema"], constraint["table"])
            await self._connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {quote(constraint['name'])}")
        return [f"{c['name']} of {c['table']}: {c['definition']}" for c in constraints]

    async def _note(
        self, source_table: str, target: str, column: str | None, decided: Mapping[str, Any], dropped: list[str]
    ) -> None:
        facts = (self._record.source_id, source_table, target, column, json.dumps(decided), dropped)
        await self._connection.execute(SQL["note"], *facts)
        await self._tell(target, column, dropped)

    async def _tell(self, target: str, column: str | None, dropped: list[str]) -> None:
        details = {"table": target, "column": column, "dropped": dropped}
        await self._record.audit.append([entry("leave over", "done", details)])
