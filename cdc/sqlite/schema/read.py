"""What the application's file holds: tables, their columns, indexes, foreign keys, and what identifies a row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import apsw

from cdc.config import Config
from cdc.errors import SourceError
from cdc.facts.source_schema import (
    Affinity,
    Column,
    ForeignKey,
    Index,
    IndexTerm,
    Key,
    KeyKind,
    LeftOut,
    SourceSchema,
    Table,
    View,
    WaitingTable,
)
from cdc.facts.values import InvalidText, Value
from cdc.mapping.target_limits import leave_out, unfit, without_readers_of_waiting
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import fetch_values
from cdc.sqlite.schema.create_text import TableText, index_text, runs_before, table_text
from cdc.sqlite.schema.guarded_keys import with_guards
from cdc.sqlite.schema.operator_expressions import tables_read
from cdc.sqlite.schema.row_identity import choose_key, holds_null, recorded_keys
from cdc.sqlite.schema.shadow_tables import guests_of_virtual_tables
from cdc.sqlite.schema.source_views import read_view
from cdc.sqlite.schema.unreadable_tables import unreadable

OURS: Final = "_cdc_"
# Our tables, and columns that each of them has had in every version.
OUR_TABLES: Final[Mapping[str, frozenset[str]]] = {
    "_cdc_changelog": frozenset(["seq", "tid", "op", "at"]),
    "_cdc_table": frozenset(["tid", "name", "kind", "columns"]),
    "_cdc_state": frozenset(["id", "source_id", "format"]),
    "_cdc_mark": frozenset(["at"]),
    "_cdc_tombstone": frozenset(["name", "at"]),
}
# Names of the rowid; a column of such a name hides it (https://www.sqlite.org/lang_createtable.html#rowid).
_ALIASES: Final = ("_rowid_", "rowid", "oid")
# What `hidden` of PRAGMA table_xinfo says (https://www.sqlite.org/pragma.html#pragma_table_xinfo).
_GENERATED: Final = {2: "virtual", 3: "stored"}
_NO_KEY: Final = "it declares no key, and columns of it hide every name of its rowid"
_OUR_NAME: Final = "its name begins as those of this tool's own tables do"
_EXCLUDED: Final = "the configuration leaves it out ([replicate] tables, exclude)"
_LEFT_OUT: Final = {
    "virtual": "a virtual table cannot carry triggers, so its changes cannot be captured",
    "shadow": "it belongs to a virtual table, which maintains it",
}

_OBJECTS: Final = "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
_COLUMNS: Final = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
_INDEXES: Final = 'SELECT name, "unique", origin FROM pragma_index_list(?) ORDER BY name'
_TERMS: Final = 'SELECT cid, name, "desc", coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno'
_TRIGGERS: Final = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?)"
_FOREIGN_KEYS: Final = (
    'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq'
)


def read_schema(connection: apsw.Connection, config: Config) -> SourceSchema:
    """Every table that can be replicated and every view, in name order, and what cannot or shall not, with the reason.

    A key choice recorded in `_cdc_table` wins over a fresh one while its columns still identify a row.
    A table that cannot be replicated as it is waits, and holds up no other. Raises `SourceError` when SQLite cannot
    tell or a name is taken, `MappingError` for an expression it cannot compute.
    """
    with translated("reading the schema"):
        refuse_namesakes(connection)
        recorded = recorded_keys(connection)
        objects = [_read(connection, listed, recorded, config) for listed in _objects(connection)]
        tables = [entry for entry in objects if isinstance(entry, Table)]
        guests = guests_of_virtual_tables(connection, [t.name for t in tables], config)
        return without_readers_of_waiting(
            SourceSchema(
                tables=with_guards([t for t in tables if t.name not in guests], config),
                left_out=tuple(sorted([*_of(LeftOut, objects), *guests.values()], key=lambda entry: entry.name)),
                views=tuple(_of(View, objects)),
                waiting=tuple(_of(WaitingTable, objects)),
            )
        )


_Entry = Table | View | LeftOut | WaitingTable
_Kind = TypeVar("_Kind", LeftOut, View, WaitingTable)


def _of(kind: type[_Kind], entries: Sequence[_Entry]) -> list[_Kind]:
    return [entry for entry in entries if isinstance(entry, kind)]


def _read(connection: apsw.Connection, listed: "_Object", recorded: Mapping[str, Key], config: Config) -> _Entry:
    name = listed.name if isinstance(listed.name, str) else listed.name.data.decode("utf-8", "replace")
    if reason := _LEFT_OUT.get(listed.kind) or ("" if config.replicate.wants(name) else _EXCLUDED):
        return LeftOut(name, listed.kind, reason)
    if isinstance(listed.name, InvalidText):
        return WaitingTable(name, "its name is not valid UTF-8", _renamed(name))
    if listed.kind == "view":
        return read_view(connection, name)
    if name.lower().startswith(OURS):
        return WaitingTable(name, _OUR_NAME, _renamed(name))
    try:
        table = _read_table(connection, name, listed.without_rowid, listed.strict)
    except _BrokenText:
        return WaitingTable(name, "a name or default in it is not valid UTF-8", _renamed(name))
    return _with_key(connection, table, recorded, config)


def _renamed(name: str) -> str:
    return f"rename it in the application; or {leave_out(name)}"


def _with_key(
    connection: apsw.Connection, table: Table, recorded: Mapping[str, Key], config: Config
) -> Table | LeftOut | WaitingTable:
    name = table.name
    if waiting := unreadable(connection, table, config):
        return waiting
    table = replace(table, reads=tables_read(connection, table, config))
    configured, adopted = config.options(name).key, config.adopts(name)
    key = choose_key(connection, table, recorded.get(name.lower()), configured, adopted=adopted)
    if key is None:
        return LeftOut(name, "table", _NO_KEY)
    table = replace(table, key=key, null_keys=key.nullable and holds_null(connection, table, key))
    return unfit(table, config) or table


@dataclass(frozen=True, slots=True)
class _Object:
    """A table or view as `PRAGMA table_list` tells it."""

    name: str | InvalidText
    kind: str
    without_rowid: bool
    strict: bool


def _objects(connection: apsw.Connection) -> Iterator[_Object]:
    """Each object that is neither SQLite's nor ours, in name order."""
    for name, kind, without_rowid, strict in fetch_values(connection, _OBJECTS):
        named = name if isinstance(name, InvalidText) else str(name)
        lower = str(named).lower()
        if not lower.startswith("sqlite_") and lower not in OUR_TABLES:
            yield _Object(named, str(kind), bool(without_rowid), bool(strict))


