"""SQLite's expressions and defaults as Postgres SQL, where both engines are known to answer the same.

Only what is listed here is translated; anything else raises `Untranslatable`. A check that is stricter than SQLite's
would refuse rows that the application holds, and an index over another expression would guard something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc.facts.source_schema import Affinity
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.mapping.type_names import column_of_type, reading_of
from cdc.postgres.translate.terms import (
    Kind,
    Naming,
    Origin,
    Rule,
    Term,
    Untranslatable,
    condition,
    render,
    text,
    value,
)
from cdc.sql_names import quote, quote_literal
from cdc.values.booleans import BOOLEAN
from cdc.values.numbers import BIGINT, DOUBLE, INTEGER, NUMERIC
from cdc.values.texts import TEXT

KINDS: Final[dict[str, Kind]] = {
    BIGINT.name: "number",
    INTEGER.name: "number",
    DOUBLE.name: "number",
    NUMERIC.name: "number",
    TEXT.name: "text",
    BOOLEAN.name: "boolean",
}
_COMPARISONS: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression over one table may use: its own, and its columns by lower-case source name."""

    mapped: TableMap
    columns: Mapping[str, ColumnMap]

    @classmethod
    def of(cls, mapped: TableMap) -> "Scope":
        """The scope of a mapped table; columns that are not replicated plainly are not in it."""
        return cls(mapped, {c.source.lower(): c for c in mapped.columns if c.source})

    @property
    def rules(self) -> Mapping[type[exp.Expr], Rule]:
        """The rules of expressions alone: a CHECK and an index have no aggregates."""
        return RULES

    def column(self, table: str, name: str) -> Term:
        """A column under its name in the target; raises `Untranslatable` where its values may not be SQLite's own."""
        if table and table.lower() != self.mapped.source.name.lower():
            raise Untranslatable(f"it names {table}, which is another table")
        column = self.columns.get(name.lower())
        if column is None:
            raise Untranslatable(f"{name} is no replicated column")
        if reading_of(self.mapped, column).loses:
            raise Untranslatable(f"values of {name} may become others, as the configuration says")
        kind = "other" if self._read_otherwise(column) else KINDS.get(column.type, "other")
        type_ = "bigint" if column.type == "integer" else column.type
        source, origin = self.mapped.source.column(name), Origin(self.mapped, column)
        converts = source.affinity not in (Affinity.TEXT, Affinity.BLOB)
        return Term(quote(column.target), kind, source.collation, None, True, type_, origin, converts)

    def _read_otherwise(self, column: ColumnMap) -> bool:
        """Whether a value of SQLite is more than its own storage class in Postgres."""
        target = column_of_type(column.target, column.type, not_null=False)
        return column.literal or target is None or reading_of(self.mapped, column) != ValueRules()


def translate_condition(sql: str, scope: Scope) -> str:
    """A CHECK or an index's WHERE as Postgres SQL; raises `Untranslatable`."""
    return condition(_parse(sql), scope)


def translate_value(sql: str, scope: Naming) -> Term:
    """An index's expression as Postgres SQL; raises `Untranslatable`."""
    return value(_parse(sql), scope)


def columns_in(sql: str) -> frozenset[str]:
    """The columns that an expression names, in lower case; raises `Untranslatable`."""
    return frozenset(column.name.lower() for column in _parse(sql).find_all(exp.Column))


def _parse(sql: str) -> exp.Expr:
    # As a column of a query: alone, replace(...) would be read as the statement REPLACE. The line end closes a comment.
    try:
        query = sqlglot.parse_one(f"SELECT ({sql}\n)", read="sqlite")
    except (SqlglotError, RecursionError):
        raise Untranslatable("it cannot be parsed") from None
    filled = [name for name, part in query.args.items() if part]
    if filled != ["expressions"] or len(query.expressions) != 1 or not isinstance(query.expressions[0], exp.Paren):
        raise Untranslatable("it is not one expression")
    inner: exp.Expr = query.expressions[0].this
    return inner


