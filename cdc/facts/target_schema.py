"""What a table in Postgres is like, as its catalogue says. Frozen, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column as pg_attribute tells it.

    `type` is format_type() text with modifiers, `base` is pg_type.typname (int8, text, numeric, jsonb ...).
    `domain_of` is the base of a domain as format_type() text without modifiers, "" for other types.
    `length` is the limit of varchar(n)/char(n). `collation` is the collation's name or "" for types without one;
    `deterministic` is False for collations under which unequal strings compare equal.
    `labels` are those of an enum type, empty for others.
    `default` is the expression of its default as Postgres writes it, "" for none.
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
    default: str = ""


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

    def names_every_row(self, key: Sequence[str]) -> bool:
        """Whether no row is without these columns, which are a key there: a row that has NULL in it has no name."""
        return all(found is not None and found.not_null for found in map(self.column, key))

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The primary key's columns, empty when there is none."""
        return next((u.columns for u in self.uniques if u.primary), ())


class TargetSequence(NamedTuple):
    """A sequence, and a table and its column that it numbers; both are empty where no column owns or asks it."""

    name: str
    table: str
    column: str


class SilentTrigger(NamedTuple):
    """A trigger that does not fire, because replication disabled it: of a target `of`, or of a partition of that."""

    of: str
    table: str
    trigger: str

    def __str__(self) -> str:
        return f"{self.trigger} of {self.table}"


class ObjectKind(StrEnum):
    """What a part of a table is."""

    TABLE = "table"
    COLUMN = "column"
    NOT_NULL = "not null"
    DEFAULT = "default"
    GENERATED = "generated"
    IDENTITY = "identity"
    PRIMARY_KEY = "primary key"
    UNIQUE = "unique"
    CHECK = "check"
    FOREIGN_KEY = "foreign key"
    INDEX = "index"


class ObjectPlace(NamedTuple):
    """Where a part of a table stands: the table, and its own name, that of the column for what a column has."""

    table: str
    kind: ObjectKind
    name: str


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """A part of a table: how Postgres writes it, and whether it is valid (of constraints and indexes)."""

    definition: str
    usable: bool = True
