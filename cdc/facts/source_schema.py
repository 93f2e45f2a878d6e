"""What the application's file has: tables, keys, indexes, views, and what of it waits. Frozen, no I/O."""

from dataclasses import dataclass, field
from enum import StrEnum


class Affinity(StrEnum):
    """Column affinity by the rules of https://www.sqlite.org/datatype3.html section 3.1."""

    TEXT = "TEXT"
    NUMERIC = "NUMERIC"
    INTEGER = "INTEGER"
    REAL = "REAL"
    BLOB = "BLOB"


@dataclass(frozen=True, slots=True)
class Column:
    """One column as `PRAGMA table_xinfo` tells it.

    `collation` is upper case, `BINARY` by default. `default` is SQL text or None. `primary_key` is the place in the
    declared key from 1, 0 when outside it. `generated` is "", "virtual" or "stored".
    """

    name: str
    declared_type: str
    affinity: Affinity
    not_null: bool = False
    default: str | None = None
    collation: str = "BINARY"
    primary_key: int = 0
    generated: str = ""
    generated_expression: str | None = None


@dataclass(frozen=True, slots=True)
class IndexTerm:
    """One term of an index: a column, or an expression as SQL text (then `column` is None)."""

    column: str | None
    expression: str | None = None
    collation: str = "BINARY"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `origin` is "c" (CREATE INDEX), "u" (UNIQUE) or "pk"; `predicate` is a partial index's SQL."""

    name: str
    unique: bool
    origin: str
    terms: tuple[IndexTerm, ...]
    predicate: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key with `parent_columns` resolved (the parent's primary key when not written).

    `deferred` says that SQLite looks at it when a transaction ends, instead of after each statement.
    """

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferred: bool = False


class KeyKind(StrEnum):
    """What identifies a row: the rowid alias, declared key columns, or the hidden rowid."""

    INTEGER = "integer primary key"
    COLUMNS = "primary key columns"
    ROWID = "rowid"


@dataclass(frozen=True, slots=True)
class Key:
    """The row identity that capture logs.

    `columns` are column names, or for ROWID the one alias (`_rowid_`, `rowid` or `oid`) no column hides.
    `nullable` marks declared keys of rowid tables that SQLite lets be NULL.
    """

    kind: KeyKind
    columns: tuple[str, ...]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class GuardedKey:
    """A key that may not come back once its row in `table` was deleted, and the columns that say it here."""

    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """An ordinary table that can be replicated. `rowid_alias` is None for WITHOUT ROWID tables.

    `reads` are other tables that the expressions read which the operator configured for this one. `before_events` are
    the events (INSERT, UPDATE, DELETE) for which the application has a trigger that may run before the row is written.
    `null_keys` says whether there are rows whose declared key has a NULL. `guards` are keys under which no row is taken
    in once they were deleted; `buries` says that the file remembers which keys of this table were.
    """

    name: str
    columns: tuple[Column, ...]
    key: Key
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[str, ...] = ()
    without_rowid: bool = False
    strict: bool = False
    autoincrement: bool = False
    rowid_alias: str | None = "_rowid_"
    sql: str = ""
    reads: tuple[str, ...] = ()
    before_events: frozenset[str] = field(default=frozenset(), compare=False)
    null_keys: bool = field(default=False, compare=False)
    guards: tuple[GuardedKey, ...] = field(default=(), compare=False)
    buries: bool = field(default=False, compare=False)

    @property
    def null_rowid(self) -> str | None:
        """The rowid's name where rows whose declared key has a NULL are told apart by it, else None."""
        return self.rowid_alias if self.key.nullable else None

    def column(self, name: str) -> Column:
        """The column of that name; SQLite compares names without case."""
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A table or view of the file that Postgres does not get, and why, in words for the operator."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class WaitingTable:
    """A table that is wanted and cannot be replicated as it is: why, and what lets it be taken up, in words."""

    name: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class View:
    """A view of the file: the names of its columns as SQLite tells them, and its CREATE VIEW text."""

    name: str
    columns: tuple[str, ...]
    sql: str


@dataclass(frozen=True, slots=True)
class SourceSchema:
    """All that the file holds: tables that can be replicated and views, in name order, and what is left out.

    `waiting` are tables that are wanted and cannot be: they hold up no other, and are taken up when the cause is gone.
    """

    tables: tuple[Table, ...]
    left_out: tuple[LeftOut, ...] = ()
    views: tuple[View, ...] = ()
    waiting: tuple[WaitingTable, ...] = ()

    def table(self, name: str) -> Table | None:
        """The table of that name, compared without case as SQLite does, or None."""
        return next((t for t in self.tables if t.name.lower() == name.lower()), None)

    @property
    def names(self) -> list[str]:
        """The names of all that is there, whatever becomes of it."""
        return [entry.name for entries in (self.tables, self.views, self.left_out, self.waiting) for entry in entries]
