"""One question to the application's file, answered by a value or by rows."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import apsw
import apsw.ext

from cdc.config import SourceSection
from cdc.facts.values import Row, Value
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import read_transaction
from cdc.sqlite.rows.exact_values import fetch_values

_READING: Final = (apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE)


def ask(source: SourceSection, name: str, sql: str) -> Value:
    """The first value of the first row of a query that only reads, None when it has no rows.

    Raises `SourceError` for any other query. In rollback-journal mode the application's commits wait for it, as they do
    for every reader.
    """
    with _reader(source, name) as connection:
        rows = fetch_values(connection, sql)
        return rows[0][0] if rows else None


def ask_rows(source: SourceSection, name: str, sql: str) -> tuple[list[str], list[Row]]:
    """The names of a query's columns and all its rows, as `ask` does."""
    with _reader(source, name) as connection:
        rows = fetch_values(connection, sql)
        return [column for column, _ in apsw.ext.query_info(connection, sql).description], rows


@contextmanager
def _reader(source: SourceSection, name: str) -> Iterator[apsw.Connection]:
    """A connection in one read transaction that can do nothing but read."""
    with (
        closing(open_source(source.path, source.busy_timeout_seconds)) as connection,
        translated(f"asking {source.path}: {name}"),
        read_transaction(connection),
    ):
        connection.authorizer = _only_reading
        try:
            yield connection
        finally:
            connection.authorizer = None  # it would not let the transaction end either


def _only_reading(action: int, name: object, value: object, *_: object) -> int:
    asks_encoding = action == apsw.SQLITE_PRAGMA and name == "encoding" and value is None  # as `fetch_values` does
    return apsw.SQLITE_OK if asks_encoding or action in _READING else apsw.SQLITE_DENY
