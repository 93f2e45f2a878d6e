"""Questions to the application's file that only read: one value, or all rows of queries in one snapshot."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Final, cast

import apsw
import apsw.ext

from cdc.config import SourceSection
from cdc.errors import SourceError
from cdc.facts.values import Row, Value
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import journal_mode, read_transaction, stopped_after
from cdc.sqlite.rows.exact_values import Bindings, fetch_values

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


class AskedFile:
    """A connection for queries that only read, each snapshot between `begin` and `end`."""

    def __init__(self, source: SourceSection) -> None:
        self._path = source.path
        self._connection = open_source(source.path, source.busy_timeout_seconds)
        self._snapshot = ExitStack()
        # A reader keeps the application from committing where there is no -wal file.
        self.blocks_writers = journal_mode(self._connection) != "wal"

    def begin(self) -> int:
        """Take a snapshot, until `end`; returns the number of the newest changelog entry in it."""
        self.end()
        with translated(f"SQLite file {self._path}"):
            self._snapshot.enter_context(read_transaction(self._connection))
            return int(self._connection.execute("SELECT max(seq) FROM _cdc_changelog").get or 0)

    def ask(self, name: str, sql: str, parameters: Mapping[str, Value], seconds: float) -> list[Row]:
        """All rows of a query, in the snapshot; raises `SourceError` when it is refused, or takes longer."""
        self._connection.authorizer = _only_reading
        try:
            with translated(f"asking {self._path}: {name}"):
                return self._answered(name, sql, parameters, seconds)
        finally:
            self._connection.authorizer = None

    def _answered(self, name: str, sql: str, parameters: Mapping[str, Value], seconds: float) -> list[Row]:
        try:
            with stopped_after(self._connection, seconds):
                return fetch_values(self._connection, sql, cast("Bindings", dict(parameters)))
        except apsw.InterruptError:
            raise SourceError(
                f"asking {self._path}: {name}: it took longer than {seconds:g} s",
                remedy="ask for less, or give it more time by `timeout_seconds` in [shadow]",
            ) from None

    def names(self, sql: str) -> tuple[str, ...]:
        """The names of a query's columns."""
        with translated(f"asking {self._path}"):
            return tuple(name for name, _ in apsw.ext.query_info(self._connection, sql).description)

    def end(self) -> None:
        """Let the snapshot go."""
        self._snapshot.close()

    def close(self) -> None:
        """Let go of the file."""
        self.end()
        self._connection.close()


def _only_reading(action: int, name: object, value: object, *_: object) -> int:
    asks_encoding = action == apsw.SQLITE_PRAGMA and name == "encoding" and value is None  # as `fetch_values` does
    return apsw.SQLITE_OK if asks_encoding or action in _READING else apsw.SQLITE_DENY
