"""Rules for what only queries have: counts, sums, choices and LIKE, beside those of `expressions`."""

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from cdc.postgres.translate.expressions import RULES, alike, same_type
from cdc.postgres.translate.terms import Naming, Rule, Term, Untranslatable, condition, only, render, text, value


def comparable(term: Term) -> Term:
    """The same term, where both engines agree which of its values are equal and which comes first."""
    if term.kind not in ("number", "text", "boolean"):
        raise Untranslatable("it groups, orders or compares values whose type differs between the two databases")
    if term.kind == "text" and term.collation != "BINARY":
        raise Untranslatable("it groups, orders or compares under a collation of SQLite")
    return term


def aggregates(node: exp.Expr | None) -> bool:
    """Whether a part, or anything in it, is an aggregate such as count() or sum()."""
    return node is not None and node.find(exp.AggFunc) is not None


def without_aggregates(node: exp.Expr) -> exp.Expr:
    """The same part; raises `Untranslatable` when it has an aggregate, which may not stand there."""
    if aggregates(node):
        raise Untranslatable("it counts or sums outside of the columns that it selects")
    return node


def _count(node: exp.Expr, scope: Naming) -> Term:
    inner = node.this
    if isinstance(inner, exp.Star):
        return Term("count(*)", "number", type="bigint")
    if isinstance(inner, exp.Distinct):
        if len(inner.expressions) != 1:
            raise Untranslatable("count() of several columns")
        return Term(f"count(DISTINCT {comparable(render(inner.expressions[0], scope)).sql})", "number", type="bigint")
    return Term(f"count({render(inner, scope).sql})", "number", type="bigint")


def _sum(node: exp.Expr, scope: Naming) -> Term:
    """Where SQLite answers, its sum of integers is one; the order in which reals are added changes their sum."""
    term = value(node.this, scope)
    if term.type != "bigint":
        raise Untranslatable("sum() of what is no integer depends on the order of the rows")
    return Term(f"sum({term.sql})::bigint", "number", type="bigint")


def _extreme(node: exp.Expr, scope: Naming) -> Term:
    only(node, "this")
    word = "min" if isinstance(node, exp.Min) else "max"
    term = comparable(value(node.this, scope))
    collate = ' COLLATE "C"' if term.kind == "text" else ""
    return Term(f"{word}({term.sql}{collate})", term.kind, type=term.type)


def _like(node: exp.Expr, scope: Naming) -> Term:
    """SQLite folds A to Z before it compares, and knows no character that escapes."""
    folded = [f'lower({text(part, scope).sql} COLLATE "C")' for part in (node.this, node.expression)]
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"
    return Term(f"({folded[0]} {word} {folded[1]} ESCAPE '')", "condition")


def _choice(node: exp.Expr, scope: Naming) -> Term:
    """CASE, and iif(): the kind and the type of its results have to be the same in every branch."""
    branches = node.args.get("ifs") or [node]
    otherwise = node.args.get("default" if isinstance(node, exp.Case) else "false")
    results = [b.args["true"] for b in branches] + ([otherwise] if otherwise is not None else [])
    terms = [value(result, scope) for result in results]
    if len({t.kind for t in terms}) > 1:
        raise Untranslatable("CASE of texts and numbers")
    subject = node.this if isinstance(node, exp.Case) else None
    words = ["CASE"]
    for branch, term in zip(branches, terms, strict=False):
        words.append(f"WHEN {_when(subject, branch.this, scope)} THEN {term.sql}")
    words += [f"ELSE {terms[-1].sql}"] if otherwise is not None else []
    # Of constants alone, its texts would be compared under the database's own collation.
    collate = ' COLLATE "C"' if terms[0].kind == "text" else ""
    return Term(f"({' '.join(words)} END{collate})", terms[0].kind, type=same_type(terms))


def _when(subject: exp.Expr | None, node: exp.Expr, scope: Naming) -> str:
    return " = ".join(alike([subject, node], scope)) if subject is not None else condition(node, scope)


QUERY_RULES: Final[Mapping[type[exp.Expr], Rule]] = {
    **RULES,
    exp.Count: _count,
    exp.Sum: _sum,
    exp.Min: _extreme,
    exp.Max: _extreme,
    exp.Like: _like,
    exp.Case: _choice,
    exp.If: _choice,
}
