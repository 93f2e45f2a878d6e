"""SQLite's side of the comparison: raw rows page by page, and which keys were logged meanwhile.

Nothing of the apply path is used to read rows. Each page is a short read transaction of its own, so that a writer in
rollback-journal mode waits for milliseconds only; what changes between two pages is told by the changelog.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import apsw

from cdc.config import Config
from cdc.errors import SourceBusy, SourceChanged
from cdc.facts.changes import Position
from cdc.facts.key_range import KeyRange
from cdc.facts.source_schema import KeyKind
from cdc.facts.table_map import TableMap
from cdc.facts.values import Failed, InvalidText, KeyValues, NullKey, Row, Value
from cdc.sql_names import quote
from cdc.sqlite.capture.schema_signature import signature
from cdc.sqlite.changelog.errors import emptied, entry_lost, target_behind
from cdc.sqlite.changelog.file_identity import FileIdentity
from cdc.sqlite.changelog.positions import position_at
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.functions import FAILURES, provide, why
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import locking, read_transaction

PAGE_ROWS: Final = 5_000
PAGE_ROWS_JOURNAL: Final = 500  # a few milliseconds, in which a rollback-journal writer waits for its commit
NEWS_ENTRIES: Final = 20_000

Parameter = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in the table's order, each the key and then the mapped columns; `end` is None after the last."""

    rows: list[Row]
    end: KeyValues | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A key in the changelog; `key` is None where an entry says only that something in the table changed."""

    table: str
    key: KeyValues | None
    seq: int


class Reader:
    """Reads one application's file for a comparison; raises `SourceChanged` when it is not the file of `position`."""

    def __init__(self, config: Config, look: Look, maps: Sequence[TableMap], position: Position) -> None:
        self._path: Path = config.source.path
        self._identity = FileIdentity.of(self._path)
        self._connection = open_source(self._path, config.source.busy_timeout_seconds)
        self._page_rows = PAGE_ROWS if look.journal_mode == "wal" else PAGE_ROWS_JOURNAL
        tables = look.capture.tables if look.capture else {}
        widths = {m.source.name: m.source_key_width for m in maps}
        self._names = {tid: (t.name, widths[t.name]) for tid, t in tables.items() if t.name in widths}
        self._nullable = {m.source.name for m in maps if m.source.null_rowid is not None}
        self._signature = look.signature
        self._seen = position.seq
        with locking(self._connection):
            self._encoding = str(self._connection.pragma("encoding")).lower().replace("utf-16", "utf-16-")
        provide(self._connection, maps)
        # Nothing is pruned that was not applied before, so what was there when the file was looked at says it.
        if look.newest is not None and position.seq < look.oldest_seq:
            raise target_behind(self._path, position.seq, look.oldest_seq)
        self._require(position)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def page(self, mapped: TableMap, after: KeyValues | None, last: int | None = None, most: int = PAGE_ROWS) -> Page:
        """The next rows after a place, from the start when it is None; of a table in ranges up to the key `last`."""
        size = min(most, self._page_rows)
        names = _place_columns(mapped)
        order = ", ".join(names)
        # A key that is the rowid is the place itself.
        before = _places(mapped) if mapped.source.key.kind is KeyKind.COLUMNS else []
        width = len(before)
        bound: list[Parameter] = []
        conditions = []
        if after is not None:
            marks = ", ".join(_mark(value) for value in after)
            bound = [_bindable(value) for value in after]
            conditions.append(f"({order}) > ({marks})")
        if last is not None:
            conditions.append(f"{order} <= ?")
            bound.append(last)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rest = f"{where} ORDER BY {order} LIMIT ?"
        with self._reading(mapped):
            found = self._fetch(mapped, before, rest, [*bound, size])
        end = found[-1][: width or 1] if len(found) == size else None
        return Page([row[width:] for row in found] if width else found, end)

    def range_after(self, mapped: TableMap, after: int | None, rows: int) -> KeyRange:
        """The keys of the next so many rows after a key; the last range has no end. See `KeyRange`."""
        name = _key(mapped)[0]
        where, bound = ("", []) if after is None else (f"WHERE {name} > ?", [after])
        sql = f"SELECT {name} FROM {quote(mapped.source.name)} {where} ORDER BY {name} LIMIT 1 OFFSET ?"
        with self._reading(mapped):
            last = self._connection.execute(sql, [*bound, rows - 1]).get
        return KeyRange(after, last)

    @contextmanager
    def _reading(self, mapped: TableMap) -> Iterator[None]:
        """A short snapshot of a table, which the application may have altered or dropped since it was looked at."""
        with translated(f"reading table {mapped.source.name}"), read_transaction(self._connection):
            try:
                yield
            except apsw.SQLError as error:
                if signature(self._connection) == self._signature:
                    raise
                raise SourceBusy(
                    f"the application changed its schema while table {mapped.source.name} was compared",
                    remedy="run `cdc verify` again: a schema that is followed is compared as it is now",
                ) from error

    def look_up(self, mapped: TableMap, keys: Sequence[KeyValues]) -> list[Row]:
        """The rows that have exactly one of these keys, in one snapshot."""
        columns = [f"{quote(mapped.source.name)}.{quote(name)}" for name in mapped.source.key.columns]
        found: list[Row] = []
        with self._reading(mapped):
            for key in keys:
                where, bound = _where(mapped, columns, key)
                places = _places(mapped)
                # A collation may find a row whose key is equal and yet another one.
                rows = [row[len(places) :] for row in self._fetch(mapped, places, where, bound)]
                found += [row for row in rows if _identical(row[: len(key)], key)]
        return found

    def version(self) -> int:
        """A number that is another one once anybody else has committed something to the file."""
        with translated("reading the file's version"), locking(self._connection):
            return int(self._connection.pragma("data_version"))

    def news(self, take: Callable[[list[Logged]], None]) -> int:
        """Hand over every entry that was logged between the last call and this one; returns the newest one's number.

        Raises `SourceBusy` when entries were pruned before they could be read, so that the comparison must begin
        again from a newer position.
        """
        newest: int | None = None
        while True:
            with translated("reading the changelog"), read_transaction(self._connection):
                self._require_unpruned()
                # An application may write faster than its entries are read: what comes meanwhile is for the next call.
                newest = newest or self._connection.execute("SELECT max(seq) FROM _cdc_changelog").get
                columns = self._connection.execute("SELECT name FROM pragma_table_info('_cdc_changelog')").fetchall()
                sql = "SELECT * FROM _cdc_changelog WHERE seq > ? ORDER BY seq LIMIT ?"
                entries = self._read(sql, (self._seen, NEWS_ENTRIES), len(columns))
            if not entries:
                return self._seen
            places = {str(row[0]): place for place, row in enumerate(columns)}
            take([found for entry in entries if (found := self._logged(entry, places)) is not None])
            self._seen = int(cast("int", entries[-1][places["seq"]]))
            if self._seen >= newest:
                return self._seen

    def _logged(self, entry: tuple[Value, ...], places: dict[str, int]) -> Logged | None:
        known = self._names.get(cast("int", entry[places["tid"]]))
        if known is None:
            return None
        name, width = known
        key: KeyValues | None = tuple(entry[places[f"k{n}"]] for n in range(1, width + 1))
        if name in self._nullable and None in (key or ()):
            # Entries of an older form have no rowid, and do not say which row they are about.
            rowid = cast("int | None", entry[places[f"k{width + 1}"]] if f"k{width + 1}" in places else None)
            key = None if rowid is None else (NullKey(rowid),) * width
        return Logged(name, None if entry[places["op"]] == "*" else key, cast("int", entry[places["seq"]]))

    def _require(self, position: Position) -> None:
        with read_transaction(self._connection):
            self._require_unpruned()
            there = position_at(self._connection, position.seq)
            oldest = self._connection.execute("SELECT min(seq) FROM _cdc_changelog").get
        if there != position and (oldest or 0) <= position.seq:
            raise entry_lost(self._path, position.seq)

    def _require_unpruned(self) -> None:
        if FileIdentity.of(self._path) != self._identity:
            raise SourceChanged(
                f"the SQLite file {self._path} was replaced during the comparison",
                remedy="if the new file is the right one, run `cdc load --resync`: it compares every row",
            )
        oldest = self._connection.execute("SELECT min(seq) FROM _cdc_changelog").get
        if oldest is None:
            raise emptied(self._path)
        if oldest > self._seen + 1:
            raise SourceBusy(
                "changes were applied and pruned while the comparison was reading",
                remedy="run `cdc verify` again, best when the application is quieter",
            )

    def _fetch(self, mapped: TableMap, before: Sequence[str], rest: str, bound: Sequence[Parameter]) -> list[Row]:
        """Rows with other columns before them; `rest` follows the table in the query."""
        expressions = [f"({c.expression})" for c in mapped.columns]
        try:
            found = self._select(mapped, [*before, *_key(mapped), *expressions], rest, bound)
        except FAILURES:
            return self._fetch_singly(mapped, before, rest, bound)
        return _known(mapped, found, len(before))

    def _fetch_singly(
        self, mapped: TableMap, before: Sequence[str], rest: str, bound: Sequence[Parameter]
    ) -> list[Row]:
        """The same rows, each read by a query of its own, because a value of one of them cannot be computed."""
        found = _known(mapped, self._select(mapped, [*before, *_key(mapped)], rest, bound), len(before))
        return [(*row, *self._values(mapped, row[len(before) :])) for row in found]

    def _values(self, mapped: TableMap, key: KeyValues) -> Row:
        """The mapped columns of one row; only where that fails one by one, for a writer may wait meanwhile."""
        if isinstance(key[0], NullKey):
            rest, bound = _where(mapped, _key(mapped), key)
        else:
            rest = "WHERE " + " AND ".join(_is_exactly(c, value) for c, value in zip(_key(mapped), key, strict=True))
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
        return self._read(sql, bound, len(columns))

    def _read(self, sql: str, bound: Sequence[Parameter], width: int) -> list[Row]:
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
        found = self._connection.execute(f"WITH q({', '.join(names)}) AS ({sql}) SELECT {picked} FROM q", bound)
        return [
            tuple(
                _text(v, self._encoding) if kind == "text" else v for kind, v in zip(row[::2], row[1::2], strict=True)
            )
            for row in found
        ]


