"""Views of SQLite as views of Postgres: translated where that is safe, known by their comment, dropped in time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import asyncpg
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc.audit.chain import entry
from cdc.facts.source_schema import LeftOut, View
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn
from cdc.mapping.type_names import column_of_type
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.record import audit
from cdc.postgres.tables.hashed_rows import Sum, total
from cdc.postgres.tables.statement import LONGEST_NAME_BYTES
from cdc.postgres.translate.expressions import Origin, Scope, Term, Untranslatable
from cdc.postgres.translate.queries import QueryColumn, TranslatedQuery, translate_query
from cdc.postgres.translate.relations import Relation
from cdc.sql_names import qualified, quote, quote_literal

MARK: Final = "cdc: view of "
SQL: Final = load("views")
EXISTS: Final = "it exists"


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view as the target has it, and the replicated column whose values it passes on, if it does."""

    there: TargetColumn
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

    made: tuple[TargetView, ...]
    left_out: tuple[LeftOut, ...]


# --- translation ------------------------------------------------------------------------------------------------------


def translate_views(views: Sequence[View], maps: Sequence[TableMap], schema: str) -> Views:
    """Views of SQLite in terms of the targets of `maps`; the same views and maps always give the same."""
    return _Translation(views, maps, schema).all()


class _Translation:
    """Translates a view once those that it reads are."""

    def __init__(self, views: Sequence[View], maps: Sequence[TableMap], schema: str) -> None:
        self._schema = schema
        self._maps = {m.source.name.lower(): m for m in maps}
        self._targets = {m.target for m in maps}
        self._views = {view.name.lower(): view for view in views}
        self._made: dict[str, tuple[TargetView, Relation]] = {}
        self._refused: dict[str, str] = {}

    def all(self) -> Views:
        for name in self._views:
            self._translated(name)
        refused = tuple(LeftOut(self._views[name].name, "view", why) for name, why in sorted(self._refused.items()))
        return Views(tuple(view for view, _ in self._made.values()), refused)

    def _translated(self, name: str) -> tuple[TargetView, Relation] | None:
        if name not in self._made and name not in self._refused:
            try:
                self._made[name] = self._translate(self._views[name])
            except Untranslatable as reason:
                self._refused[name] = str(reason)
        return self._made.get(name)

    def _translate(self, view: View) -> tuple[TargetView, Relation]:
        self._refuse_name(view)
        read: dict[str, TableMap | TargetView] = {}
        answer = translate_query(_query(view.sql), self._reader(read))
        if len(answer.columns) != len(view.columns):
            raise Untranslatable("SQLite tells other columns of it")
        within = [found for found in read.values() if isinstance(found, TargetView)]
        tables = {found.source.name for found in read.values() if isinstance(found, TableMap)}
        return TargetView(
            name=view.name,
            schema=self._schema,
            sql=self._sql(view, answer),
            mark=_mark(view, sorted(found.mark for found in within)),
            columns=tuple(_column(*pair) for pair in zip(view.columns, answer.columns, strict=True)),
            tables=frozenset(tables).union(*(found.tables for found in within)),
            views=frozenset(found.name for found in within),
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
            found = self._translated(lower)
            if found is None:
                raise Untranslatable(f"it reads view {name}, which is left out")
            read[lower] = found[0]
            return found[1]

        return relation


def _query(sql: str) -> exp.Expr | None:
    try:
        made = sqlglot.parse_one(sql, read="sqlite")
    except (SqlglotError, RecursionError):
        raise Untranslatable("it cannot be parsed") from None
    query = made.expression if isinstance(made, exp.Create) else None
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
    """A column of a view, to those that read the view."""
    return replace(term, sql=quote(name), constant=None, column=True)


def _column(name: str, column: QueryColumn) -> ViewColumn:
    term = column.term
    type_ = term.origin.column.type if term.origin else term.type
    there = column_of_type(name, type_, not_null=False)
    if there is None:
        raise Untranslatable(f"its column {name} has type {type_}, which only Postgres knows")
    return ViewColumn(there, term.origin)


def _mark(view: View, within: Sequence[str]) -> str:
    facts = "\x1f".join((view.sql, *view.columns, *within))
    return f"{MARK}{view.name}, {sha256(facts.encode()).hexdigest()[:16]}"


# --- Postgres ---------------------------------------------------------------------------------------------------------


async def attempt(connection: Connection, view: TargetView, answer: Sum, seconds: float) -> str | None:
    """Make a view in the caller's transaction, unless Postgres then answers otherwise than `answer`, which SQLite did.

    Returns why it was not made: `EXISTS`, or words for the operator.
    """
    with translated(f"making view {view.name}"):
        comment = await connection.fetchval(SQL["comment_of"], view.schema, view.name)
        if comment is not None:
            return EXISTS if comment == view.mark else "its name is taken in Postgres"
        try:
            async with connection.transaction():
                await _prove(connection, view, answer, seconds)
        except (_Differs, *_REFUSALS) as error:
            return f"Postgres refuses it: {error.args[0]}" if isinstance(error, _REFUSALS) else str(error)
    return None


class _Differs(Exception):
    """Takes back what was made."""


_REFUSALS: Final = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.QueryCanceledError,
)


async def _prove(connection: Connection, view: TargetView, answer: Sum, seconds: float) -> None:
    await connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
    await connection.execute(view.script)
    found = await total(connection, view.schema, view.name, [c.there for c in view.columns])
    await connection.execute("SET LOCAL statement_timeout = 0")
    if found.rows != answer.rows:
        raise _Differs(f"it answers with {found.rows} rows in Postgres and with {answer.rows} in SQLite")
    if found != answer:
        raise _Differs("its rows have other values in Postgres than in SQLite")


async def tell(connection: Connection, source_id: str, outcomes: Mapping[str, str | None]) -> None:
    """Record which views were made (None), and why others were not."""
    entries = [
        entry("make view", "done", {"view": name})
        if why is None
        else entry("leave out view", "done", {"view": name, "why": why})
        for name, why in outcomes.items()
    ]
    if entries:
        with translated("telling of views"):
            async with connection.transaction():
                await audit.append(connection, source_id, entries)


async def marks(connection: Connection, schema: str, targets: Sequence[str]) -> dict[str, str]:
    """The views of ours that read some target tables, with their marks; none before one that reads it."""
    with translated("looking at the views"):
        found = await connection.fetch(SQL["ours"], schema, list(targets), MARK)
    return {row["name"]: row["comment"] for row in found}


async def drop_outdated(
    connection: Connection, source_id: str, schema: str, wanted: Sequence[TargetView], targets: Sequence[str]
) -> Mapping[str, str | None]:
    """Drop views of ours over some target tables that are not, or no longer so, among those wanted.

    By name why one could not be dropped, None for those that were. Nobody else's view is dropped, nor dropped along.
    """
    kept = {view.name: view.mark for view in wanted}
    found = await marks(connection, schema, targets)
    outdated = [name for name, mark in found.items() if mark != kept.get(name)]
    return {name: await _drop(connection, source_id, schema, name) for name in outdated}


async def _drop(connection: Connection, source_id: str, schema: str, name: str) -> str | None:
    with translated(f"dropping view {name}"):
        try:
            async with connection.transaction():
                await connection.execute(f"DROP VIEW {qualified(schema, name)}")
                await audit.append(connection, source_id, [entry("drop view", "done", {"view": name})])
        except asyncpg.DependentObjectsStillExistError as error:
            return str(error.detail)
    return None
