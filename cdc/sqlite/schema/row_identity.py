"""What identifies a row: the key that capture logs, chosen once for each table and kept as long as it can be."""

import json
from collections.abc import Mapping

import apsw

from cdc.facts.source_schema import Column, Key, KeyKind, Table
from cdc.sql_names import quote
from cdc.sqlite.schema.unreadable_tables import ordered_by_the_application


def recorded_keys(connection: apsw.Connection) -> dict[str, Key]:
    """The key that capture recorded last for each table, by lower-case name; empty when capture is not installed."""
    installed = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_cdc_table'").get
    if not installed:
        return {}
    rows = connection.execute("SELECT name, kind, columns FROM _cdc_table ORDER BY tid")
    return {str(name).lower(): Key(KeyKind(kind), tuple(json.loads(str(columns)))) for name, kind, columns in rows}


def choose_key(
    connection: apsw.Connection, table: Table, recorded: Key | None, configured: str, *, adopted: bool
) -> Key | None:
    """The recorded key while it is possible, else the best the table offers; None when nothing identifies a row.

    `configured` is `declared` or `rowid`, as the operator chose; it counts where no recorded key is possible.
    """
    possible = _possible_keys(table, adopted=adopted)
    # A table that others made has no column for the rowid: whatever else identifies a row is better there.
    if recorded is not None and not (adopted and recorded.kind is KeyKind.ROWID):
        for key in possible.values():
            if (key.kind, key.columns) == (recorded.kind, recorded.columns):
                return key
    if KeyKind.INTEGER in possible:
        return possible[KeyKind.INTEGER]
    declared, rowid = possible.get(KeyKind.COLUMNS), possible.get(KeyKind.ROWID)
    if declared is None or rowid is None:
        return declared or rowid
    if configured == "rowid" or (declared.nullable and holds_null(connection, table, declared)):
        return rowid
    return declared


def _possible_keys(table: Table, *, adopted: bool) -> Mapping[KeyKind, Key]:
    declared = [c for c in sorted(table.columns, key=lambda c: c.primary_key) if c.primary_key]
    possible: dict[KeyKind, Key] = {}
    alias = rowid_column(table)
    columns = declared or (_unique_columns(table) if adopted else [])
    if alias is not None:
        possible[KeyKind.INTEGER] = Key(KeyKind.INTEGER, (alias.name,))
    elif columns and not ordered_by_the_application(table, columns):
        nullable = not all(c.not_null for c in columns) and not (declared and (table.without_rowid or table.strict))
        possible[KeyKind.COLUMNS] = Key(KeyKind.COLUMNS, tuple(c.name for c in columns), nullable)
    if table.rowid_alias is not None:
        possible[KeyKind.ROWID] = Key(KeyKind.ROWID, (table.rowid_alias,))
    return possible


def _unique_columns(table: Table) -> list[Column]:
    """The columns that the table declares unique together; or nothing.

    Of several constraints and indexes the first of those that are NOT NULL throughout: the others name no row where
    one of their columns is NULL.
    """
    indexes = sorted(table.indexes, key=lambda index: (index.origin != "u", index.name))
    named = ([term.column for term in index.terms] for index in indexes if index.unique and index.predicate is None)
    keys = [[table.column(name) for name in names if name is not None] for names in named if None not in names]
    return min(keys, key=lambda columns: not all(column.not_null for column in columns), default=[])


def rowid_column(table: Table) -> Column | None:
    """The column that is another name of the rowid, if there is one: then its key has no index of its own.

    `INTEGER PRIMARY KEY DESC` is no alias while `PRIMARY KEY(id DESC)` is, so the words alone do not tell.
    """
    declared = [c for c in table.columns if c.primary_key]
    indexed = table.without_rowid or any(index.origin == "pk" for index in table.indexes)
    is_alias = len(declared) == 1 and declared[0].declared_type.upper() == "INTEGER" and not indexed
    return declared[0] if is_alias else None


def holds_null(connection: apsw.Connection, table: Table, key: Key) -> bool:
    """Whether any row has a NULL in its key, which SQLite allows in most declared keys."""
    null = " OR ".join(f"{quote(column)} IS NULL" for column in key.columns)
    return connection.execute(f"SELECT 1 FROM {quote(table.name)} WHERE {null} LIMIT 1").fetchone() is not None
