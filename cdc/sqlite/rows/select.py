"""How the rows of a mapped table are selected: all of it, page by page, or by a query of the caller.

A row is the key's values followed by one value per mapped column, as `cdc.facts.changes.TableRows` says. A text that is
not UTF-8 comes out as `InvalidText` and a value that could not be computed as `Failed`; everything else is what SQLite
stores, untouched.
"""

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Final, cast

import apsw

from cdc.facts.changes import Cursor
from cdc.facts.source_schema import KeyKind
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.values import Failed, InvalidText, KeyValues, NullKey, Row, Value
from cdc.sql_names import quote
from cdc.sqlite.connection.functions import FAILURES, provide, why
from cdc.sqlite.rows.exact_values import Binding, Bindings, bindable, exact, fetch_values, read

# At most this many rows are taken between two looks at their size; fewer where the rows before were wide.
SLICE_ROWS: Final = 64
# One row in so many is measured; measuring each would cost a tenth of the time that reading takes.
_MEASURED_OF: Final = 16


@dataclass(frozen=True, slots=True)
class Query:
    """Rows of a mapped table, with `before` other columns in front of them. `bare` has NULL for what is computed.

    The table has no alias, so that an expression of the operator may say `table.column`. Where a declared key can be
    NULL, the rowid of such rows comes last, for `identified`.
    """

    table: TableMap
    sql: str
    bare: str
    before: int = 0


def select(table: TableMap, rest: str, before: Sequence[str] = ()) -> Query:
    """The query `SELECT before, rows rest`; `rest` begins with FROM."""
    own = quote(table.source.name)
    key = [f"{own}.{quote(column)}" for column in table.source.key.columns]
    plain = [_plain(table, column) for column in table.columns]
    computed = [sql or f"({column.expression})" for sql, column in zip(plain, table.columns, strict=True)]
    rowid = (
        [f"CASE WHEN {_has_null(table)} THEN {own}.{table.source.null_rowid} END"] if table.source.null_rowid else []
    )
    return Query(
        table,
        sql=f"SELECT {', '.join([*before, *key, *computed, *rowid])} {rest}",
        bare=f"SELECT {', '.join([*before, *key, *(sql or 'NULL' for sql in plain), *rowid])} {rest}",
        before=len(before),
    )


def identified(query: Query, rows: Iterable[Row]) -> Iterable[Row]:
    """The rows as a query promises them: where a key has a NULL, `NullKey` stands in it, and no rowid comes last."""
    if query.table.source.null_rowid is None:
        return rows
    key = slice(query.before, query.before + query.table.source_key_width)
    return (row[:-1] if row[-1] is None else _known_by_rowid(row, key) for row in rows)


def _known_by_rowid(row: Row, key: slice) -> Row:
    rowid = NullKey(cast("int", row[-1]))
    return (*row[: key.start], *(rowid for _ in row[key]), *row[key.stop : -1])


def _has_null(table: TableMap) -> str:
    own = quote(table.source.name)
    return " OR ".join(f"{own}.{quote(column)} IS NULL" for column in table.source.key.columns)


def _plain(table: TableMap, column: ColumnMap) -> str | None:
    """A column of the table itself, or its rowid, as SQL; None for what is computed, which may fail for a row.

    SQLite computes a VIRTUAL column when it is read, and takes rows for which that fails.
    """
    own, rowid = quote(table.source.name), table.source.rowid_alias
    if column.source is not None and column.expression == quote(column.source):
        if table.source.column(column.source).generated == "virtual":
            return None
        return f"{own}.{column.expression}"
    if rowid is not None and column.expression in {rowid, quote(rowid)}:
        return f"{own}.{quote(rowid)}"
    return None


def fetch(conn: apsw.Connection, query: Query, bindings: Bindings = ()) -> list[Row]:
    """All rows of a query. Lets apsw's errors through: the caller knows what was being read."""
    try:
        return list(identified(query, read(conn, query.sql, bindings)))
    except FAILURES:
        return list(carefully(conn, query, bindings))


def chunks(
    conn: apsw.Connection,
    table: TableMap,
    rows_per_chunk: int,
    bytes_per_chunk: int,
) -> Generator[list[Row], None, None]:
    """The whole table in key order as lists of at most `rows_per_chunk` rows and about `bytes_per_chunk` bytes.

    One query runs from the first chunk to the last, so all chunks belong to one state of the file. A chunk has at
    least one row. It goes over its bytes only where rows are suddenly much wider than those before, and then by
    `SLICE_ROWS` of them at most.
    """
    done = 0
    all_of_it = f"FROM {quote(table.source.name)} ORDER BY {_order(table)}"
    provide(conn, (table,))
    try:
        query = select(table, all_of_it)
        rows = iter(identified(query, read(conn, query.sql)))
        for chunk in _bounded(rows, rows_per_chunk, bytes_per_chunk):
            yield chunk
            done += len(chunk)
    except FAILURES:
        # The rest, from the first row that was not handed over, is read in the careful way, several times as slow.
        rest = carefully(conn, select(table, f"{all_of_it} LIMIT -1 OFFSET ?"), (done,))
        yield from _bounded(rest, rows_per_chunk, bytes_per_chunk)


