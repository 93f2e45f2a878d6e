"""Foreign keys that the target can have, made last: deferrable, because a batch may hold a child before its parent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.source_schema import ForeignKey
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.postgres.ddl.indexes import COARSER, DEFERRABLE, constraint, ordinary_index, plain_column
from cdc.postgres.tables.statement import Deviation, Made, Names, Statement
from cdc.postgres.translate.terms import Untranslatable
from cdc.sql_names import qualified, quote

_AT_ONCE: Final = (
    "INITIALLY DEFERRED becomes INITIALLY IMMEDIATE: an application that writes to Postgres has it wait with "
    "SET CONSTRAINTS ALL DEFERRED"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key that the target can have, in target columns."""

    child: TableMap
    columns: tuple[str, ...]
    parent: TableMap
    parent_columns: tuple[str, ...]
    on_delete: str
    on_update: str


def links(maps: Sequence[TableMap]) -> Iterator[Link | Deviation]:
    """The foreign keys between mapped tables that the target can have, and why it cannot have the others.

    Those of the configuration come first, and take the place of one that SQLite declares over the same columns. An
    adopted child has those that its own makers gave it.
    """
    by_name = {m.source.name.lower(): m for m in maps}
    for child in (m for m in maps if not m.adopted):
        # Columns and types of those in the configuration are checked there.
        configured = [
            Link(child, reference.columns, parent, parent.key, reference.on_delete, "NO ACTION")
            for reference in child.references
            if (parent := by_name.get(reference.parent.lower()))
        ]
        yield from configured
        for key in child.source.foreign_keys:
            if any(_same(link, child, key) for link in configured):
                continue
            label = f"foreign key ({', '.join(key.columns)}) to {key.parent}"
            try:
                link = _link(child, key, by_name.get(key.parent.lower()))
            except Untranslatable as reason:
                yield Deviation(child.source.name, label, f"it is left out: {reason}")
                continue
            if "RESTRICT" in (key.on_delete, key.on_update):
                yield Deviation(child.source.name, label, "RESTRICT becomes NO ACTION, which can wait for the end")
            if key.deferred:
                yield Deviation(child.source.name, label, _AT_ONCE)
            yield link


def _link(child: TableMap, key: ForeignKey, parent: TableMap | None) -> Link:
    if parent is None:
        raise Untranslatable(f"{key.parent} is not replicated")
    if parent.adopted:
        raise Untranslatable(f"{parent.target} was made by others, and stays as it is")
    if len(key.columns) != len(key.parent_columns):  # SQLite takes it, and then refuses every write that asks for it
        size = "1 column" if len(key.columns) == 1 else f"{len(key.columns)} columns"
        raise Untranslatable(f"{key.parent} has no primary key of {size}")
    pairs = [_pair(child, c, parent, p) for c, p in zip(key.columns, key.parent_columns, strict=True)]
    columns, parent_columns = tuple(c.target for c, _ in pairs), tuple(p.target for _, p in pairs)
    _require_unique(parent, parent_columns)
    return Link(child, columns, parent, parent_columns, _action(key.on_delete), _action(key.on_update))


def _same(link: Link, child: TableMap, key: ForeignKey) -> bool:
    columns = [plain_column(child, name) for name in key.columns]
    targets = [c.target for c in columns if c]
    return link.parent.source.name.lower() == key.parent.lower() and set(targets) == set(link.columns)


def _action(action: str) -> str:
    # RESTRICT cannot be deferred, and a batch may remove a parent before its children.
    return "NO ACTION" if action == "RESTRICT" else action


def _pair(child: TableMap, column: str, parent: TableMap, parent_column: str) -> tuple[ColumnMap, ColumnMap]:
    ours, theirs = plain_column(child, column), plain_column(parent, parent_column)
    if ours is None or theirs is None:
        raise Untranslatable(f"column {column if ours is None else parent_column} is not replicated as it is")
    if (ours.type, ours.literal) != (theirs.type, theirs.literal):
        raise Untranslatable(f"{column} is of type {ours.type}, {parent_column} of type {theirs.type}")
    if parent.source.column(parent_column).collation != "BINARY":
        raise Untranslatable(f"{parent_column} is compared under a collation of SQLite")
    return ours, theirs


def _require_unique(parent: TableMap, columns: tuple[str, ...]) -> None:
    if len(frozenset(columns)) < len(columns):
        raise Untranslatable(f"it names a column of {parent.source.name} twice")
    if frozenset(columns) == frozenset(parent.key):
        return
    # Postgres lets a foreign key refer to plain columns only, which are unique in all of the table.
    for index in parent.source.indexes:
        targets = [plain_column(parent, t.column) if t.column else None for t in index.terms]
        plain = [t.target for t in targets if t and t.type not in COARSER]
        binary = all(t.collation == "BINARY" for t in index.terms)
        whole = index.unique and index.predicate is None and binary and len(plain) == len(targets)
        if whole and frozenset(plain) == frozenset(columns):
            return
    raise Untranslatable(f"({', '.join(columns)}) is not unique in {parent.source.name}")


def foreign_key(link: Link, names: Names) -> Statement:
    """The statement that adds a foreign key; `names` are those of the child's constraints."""
    child = link.child
    label = "_".join([child.target, *link.columns, "fkey"])
    name = names.take(label, link.parent.target, *link.parent_columns)
    body = (
        f"FOREIGN KEY ({', '.join(map(quote, link.columns))}) "
        f"REFERENCES {qualified(link.parent.schema, link.parent.target)} "
        f"({', '.join(map(quote, link.parent_columns))}) "
        f"ON DELETE {link.on_delete} ON UPDATE {link.on_update} {DEFERRABLE}"
    )
    return constraint(child, name, body, Made.FOREIGN_KEY)


def supporting_index(link: Link, names: Names) -> Statement | None:
    """An index over the child's columns where none begins with them; without it every delete of a parent scans."""
    if any(set(columns[: len(link.columns)]) == set(link.columns) for columns in _indexed(link.child)):
        return None
    label = "_".join([link.child.target, *link.columns, "idx"])
    name = names.take(label, link.child.target)
    return ordinary_index(link.child, name, f"({', '.join(map(quote, link.columns))})")


def _indexed(mapped: TableMap) -> Iterator[Sequence[str]]:
    yield mapped.key
    for index in mapped.source.indexes:
        if index.predicate is None and all(t.collation == "BINARY" for t in index.terms):
            columns = [plain_column(mapped, t.column) if t.column else None for t in index.terms]
            yield [c.target if c else "" for c in columns]
