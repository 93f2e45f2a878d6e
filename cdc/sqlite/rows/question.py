"""One question to the application's file, answered by the first value of the first row."""

from contextlib import closing
from typing import Final

import apsw

from cdc.config import SourceSection
from cdc.facts.values import Value
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import read_transaction
from cdc.sqlite.rows.exact_values import fetch_values

_READING: Final = (apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE)


def ask(source: SourceSection, name: str, sql: str) -> Value:
    """The answer to a query that only reads, None when it has no rows; raises `SourceError` for any other.

    In rollback-journal mode the application's commits wait for it, as they do for every reader.
    """
    with (
        closing(open_source(source.path, source.busy_timeout_seconds)) as connection,
        translated(f"asking {source.path}: {name}"),
        read_transaction(connection),
    ):
        connection.authorizer = _only_reading
        try:
            rows = fetch_values(connection, sql)
        finally:
            connection.authorizer = None  # it would not let the transaction end either
        return rows[0][0] if rows else None


def _only_reading(action: int, name: object, value: object, *_: object) -> int:
    asks_encoding = action == apsw.SQLITE_PRAGMA and name == "encoding" and value is None  # as `fetch_values` does
    return apsw.SQLITE_OK if asks_encoding or action in _READING else apsw.SQLITE_DENY
