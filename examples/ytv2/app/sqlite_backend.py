"""The dashboard on SQLite: a connection for each request, in a thread, with the driver that Python brings."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from .backend import Refused, Row, Statement, Unavailable
from .dialect import SQLITE, Dialect

BUSY_SECONDS = 5.0


class SqliteBackend:
    """A file that exists; it is never made here."""

    name = "sqlite"

    def __init__(self, file: Path) -> None:
        self.dialect: Dialect = SQLITE
        self._uri = f"{file.absolute().as_uri()}?mode=rw"

    async def read(self, *statements: Statement) -> list[Sequence[Row]]:
        """The rows of each statement, all of one state of the file."""
        return await asyncio.to_thread(self._run, "BEGIN", statements)

    async def write(self, *statements: Statement) -> list[Sequence[Row]]:
        """Run the statements in one transaction, begun as a writer so that it waits for others before it reads."""
        return await asyncio.to_thread(self._run, "BEGIN IMMEDIATE", statements)

    async def close(self) -> None:
        """Nothing is held between requests."""

    def _run(self, begin: str, statements: Sequence[Statement]) -> list[Sequence[Row]]:
        try:
            with closing(sqlite3.connect(self._uri, BUSY_SECONDS, isolation_level=None, uri=True)) as connection:
                connection.row_factory = _as_dict
                connection.execute(begin)
                rows: list[Sequence[Row]] = [
                    connection.execute(sql, _named(values)).fetchall() for sql, values in statements
                ]
                connection.execute("COMMIT")
                return rows
        except sqlite3.IntegrityError as error:  # RAISE(ABORT) of a trigger among them
            raise Refused(str(error)) from error
        except sqlite3.Error as error:
            raise Unavailable(str(error)) from error


def _as_dict(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _named(values: Sequence[object]) -> dict[str, object]:
    """SQLite takes `$1` for a name."""
    return {str(number): value for number, value in enumerate(values, 1)}