def begin(conn: apsw.Connection, table: TableMap) -> Cursor | None:
    """The cursor before a table's first row, to end at the row that is its last one now; None when it is empty."""
    backwards = ", ".join(f"{term} DESC" for term in _collated(table))
    sql = f"SELECT {', '.join(_places(table))} FROM {quote(table.source.name)} ORDER BY {backwards} LIMIT 1"
    last = fetch_values(conn, sql)
    return Cursor(None, last[0]) if last else None


def page(conn: apsw.Connection, table: TableMap, at: Cursor, limit: int) -> tuple[list[Row], Cursor | None]:
    """The next rows in key order, at most `limit`, and the cursor behind them: None when no row is left."""
    places = _places(table)
    where, bindings = _compared(table, "<=", at.end)
    if at.last is not None:
        beyond, more = _compared(table, ">", at.last)
        where, bindings = f"{beyond} AND {where}", [*more, *bindings]
    rest = f"FROM {quote(table.source.name)} WHERE {where} ORDER BY {_order(table)} LIMIT ?"
    rows = fetch(conn, select(table, rest, places), [*bindings, limit])
    width = len(places)
    end = Cursor(rows[-1][:width], at.end) if len(rows) == limit else None
    return [row[width:] for row in rows], end


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
    columns = [table.source.column(name) for name in table.source.key.columns]
    collations = [by_column.get(column.name.lower(), column.collation) for column in columns]
    # Only where it is another than the column's own: with the word in them, row values of several columns are no search
    # in the index, and each page would begin at the start of the table.
    return [
        place if collation.lower() == column.collation.lower() else f"{place} COLLATE {quote(collation)}"
        for place, column, collation in zip(_places(table), columns, collations, strict=True)
    ]


def _order(table: TableMap) -> str:
    return ", ".join(_collated(table))


def _compared(table: TableMap, operator: str, place: KeyValues) -> tuple[str, list[Binding]]:
    # The plus keeps the cast from lending its affinity to the column it is compared with.
    marks = ["+CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in place]
    return f"({_order(table)}) {operator} ({', '.join(marks)})", list(map(bindable, place))


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


def matches(mapped: TableMap, value: Callable[[int], str]) -> str:
    """The row whose key is exactly `value(place)`. Integer keys need no second look: capture logs integers only."""
    key, own = mapped.source.key, quote(mapped.source.name)
    if key.kind is not KeyKind.COLUMNS:
        return f"{own}.{quote(key.columns[0])} = {value(1)}"
    # IS finds rows through the index as = does, and NULL keys where no rowid tells them apart.
    equals = "IS" if key.nullable and mapped.source.null_rowid is None else "="
    named = enumerate((f"{own}.{quote(column)}" for column in key.columns), 1)
    return " AND ".join(_matches_column(column, value(place), equals) for place, column in named)


def matches_null(mapped: TableMap, rowid: str) -> str:
    """The row of that rowid, provided that its declared key has a NULL."""
    return f"{quote(mapped.source.name)}.{mapped.source.null_rowid} = {rowid} AND ({_has_null(mapped)})"


def _matches_column(column: str, value: str, equals: str) -> str:
    # The first term is a search in the index; the others tell apart what that takes for equal, such as 'a' and 'A'.
    return f"{column} {equals} {value} AND {column} COLLATE BINARY IS {value} AND typeof({column}) = typeof({value})"


def with_key(mapped: TableMap, key: KeyValues) -> tuple[str, list[Binding]]:
    """The end of a query for the row of exactly that key, beginning with FROM, and what is bound in it."""
    if key and isinstance(key[0], NullKey):
        return f"FROM {quote(mapped.source.name)} WHERE {matches_null(mapped, '?')}", [key[0].rowid]
    marks = [f"CAST(?{n} AS TEXT)" if isinstance(v, InvalidText) else f"?{n}" for n, v in enumerate(key, 1)]
    where = matches(mapped, lambda place: marks[place - 1])
    return f"FROM {quote(mapped.source.name)} WHERE {where}", list(map(bindable, key))


def carefully(conn: apsw.Connection, query: Query, bindings: Bindings) -> Iterator[Row]:
    """The rows of a query when one of them has a broken text, or a value that cannot be computed.

    Nothing may write in between: what is computed is read again, row by row and value by value.
    """
    mapped = query.table
    first = query.before + mapped.source_key_width
    computed = [(first + n, c) for n, c in enumerate(mapped.columns) if _plain(mapped, c) is None]
    for row in identified(query, exact(conn, query.bare, bindings)):
        if not computed:
            yield row
            continue
        values = list(row)
        rest, key = with_key(mapped, row[query.before : first])
        for place, column in computed:
            values[place] = _computed(conn, f"SELECT ({column.expression}) {rest}", key)
        yield tuple(values)


def _computed(conn: apsw.Connection, sql: str, key: Bindings) -> Value:
    try:
        row = next(exact(conn, sql, key), None)
    except FAILURES as error:
        return Failed(why(error))
    return row[0] if row else None