def refuse_namesakes(connection: apsw.Connection) -> None:
    """Raises `SourceError` when something in the file has the name of a table of ours and is another."""
    rows = fetch_values(connection, "SELECT lower(name) FROM sqlite_schema WHERE type IN ('table', 'view')")
    for name in OUR_TABLES.keys() & {str(row[0]) for row in rows}:
        columns = {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))}
        if not columns >= OUR_TABLES[name]:
            raise SourceError(
                f"{name} in the SQLite file is not the table that this tool makes under that name",
                remedy="rename it in the application: this tool needs that name",
            )


def _read_table(connection: apsw.Connection, name: str, without_rowid: bool, strict: bool) -> Table:
    """The table with everything but its key choice."""
    sql = _schema_text(connection, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", name)
    text = table_text(sql)
    columns = tuple(_columns(connection, name, text, strict))
    hidden = {c.name.lower() for c in columns}
    alias = None if without_rowid else next((a for a in _ALIASES if a not in hidden), None)
    return Table(
        name=name,
        columns=columns,
        key=Key(KeyKind.ROWID, ()),
        indexes=tuple(_indexes(connection, name)),
        foreign_keys=tuple(_foreign_keys(connection, name, text.deferred)),
        checks=text.checks,
        without_rowid=without_rowid,
        strict=strict,
        autoincrement=any(bool(connection.column_metadata("main", name, c.name)[4]) for c in columns if c.primary_key),
        rowid_alias=alias,
        sql=sql,
        before_events=frozenset(_before_events(connection, name)),
    )


def _before_events(connection: apsw.Connection, table: str) -> Iterator[str]:
    rows = connection.execute(_TRIGGERS, (table,)).fetchall()
    yield from (runs_before(str(sql)) for name, sql in rows if not str(name).startswith(OURS))


def _columns(connection: apsw.Connection, name: str, text: TableText, strict: bool) -> Iterator[Column]:
    for column, declared, not_null, default, key_place, hidden in _valid(connection, _COLUMNS, name):
        yield Column(
            name=str(column),
            declared_type=str(declared or ""),
            affinity=affinity(str(declared or ""), strict=strict),
            not_null=bool(not_null),
            default=None if default is None else str(default),
            # No PRAGMA tells the collation of a column that is in no index.
            collation=str(connection.column_metadata("main", name, str(column))[1]).upper(),
            primary_key=int(str(key_place)),
            generated=_GENERATED.get(int(str(hidden)), ""),
            generated_expression=text.generated.get(str(column).lower()),
        )


def affinity(declared: str, *, strict: bool = False) -> Affinity:
    """The affinity that a declared type gives its column: the first rule that fits, in the order of SQLite's manual."""
    upper = declared.upper()
    if "INT" in upper:
        return Affinity.INTEGER
    if any(part in upper for part in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if not upper or "BLOB" in upper or (strict and upper == "ANY"):
        return Affinity.BLOB
    return Affinity.REAL if any(part in upper for part in ("REAL", "FLOA", "DOUB")) else Affinity.NUMERIC


def _indexes(connection: apsw.Connection, table: str) -> Iterator[Index]:
    for name, unique, origin in _valid(connection, _INDEXES, table):
        sql = _schema_text(connection, "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", str(name))
        text = index_text(sql) if sql else None
        terms = tuple(_terms(connection, str(name), text.terms if text else ()))
        yield Index(str(name), bool(unique), str(origin), terms, text.predicate if text else None)


def _terms(connection: apsw.Connection, index: str, expressions: tuple[str, ...]) -> Iterator[IndexTerm]:
    for at, (cid, column, descending, collation) in enumerate(_valid(connection, _TERMS, index)):
        # -2 stands for an expression, -1 for the rowid (https://www.sqlite.org/pragma.html#pragma_index_xinfo).
        expression = expressions[at] if cid == -2 else None
        name = None if column is None else str(column)
        yield IndexTerm(name, expression, str(collation).upper(), bool(descending))


def _foreign_keys(connection: apsw.Connection, table: str, deferred: tuple[bool, ...]) -> Iterator[ForeignKey]:
    rows = _valid(connection, _FOREIGN_KEYS, table)
    numbers = sorted({int(str(row[0])) for row in rows}, reverse=True)  # SQLite lists the last one declared first
    waits = deferred if len(deferred) == len(numbers) else (False,) * len(numbers)
    for number, until_commit in zip(numbers, waits, strict=True):
        group = [row for row in rows if row[0] == number]
        _, parent, _, to, on_update, on_delete = group[0]
        columns = tuple(str(row[2]) for row in group)
        # One that names no columns of the parent means its primary key.
        parents = _primary_key(connection, str(parent)) if to is None else tuple(str(row[3]) for row in group)
        yield ForeignKey(columns, str(parent), parents, str(on_delete), str(on_update), until_commit)


def _primary_key(connection: apsw.Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE pk > 0 ORDER BY pk", (table,))
    return tuple(str(row[0]) for row in rows)


class _BrokenText(Exception):
    """A name or a default is not valid UTF-8: nothing can be said about it in SQL."""


def _valid(connection: apsw.Connection, sql: str, name: str) -> Sequence[tuple[Value, ...]]:
    rows = fetch_values(connection, sql, (name,))
    if any(isinstance(value, InvalidText) for row in rows for value in row):
        raise _BrokenText
    return rows


def _schema_text(connection: apsw.Connection, query: str, name: str) -> str:
    """A text of the schema, empty when there is none; a comment in it may be of any encoding."""
    rows = fetch_values(connection, query, (name,))
    sql = rows[0][0] if rows else None
    return sql.data.decode("utf-8", "replace") if isinstance(sql, InvalidText) else str(sql or "")