# --- one rule for each kind of node ---------------------------------------------------------------------------------


def _column(node: exp.Expr, scope: Naming) -> Term:
    return scope.column(node.text("table"), node.name)


def _literal(node: exp.Expr, _: Naming) -> Term:
    written = str(node.this)
    if node.is_string:
        return Term(quote_literal(written), "text", constant=written)
    if not written.isdigit():
        written = repr(float(written))  # as SQLite rounds it, so that a decimal column is compared with the same
        if written == "inf":
            raise Untranslatable("a number beyond the reals is infinity in SQLite")
        return Term(written, "number", constant=written, type=DOUBLE.name)
    if int(written) >= 2**63:
        raise Untranslatable("an integer beyond 64 bits is a real in SQLite")
    return Term(written, "number", constant=written, type="bigint")


def _boolean(node: exp.Expr, _: Naming) -> Term:
    written = "1" if node.this else "0"
    return Term(written, "number", constant=written, type="bigint")


def _negative(node: exp.Expr, scope: Naming) -> Term:
    term = render(node.this, scope)
    if term.kind != "number" or term.constant is None:
        raise Untranslatable("a negated expression can leave Postgres' range")
    # Two signs side by side would begin a comment.
    return Term(f"(-{term.sql})", "number", constant=f"-{term.constant}", type=term.type)


def _paren(node: exp.Expr, scope: Naming) -> Term:
    term = render(node.this, scope)
    return replace(term, sql=f"({term.sql})", column=False)


def _both(node: exp.Expr, scope: Naming) -> Term:
    word = "AND" if isinstance(node, exp.And) else "OR"
    return Term(f"({condition(node.this, scope)} {word} {condition(node.expression, scope)})", "condition")


def _not(node: exp.Expr, scope: Naming) -> Term:
    return Term(f"(NOT {condition(node.this, scope)})", "condition")


def _is(node: exp.Expr, scope: Naming) -> Term:
    if not isinstance(node.expression, exp.Null):  # SQLite's IS takes any operand, and calls two NULLs equal
        raise Untranslatable("IS compares values here")
    return Term(f"({render(node.this, scope).sql} IS NULL)", "condition")


def _comparison(node: exp.Expr, scope: Naming) -> Term:
    left, right = alike([node.this, node.expression], scope)
    return Term(f"({left} {_COMPARISONS[type(node)]} {right})", "condition")


def _in(node: exp.Expr, scope: Naming) -> Term:
    if not node.expressions:  # an empty list, which Postgres does not take
        raise Untranslatable("IN over nothing")
    left, *rest = alike([node.this, *node.expressions], scope)
    return Term(f"({left} IN ({', '.join(rest)}))", "condition")


def _between(node: exp.Expr, scope: Naming) -> Term:
    value, low, high = alike([node.this, node.args["low"], node.args["high"]], scope)
    return Term(f"({value} BETWEEN {low} AND {high})", "condition")


def alike(nodes: list[exp.Expr], scope: Naming) -> list[str]:
    """The parts as SQL of one kind; a boolean column beside 0 and 1 stays boolean, so that its indexes serve."""
    terms = [render(n, scope) for n in nodes]
    if terms[0].kind == "boolean" and all(t.constant in ("0", "1") and t.kind == "number" for t in terms[1:]):
        return [terms[0].sql, *("true" if t.constant == "1" else "false" for t in terms[1:])]
    terms = [value(n, scope) for n in nodes]
    if len({t.kind for t in terms}) > 1:
        raise Untranslatable("it compares a text with a number, which SQLite converts by its own rules")
    if terms[0].kind == "text" and any(t.collation != "BINARY" for t in terms):
        raise Untranslatable("it compares under a collation of SQLite")
    _refuse_rounded(terms)
    _refuse_converted(terms)
    return [t.sql for t in terms]


