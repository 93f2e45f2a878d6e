"""A part of SQLite's SQL on its way to Postgres: what it yields, what it may be made of, and how it is asked for.

Whatever no rule is there for raises `Untranslatable`. The rules themselves stand in `expressions` and `aggregates`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc.facts.table_map import ColumnMap, TableMap

LONGEST_SAID: Final = 40  # characters of a part that a message shows

Kind = Literal["number", "text", "boolean", "condition", "other"]
# What a node may have beside its operands.
_PARTS: Final[Mapping[type[exp.Expr], tuple[str, ...]]] = {
    exp.Column: ("table",),
    exp.Literal: ("is_string",),
    exp.Between: ("low", "high"),
    exp.Trim: ("position",),
    exp.Substring: ("start", "length"),
    exp.Coalesce: ("is_nvl", "is_null"),
    exp.DPipe: ("safe",),
    exp.Count: ("big_int",),
    exp.Like: ("negate",),
    exp.Case: ("ifs", "default"),
    exp.If: ("true", "false"),
}


class Untranslatable(Exception):
    """An expression that may mean something else in Postgres; the text says which part and why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The replicated column whose values a term passes on as they are."""

    mapped: TableMap
    column: ColumnMap


@dataclass(frozen=True, slots=True)
class Term:
    """A translated part: its SQL, what it yields, and the collation that SQLite would compare it with.

    `type` is its Postgres type, "" where that depends on the row. `constant` is the value of a literal; `column` marks
    a plain column. `converts` says that a text compared with it is a number to SQLite, if it looks like one.
    """

    sql: str
    kind: Kind
    collation: str = "BINARY"
    constant: str | None = None
    column: bool = False
    type: str = ""
    origin: Origin | None = None
    converts: bool = False


class Naming(Protocol):
    """What an expression may be made of: columns by their names in SQLite, and parts for which there is a rule."""

    @property
    def rules(self) -> "Mapping[type[exp.Expr], Rule]":
        """How each kind of part is translated."""

    def column(self, table: str, name: str) -> Term:
        """The column of that name, of the table where one is named; raises `Untranslatable`."""


Rule: TypeAlias = Callable[[exp.Expr, Naming], Term]


def render(node: exp.Expr, scope: Naming) -> Term:
    """One part of a statement, by the rule for its kind of node; raises `Untranslatable` where there is none."""
    rule = scope.rules.get(type(node))
    if rule is None:
        raise Untranslatable(f"{said(node)} may mean something else in Postgres")
    only(node, "this", "expression", "expressions", *_PARTS.get(type(node), ()))
    return rule(node, scope)


def said(node: exp.Expr) -> str:
    """A part as it is written, a call by the name of its function alone: the parser has names of its own for them."""
    try:
        text = " ".join(node.sql(dialect="sqlite").split())
    except SqlglotError:
        return "a part of it"
    name, call, _ = text.partition("(")
    if isinstance(node, exp.Func) and call and name.isidentifier():
        return f"{name.lower()}()"
    return text if len(text) <= LONGEST_SAID else f"{text[:LONGEST_SAID]}..."


def only(node: exp.Expr, *allowed: str) -> None:
    """Raises `Untranslatable` for a part of a node that no rule looks at: a negation, for instance."""
    for name, part in node.args.items():
        if part and name not in allowed:
            what = said(part) if isinstance(part, exp.Expr) else part if isinstance(part, str) else name.strip("_")
            raise Untranslatable(f"{what} may mean something else in Postgres")


def condition(node: exp.Expr, scope: Naming) -> str:
    """SQL of a part as a truth value, of type boolean in Postgres."""
    term = render(node, scope)
    if term.kind in ("condition", "boolean"):
        return term.sql
    if term.kind == "number":
        return f"({term.sql} <> 0)"
    raise Untranslatable("a text as a condition means its leading number in SQLite")


def value(node: exp.Expr, scope: Naming) -> Term:
    """A part as a number or a text: a boolean column becomes 0 and 1, as SQLite has it."""
    term = render(node, scope)
    if term.kind == "boolean":
        return Term(f"({term.sql})::integer", "number", type="bigint")
    if term.kind in ("condition", "other"):
        raise Untranslatable("it compares or transforms a value whose type differs between the two databases")
    return term


def text(node: exp.Expr, scope: Naming) -> Term:
    """A part that yields texts; raises `Untranslatable` for any other."""
    term = value(node, scope)
    if term.kind != "text":
        raise Untranslatable("a text function over something that is no text column")
    return term
