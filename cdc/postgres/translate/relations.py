"""What a query of SQLite reads: tables, views and their joins, under the names that the query gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from cdc.postgres.translate.aggregates import QUERY_RULES, without_aggregates
from cdc.postgres.translate.terms import Rule, Term, Untranslatable, condition, only
from cdc.sql_names import quote


@dataclass(frozen=True, slots=True)
class Relation:
    """What a query may read: its SQL name, and its columns in order by lower-case name, or why one cannot be read."""

    sql: str
    columns: Mapping[str, Term | Untranslatable]


Relations = Callable[[str], Relation]


class From:
    """The relations that one SELECT reads, by the names it gives them."""

    def __init__(self, node: exp.Select, relations: Relations) -> None:
        first = node.args.get("from_")
        if first is None:
            raise Untranslatable("it reads no table")
        self._relations = relations
        self._named: dict[str, Relation] = {}
        self.sql = self._relation(first.this)
        for join in node.args.get("joins") or ():
            self.sql += self._join(join)

    @property
    def rules(self) -> Mapping[type[exp.Expr], Rule]:
        """The rules of expressions and of queries."""
        return QUERY_RULES

    def has(self, table: str, name: str) -> bool:
        """Whether something that is read has a column of that name, the table where one is named."""
        return any(name.lower() in relation.columns for _, relation in self._places(table))

    def column(self, table: str, name: str) -> Term:
        """A column under the name of its relation: `"r"."c"`; raises `Untranslatable` when none or several have it."""
        places = self._places(table)
        matches = [(place, r.columns[name.lower()]) for place, r in places if name.lower() in r.columns]
        if len(matches) != 1:
            raise Untranslatable(f"{name} is {'no' if not matches else 'more than one'} column of what it reads")
        return _qualified(*matches[0])

    def all_columns(self, table: str) -> list[Term]:
        """What a star stands for, of one relation or of all."""
        return [_qualified(place, term) for place, r in self._places(table) for term in r.columns.values()]

    def _places(self, table: str) -> list[tuple[str, Relation]]:
        return [(name, relation) for name, relation in self._named.items() if table.lower() in ("", name)]

    def _relation(self, node: exp.Expr) -> str:
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            raise Untranslatable("it reads something else than tables and views")
        only(node, "this", "db", "alias")
        if node.text("db").lower() not in ("", "main"):
            raise Untranslatable("it reads another database")
        relation = self._relations(node.name)
        name = (node.alias or node.name).lower()
        if name in self._named:
            raise Untranslatable(f"it reads two relations as {name}")
        self._named[name] = relation
        return f"{relation.sql} AS {quote(name)}"

    def _join(self, node: exp.Expr) -> str:
        only(node, "this", "side", "kind", "on")
        side, kind, on = node.text("side").upper(), node.text("kind").upper(), node.args.get("on")
        if side not in ("", "LEFT") or kind not in ("", "INNER", "CROSS", "OUTER") or (side and on is None):
            raise Untranslatable(f"{side} {kind} JOIN".strip() + " may mean something else in Postgres")
        relation = self._relation(node.this)
        if on is None:
            return f" CROSS JOIN {relation}"
        return f" {side or 'INNER'} JOIN {relation} ON {condition(without_aggregates(on), self)}"


def _qualified(place: str, term: Term | Untranslatable) -> Term:
    if isinstance(term, Untranslatable):
        raise Untranslatable(*term.args)
    return replace(term, sql=f"{quote(place)}.{term.sql}")
