"""The facts that modules hand to each other: tables, keys, rows read, positions. Frozen, no I/O.

Values of SQLite are plain Python: None, int, float, str, bytes, and `InvalidText` for a text that is not UTF-8. An
expression of the operator may fail for a row: then `Failed` stands for its value. `NullKey` occurs in keys alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class InvalidText:
    """A SQLite text whose bytes are not valid UTF-8; it can be carried and named, never stored in Postgres."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """What stands in a row for a value that could not be computed; `reason` is in words and names no value."""

    reason: str


@dataclass(frozen=True, slots=True)
class NullKey:
    """Stands in every column of a declared key that has a NULL, which SQLite allows: the row is known by its rowid."""

    rowid: int


Value = int | float | str | bytes | InvalidText | Failed | NullKey | None
Row = tuple[Value, ...]
KeyValues = tuple[Value, ...]


# --- SQLite's catalogue ---------------------------------------------------------------------------------------------


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
    """A foreign key with `parent_columns` resolved (the parent's primary key when not written)."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"


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
class Table:
    """An ordinary table that can be replicated. `rowid_alias` is None for WITHOUT ROWID tables.

    `reads` are other tables that the expressions read which the operator configured for this one. `before_events` are
    the events (INSERT, UPDATE, DELETE) for which the application has a trigger that may run before the row is written.
    `null_keys` says whether there are rows whose declared key has a NULL.
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


# --- Postgres' catalogue --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column as pg_attribute tells it.

    `type` is format_type() text with modifiers, `base` is pg_type.typname (int8, text, numeric, jsonb ...).
    `domain_of` is the base of a domain as format_type() text without modifiers, "" for other types.
    `length` is the limit of varchar(n)/char(n). `collation` is the collation's name or "" for types without one;
    `deterministic` is False for collations under which unequal strings compare equal.
    `labels` are those of an enum type, empty for others.
    `generated` covers GENERATED ALWAYS AS (expression); `identity` is "", "a" (always) or "d" (by default).
    """

    name: str
    type: str
    base: str
    domain_of: str = ""
    oid: int = 0
    not_null: bool = False
    has_default: bool = False
    generated: bool = False
    identity: str = ""
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    collation: str = ""
    deterministic: bool = True
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetUnique:
    """A primary key, unique constraint or unique index; `columns` is empty when it has expressions."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    deferrable: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True)
class TargetForeignKey:
    """A foreign key in Postgres; actions are words such as "NO ACTION" and "CASCADE"."""

    name: str
    columns: tuple[str, ...]
    parent_schema: str
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: bool = False


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table of Postgres as the catalogue tells it: after phase 1 the only truth about types.

    `rules` rewrite statements on it, `row_security` says whether policies would filter what our role sees, `owned`
    whether our role may alter it.
    """

    schema: str
    name: str
    columns: tuple[TargetColumn, ...]
    uniques: tuple[TargetUnique, ...] = ()
    foreign_keys: tuple[TargetForeignKey, ...] = ()
    user_triggers: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    partitioned: bool = False
    row_security: bool = False
    owned: bool = True

    def column(self, name: str) -> TargetColumn | None:
        """The column of exactly that name, or None."""
        return next((c for c in self.columns if c.name == name), None)

    def is_keyed_by(self, columns: Sequence[str]) -> bool:
        """Whether Postgres knows that these columns name one row, and knows it row by row."""
        wanted = set(columns)
        return any(set(u.columns) == wanted and not u.deferrable and not u.partial for u in self.uniques)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The primary key's columns, empty when there is none."""
        return next((u.columns for u in self.uniques if u.primary), ())


# --- the mapping between the two -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """How the operator wants a column's values to be read, where their storage class alone does not tell.

    `format` names how a date, a number or the like is written (`cdc.readings` has them). `on_invalid` is what becomes
    of a value that does not fit, and `empty` of an empty text: "keep" or "null".
    """

    format: str = ""
    on_invalid: str = "quarantine"
    empty: str = "keep"

    @property
    def loses(self) -> bool:
        """Whether a value may become another one: a loss that somebody chose in writing."""
        return self.on_invalid != "quarantine" or self.empty != "keep"


@dataclass(frozen=True, slots=True)
class Function:
    """The operator's own function in Python: `call` takes the values of some source columns and returns one to store.

    `name` is its name in SQL, `told_as` what people call it.
    """

    name: str
    columns: tuple[str, ...]
    call: Callable[..., int | float | str | bytes | None]
    told_as: str


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One column of the target and where its value comes from.

    `expression` is SQLite SQL evaluated at read time: the quoted source column, the rowid alias, or the operator's
    own expression. `source` is the source column's name when it is one plainly. `type` is the Postgres type to create.
    `literal` stores any SQLite value exactly, as its SQL literal, in a text column (for untyped columns that mix).
    `schema` is the text of a JSON Schema that its documents must satisfy. `function` is what the expression calls.
    """

    target: str
    expression: str
    type: str
    source: str | None = None
    literal: bool = False
    reading: Reading = Reading()
    schema: str = ""
    function: Function | None = None


@dataclass(frozen=True, slots=True)
class Referring:
    """A foreign key that the operator wants: columns of the target that hold the key of a source table's target."""

    columns: tuple[str, ...]
    parent: str
    on_delete: str


@dataclass(frozen=True, slots=True)
class TableMap:
    """A source table, its target and their columns. `key` are the target columns that hold the source key, in order;
    with a `crosswalk` they are columns that say nothing of it, and Postgres remembers which row is which.

    `columns` leaves out what the operator skipped and what Postgres generates itself. An `adopted` target was made by
    others and is used as it is. `formats` are what the operator wants for every column of a type, by its `base`.
    """

    source: Table
    schema: str
    target: str
    columns: tuple[ColumnMap, ...]
    key: tuple[str, ...]
    adopted: bool = False
    formats: Mapping[str, str] = field(default_factory=dict)
    crosswalk: bool = False
    references: tuple[Referring, ...] = ()

    @property
    def source_key_width(self) -> int:
        """How many values at the beginning of a row are the source key."""
        return len(self.source.key.columns)

    def reading(self, column: ColumnMap, there: TargetColumn) -> Reading:
        """How a column's values are read: its own format, else the one for all columns of that type."""
        if column.reading.format or column.literal or (column.target in self.key and not self.crosswalk):
            return column.reading
        return replace(column.reading, format=self.formats.get(there.base, ""))

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Names of the target columns in the order rows carry them."""
        return tuple(c.target for c in self.columns)


# --- what is read and applied -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the changelog: the entry's number and its fingerprint, `encode_key((table id, op, at, *key))`.

    The fingerprint tells a changelog that merely has an entry of that number from the one that was read.
    """

    seq: int
    entry: str


@dataclass(frozen=True, slots=True)
class Traces:
    """What tells a file whose end was lost: inode and time of the last write to the main file, and its -wal file.

    `log` names the generation of the -wal file, empty for none, `frames` is how many pages that generation has.
    """

    inode: str
    changed_at: str
    log: str
    frames: int

    def lost_its_end_since(self, before: "Traces") -> bool:
        """Whether the main file is untouched and its log is shorter than it was, or gone."""
        if (self.inode, self.changed_at) != (before.inode, before.changed_at) or not before.log:
            return False
        return not self.log or (self.log == before.log and self.frames < before.frames)


@dataclass(frozen=True, slots=True)
class TableRows:
    """The current state of some keys of one source table: rows that are there, keys that are not.

    A row is the key's values followed by one value per `TableMap.columns`; a gone key is the key's values only.
    """

    table: str
    rows: list[Row] = field(default_factory=list)
    gone: list[KeyValues] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Round:
    """What one short snapshot gave: the state at `position` of every key logged since the position before.

    `complete` says that `position` was the newest entry of its snapshot: only then may it be merged.
    `rescan` names tables that must be read as a whole, because an entry could not say which keys changed.
    `oldest_at` is the time of the oldest entry read (seconds since the epoch), None when unknown or nothing was read.
    `newest` is the number of the newest entry of its snapshot: what is between it and `position` waits to be read.
    """

    position: Position
    tables: tuple[TableRows, ...]
    complete: bool
    entries: int
    rescan: tuple[str, ...] = ()
    oldest_at: float | None = None
    newest: int = 0


class Reason(StrEnum):
    """Why a row is in quarantine."""

    VALUE = "value"
    ORPHAN = "orphan"
    CONSTRAINT = "constraint"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why Postgres cannot hold a row: which column, what is wrong, what to do. Never holds the value itself."""

    column: str
    reason: Reason
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TableTally:
    """What one batch did to one source table's rows in Postgres and in quarantine.

    `altered` counts values, not rows: those that did not fit and became others because the operator chose so.
    """

    upserted: int = 0
    deleted: int = 0
    quarantined: int = 0
    released: int = 0
    altered: int = 0


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """A batch that Postgres committed: changelog entries after `after_seq` up to `last_seq`, which were `changes` many.

    `tables` holds the source tables that something was done to. `seconds` is how long it took from the first read to
    the commit, `lag_seconds` how old its oldest entry was when it was read.
    """

    after_seq: int
    last_seq: int
    changes: int
    tables: Mapping[str, TableTally]
    seconds: float
    lag_seconds: float | None = None


class Progress(Protocol):
    """Where long work tells how far it is; one `start` to `finish` at a time."""

    def start(self, what: str, total: int | None) -> None:
        """A piece of work begins; `total` is its size when it is known, in the unit of `advance`."""

    def advance(self, n: int) -> None:
        """`n` more units are done."""

    def finish(self) -> None:
        """The piece of work is done."""
