"""Expressions that the operator wrote for columns: whether SQLite can compute them, and which tables they read."""

import apsw

from cdc.config import Config, TableOptions
from cdc.errors import MappingError
from cdc.facts.source_schema import Table
from cdc.sql_names import quote


def tables_read(connection: apsw.Connection, table: Table, config: Config) -> tuple[str, ...]:
    """The other tables that expressions of a table read; raises `MappingError` for one that cannot be relied upon."""
    read: set[str] = set()

    def note(action: int, name: str | None, *_: str | None) -> int:
        if action == apsw.SQLITE_READ and name is not None:
            read.add(name)
        return apsw.SQLITE_OK

    # SQLite asks it while it compiles a statement, so no row is read (https://www.sqlite.org/c3ref/set_authorizer.html).
    connection.authorizer = note
    try:
        _require_computable(connection, table, config.options(table.name))
    finally:
        connection.authorizer = None
    others = sorted(name for name in read - {table.name} if not name.lower().startswith("sqlite_"))
    for name in others:
        if not config.replicate.wants(name):
            raise MappingError(
                f"[tables.{table.name}]: an `expression` reads table {name}, which is not replicated, so that its "
                "changes would go unseen",
                remedy="replicate that table too, or remove the expression",
            )
    return tuple(others)


def _require_computable(connection: apsw.Connection, table: Table, options: TableOptions) -> None:
    for name, column in options.columns.items():
        if column.expression is None or not column.expression.strip():
            continue
        try:
            # In a condition SQLite also refuses aggregates, which would make one row of all.
            sql = f"EXPLAIN SELECT 1 FROM {quote(table.name)} WHERE ({column.expression}) IS NULL"
            connection.execute(sql, can_cache=False).fetchall()
        except apsw.SQLError as error:
            raise MappingError(
                f"[tables.{table.name}.columns.{name}]: SQLite cannot compute `expression`: {error}",
                remedy="write SQL of SQLite over the columns of that table, with functions that SQLite itself has, or "
                "cdc_uuid3, cdc_uuid5, cdc_md5, cdc_sha1 and cdc_sha256",
            ) from None
