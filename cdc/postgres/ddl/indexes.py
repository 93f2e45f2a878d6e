"""Unique constraints and indexes that mean what SQLite's mean, made after the rows are there.

Uniqueness is deferrable, so that values can swap owners inside one transaction. Postgres has no deferrable unique
index over an expression or a part of the table; an exclusion constraint with `=` is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cdc.facts.source_schema import Index, IndexTerm, KeyKind
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.mapping.check import MOST_KEY_COLUMNS
from cdc.postgres.tables.statement import Deviation, Made, Names, Statement
from cdc.postgres.translate.expressions import Scope, translate_condition, translate_value
from cdc.postgres.translate.terms import Untranslatable
from cdc.sql_names import qualified, quote
from cdc.values.documents import JSON, JSONB
from cdc.values.registry import TYPES

DEFERRABLE: Final = "DEFERRABLE INITIALLY IMMEDIATE"

# Two texts of SQLite can be one value of these types: uniqueness there would refuse rows that SQLite holds.
COARSER: Final = frozenset(type_.name for type_ in TYPES.values() if type_.coarse)
_DOCUMENTS: Final = (JSON.name, JSONB.name)


@dataclass(frozen=True, slots=True)
class _Term:
    """A term of an index in Postgres; `column` is the target column when it is one plainly."""

    sql: str
    column: ColumnMap | None
    descending: bool
    nullable: bool


def uniques(mapped: TableMap, names: Names, referenced: set[frozenset[str]]) -> Iterator[Statement | Deviation]:
    """Constraints for the unique indexes of a table; `referenced` are column sets that foreign keys point to.

    Postgres lets a foreign key point to a constraint only when that is not deferrable.
    """
    for index in mapped.source.indexes:
        if not index.unique or _is_primary_key(mapped, index):
            continue
        try:
            terms, where = _terms(mapped, index), _predicate(mapped, index)
        except Untranslatable as why:
            yield Deviation(mapped.source.name, index.name, f"this uniqueness is left out: {why}")
            continue
        if coarse := [t.column for t in terms if t.column and t.column.type in COARSER]:
            reason = (
                f"two texts of SQLite can be one {coarse[0].type}, so uniqueness is left to SQLite; an index instead"
            )
            yield Deviation(mapped.source.name, index.name, reason)
            yield from _index_statement(mapped, index, terms, where, names)
            continue
        yield _unique_statement(mapped, index, terms, where, names, referenced)


def _is_primary_key(mapped: TableMap, index: Index) -> bool:
    """Whether the target's primary key says as much; under NOCASE the key's own uniqueness is wider."""
    return (
        index.origin == "pk"
        and mapped.source.key.kind is not KeyKind.ROWID
        and all(t.collation == "BINARY" for t in index.terms)
    )


def _unique_statement(
    mapped: TableMap, index: Index, terms: list[_Term], where: str | None, names: Names, referenced: set[frozenset[str]]
) -> Statement:
    columns = [t.column.target for t in terms if t.column]
    label = "_".join([mapped.target, *(columns or ["expression"]), "key"])
    name = names.take(index.name if index.origin == "c" else label, mapped.target, index.name)
    if where is None and len(columns) == len(terms):
        deferrable = "" if frozenset(columns) in referenced else f" {DEFERRABLE}"
        body = f"UNIQUE ({', '.join(map(quote, columns))}){deferrable}"
    else:
        parts = ", ".join(f"{t.sql} WITH =" for t in terms)
        condition = f" WHERE ({where})" if where else ""
        body = f"EXCLUDE USING btree ({parts}){condition} {DEFERRABLE}"
    return constraint(mapped, name, body, Made.CONSTRAINT)


def constraint(mapped: TableMap, name: str, body: str, kind: Made) -> Statement:
    """The statement that adds a constraint to a mapped table."""
    sql = f"ALTER TABLE {qualified(mapped.schema, mapped.target)} ADD CONSTRAINT {quote(name)} {body}"
    return Statement(name, sql, kind, mapped.schema, mapped.target, body=body)


def indexes(mapped: TableMap, names: Names) -> Iterator[Statement | Deviation]:
    """The ordinary indexes of a table, and one over each jsonb column that is searched by containment."""
    for index in mapped.source.indexes:
        if index.unique:
            continue
        try:
            terms, where = _terms(mapped, index), _predicate(mapped, index)
        except Untranslatable as why:
            yield Deviation(mapped.source.name, index.name, f"this index is left out: {why}")
            continue
        if any(t.column and t.column.type in _DOCUMENTS for t in terms):
            yield Deviation(
                mapped.source.name, index.name, "a jsonb column has no order of texts; it has a GIN index instead"
            )
            continue
        yield from _index_statement(mapped, index, terms, where, names)
    for column in mapped.columns:
        if column.type == JSONB.name:
            name = names.take(f"{mapped.target}_{column.target}_gin", mapped.target)
            yield ordinary_index(mapped, name, f"USING gin ({quote(column.target)})")


def _index_statement(
    mapped: TableMap, index: Index, terms: list[_Term], where: str | None, names: Names
) -> Iterator[Statement]:
    if any(t.column and t.column.type in _DOCUMENTS for t in terms):
        return
    name = names.take(index.name if index.origin == "c" else f"{mapped.target}_{index.name}", mapped.target, index.name)
    condition = f" WHERE ({where})" if where else ""
    yield ordinary_index(mapped, name, f"({', '.join(map(_ordered, terms))}){condition}")


def ordinary_index(mapped: TableMap, name: str, body: str) -> Statement:
    """The statement that makes an index, which the data can do without; Postgres refuses entries over 2,704 bytes."""
    sql = f"CREATE INDEX IF NOT EXISTS {quote(name)} ON {qualified(mapped.schema, mapped.target)} {body}"
    return Statement(name, sql, Made.INDEX, mapped.schema, mapped.target, optional=True)


def _ordered(term: _Term) -> str:
    """SQLite puts NULLs first. Where there are none, Postgres' own order serves a plain ORDER BY."""
    if term.descending:
        return f"{term.sql} DESC NULLS LAST" if term.nullable else f"{term.sql} DESC"
    return f"{term.sql} NULLS FIRST" if term.nullable else term.sql


