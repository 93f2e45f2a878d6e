"""Rows of a table as the comparison reads them: nothing here is shared with how the apply path does.

Every value is exact: a text that is not valid in the file's encoding is `InvalidText`, and a value that cannot be
computed is `Failed`.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import apsw

from cdc.facts.key_range import KeyRange
from cdc.facts.source_schema import KeyKind
from cdc.facts.table_map import TableMap
from cdc.facts.values import Failed, InvalidText, KeyValues, NullKey, Row, Value
from cdc.sql_names import quote
from cdc.sqlite.connection.functions import FAILURES, why
from cdc.sqlite.connection.transactions import locking

Parameter = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in the table's order, each the key and then the mapped columns; `end` is None after the last."""

    rows: list[Row]
    end: KeyValues | None


class ComparedRows:
    """Reads rows over one connection; whoever calls holds the snapshot."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        with locking(connection):
            self._encoding = str(connection.pragma("encoding")).lower().replace("utf-16", "utf-16-")

    def page(self, mapped: TableMap, after: KeyValues | None, last: int | None, size: int) -> Page:
        """The next `size` rows after a place, from the start when it is None; up to the key `last` where it is one."""
        order = ", ".join(_order_columns(mapped))
        # A key that is the rowid is the place itself.
        before = _place_columns(mapped) if mapped.source.key.kind is KeyKind.COLUMNS else []
        width = len(before)
        bound: list[Parameter] = []
        conditions = []
        if after is not None:
            conditions.append(f"({order}) > ({', '.join(map(_mark, after))})")
            bound += map(_bindable, after)
        if last is not None:
            conditions.append(f"{order} <= ?")
            bound.append(last)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._fetch(mapped, before, f"{where} ORDER BY {order} LIMIT ?", [*bound, size])
        end = rows[-1][: width or 1] if len(rows) == size else None
        return Page([row[width:] for row in rows] if width else rows, end)

    def range_after(self, mapped: TableMap, after: int | None, rows: int) -> KeyRange:
        """The keys of the next so many rows after a key; the last range has no end."""
        name = _key_columns(mapped)[0]
        where, bound = ("", []) if after is None else (f"WHERE {name} > ?", [after])
        sql = f"SELECT {name} FROM {quote(mapped.source.name)} {where} ORDER BY {name} LIMIT 1 OFFSET ?"
        return KeyRange(after, self._connection.execute(sql, [*bound, rows - 1]).get)

    def with_key(self, mapped: TableMap, key: KeyValues) -> list[Row]:
        """The row of exactly that key, if there is one."""
        places = _place_columns(mapped)
        where, bound = _with_key(mapped, key)
        rows = [row[len(places) :] for row in self._fetch(mapped, places, where, bound)]
        # A collation may find a row whose key is equal and yet another one.
        return [row for row in rows if _is_identical(row[: len(key)], key)]

    def _fetch(self, mapped: TableMap, before: Sequence[str], rest: str, bound: Sequence[Parameter]) -> list[Row]:
        """Rows with other columns before them; `rest` follows the table in the query."""
        expressions = [f"({c.expression})" for c in mapped.columns]
        try:
            rows = self._select(mapped, [*before, *_key_columns(mapped), *expressions], rest, bound)
        except FAILURES:
            return self._fetch_singly(mapped, before, rest, bound)
        return _with_null_keys(mapped, rows, len(before))

    def _fetch_singly(
        self, mapped: TableMap, before: Sequence[str], rest: str, bound: Sequence[Parameter]
    ) -> list[Row]:
        """The same rows, each read by a query of its own, because a value of one of them cannot be computed."""
        rows = _with_null_keys(mapped, self._select(mapped, [*before, *_key_columns(mapped)], rest, bound), len(before))
        return [(*row, *self._values(mapped, row[len(before) :])) for row in rows]

    def _values(self, mapped: TableMap, key: KeyValues) -> Row:
        """The mapped columns of one row; only where that fails one by one, for a writer may wait meanwhile."""
        if isinstance(key[0], NullKey):
            rest, bound = _with_key(mapped, key)
        else:
            rest = "WHERE " + " AND ".join(
                _is_exactly(c, value) for c, value in zip(_key_columns(mapped), key, strict=True)
            )
            bound = [_bindable(value) for value in key for _ in range(3)]
        expressions = [f"({c.expression})" for c in mapped.columns]
        try:
            return self._select(mapped, expressions, rest, bound)[0]
        except FAILURES:
            return tuple(self._value(mapped, expression, rest, bound) for expression in expressions)

    def _value(self, mapped: TableMap, expression: str, rest: str, bound: Sequence[Parameter]) -> Value:
        try:
            return self._select(mapped, [expression], rest, bound)[0][0]
        except FAILURES as error:
            return Failed(why(error))

    def _select(self, mapped: TableMap, columns: Sequence[str], rest: str, bound: Sequence[Parameter]) -> list[Row]:
        sql = f"SELECT {', '.join(columns)} FROM {quote(mapped.source.name)} {rest}"
        return self.read(sql, bound, len(columns))

    def read(self, sql: str, bound: Sequence[Parameter], width: int) -> list[Row]:
        """All rows; those of a UTF-16 file as bytes, because SQLite's conversion bends texts that are not valid."""
        if self._encoding == "utf-8":
            with suppress(UnicodeDecodeError):
                return cast("list[Row]", self._connection.execute(sql, bound).fetchall())
        return self._read_bytes(sql, bound, width)

    def _read_bytes(self, sql: str, bound: Sequence[Parameter], width: int) -> list[Row]:
        """The same rows with every text read as its bytes, because one of them may not be valid."""
        names = [f"c{n}" for n in range(width)]
        picked = ", ".join(
            f"typeof({n}), CASE typeof({n}) WHEN 'text' THEN CAST({n} AS BLOB) ELSE {n} END" for n in names
        )
        rows = self._connection.execute(f"WITH q({', '.join(names)}) AS ({sql}) SELECT {picked} FROM q", bound)
        return [
            tuple(
                _text(v, self._encoding) if kind == "text" else v for kind, v in zip(row[::2], row[1::2], strict=True)
            )
            for row in rows
        ]


