"""Queries of SQLite as a port of an application would write them for Postgres, and with one habit of SQLite kept.

Unlike `translate_query`, nothing is refused because the engines may answer differently: that is what shadow reads find
out. `habits` gives the same query with a remedy in it, so that a difference can be explained by trying.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.values import Value
from cdc.postgres.translate.terms import Untranslatable


@dataclass(frozen=True, slots=True)
class PortedQuery:
    """A query for Postgres. `ordered` says that its rows have an order, `tables` are the source tables that it reads.

    `origins` are the replicated columns that its columns pass on as they are, by place; None where one is computed, and
    nothing at all where that cannot be told.
    """

    tree: exp.Expr
    ordered: bool
    tables: tuple[str, ...]
    origins: tuple[tuple[TableMap, ColumnMap] | None, ...]
    booleans: frozenset[str] = frozenset()  # names of the columns, in Postgres, that are boolean there

    def sql(self, parameters: Mapping[str, Value]) -> str:
        """The text, with the parameters in it as literals; raises `Untranslatable` for one that is not given."""
        return _text(_filled(self.tree, parameters))


def port(sql: str, maps: Sequence[TableMap], *, of_target: str | None = None) -> PortedQuery:
    """A query of SQLite for Postgres, or `of_target`, the application's own words for Postgres, taken as they are.

    Raises `Untranslatable` where it cannot be read.
    """
    tree = _parsed(sql, "sqlite")
    _refuse_unnamed(tree)
    read = _Tables(tree, maps)
    ordered = tree.args.get("order") is not None
    origins = read.origins(tree)
    if of_target is not None:
        return PortedQuery(_parsed(of_target, "postgres"), ordered, read.names, origins, read.booleans)
    return PortedQuery(read.renamed(tree), ordered, read.names, origins, read.booleans)


def habits(query: PortedQuery) -> Iterator[tuple[str, PortedQuery]]:
    """The query with one remedy each that changes it, by the cause that the remedy is for; then with all of them."""
    remedies = {**_REMEDIES, "boolean": _booleans_as_numbers(query.booleans)}
    changed = {cause: query.tree.copy().transform(remedy) for cause, remedy in remedies.items()}
    changed = {cause: tree for cause, tree in changed.items() if _text(tree) != _text(query.tree)}
    for cause, tree in changed.items():
        yield cause, replace(query, tree=tree)
    if len(changed) > 1:
        tree = query.tree.copy()
        for cause in changed:
            tree = tree.transform(remedies[cause])
        yield " + ".join(changed), replace(query, tree=tree)


def without_limit(query: PortedQuery) -> PortedQuery | None:
    """The query without LIMIT and OFFSET at its end, None where it has none."""
    tree = query.tree.copy()
    limited = [tree.args.pop(part, None) for part in ("limit", "offset")]
    return replace(query, tree=tree) if any(limited) else None


def source_without_limit(sql: str) -> str:
    """The same of a query of SQLite, as text."""
    tree = _parsed(sql, "sqlite")
    for part in ("limit", "offset"):
        tree.args.pop(part, None)
    return tree.sql("sqlite")


def _parsed(sql: str, dialect: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
    except SqlglotError as error:
        raise Untranslatable(str(error).split("\n", 1)[0]) from None
    if not isinstance(tree, exp.Query):
        raise Untranslatable("it is no SELECT")
    return tree


def _refuse_unnamed(tree: exp.Expr) -> None:
    if any(not node.this for node in tree.find_all(exp.Placeholder)):
        raise Untranslatable("a parameter has no name: write :NAME instead of ?")


def _filled(tree: exp.Expr, parameters: Mapping[str, Value]) -> exp.Expr:
    def fill(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder):
            return node
        if node.name not in parameters:
            raise Untranslatable(f"no value is given for the parameter {node.name}")
        return _literal(parameters[node.name])

    return tree.copy().transform(fill)


def _literal(value: Value) -> exp.Expr:
    match value:
        case None:
            return exp.Null()
        case str():
            return exp.Literal.string(value)
        case int() | float():
            return exp.Literal.number(repr(value))
        case _:
            raise Untranslatable("a parameter is neither a text nor a number")


def _text(tree: exp.Expr) -> str:
    return tree.sql("postgres", unsupported_level=sqlglot.ErrorLevel.IGNORE)


class _Tables:
    """The replicated tables that a query reads, under the names that it gives them."""

    def __init__(self, tree: exp.Expr, maps: Sequence[TableMap]) -> None:
        known = {m.source.name.lower(): m for m in maps}
        self._named: dict[str, TableMap] = {}
        for table in tree.find_all(exp.Table):
            if mapped := known.get(table.name.lower()):
                self._named[table.alias_or_name.lower()] = mapped
        self._known = known
        self.names = tuple(sorted({m.source.name for m in self._named.values()}))
        self.booleans = frozenset(c.target for m in self._named.values() for c in m.columns if c.type == "boolean")

    def renamed(self, tree: exp.Expr) -> exp.Expr:
        """The query with the names that tables and columns have in Postgres."""

        def rename(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Table) and (mapped := self._known.get(node.name.lower())):
                alias = node.alias_or_name
                node.set("this", exp.to_identifier(mapped.target, quoted=True))
                node.set("db", exp.to_identifier(mapped.schema, quoted=True))
                if not node.alias:
                    node.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
            elif isinstance(node, exp.Column) and (found := self._column(node)):
                node.set("this", exp.to_identifier(found[1].target, quoted=True))
            return node

        return tree.copy().transform(rename)

    def origins(self, tree: exp.Expr) -> tuple[tuple[TableMap, ColumnMap] | None, ...]:
        """The replicated columns that are passed on; a star leaves unknown which these are."""
        if not isinstance(tree, exp.Select) or any(e.is_star for e in tree.expressions):
            return ()
        columns = (e.unalias() for e in tree.expressions)
        return tuple(self._column(c) if isinstance(c, exp.Column) else None for c in columns)

    def _column(self, node: exp.Column) -> tuple[TableMap, ColumnMap] | None:
        places = [self._named.get(node.table.lower())] if node.table else list(self._named.values())
        columns = [
            (mapped, column)
            for mapped in places
            if mapped is not None
            for column in mapped.columns
            if column.source is not None and column.source.lower() == node.name.lower()
        ]
        return columns[0] if columns and all(c == columns[0] for c in columns) else None


# --- habits of SQLite, each as what has to be written in Postgres -----------------------------------------------------


def _small_nulls(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Ordered):
        node.set("nulls_first", not node.args.get("desc"))
    return node


def _caseless_like(node: exp.Expr) -> exp.Expr:
    return exp.ILike(this=node.this, expression=node.expression) if isinstance(node, exp.Like) else node


def _bytewise_order(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Ordered) and isinstance(node.this, exp.Column):
        text = exp.cast(node.this.copy(), "text")
        node.set("this", exp.Collate(this=text, expression=exp.to_identifier("C", quoted=True)))
    return node


def _caseless_order(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Ordered) and isinstance(node.this, exp.Column | exp.Collate):
        inner = node.this.this if isinstance(node.this, exp.Collate) else node.this
        text = exp.Lower(this=exp.cast(inner.copy(), "text"))
        node.set("this", exp.Collate(this=text, expression=exp.to_identifier("C", quoted=True)))
    return node


def _whole_division(node: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="trunc", expressions=[node.copy()]) if isinstance(node, exp.Div) else node


def _outer_joins(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Join) and node.args.get("on") is not None and not node.side:
        node.set("side", "LEFT")
        node.set("kind", None)
    return node


def _booleans_as_numbers(names: Collection[str]) -> Callable[[exp.Expr], exp.Expr]:
    def remedy(node: exp.Expr) -> exp.Expr:
        compared = isinstance(node.parent, exp.Condition) and node.find_ancestor(exp.Where, exp.Join) is not None
        if isinstance(node, exp.Column) and node.name in names and compared:
            return exp.cast(node.copy(), "int")
        return node

    return remedy


_REMEDIES: Final[Mapping[str, Callable[[exp.Expr], exp.Expr]]] = {
    "order of NULL": _small_nulls,
    "LIKE and letter case": _caseless_like,
    "collation": _bytewise_order,
    "order without case": _caseless_order,
    "integer division": _whole_division,
    "inner join": _outer_joins,
}