def _terms(mapped: TableMap, index: Index) -> list[_Term]:
    if len(index.terms) > MOST_KEY_COLUMNS:
        raise Untranslatable(f"it has {len(index.terms)} terms, Postgres allows {MOST_KEY_COLUMNS}")
    return [_term(mapped, t) for t in index.terms]


def _term(mapped: TableMap, term: IndexTerm) -> _Term:
    if term.column is None:
        value = translate_value(term.expression or "", Scope.of(mapped))
        sql = _collated(value.sql, term.collation) if value.kind == "text" else None
        return _Term(f"({sql or value.sql})", None, term.descending, nullable=True)
    column = plain_column(mapped, term.column)
    if column is None:
        raise Untranslatable(f"column {term.column} is not replicated as it is")
    nullable = not mapped.source.column(term.column).not_null and column.target not in mapped.key
    is_text = column.type.startswith(("text", "varchar", "char"))
    collated = _collated(quote(column.target), term.collation) if is_text else None
    if collated is None:
        return _Term(quote(column.target), column, term.descending, nullable)
    if column.literal and term.collation == "RTRIM":
        raise Untranslatable("RTRIM over a column of literals")
    return _Term(f"({collated})", None, term.descending, nullable)


def _collated(sql: str, collation: str) -> str | None:
    """An expression that is equal where SQLite's collation says equal; None when no expression is needed.

    NOCASE folds A to Z and nothing else, and so does lower() under "C".
    """
    match collation:
        case "BINARY":
            return None
        case "NOCASE":
            return f'lower({sql} COLLATE "C")'
        case "RTRIM":
            return f"rtrim({sql}, ' ')"
        case _:
            raise Untranslatable(f"the application defines the collation {collation} itself")


def _predicate(mapped: TableMap, index: Index) -> str | None:
    return translate_condition(index.predicate, Scope.of(mapped)) if index.predicate else None


def plain_column(mapped: TableMap, source: str) -> ColumnMap | None:
    """The map of a source column that is replicated as it is, or None."""
    return next((c for c in mapped.columns if c.source and c.source.lower() == source.lower()), None)
