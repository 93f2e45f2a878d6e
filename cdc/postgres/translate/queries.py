"""SQLite's queries as Postgres SQL, where both engines are known to answer with the same rows.

Whatever is not listed here is refused with `Untranslatable`, as in `cdc.postgres.translate.expressions`, whose rules
for expressions these continue.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from cdc.postgres.translate.aggregates import aggregates, comparable, without_aggregates
from cdc.postgres.translate.relations import From, Relations
from cdc.postgres.translate.terms import Naming, Term, Untranslatable, condition, only, render, value


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """One column of an answer: `term` as it is selected, `sql` its expression alone, `alias` its lower-case name by AS.

    `node` is what it was in SQLite, None where a star stood for it.
    """

    term: Term
    sql: str
    alias: str = ""
    node: exp.Expr | None = None


@dataclass(frozen=True, slots=True)
class TranslatedQuery:
    """A translated query and its columns."""

    sql: str
    columns: tuple[QueryColumn, ...]


def translate_query(node: exp.Expr | None, relations: Relations) -> TranslatedQuery:
    """A SELECT, or several under UNION ALL; `relations` finds what it reads and may raise `Untranslatable` too."""
    if isinstance(node, exp.Union):
        return _union(node, relations)
    if isinstance(node, exp.Select):
        return _Select(node, relations).answer()
    raise Untranslatable("it is no SELECT")


# --- SELECT ---------------------------------------------------------------------------------------------------------


class _Select:
    """One SELECT: what it reads, selects and groups by is translated at once, the rest by `answer`."""

    def __init__(self, node: exp.Select, relations: Relations) -> None:
        only(node, "expressions", "from_", "joins", "where", "group", "distinct", "order")
        self._node = node
        self._from = From(node, relations)
        self._columns = [column for e in node.expressions for column in self._terms(e)]
        self._groups = [self._group(e) for e in self._grouping()]
        self._grouped = bool(self._groups) or any(aggregates(e) for e in node.expressions)

    def answer(self) -> TranslatedQuery:
        """The query as Postgres SQL."""
        where, distinct, order = (self._node.args.get(name) for name in ("where", "distinct", "order"))
        words = ["SELECT"]
        if distinct:
            words.append("DISTINCT")
            for column in self._columns:
                comparable(column.term)
        words += [", ".join(c.term.sql for c in self._columns), "FROM", self._from.sql]
        if where:
            words += ["WHERE", condition(without_aggregates(where.this), self._from)]
        if self._groups:
            words += ["GROUP BY", ", ".join(self._groups)]
        for column in self._columns:
            self._require_grouped(column.node, column.sql)
        if order:
            words.append(_order_by(order, self._columns, self._unselected, only_selected=bool(distinct)))
        return TranslatedQuery(" ".join(words), tuple(self._columns))

    def _terms(self, node: exp.Expr) -> Iterator[QueryColumn]:
        inner = node.unalias()
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            only(inner, "this", "table")
            yield from (QueryColumn(term, term.sql) for term in self._from.all_columns(inner.text("table")))
        else:
            alias = node.alias if isinstance(node, exp.Alias) else ""
            yield QueryColumn(_selected(inner, self._from), render(inner, self._from).sql, alias.lower(), inner)

    def _grouping(self) -> list[exp.Expr]:
        group = self._node.args.get("group")
        if not group:
            return []
        only(group, "expressions")
        return list(group.expressions)

    def _group(self, node: exp.Expr) -> str:
        """SQLite takes a number for a place, and a name for a column before it takes it for an alias."""
        if _is_number(node):
            column = _nth(node, self._columns)
            node = column.node or node
            term = replace(column.term, sql=column.sql)
        else:
            term = self._aliased(node) or render(node, self._from)
        without_aggregates(node)
        if comparable(term).constant is not None:
            raise Untranslatable("it groups by a constant")
        return term.sql

    def _aliased(self, node: exp.Expr) -> Term | None:
        if not isinstance(node, exp.Column) or self._from.has(node.text("table"), node.name):
            return None
        columns = [c for c in self._columns if c.alias == node.name.lower() and not aggregates(c.node)]
        return replace(columns[0].term, sql=columns[0].sql) if columns else None

    def _require_grouped(self, node: exp.Expr | None, sql: str) -> None:
        # SQLite takes such a column from some row of the group, without saying from which ("bare columns").
        if self._grouped and sql not in self._groups and (node is None or not self._is_grouped(node)):
            raise Untranslatable("it selects or orders by a column that it does not group by")

    def _is_grouped(self, node: exp.Expr) -> bool:
        if isinstance(node, exp.AggFunc):
            return True
        if isinstance(node, exp.Column):
            return render(node, self._from).sql in self._groups
        parts = list(node.iter_expressions())
        return all(map(self._is_grouped, parts)) or render(node, self._from).sql in self._groups

    def _unselected(self, node: exp.Expr) -> tuple[Term, str]:
        """What ORDER BY names that may be no column of the answer, and its expression."""
        term, sql = _selected(node, self._from), render(node, self._from).sql
        self._require_grouped(node if self._grouped else without_aggregates(node), sql)
        if term.constant is not None:
            raise Untranslatable("it orders by a constant")
        return term, sql


def _is_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string


def _nth(node: exp.Expr, columns: Sequence[QueryColumn]) -> QueryColumn:
    """The selected column that GROUP BY or ORDER BY names by its number, from 1."""
    place = int(node.name) if node.name.isdigit() else 0
    if not 1 <= place <= len(columns):
        raise Untranslatable(f"{node.name} is no place of a column")
    return columns[place - 1]


def _selected(node: exp.Expr, scope: Naming) -> Term:
    """A term as one column of an answer, of the type that its values have in SQLite."""
    term = render(node, scope)
    if term.origin is not None:
        return term
    if term.kind == "condition":
        term = Term(f"({term.sql})::integer", "number", type="bigint")
    elif term.kind == "boolean":
        term = value(node, scope)
    type_ = "text" if term.kind == "text" else term.type
    if not type_ or term.kind == "other":
        raise Untranslatable("it mixes integers and reals, or values of other types, in one column")
    collate = ' COLLATE "C"' if type_ == "text" else ""
    return replace(term, sql=f"({term.sql})::{type_}{collate}", collation="BINARY", type=type_)


# --- UNION ALL and ORDER BY -------------------------------------------------------------------------------------------


def _union(node: exp.Union, relations: Relations) -> TranslatedQuery:
    only(node, "this", "expression", "order")  # UNION without ALL has the part `distinct`
    left, right = (translate_query(part, relations) for part in (node.this, node.expression))
    if len(left.columns) != len(right.columns):
        raise Untranslatable("UNION ALL of different numbers of columns")
    columns = tuple(_common(*pair) for pair in zip(left.columns, right.columns, strict=True))
    sql = f"{left.sql} UNION ALL {right.sql}"
    order = node.args.get("order")
    if order:
        sql += f" {_order_by(order, columns, _not_selected, only_selected=True)}"
    return TranslatedQuery(sql, columns)


def _common(left: QueryColumn, right: QueryColumn) -> QueryColumn:
    """One column of UNION ALL, of which both queries must have the same type."""
    first, second = left.term, right.term
    as_they_are = first.kind == "other"
    if (first.kind, first.type) != (second.kind, second.type) or (as_they_are and not _read_alike(first, second)):
        raise Untranslatable("UNION ALL of columns whose types differ")
    collation = first.collation if first.collation == second.collation else "several"
    origin = first.origin if as_they_are else None
    alias = left.alias or (left.node.name.lower() if isinstance(left.node, exp.Column) else "")
    converts = first.converts or second.converts
    term = replace(first, collation=collation, constant=None, column=False, origin=origin, converts=converts)
    return QueryColumn(term, "", alias)


def _not_selected(_: exp.Expr) -> tuple[Term, str]:
    raise Untranslatable("it orders by what it does not select")


def _read_alike(left: Term, right: Term) -> bool:
    """Whether both columns hold SQLite's values in one and the same form."""
    first, second = left.origin, right.origin
    if first is None or second is None:
        return False
    facts = [(o.column.type, o.column.literal, o.column.reading, o.mapped.formats) for o in (first, second)]
    return facts[0] == facts[1]


