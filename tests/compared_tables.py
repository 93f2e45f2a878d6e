"""The tables of Postgres that are compared, read off its catalogue."""

import json
from dataclasses import dataclass, field
from typing import Any

Connection = Any  # asyncpg.Connection, whose type has a parameter
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column of Postgres: `kind` is its type's name, `literal` says that it keeps SQL literals of SQLite."""

    name: str
    kind: str
    not_null: bool
    literal: bool


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a child that refer to columns of a parent in the same schema."""

    columns: Texts
    parent: str
    parent_columns: Texts


@dataclass
class Target:
    """A table of Postgres as its catalogue tells it."""

    name: str
    columns: list[Column]
    key: Texts
    foreign_keys: list[ForeignKey] = field(default_factory=list)

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


_COLUMNS = """
SELECT table_name, column_name, udt_name, is_nullable = 'NO' AS not_null FROM information_schema.columns
WHERE table_schema = $1 ORDER BY table_name, ordinal_position
"""
_KEYS = """
SELECT t.relname::text AS child, c.contype::text AS kind, p.relname::text AS parent,
    ARRAY(SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = n ORDER BY i) AS columns,
    ARRAY(SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
          JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = n ORDER BY i) AS parent_columns
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid LEFT JOIN pg_class p ON p.oid = c.confrelid
WHERE c.connamespace = $1::text::regnamespace AND c.contype IN ('p', 'f') ORDER BY c.contype DESC
"""


async def read_catalogue(connection: Connection, schema: str, source_id: str) -> dict[str, Target]:
    """The tables of a schema; which columns keep literals is told by what the stream remembers."""
    decided = json.loads(
        await connection.fetchval("SELECT columns::text FROM cdc.mapping WHERE source_id = $1", source_id)
    )
    found: dict[str, Target] = {}
    for row in await connection.fetch(_COLUMNS, schema):
        target = found.setdefault(row["table_name"], Target(row["table_name"], [], ()))
        literal = decided.get(target.name, {}).get(row["column_name"], {}).get("literal", False)
        target.columns.append(Column(row["column_name"], row["udt_name"], row["not_null"], literal))
    for row in await connection.fetch(_KEYS, quoted(schema)):
        child = found[row["child"]]
        if row["kind"] == "p":
            child.key = tuple(row["columns"])
        else:
            child.foreign_keys.append(ForeignKey(tuple(row["columns"]), row["parent"], tuple(row["parent_columns"])))
    return found


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
