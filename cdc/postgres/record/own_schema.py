"""The schema `cdc` made whole again, whatever of it is gone: tables, columns, keys, indexes.

What has to be there is read off the script that makes it, so the two cannot differ. A part that is made again is empty,
so what it held is unknown from then on; `make_whole` says of which tables, and sees to it that every source knows.
"""

import functools
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import asyncpg

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.sql_names import qualified, quote

SQL: Final = load("own_schema")
SCHEMA: Final = "cdc"
# The script is our own file, so its form is known: one column or key on each line of a CREATE TABLE.
_SCRIPT: Final = load("state")["create"]
_TABLE: Final = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?cdc\.(\w+) \(\n(.*?)\n *\);", re.DOTALL)
_INDEX: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX IF NOT EXISTS (\w+) ON cdc\.(\w+)")
_KEY: Final = re.compile(r"(?:PRIMARY KEY|UNIQUE) \(([^)]*)\)")
_OWN_KEY: Final = " PRIMARY KEY"


class SchemaPart(NamedTuple):
    """A column or an index by its name, or a key by its columns in order: `source_id, seq`.

    `kind` is `column`, `index` or `key`.
    """

    kind: str
    table: str
    name: str


@functools.cache
def expected() -> dict[SchemaPart, str]:
    """All parts of the schema with their definitions, as the script has them."""
    parts: dict[SchemaPart, str] = {}
    for table, body in _TABLE.findall(_SCRIPT):
        for line in (line.strip().removesuffix(",") for line in body.splitlines()):
            if key := _KEY.fullmatch(line):
                parts[SchemaPart("key", table, key[1])] = line
                continue
            name, _, definition = line.partition(" ")
            parts[SchemaPart("column", table, name)] = definition.strip()
            if definition.endswith(_OWN_KEY):
                parts[SchemaPart("key", table, name)] = f"PRIMARY KEY ({name})"
    parts |= {SchemaPart("index", table, name): "" for name, table in _INDEX.findall(_SCRIPT)}
    return parts


async def missing(connection: Connection) -> frozenset[SchemaPart]:
    """The parts of the schema `cdc` that the script makes and this database lacks; all of them where it has none."""
    with translated("looking at the schema cdc"):
        present = {SchemaPart(*record) for record in await connection.fetch(SQL["present"])}
    return frozenset(expected().keys() - present)


def tables_of(parts: Iterable[SchemaPart]) -> str:
    """The tables that some parts belong to, for people: `cdc.audit, cdc.stream`."""
    return ", ".join(sorted({f"{SCHEMA}.{part.table}" for part in parts}))


async def create(connection: Connection) -> None:
    """Make the schema where it is missing; idempotent."""
    with translated("creating the schema cdc"):
        await connection.execute(_SCRIPT)


async def make_whole(connection: Connection) -> frozenset[str]:
    """Make what is missing, all or nothing. Returns the tables of which something that they held is lost.

    Where there is no such schema, nothing is lost and nothing made. An older version's schema becomes this one's.
    """
    if not (lacking := await missing(connection)) or lacking == expected().keys():
        return frozenset()
    with translated("making the schema cdc whole"):
        async with connection.transaction():
            await connection.execute(SQL["alone"])
            lost = await _make(connection, lacking)
            if "stream" in lost:
                await connection.execute(SQL["forget_positions"])
                await connection.execute(SQL["go_on_with_audit"])
            if lost & {"quarantine", "crosswalk", "target_table"}:
                await connection.execute(SQL["compare_everything"])
            if lost & {"outbox", "uncarried"}:
                await connection.execute(SQL["reread_captured"])
    return lost


async def go_on_with_audit(connection: Connection) -> None:
    """Let rows of cdc.stream that were made again know where the audit trail ends."""
    with translated("looking for the end of the audit trail"):
        await connection.execute(SQL["go_on_with_audit"])


async def _make(connection: Connection, lacking: frozenset[SchemaPart]) -> frozenset[str]:
    """The script first: it brings an older version up to date, and what that adds was never lost."""
    lost = {part.table for part in lacking} - {part.table for part in expected().keys() - lacking}
    # It fails, for instance, where a table lacks a column that it indexes: then tables are mended one by one.
    if await _ran(connection, _SCRIPT):
        lacking = await missing(connection)
    lost |= {part.table for part in lacking if part.kind == "column"}
    for table in sorted({part.table for part in lacking if part.kind != "index"}):
        if not await _mended(connection, table, [part for part in lacking if part.table == table]):
            await connection.execute(f"DROP TABLE {qualified(SCHEMA, table)} CASCADE")
            lost.add(table)
    await connection.execute(_SCRIPT)
    return frozenset(lost)


async def _mended(connection: Connection, table: str, lacking: Iterable[SchemaPart]) -> bool:
    """Add what a table lacks; False where its rows cannot be without it: they mean nothing then."""
    adds = ", ".join(_added(part) for part in sorted(lacking) if part.kind != "index")
    return await _ran(connection, f"ALTER TABLE IF EXISTS {qualified(SCHEMA, table)} {adds}")


def _added(part: SchemaPart) -> str:
    definition = expected()[part].removesuffix(_OWN_KEY)
    return f"ADD COLUMN {quote(part.name)} {definition}" if part.kind == "column" else f"ADD {definition}"


async def _ran(connection: Connection, sql: str) -> bool:
    """Whether a script ran; what it did is undone when it did not."""
    try:
        async with connection.transaction():
            await connection.execute(sql)
    except (asyncpg.SyntaxOrAccessError, asyncpg.IntegrityConstraintViolationError) as error:
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            raise
        return False
    return True


async def ours(connection: Connection, schema: str, marks: dict[str, str]) -> frozenset[str]:
    """Those of the named tables that are there with the comment that marks them as made by this tool."""
    with translated("looking for the tables of this source"):
        tables = await connection.fetch(SQL["comments"], schema, list(marks))
    return frozenset(record["name"] for record in tables if record["comment"] == marks[record["name"]])


async def disabled_triggers(connection: Connection, schema: str, tables: Iterable[str]) -> list[str]:
    """Triggers on these tables that do not fire now, as `trigger of table`."""
    with translated("looking for disabled triggers"):
        triggers = await connection.fetch(SQL["disabled"], schema, list(tables))
    return [f"{record['name']} of {record['table_name']}" for record in triggers]
