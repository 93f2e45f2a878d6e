"""SQLite's expressions and defaults as Postgres SQL, where both engines are known to answer the same.

Only what is listed here is translated; anything else raises `Untranslatable`. A check that is stricter than SQLite's
would refuse rows that the application holds, and an index over another expression would guard something else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc.model import ColumnMap, TableMap
from cdc.quoting import quote, quote_literal

Kind = Literal["number", "text", "boolean", "condition", "other"]
_KINDS: Final[dict[str, Kind]] = {
    "bigint": "number",
    "integer": "number",
    "double precision": "number",
    "numeric": "number",
    "text": "text",
    "boolean": "boolean",
}
_COMPARISONS: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}


class Untranslatable(Exception):
    """An expression that may mean something else in Postgres; the text says which part and why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression may use: the table's own, and its columns by lower-case source name."""

    table: str
    columns: Mapping[str, tuple[ColumnMap, str]]

    @classmethod
    def of(cls, mapped: TableMap) -> "Scope":
        """The scope of a mapped table; columns that are not replicated plainly are not in it."""
        named = {c.source.lower(): c for c in mapped.columns if c.source}
        source = {c.name.lower(): c.collation for c in mapped.source.columns}
        return cls(mapped.source.name.lower(), {name: (c, source[name]) for name, c in named.items()})


@dataclass(frozen=True, slots=True)
class Term:
    """A translated part: its SQL, what it yields, and the collation that SQLite would compare it with.

    `constant` is the value of a literal; `column` marks a plain column.
    """

    sql: str
    kind: Kind
    collation: str = "BINARY"
    constant: str | None = None
    column: bool = False


def translate_condition(sql: str, scope: Scope) -> str:
    """A CHECK or an index's WHERE as Postgres SQL; raises `Untranslatable`."""
    return _condition(_parse(sql), scope)


def translate_value(sql: str, scope: Scope) -> Term:
    """An index's expression as Postgres SQL; raises `Untranslatable`."""
    return _value(_parse(sql), scope)


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


def _render(node: exp.Expr, scope: Scope) -> Term:
    rule = _RULES.get(type(node))
    if rule is None:
        raise Untranslatable(f"{type(node).__name__} may mean something else in Postgres")
    return rule(node, scope)


def _condition(node: exp.Expr, scope: Scope) -> str:
    term = _render(node, scope)
    if term.kind in ("condition", "boolean"):
        return term.sql
    if term.kind == "number":
        return f"({term.sql} <> 0)"
    raise Untranslatable("a text as a condition means its leading number in SQLite")


def _value(node: exp.Expr, scope: Scope) -> Term:
    term = _render(node, scope)
    if term.kind == "boolean":
        return Term(f"({term.sql})::integer", "number")
    if term.kind in ("condition", "other"):
        raise Untranslatable("it compares or transforms a value whose type differs between the two databases")
    return term


def _text(node: exp.Expr, scope: Scope) -> Term:
    term = _value(node, scope)
    if term.kind != "text":
        raise Untranslatable("a text function over something that is no text column")
    return term


# --- one rule for each kind of node ---------------------------------------------------------------------------------


def _column(node: exp.Expr, scope: Scope) -> Term:
    name, table = node.name, node.text("table")
    if table and table.lower() != scope.table:
        raise Untranslatable(f"it names {table}, which is another table")
    found = scope.columns.get(name.lower())
    if found is None:
        raise Untranslatable(f"{name} is no replicated column")
    mapped, collation = found
    kind = "other" if mapped.literal else _KINDS.get(mapped.type, "other")
    return Term(quote(mapped.target), kind, collation, column=True)


def _literal(node: exp.Expr, _: Scope) -> Term:
    text = str(node.this)
    if node.is_string:
        return Term(quote_literal(text), "text", constant=text)
    return Term(text, "number", constant=text)


def _boolean(node: exp.Expr, _: Scope) -> Term:
    text = "1" if node.this else "0"
    return Term(text, "number", constant=text)


def _negative(node: exp.Expr, scope: Scope) -> Term:
    term = _render(node.this, scope)
    if term.kind != "number" or term.constant is None:
        raise Untranslatable("a negated expression can leave Postgres' range")
    # Two signs side by side would begin a comment.
    return Term(f"(-{term.sql})", "number", constant=f"-{term.constant}")


