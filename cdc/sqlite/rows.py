"""How the rows of a mapped table are selected: all of it, page by page, or by a query of the caller.

A row is the key's values followed by one value per mapped column, as `model.TableRows` says. A text that is not UTF-8
comes out as `InvalidText`; everything else is what SQLite stores, untouched.
"""

import itertools
from collections.abc import Iterator, Sequence
from sys import getsizeof
from typing import Final, cast

import apsw

from cdc.model import ColumnMap, InvalidText, KeyValues, Row, TableMap, Value
from cdc.quoting import quote

# At most this many rows are taken between two looks at their size; fewer where the rows before were wide.
SLICE_ROWS: Final = 64
# One row in so many is measured; measuring each would cost a tenth of the time that reading takes.
_MEASURED_OF: Final = 16

Bindings = Sequence[int | float | str | bytes | None]


def select_list(table: TableMap) -> str:
    """The columns of a row as SQL, for `SELECT ... FROM table`: the source key, then the mapped columns.

    The table has no alias there, so that an expression of the operator may say `table.column`.
    """
    own = quote(table.source.name)
    key = (f"{own}.{quote(column)}" for column in table.source.key.columns)
    return ", ".join([*key, *(_expression(table, column, own) for column in table.columns)])


def _expression(table: TableMap, column: ColumnMap, own: str) -> str:
    if column.source is not None and column.expression == quote(column.source):
        return f"{own}.{column.expression}"
    rowid = table.source.rowid_alias
    if rowid is not None and column.expression in {rowid, quote(rowid)}:
        return f"{own}.{quote(rowid)}"
    return f"({column.expression})"


def fetch(conn: apsw.Connection, sql: str, bindings: Bindings = ()) -> list[Row]:
    """All rows of a query. Lets apsw's errors through: the caller knows what was being read."""
    try:
        return cast("list[Row]", conn.execute(sql, bindings).fetchall())
    except UnicodeDecodeError:
        return list(_exact(conn, sql, bindings))


def chunks(
    conn: apsw.Connection,
    table: TableMap,
    rows_per_chunk: int,
    bytes_per_chunk: int,
) -> Iterator[list[Row]]:
    """The whole table in key order as lists of at most `rows_per_chunk` rows and about `bytes_per_chunk` bytes.

    One query runs from the first chunk to the last, so all chunks belong to one state of the file. A chunk has at
    least one row. It goes over its bytes only where rows are suddenly much wider than those before, and then by
    `SLICE_ROWS` of them at most.
    """
    done = 0
    sql = f"SELECT {select_list(table)} FROM {quote(table.source.name)} ORDER BY {_order(table)}"
    try:
        for chunk in _bounded(_stream(conn, sql), rows_per_chunk, bytes_per_chunk):
            yield chunk
            done += len(chunk)
    except UnicodeDecodeError:
        # The rest is read in the careful way, which takes about twice the time.
        rest = _exact(conn, f"{sql} LIMIT -1 OFFSET ?", (done,))
        yield from _bounded(rest, rows_per_chunk, bytes_per_chunk)


def after(
    conn: apsw.Connection,
    table: TableMap,
    last: KeyValues | None,
    limit: int,
) -> tuple[list[Row], KeyValues | None]:
    """The next `limit` rows after `last` (None: from the start), and the place they end at, None at the table's end.

    A place is the rowid, or the whole primary key in tables without one; it stays good when rows come and go.
    """
    places = _places(table)
    where, bindings = _beyond(table, last) if last is not None else ("", [])
    sql = (
        f"SELECT {', '.join(places)}, {select_list(table)} FROM {quote(table.source.name)} {where} "
        f"ORDER BY {_order(table)} LIMIT ?"
    )
    found = fetch(conn, sql, [*bindings, limit])
    width = len(places)
    end = found[-1][:width] if len(found) == limit else None
    return [row[width:] for row in found], end


def _places(table: TableMap) -> list[str]:
    source = table.source
    names = (source.rowid_alias,) if source.rowid_alias is not None else source.key.columns
    return [f"{quote(source.name)}.{quote(name)}" for name in names]


def _collated(table: TableMap) -> list[str]:
    """The places under the collation that makes them unique: the key's index may not use its columns' own."""
    if table.source.rowid_alias is not None:
        return _places(table)
    index = next((i for i in table.source.indexes if i.origin == "pk"), None)
    by_column = {t.column.lower(): t.collation for t in index.terms if t.column is not None} if index else {}
    collations = [by_column.get(name.lower(), table.source.column(name).collation) for name in table.source.key.columns]
    return [f"{place} COLLATE {quote(c)}" for place, c in zip(_places(table), collations, strict=True)]


def _order(table: TableMap) -> str:
    return ", ".join(_collated(table))


def _beyond(table: TableMap, last: KeyValues) -> tuple[str, list[int | float | str | bytes | None]]:
    # The plus keeps the cast from lending its affinity to the column it is compared with.
    marks = ["+CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in last]
    bindings = [value.data if isinstance(value, InvalidText) else value for value in last]
    return f"WHERE ({_order(table)}) > ({', '.join(marks)})", bindings


def _stream(conn: apsw.Connection, sql: str) -> Iterator[Row]:
    return cast("Iterator[Row]", conn.execute(sql))


def _bounded(rows: Iterator[Row], most_rows: int, most_bytes: int) -> Iterator[list[Row]]:
    width = most_bytes // 4  # of a row; unknown at first, so the first look comes soon
    for turn in itertools.count():
        chunk: list[Row] = []
        size = 0
        while len(chunk) < most_rows and size < most_bytes:
            fitting = max(1, (most_bytes - size) // width)
            part = list(itertools.islice(rows, min(SLICE_ROWS, most_rows - len(chunk), fitting)))
            if not part:
                break
            chunk += part
            measured = _size(part, turn)
            width = max(1, measured // len(part))
            size += measured
        if not chunk:
            return
        yield chunk


def _size(rows: list[Row], turn: int) -> int:
    """About how many bytes the rows take, from a sample that starts elsewhere each turn."""
    sample = rows[turn % min(_MEASURED_OF, len(rows)) :: _MEASURED_OF]
    measured = sum(map(getsizeof, itertools.chain.from_iterable(sample)))
    return measured * len(rows) // len(sample)


def _exact(conn: apsw.Connection, sql: str, bindings: Bindings) -> Iterator[Row]:
    """The rows of a query with each text read as bytes and decoded here, where a broken one can be kept."""
    encoding = str(conn.pragma("encoding")).replace("UTF-16le", "utf-16-le").replace("UTF-16be", "utf-16-be")
    try:
        names = [f"c{n}" for n in range(len(conn.execute(sql, bindings).get_description()))]
    except apsw.ExecutionCompleteError:
        return  # outside a transaction the rows may have gone since they were read
    picked = ", ".join(f"typeof({n}), CASE typeof({n}) WHEN 'text' THEN CAST({n} AS BLOB) ELSE {n} END" for n in names)
    for row in conn.execute(f"WITH q({', '.join(names)}) AS ({sql}) SELECT {picked} FROM q", bindings):
        yield tuple(_decoded(kind, value, encoding) for kind, value in zip(row[::2], row[1::2], strict=True))


def _decoded(kind: object, value: object, encoding: str) -> Value:
    if kind != "text" or not isinstance(value, bytes):
        return cast("Value", value)
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        return InvalidText(value)