def _order_columns(mapped: TableMap) -> list[str]:
    """What rows are paged by: the rowid where there is one, else the primary key under its own collations."""
    if mapped.source.rowid_alias is not None:
        return [f"{quote(mapped.source.name)}.{quote(mapped.source.rowid_alias)}"]
    index = next((i for i in mapped.source.indexes if i.origin == "pk"), None)
    terms = {t.column.lower(): t.collation for t in index.terms if t.column is not None} if index else {}
    columns = [mapped.source.column(name) for name in mapped.source.key.columns]
    own = quote(mapped.source.name)
    collations = [terms.get(c.name.lower(), c.collation) for c in columns]
    # With the word in it, a row value of several columns is no search in the index: only where it says something.
    return [
        f"{own}.{quote(c.name)}" + ("" if c.collation.lower() == wanted.lower() else f" COLLATE {quote(wanted)}")
        for c, wanted in zip(columns, collations, strict=True)
    ]


def _place_columns(mapped: TableMap) -> list[str]:
    alias = mapped.source.rowid_alias
    names = (alias,) if alias is not None else mapped.source.key.columns
    return [f"{quote(mapped.source.name)}.{quote(name)}" for name in names]


def _key_columns(mapped: TableMap) -> list[str]:
    return [f"{quote(mapped.source.name)}.{quote(name)}" for name in mapped.source.key.columns]


def _with_key(mapped: TableMap, key: KeyValues) -> tuple[str, list[Parameter]]:
    """Where the row of a key is, perhaps among others."""
    if isinstance(key[0], NullKey):
        return f"WHERE {_place_columns(mapped)[0]} IS ?", [key[0].rowid]
    same = " AND ".join(f"{c} IS {_mark(v)}" for c, v in zip(_key_columns(mapped), key, strict=True))
    return f"WHERE {same}", [_bindable(value) for value in key]


def _with_null_keys(mapped: TableMap, rows: list[Row], before: int) -> list[Row]:
    """Rows whose declared key has a NULL have a key of their own instead: the rowid, which stands first."""
    if mapped.source.null_rowid is None:
        return rows
    end = before + mapped.source_key_width
    return [
        (*row[:before], *(NullKey(cast("int", row[0])) for _ in row[before:end]), *row[end:])
        if None in row[before:end]
        else row
        for row in rows
    ]


def _is_exactly(column: str, value: Value) -> str:
    mark = _mark(value)
    return f"{column} IS {mark} AND {column} COLLATE BINARY IS {mark} AND typeof({column}) = typeof({mark})"


def _mark(value: Value) -> str:
    # The plus keeps the cast from lending its affinity to the column it is compared with.
    return "+CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?"


def _bindable(value: Value) -> Parameter:
    assert not isinstance(value, Failed | NullKey)
    return value.data if isinstance(value, InvalidText) else value


def _is_identical(there: Sequence[Value], key: Sequence[Value]) -> bool:
    return all(type(a) is type(b) and a == b for a, b in zip(there, key, strict=True))


def _text(value: Value, encoding: str) -> Value:
    data = cast("bytes", value)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return InvalidText(data)
