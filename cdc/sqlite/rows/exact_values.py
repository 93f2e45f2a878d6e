"""Values of SQLite exactly as they are stored: how they are read, and how values of a key are bound.

A text that is not valid in the file's encoding comes out as `InvalidText`, where the driver would raise an error and
SQLite would make other characters of it.
"""

from collections.abc import Iterator, Sequence
from typing import Final, cast
from weakref import WeakKeyDictionary

import apsw

from cdc.facts.values import Failed, InvalidText, NullKey, Row, Value
from cdc.sqlite.connection.transactions import locking

# An expression of SQLite may be a thousand levels deep, and each column adds one.
_FLAGS: Final = 500
_ENCODINGS: Final = WeakKeyDictionary[apsw.Connection, str]()
Binding = int | float | str | bytes | None
Bindings = Sequence[Binding]


def fetch_values(conn: apsw.Connection, sql: str, bindings: Bindings = ()) -> list[tuple[Value, ...]]:
    """All rows of any query. Lets apsw's errors through: the caller knows what was being read."""
    try:
        return list(read(conn, sql, bindings))
    except UnicodeDecodeError:
        return list(exact(conn, sql, bindings))


def read(conn: apsw.Connection, sql: str, bindings: Bindings = ()) -> Iterator[Row]:
    """The rows of a query as they are stored; a text that is not UTF-8 raises UnicodeDecodeError.

    Texts of a UTF-16 file are read as bytes: SQLite's own conversion makes other characters of half a surrogate pair.
    """
    if encoding(conn) != "utf-8":
        return exact(conn, sql, bindings)
    return cast("Iterator[Row]", conn.execute(sql, bindings))


def encoding(conn: apsw.Connection) -> str:
    """How the file keeps texts, by the name of Python's codec.

    Asked once for each connection: it would take twice as long as to look up a row, and a database keeps its encoding
    (https://www.sqlite.org/pragma.html#pragma_encoding). A file that was overwritten is noticed before rows are read.
    """
    codec = _ENCODINGS.get(conn)
    if codec is None:
        with locking(conn):
            codec = _ENCODINGS[conn] = str(conn.pragma("encoding")).lower().replace("utf-16", "utf-16-")
    return codec


def exact(conn: apsw.Connection, sql: str, bindings: Bindings = ()) -> Iterator[Row]:
    """The rows of a query with each text read as bytes and decoded here, where a broken one can be kept."""
    codec = encoding(conn)
    # Under names of our own, for a query may give the same name to two columns.
    try:
        names = [f"c{n}" for n in range(len(conn.execute(sql, bindings).get_description()))]
    except apsw.ExecutionCompleteError:
        return  # outside a transaction the rows may have gone since they were read
    texts, whole = _which_are_text(names), len(names)
    # As a blob, a text is its bytes in the encoding of the file (https://www.sqlite.org/lang_expr.html#castexpr).
    columns = ", ".join([*(f"CASE typeof({n}) WHEN 'text' THEN CAST({n} AS BLOB) ELSE {n} END" for n in names), *texts])
    for row in conn.execute(f"WITH q({', '.join(names)}) AS ({sql}) SELECT {columns} FROM q", bindings):
        flags = "".join(map(str, row[whole:]))  # the flag of a single column is a number
        yield tuple(_decoded(flag == "1", value, codec) for flag, value in zip(flags, row[:whole], strict=True))


def _which_are_text(names: Sequence[str]) -> Iterator[str]:
    """SQL for strings of a 1 for each column that holds a text, a 0 for others.

    A column of its own for each would make more than the 2,000 that SQLite has in a result.
    """
    for place in range(0, len(names), _FLAGS):
        yield " || ".join(f"(typeof({name}) = 'text')" for name in names[place : place + _FLAGS])


def _decoded(text: bool, value: object, codec: str) -> Value:
    if not text or not isinstance(value, bytes):
        return cast("Value", value)
    try:
        return value.decode(codec)
    except UnicodeDecodeError:
        return InvalidText(value)


def bindable(value: Value) -> Binding:
    """What is bound for a value of a key: a text that is not UTF-8 can only be bound as its bytes, to be cast."""
    assert not isinstance(value, Failed)
    if isinstance(value, NullKey):
        return None
    return value.data if isinstance(value, InvalidText) else value
