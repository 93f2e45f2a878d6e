"""Tables' columns by their names, as SQLite compares names. Pure."""

from cdc.config import ColumnOptions, TableOptions
from cdc.facts.source_schema import Column, KeyKind, Table


def same(a: str | None, b: str) -> bool:
    """Whether two names are one for SQLite."""
    return a is not None and a.lower() == b.lower()


def has(table: Table, name: str) -> bool:
    """Whether a table has a column of that name."""
    return any(same(c.name, name) for c in table.columns)


def column_options(options: TableOptions, column: str) -> ColumnOptions:
    """What the operator chose for a column of a table; the defaults where nothing was."""
    return next((o for name, o in options.columns.items() if same(column, name)), ColumnOptions())


def in_key(table: Table, column: Column) -> bool:
    """Whether a column is part of what identifies the rows."""
    return table.key.kind is not KeyKind.ROWID and any(same(column.name, k) for k in table.key.columns)