def _paren(node: exp.Expr, scope: Scope) -> Term:
    term = _render(node.this, scope)
    return replace(term, sql=f"({term.sql})", column=False)


def _both(node: exp.Expr, scope: Scope) -> Term:
    word = "AND" if isinstance(node, exp.And) else "OR"
    return Term(f"({_condition(node.this, scope)} {word} {_condition(node.expression, scope)})", "condition")


def _not(node: exp.Expr, scope: Scope) -> Term:
    return Term(f"(NOT {_condition(node.this, scope)})", "condition")


def _is(node: exp.Expr, scope: Scope) -> Term:
    if not isinstance(node.expression, exp.Null):
        raise Untranslatable("IS compares values here")
    return Term(f"({_render(node.this, scope).sql} IS NULL)", "condition")


def _comparison(node: exp.Expr, scope: Scope) -> Term:
    left, right = _alike([node.this, node.expression], scope)
    return Term(f"({left} {_COMPARISONS[type(node)]} {right})", "condition")


def _in(node: exp.Expr, scope: Scope) -> Term:
    if not node.expressions or node.args.get("query") is not None:
        raise Untranslatable("IN over a query")
    left, *rest = _alike([node.this, *node.expressions], scope)
    return Term(f"({left} IN ({', '.join(rest)}))", "condition")


def _between(node: exp.Expr, scope: Scope) -> Term:
    value, low, high = _alike([node.this, node.args["low"], node.args["high"]], scope)
    return Term(f"({value} BETWEEN {low} AND {high})", "condition")


def _alike(nodes: list[exp.Expr], scope: Scope) -> list[str]:
    """The parts as SQL of one kind; a boolean column beside 0 and 1 stays boolean, so that its indexes serve."""
    terms = [_render(n, scope) for n in nodes]
    if terms[0].kind == "boolean" and all(t.constant in ("0", "1") and t.kind == "number" for t in terms[1:]):
        return [terms[0].sql, *("true" if t.constant == "1" else "false" for t in terms[1:])]
    terms = [_value(n, scope) for n in nodes]
    if len({t.kind for t in terms}) > 1:
        raise Untranslatable("it compares a text with a number, which SQLite converts by its own rules")
    if terms[0].kind == "text" and any(t.collation != "BINARY" for t in terms):
        raise Untranslatable("it compares under a collation of SQLite")
    return [t.sql for t in terms]


def _case(node: exp.Expr, scope: Scope) -> Term:
    # Under "C" Postgres folds A to Z only, as SQLite does.
    word = "lower" if isinstance(node, exp.Lower) else "upper"
    return Term(f'{word}({_text(node.this, scope).sql} COLLATE "C")', "text")


def _length(node: exp.Expr, scope: Scope) -> Term:
    return Term(f"length({_text(node.this, scope).sql})", "number")


def _trim(node: exp.Expr, scope: Scope) -> Term:
    if node.args.get("expression") is not None or node.args.get("collation") is not None:
        raise Untranslatable("trim() of chosen characters")
    word = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.text("position").upper(), "btrim")
    return Term(f"{word}({_text(node.this, scope).sql}, ' ')", "text")


def _substring(node: exp.Expr, scope: Scope) -> Term:
    places = [node.args[name].name for name in ("start", "length") if node.args.get(name) is not None]
    if not all(isinstance(node.args.get(n), exp.Literal) for n in ("start", "length") if node.args.get(n) is not None):
        raise Untranslatable("substr() with computed places")
    if not all(p.isdigit() and len(p) < 9 for p in places) or not places or int(places[0]) < 1:
        raise Untranslatable("substr() from the end or before the start")
    return Term(f"substr({', '.join([_text(node.this, scope).sql, *places])})", "text")


def _coalesce(node: exp.Expr, scope: Scope) -> Term:
    terms = [_value(n, scope) for n in (node.this, *node.expressions)]
    if len({t.kind for t in terms}) > 1:
        raise Untranslatable("coalesce() of texts and numbers")
    return Term(f"coalesce({', '.join(t.sql for t in terms)})", terms[0].kind)


def _concatenation(node: exp.Expr, scope: Scope) -> Term:
    return Term(f"({_text(node.this, scope).sql} || {_text(node.expression, scope).sql})", "text")


_RULES: Final[dict[type[exp.Expr], Callable[[exp.Expr, Scope], Term]]] = {
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
