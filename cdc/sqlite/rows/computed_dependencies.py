"""Which rows to read again when another table changed, because an expression of the operator looks something up there.

`(SELECT video_id FROM content WHERE id = content_id)` depends on one row of `content`, which the row itself names: when
that row changes, the rows that name it are read again. Where it cannot be seen which rows an expression depends on, the
whole table is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import apsw
import sqlglot
from sqlglot import exp

from cdc.facts.changes import TableRows
from cdc.facts.source_schema import KeyKind, Table
from cdc.facts.table_map import TableMap
from cdc.facts.values import InvalidText, KeyValues, NullKey, Row
from cdc.mapping.names import has, same
from cdc.sql_names import quote
from cdc.sqlite.rows import select
from cdc.sqlite.rows.exact_values import bindable

MOST_KEYS: Final = 500  # of a changed table in one round; beyond that the dependent table is read as a whole


@dataclass(frozen=True, slots=True)
class Dependence:
    """A table whose expressions read another one. `columns` hold the other's key, None when that cannot be seen."""

    child: TableMap
    parent: TableMap
    columns: tuple[str, ...] | None


class Dependents:
    """The dependences among some tables, by source name, and the reads that follow from them."""

    def __init__(self, maps: Mapping[str, TableMap]) -> None:
        self._all = [
            Dependence(child, maps[parent], columns)
            for child in maps.values()
            for parent in child.source.reads
            if parent in maps
            for columns in dict.fromkeys(_links(child, maps[parent].source))
        ]

    def of(self, name: str) -> tuple[str, ...]:
        """The tables that depend on one."""
        return tuple(dict.fromkeys(d.child.source.name for d in self._all if d.parent.source.name == name))

    def follow(
        self, connection: apsw.Connection, tables: Sequence[TableRows], rescan: Sequence[str]
    ) -> tuple[tuple[TableRows, ...], tuple[str, ...]]:
        """What was read, with the rows that depend on it; and the tables to be read as a whole, with theirs."""
        by_name = {t.table: t for t in tables}
        whole = dict.fromkeys(rescan)
        for dependence in self._all:
            changed = by_name.get(dependence.parent.source.name)
            keys = _keys(changed, dependence.parent) if changed else []
            if dependence.parent.source.name in rescan or (keys and not _can_be_searched(dependence, keys)):
                whole[dependence.child.source.name] = None
            elif keys and dependence.columns is not None:
                name = dependence.child.source.name
                before = by_name.get(name) or TableRows(name)
                by_name[name] = _with(before, _rows(connection, dependence, dependence.columns, keys), dependence.child)
        return tuple(by_name.values()), tuple(whole)


def _keys(read: TableRows, mapped: TableMap) -> list[KeyValues]:
    return [*(row[: mapped.source_key_width] for row in read.rows), *read.gone]


def _can_be_searched(dependence: Dependence, keys: Sequence[KeyValues]) -> bool:
    """Whether the rows that depend on some keys can be searched for, rather than all be read."""
    if dependence.columns is None or len(keys) > MOST_KEYS:
        return False
    return not any(isinstance(value, InvalidText | NullKey) for key in keys for value in key)


def _with(read: TableRows, more: Sequence[Row], mapped: TableMap) -> TableRows:
    """What was read and more rows of the same snapshot, each key once. Equal values of different types are two keys."""
    width = mapped.source_key_width
    keys = {_exactly(row[:width]) for row in read.rows}
    return replace(read, rows=[*read.rows, *(row for row in more if _exactly(row[:width]) not in keys)])


def _exactly(key: KeyValues) -> tuple[tuple[type, object], ...]:
    return tuple((type(value), value) for value in key)


def _rows(
    connection: apsw.Connection, dependence: Dependence, columns: Sequence[str], keys: Sequence[KeyValues]
) -> list[Row]:
    own = quote(dependence.child.source.name)
    matches = " AND ".join(f"{own}.{quote(name)} = ?" for name in columns)
    # One SELECT a key finds an index where there is one, which a list of row values does not.
    query = select.select(dependence.child, f"FROM {own} WHERE {matches}")
    read = (row for key in keys for row in select.fetch(connection, query, list(map(bindable, key))))
    return list({_exactly(row[: dependence.child.source_key_width]): row for row in read}.values())


# --- which rows an expression depends on ------------------------------------------------------------------------------


def _links(child: TableMap, parent: Table) -> Iterator[tuple[str, ...] | None]:
    """For each expression that reads the parent: the child's columns that hold the parent's key."""
    for column in child.columns:
        if column.source is None and column.function is None:
            tree = sqlglot.parse_one(f"SELECT ({column.expression}\n)", read="sqlite")
            for query in (q for q in tree.find_all(exp.Select) if q is not tree):
                if any(same(table.name, parent.name) for table in query.find_all(exp.Table)):
                    yield _link(query, child.source, parent)


def _link(query: exp.Select, child: Table, parent: Table) -> tuple[str, ...] | None:
    """The child's columns that equal the parent's key in `SELECT ... FROM parent WHERE ...`; None for all else."""
    source, where = query.args.get("from_"), query.args.get("where")
    if not isinstance(where, exp.Where) or source is None or not isinstance(source.this, exp.Table):
        return None
    nested = len(list(query.find_all(exp.Select))) > 1
    if nested or query.args.get("joins") or parent.key.kind is KeyKind.ROWID:
        return None
    inner = source.this.alias_or_name
    by_key = dict(_equalities(where.this, inner, child, parent))
    columns = [by_key.get(name.lower()) for name in parent.key.columns]
    named = tuple(name for name in columns if name is not None)
    return named if len(named) == len(columns) else None


def _equalities(condition: exp.Expression, inner: str, child: Table, parent: Table) -> Iterator[tuple[str, str]]:
    """The parent's column, in lower case, and the child's one that it is compared with, for each part of an AND."""
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        equality = part.unnest()
        sides = (equality.left.unnest(), equality.right.unnest()) if isinstance(equality, exp.EQ) else ()
        columns = [side for side in sides if isinstance(side, exp.Column)]
        ours = [c.name for c in columns if not _is_inner(c, inner, parent)]
        theirs = [c.name for c in columns if _is_inner(c, inner, parent)]
        if len(ours) == len(theirs) == 1 and has(child, ours[0]) and _alike(child, ours[0], parent, theirs[0]):
            yield theirs[0].lower(), ours[0]


def _is_inner(column: exp.Column, inner: str, parent: Table) -> bool:
    return same(column.table, inner) if column.table else has(parent, column.name)


def _alike(child: Table, ours: str, parent: Table, theirs: str) -> bool:
    """Whether values that are equal for the expression are equal for a search by the child's column alone."""
    a, b = child.column(ours), parent.column(theirs)
    return (a.affinity, a.collation) == (b.affinity, b.collation)
