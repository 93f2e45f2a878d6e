"""A table of seven mixed columns with a primary key, as SQLite and as Postgres have it."""

import datetime
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable

SEED: Final = 1
# Name, type in SQLite, type in Postgres, its name in pg_type.
COLUMNS: Final = (
    ("id", "INTEGER PRIMARY KEY", "bigint", "int8"),
    ("amount", "REAL", "double precision", "float8"),
    ("name", "TEXT", "text", "text"),
    ("note", "TEXT", "text", "text"),
    ("active", "BOOLEAN", "boolean", "bool"),
    ("seen_at", "DATETIME", "timestamp without time zone", "timestamp"),
    ("digest", "BLOB", "bytea", "bytea"),
)
CREATE: Final = (
    "CREATE TABLE items ("
    + ", ".join(f"{name} {type_}{' PRIMARY KEY' if name == 'id' else ''}" for name, _, type_, _ in COLUMNS)
    + ")"
)


def make(path: Path, rows: int) -> None:
    """A new SQLite file with the table and so many rows in it, the same each time."""
    connection = apsw.Connection(str(path))
    columns = ", ".join(f"{name} {type_}" for name, type_, _, _ in COLUMNS)
    connection.execute("PRAGMA journal_mode = OFF").fetchall()
    connection.execute(f"CREATE TABLE items ({columns})")
    with connection:
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO items VALUES ({marks})", _rows(rows))
    connection.close()


def _rows(count: int) -> Iterator[tuple[object, ...]]:
    chance = random.Random(SEED)
    start = datetime.datetime(2024, 1, 1)
    for n in range(1, count + 1):
        note = None if n % 5 == 0 else "some words about a thing " * chance.randrange(1, 4)
        seen = start + datetime.timedelta(seconds=n * 7, microseconds=chance.randrange(1_000_000))
        yield n, chance.uniform(0, 1e6), f"item number {n}", note, n % 2, str(seen), chance.randbytes(24)


def mapping() -> tuple[TableMap, TargetTable]:
    """How the table is replicated."""
    columns = tuple(Column(name, type_.split()[0], Affinity.BLOB) for name, type_, _, _ in COLUMNS)
    source = Table("items", columns, Key(KeyKind.INTEGER, ("id",)))
    mapped = tuple(ColumnMap(name, f'"{name}"', type_, name) for name, _, type_, _ in COLUMNS)
    target = tuple(TargetColumn(name, type_, base, not_null=name == "id") for name, _, type_, base in COLUMNS)
    return TableMap(source, "public", "items", mapped, ("id",)), TargetTable("public", "items", target)