def _order_by(
    node: exp.Expr,
    columns: Sequence[QueryColumn],
    unselected: Callable[[exp.Expr], tuple[Term, str]],
    *,
    only_selected: bool,
) -> str:
    """ORDER BY with NULL where SQLite has it. Numbers are places, names first of all aliases."""
    only(node, "expressions")
    terms = []
    for ordered in node.expressions:
        only(ordered, "this", "desc", "nulls_first")
        place, term = _order_term(ordered.this, columns, unselected)
        if place is None and only_selected:
            _not_selected(ordered)
        comparable(term)
        way = "DESC" if ordered.args.get("desc") else "ASC"
        nulls = "FIRST" if ordered.args.get("nulls_first") else "LAST"
        terms.append(f"{term.sql if place is None else place + 1} {way} NULLS {nulls}")
    return f"ORDER BY {', '.join(terms)}"


def _order_term(
    node: exp.Expr, columns: Sequence[QueryColumn], unselected: Callable[[exp.Expr], tuple[Term, str]]
) -> tuple[int | None, Term]:
    """The place of the column that a term of ORDER BY means, if it means one, and the term."""
    if _is_number(node):
        column = _nth(node, columns)
        return columns.index(column), column.term
    if isinstance(node, exp.Column) and not node.text("table"):
        for place, column in enumerate(columns):
            if column.alias == node.name.lower():
                return place, column.term
    term, sql = unselected(node)
    return next((place for place, c in enumerate(columns) if c.sql == sql), None), term
