"""Views of the application's file: what they are, and the rows that they answer with."""

from collections.abc import Iterator
from threading import Timer

import apsw

from cdc.facts.source_schema import LeftOut, View
from cdc.facts.values import Row
from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import exact

_TEXT = "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?"


def read_view(connection: apsw.Connection, name: str) -> View | LeftOut:
    """The view of that name; left out when SQLite itself cannot use it, as after a table under it was dropped."""
    try:
        columns = connection.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (name,)).fetchall()
    except apsw.SQLError as error:
        return LeftOut(name, "view", f"SQLite cannot use it: {error}")
    return View(name, tuple(str(row[0]) for row in columns), str(connection.execute(_TEXT, (name,)).get))


def answer(connection: apsw.Connection, name: str, seconds: float) -> Iterator[Row]:
    """The rows of a view, in no order; raises `SourceError` when SQLite cannot tell them, or not within so long."""
    limit = Timer(seconds, connection.interrupt)
    limit.daemon = True
    limit.start()
    try:
        with translated(f"asking view {name}"):
            yield from exact(connection, f"SELECT * FROM {quote(name)}")
    finally:
        # If it fires just now, nothing is running on the connection, and interrupting does nothing
        # (https://www.sqlite.org/c3ref/interrupt.html).
        limit.cancel()