def _refuse_converted(terms: Sequence[Term]) -> None:
    """A column declared STRING, say, compares with numbers: '5' is 5 then, which comes before every text."""
    texts = [t for t in terms if t.kind == "text"]
    sure = all(t.converts or (t.constant is not None and not any(map(str.isdigit, t.constant))) for t in texts)
    if any(t.converts for t in texts) and not sure:
        raise Untranslatable("SQLite takes texts for numbers there, where they look like numbers")


def _refuse_rounded(terms: Sequence[Term]) -> None:
    """SQLite compares integers with reals exactly; Postgres makes doubles of both, which bends large ones."""
    types = [t.type for t in terms if t.constant is None and t.kind == "number"]
    if len(set(types)) > 1 or ("" in types and len(types) > 1):
        raise Untranslatable("it compares integers with reals")
    if DOUBLE.name in types and not all(_is_exact(t) for t in terms if t.constant is not None):
        raise Untranslatable("it compares reals with an integer that no real holds")


def _is_exact(term: Term) -> bool:
    return term.type != "bigint" or term.constant is None or float(term.constant) == int(term.constant)


def same_type(terms: Sequence[Term]) -> str:
    """The Postgres type that holds whichever of the terms it is as SQLite has it, "" when there is none."""
    if terms[0].kind == "text":
        return ""
    columns = {t.type for t in terms if t.constant is None}
    types = columns or {t.type for t in terms}
    if len(types) != 1:
        return ""
    fits = {*types, BIGINT.name} if types <= {DOUBLE.name, NUMERIC.name} else types
    return types.pop() if all(t.constant is None or (t.type in fits and _is_exact(t)) for t in terms) else ""


def _case(node: exp.Expr, scope: Naming) -> Term:
    # Under "C" Postgres folds A to Z only, as SQLite does.
    word = "lower" if isinstance(node, exp.Lower) else "upper"
    return Term(f'{word}({text(node.this, scope).sql} COLLATE "C")', "text")


def _length(node: exp.Expr, scope: Naming) -> Term:
    return Term(f"length({text(node.this, scope).sql})", "number", type="bigint")


def _trim(node: exp.Expr, scope: Naming) -> Term:
    if node.args.get("expression") is not None:
        raise Untranslatable("trim() of chosen characters")
    word = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.text("position").upper(), "btrim")
    return Term(f"{word}({text(node.this, scope).sql}, ' ')", "text")


def _substring(node: exp.Expr, scope: Naming) -> Term:
    places = [node.args[name].name for name in ("start", "length") if node.args.get(name) is not None]
    if not all(isinstance(node.args.get(n), exp.Literal) for n in ("start", "length") if node.args.get(n) is not None):
        raise Untranslatable("substr() with computed places")
    if not all(p.isdigit() and len(p) < 9 for p in places) or not places or int(places[0]) < 1:
        raise Untranslatable("substr() from the end or before the start")
    return Term(f"substr({', '.join([text(node.this, scope).sql, *places])})", "text")


def _coalesce(node: exp.Expr, scope: Naming) -> Term:
    terms = [value(n, scope) for n in (node.this, *node.expressions)]
    if len({t.kind for t in terms}) > 1:
        raise Untranslatable("coalesce() of texts and numbers")
    return Term(f"coalesce({', '.join(t.sql for t in terms)})", terms[0].kind, type=same_type(terms))


def _concatenation(node: exp.Expr, scope: Naming) -> Term:
    return Term(f"({text(node.this, scope).sql} || {text(node.expression, scope).sql})", "text")


RULES: Final[Mapping[type[exp.Expr], Rule]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: _boolean,
    exp.Neg: _negative,
    exp.Paren: _paren,
    exp.And: _both,
    exp.Or: _both,
    exp.Not: _not,
    exp.Is: _is,
    exp.In: _in,
    exp.Between: _between,
    exp.Lower: _case,
    exp.Upper: _case,
    exp.Length: _length,
    exp.Trim: _trim,
    exp.Substring: _substring,
    exp.Coalesce: _coalesce,
    exp.DPipe: _concatenation,
    **dict.fromkeys(_COMPARISONS, _comparison),
}
