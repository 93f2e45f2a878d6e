"""Views of SQLite in terms of their targets: translated where both engines are known to answer the same. Pure text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc.facts.source_schema import LeftOut, View
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn
from cdc.mapping.type_names import column_of_type
from cdc.postgres.tables.statement import LONGEST_NAME_BYTES
from cdc.postgres.translate.expressions import Scope
from cdc.postgres.translate.queries import QueryColumn, TranslatedQuery, translate_query
from cdc.postgres.translate.relations import Relation
from cdc.postgres.translate.terms import Origin, Term, Untranslatable
from cdc.sql_names import qualified, quote, quote_literal

MARK: Final = "cdc: view of "


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view as the target has it, and the replicated column whose values it passes on, if it does."""

    target: TargetColumn
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class TargetView:
    """A view on its way: `sql` makes it. `tables` are the source tables that it reads, through other `views` too.

    `mark` is its comment, another one as soon as anything about it or the views it reads is another.
    """

    name: str
    schema: str
    sql: str
    mark: str
    columns: tuple[ViewColumn, ...]
    tables: frozenset[str]
    views: frozenset[str]

    @property
    def script(self) -> str:
        """The statements that make it and mark it."""
        comment = f"COMMENT ON VIEW {qualified(self.schema, self.name)} IS {quote_literal(self.mark)}"
        return f"{self.sql};\n{comment};\n"


@dataclass(frozen=True, slots=True)
class Views:
    """The views that can be made, each after those that it reads, and those that cannot, with the reason."""

    translated: tuple[TargetView, ...]
    left_out: tuple[LeftOut, ...]


def translate_views(views: Sequence[View], maps: Sequence[TableMap], schema: str) -> Views:
    """Views of SQLite in terms of the targets of `maps`; the same views and maps always give the same."""
    return _Translation(views, maps, schema).all()


class _Translation:
    """Translates views, each once and after those that it reads."""

    def __init__(self, views: Sequence[View], maps: Sequence[TableMap], schema: str) -> None:
        self._schema = schema
        self._maps = {m.source.name.lower(): m for m in maps}
        self._targets = {m.target for m in maps}
        self._views = {view.name.lower(): view for view in views}
        self._results: dict[str, tuple[TargetView, Relation]] = {}
        self._refused: dict[str, str] = {}

    def all(self) -> Views:
        for name in self._views:
            self._translated(name)
        refused = tuple(LeftOut(self._views[name].name, "view", why) for name, why in sorted(self._refused.items()))
        return Views(tuple(view for view, _ in self._results.values()), refused)

    def _translated(self, name: str) -> tuple[TargetView, Relation] | None:
        if name not in self._results and name not in self._refused:
            try:
                self._results[name] = self._translate(self._views[name])
            except Untranslatable as reason:
                self._refused[name] = str(reason)
        return self._results.get(name)

    def _translate(self, view: View) -> tuple[TargetView, Relation]:
        self._refuse_name(view)
        read: dict[str, TableMap | TargetView] = {}
        answer = translate_query(_query(view.sql), self._reader(read))
        if len(answer.columns) != len(view.columns):
            raise Untranslatable("SQLite tells other columns of it")
        within = [relation for relation in read.values() if isinstance(relation, TargetView)]
        tables = {relation.source.name for relation in read.values() if isinstance(relation, TableMap)}
        return TargetView(
            name=view.name,
            schema=self._schema,
            sql=self._sql(view, answer),
            mark=_mark(view, sorted(relation.mark for relation in within)),
            columns=tuple(_column(*pair) for pair in zip(view.columns, answer.columns, strict=True)),
            tables=frozenset(tables).union(*(relation.tables for relation in within)),
            views=frozenset(relation.name for relation in within),
        ), Relation(
            qualified(self._schema, view.name),
            {name.lower(): _passed_on(name, c.term) for name, c in zip(view.columns, answer.columns, strict=True)},
        )

    def _sql(self, view: View, answer: TranslatedQuery) -> str:
        names = ", ".join(map(quote, view.columns))
        return f"CREATE VIEW {qualified(self._schema, view.name)} ({names}) AS {answer.sql}"

    def _refuse_name(self, view: View) -> None:
        if view.name in self._targets:
            raise Untranslatable("a table has its name in Postgres")
        for name in (view.name, *view.columns):
            if len(name.encode()) > LONGEST_NAME_BYTES:
                raise Untranslatable(f"the name {name} is longer than Postgres keeps")

    def _reader(self, read: dict[str, TableMap | TargetView]) -> Callable[[str], Relation]:
        """Finds what a view reads, and remembers that it does."""

        def relation(name: str) -> Relation:
            lower = name.lower()
            mapped = self._maps.get(lower)
            if mapped is not None:
                read[lower] = mapped
                return _relation(mapped)
            if lower not in self._views:
                raise Untranslatable(f"it reads {name}, which is not replicated")
            view = self._translated(lower)
            if view is None:
                raise Untranslatable(f"it reads view {name}, which is left out")
            read[lower] = view[0]
            return view[1]

        return relation


def _query(sql: str) -> exp.Expr | None:
    try:
        statement = sqlglot.parse_one(sql, read="sqlite")
    except (SqlglotError, RecursionError):
        raise Untranslatable("it cannot be parsed") from None
    query = statement.expression if isinstance(statement, exp.Create) else None
    return query if isinstance(query, exp.Expr) else None


def _relation(mapped: TableMap) -> Relation:
    if mapped.adopted:
        raise Untranslatable(f"it reads {mapped.source.name}, whose table in Postgres others made")
    scope = Scope.of(mapped)
    columns: dict[str, Term | Untranslatable] = {}
    for column in mapped.source.columns:
        try:
            columns[column.name.lower()] = scope.column("", column.name)
        except Untranslatable as reason:
            columns[column.name.lower()] = reason
    return Relation(qualified(mapped.schema, mapped.target), columns)


def _passed_on(name: str, term: Term) -> Term:
    """A column of a view as the queries see it that read the view: by name, no longer as a literal."""
    return replace(term, sql=quote(name), constant=None, column=True)


def _column(name: str, column: QueryColumn) -> ViewColumn:
    term = column.term
    type_ = term.origin.column.type if term.origin else term.type
    target = column_of_type(name, type_, not_null=False)
    if target is None:
        raise Untranslatable(f"its column {name} has type {type_}, which only Postgres knows")
    return ViewColumn(target, term.origin)


def _mark(view: View, within: Sequence[str]) -> str:
    facts = "\x1f".join((view.sql, *view.columns, *within))
    return f"{MARK}{view.name}, {sha256(facts.encode()).hexdigest()[:16]}"
