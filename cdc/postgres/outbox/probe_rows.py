"""A write to each target table that is undone again: what the outbox notes of it proves that it notes.

A row that is there is written as it is. An empty table gets a marker: a row of the simplest values that its types have.
Where its constraints refuse such a row, an INSERT of no row still runs the table's trigger, and shows that it may note.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import asyncpg

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.sql_names import listed, qualified, quote, quote_literal

Sent = Literal["row", "marker", "nothing"]

_SIMPLEST: Final = {
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric"), "0"),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "bytea"), ""),
    **dict.fromkeys(("json", "jsonb"), "{}"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), "2000-01-01"),
    "bool": "false",
    "time": "00:00",
    "interval": "00:00:00",
    **dict.fromkeys(("inet", "cidr"), "0.0.0.0"),
    "macaddr": "00:00:00:00:00:00",
    "macaddr8": "00:00:00:00:00:00:00:00",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
_REFUSED: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.RaiseError)


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """A transaction that is rolled back at its end; keys that can wait are checked at its end, and so never."""
    transaction = connection.transaction()
    with translated("probing the way back"):
        await transaction.start()
        try:
            await connection.execute("SET CONSTRAINTS ALL DEFERRED")
            yield
        finally:
            if not connection.is_closed():
                await transaction.rollback()


async def send(connection: Connection, mapped: TableMap, target: TargetTable) -> Sent:
    """Write something to a table, within `undone`; returns what the outbox must have noted. Draws from no sequence."""
    table = qualified(mapped.schema, mapped.target)
    own = next((quote(c.name) for c in target.columns if not c.generated and c.identity != "a"), None)
    with translated(f"probing the way back of table {mapped.target}"):
        if own is not None:
            once = f"UPDATE {table} SET {own} = {own} WHERE ctid = (SELECT ctid FROM {table} LIMIT 1)"
            if await connection.execute(once) == "UPDATE 1":
                return "row"
        given = {c.name: _simplest(c, c.name in mapped.key) for c in target.columns if not c.generated}
        into = f"INSERT INTO {table}({listed(given)}) OVERRIDING SYSTEM VALUE"
        try:
            async with connection.transaction():
                await connection.execute(f"{into} VALUES ({', '.join(given.values())})")
                return "marker"
        except _REFUSED as error:
            if error.schema_name == "cdc":  # it is the outbox that refuses, not the table
                raise
        await connection.execute(f"{into} SELECT {listed(given)} FROM {table} WHERE false")
    return "nothing"


def _simplest(column: TargetColumn, in_key: bool) -> str:
    """The marker's value of a column, as SQL: NULL wherever that may be."""
    empty = "{}" if column.base.startswith("_") else None
    value = column.labels[0] if column.labels else _SIMPLEST.get(column.base, empty)
    if value is None or not (column.not_null or in_key):
        return "NULL"
    return f"{quote_literal(value)}::{column.type}"
