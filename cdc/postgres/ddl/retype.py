"""A column of ours becomes another type: what stands on it goes first, and is made anew once every row is there.

Values are not converted by Postgres: what SQLite holds is compared in the same transaction, so that nobody sees a
column between its two types. Only a text takes over what was there, which spares rewriting rows that are right already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from cdc.audit.chain import entry
from cdc.errors import MappingError
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.faults import crash_point
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.ddl.schema_script import column_default, not_null_columns, typed
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.translate.views import MARK
from cdc.sql_names import heading, qualified, quote
from cdc.values.texts import TEXT

SQL: Final = load("retype")
LOCK_SECONDS: Final = 10.0  # who waits for a lock holds up everybody who comes after
_LIKENESS: Final = "cdc_retyped"


def retyped_columns(mapped: TableMap) -> tuple[ColumnMap, ...]:
    """The columns of a table that Postgres still has in another type."""
    return tuple(column for column in mapped.columns if column.held)


def statement(mapped: TableMap, *, keeps_rows: bool = True) -> str:
    """What gives those columns their types; with `keeps_rows` they may be NULL until the rows are compared."""
    steps: list[str] = []
    for column in retyped_columns(mapped):
        name, old = quote(column.target), quote(column.target)
        value = f"{old}::text" if column.type == TEXT.name else f"NULL::{column.type}"
        steps.append(f"ALTER {name} DROP DEFAULT")
        if keeps_rows and column.target in not_null_columns(mapped):
            steps.append(f"ALTER {name} DROP NOT NULL")
        steps.append(f"ALTER {name} TYPE {typed(column)} USING {value}")
        if default := column_default(mapped, column):
            steps.append(f"ALTER {name} SET DEFAULT {default}")
    return f"ALTER TABLE {qualified(mapped.schema, mapped.target)} {', '.join(steps)}"


async def alter(connection: Connection, mapped: TableMap, *, keeps_rows: bool = True) -> None:
    """Give those columns their types, in the caller's transaction."""
    with translated(f"giving columns of {mapped.target} other types"):
        await connection.execute(f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}")
        await connection.execute(statement(mapped, keeps_rows=keeps_rows))
        await connection.execute("SET LOCAL lock_timeout = 0")


async def require_types(connection: Connection, mapped: TableMap) -> None:
    """Raises `MappingError` for a type that Postgres does not know."""
    if columns := retyped_columns(mapped):
        await _read_columns(connection, mapped, columns)


async def once_retyped(connection: Connection, mapped: TableMap, target: TargetTable) -> TargetTable:
    """The target as it will be; raises `MappingError` for a type that Postgres does not know."""
    columns = {c.target: c for c in retyped_columns(mapped)}
    if not columns:
        return target
    new = await _read_columns(connection, mapped, list(columns.values()))
    return replace(target, columns=tuple(_as_new(c, new.get(c.name), mapped) for c in target.columns))


def _as_new(column: TargetColumn, new: TargetColumn | None, mapped: TableMap) -> TargetColumn:
    """NOT NULL waits until every row is there."""
    if new is None:
        return column
    wanted = next(c for c in mapped.columns if c.target == column.name)
    return replace(new, has_default=column_default(mapped, wanted) is not None)


async def _read_columns(
    connection: Connection, mapped: TableMap, columns: Sequence[ColumnMap]
) -> Mapping[str, TargetColumn]:
    """The columns as the catalogue will tell them: read off an empty table of their types."""
    listed = ", ".join(f"{quote(c.target)} {typed(c)}" for c in columns)
    with translated(f"looking at the types of {mapped.target}"):
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(f"CREATE TEMP TABLE {_LIKENESS} ({listed})")
            schema = await connection.fetchval(SQL["temporary_schema"])
            table = (await read_tables(connection, schema, [_LIKENESS]))[_LIKENESS]
        except asyncpg.SyntaxOrAccessError as error:
            names = ", ".join(heading("tables", mapped.source.name, "columns", c.target) for c in columns)
            raise MappingError(
                f"{names}: Postgres does not take the type: {error.args[0]}",
                remedy="correct `type`, or make that type in Postgres",
            ) from error
        finally:
            if not connection.is_closed():
                await transaction.rollback()
    return {column.name: column for column in table.columns}


async def holds_nothing(connection: Connection, mapped: TableMap, column: str) -> bool:
    """Whether a column of Postgres is NULL in every row."""
    with translated(f"looking at {mapped.target}.{column}"):
        name, table = quote(column), qualified(mapped.schema, mapped.target)
        return not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table} WHERE {name} IS NOT NULL)")


async def holds_many(connection: Connection, mapped: TableMap, column: str, many: int) -> bool:
    """Whether a column of Postgres has so many values that are not NULL."""
    with translated(f"looking at {mapped.target}.{column}"):
        name, table = quote(column), qualified(mapped.schema, mapped.target)
        some = f"SELECT FROM {table} WHERE {name} IS NOT NULL LIMIT $1"
        return bool(await connection.fetchval(f"SELECT count(*) >= $1 FROM ({some}) AS r", many))


async def readers(connection: Connection, mapped: TableMap, column: str) -> list[str]:
    """The views of others that read a column, and keep it as it is."""
    with translated(f"looking at what reads {mapped.target}.{column}"):
        rows = await connection.fetch(SQL["readers"], mapped.schema, mapped.target, column, MARK)
    return [row["name"] for row in rows]


async def make_way(record: Record, mapped: TableMap, ours: Sequence[str]) -> None:
    """Drop the constraints over those columns, and the indexes on them that are among `ours`, by their names."""
    connection = record.connection
    with translated(f"making way for other types in {mapped.target}"):
        async with connection.transaction():
            dropped: list[str] = []
            for column in retyped_columns(mapped):
                place = (mapped.schema, mapped.target, column.target)
                for found in await connection.fetch(SQL["standing"], *place, list(ours)):
                    if found["constraint"]:
                        table = qualified(mapped.schema, mapped.target)
                        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {quote(found['name'])}")
                    else:
                        await connection.execute(f"DROP INDEX {qualified(mapped.schema, found['name'])}")
                    dropped.append(f"{found['name']} of {mapped.target}: {found['definition']}")
            if dropped:
                details = {"table": mapped.target, "dropped": dropped}
                await record.audit.append([entry("make way for a type", "done", details)])
            crash_point("retype.before_way")
    crash_point("retype.after_way")