def _place_columns(mapped: TableMap) -> list[str]:
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


def _places(mapped: TableMap) -> list[str]:
    alias = mapped.source.rowid_alias
    names = (alias,) if alias is not None else mapped.source.key.columns
    return [f"{quote(mapped.source.name)}.{quote(name)}" for name in names]


def _key(mapped: TableMap) -> list[str]:
    return [f"{quote(mapped.source.name)}.{quote(name)}" for name in mapped.source.key.columns]


def _where(mapped: TableMap, columns: Sequence[str], key: KeyValues) -> tuple[str, list[Parameter]]:
    """Where the row of a key is, perhaps among others."""
    if isinstance(key[0], NullKey):
        return f"WHERE {_places(mapped)[0]} IS ?", [key[0].rowid]
    same = " AND ".join(f"{c} IS {_mark(v)}" for c, v in zip(columns, key, strict=True))
    return f"WHERE {same}", [_bindable(value) for value in key]


def _known(mapped: TableMap, found: list[Row], before: int) -> list[Row]:
    """Rows whose declared key has a NULL have a key of their own instead: the rowid, which stands first."""
    if mapped.source.null_rowid is None:
        return found
    end = before + mapped.source_key_width
    return [
        (*row[:before], *(NullKey(cast("int", row[0])) for _ in row[before:end]), *row[end:])
        if None in row[before:end]
        else row
        for row in found
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


def _identical(found: Sequence[Value], key: Sequence[Value]) -> bool:
    return all(type(a) is type(b) and a == b for a, b in zip(found, key, strict=True))


def _text(value: Value, encoding: str) -> Value:
    data = cast("bytes", value)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return InvalidText(data)
