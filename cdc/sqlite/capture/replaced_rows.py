"""Which rows a REPLACE would remove: one SQL condition per way in which a new row can meet an old one.

Used inside triggers, where NEW is the row to be written and OLD the row it was.
"""

from collections.abc import Iterator
from typing import Final

from cdc.facts.source_schema import Affinity, Column, Index, IndexTerm, KeyKind, Table
from cdc.sql_names import quote, quote_literal
from cdc.sqlite.capture.index_values import Foreseen
from cdc.sqlite.schema.create_text import calls_function, names, tokens
from cdc.sqlite.schema.fallible_expressions import conditions
from cdc.sqlite.schema.row_identity import rowid_column

_CONSTANTS: Final = frozenset(["NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"])
_TRIGGER_NAMES: Final = frozenset(["old", "new"])
_ROW: Final = "_cdc_t"


def conflicts(table: Table, event: str) -> tuple[str, ...]:
    """Conditions over the table's rows, each true for the row that stands in NEW's way through one uniqueness rule.

    Rules through which only a row with NEW's own key can be met are left out, for a declared key is logged anyway.
    `event` is INSERT or UPDATE.
    """
    ways = [_through_index(table, index, event) for index in table.indexes if _can_hit_other_keys(table, index)]
    # A rowid can be written by name, so it is one more uniqueness rule beside a declared key. Where it is the key, the
    # row that REPLACE deletes is looked up too: if a foreign key action then meets a RAISE(FAIL) of the application,
    # the delete stays and AFTER INSERT never runs.
    if event == "INSERT" or table.key.kind is KeyKind.COLUMNS:
        rowid = table.rowid_alias or (key_columns(table)[0] if table.key.kind is KeyKind.INTEGER else None)
        ways += [f"{rowid} = NEW.{rowid}"] if rowid is not None else []
    return tuple(dict.fromkeys(ways))


def source(table: Table) -> str:
    """The table in a FROM clause; inside a trigger a table called `old` or `new` would take the place of the row."""
    name = quote(table.name)
    return f"{name} AS {_ROW}" if table.name.lower() in _TRIGGER_NAMES else name


def other_than_old(table: Table) -> str:
    """A condition that is true for every row but the one being updated."""
    if table.rowid_alias is not None:
        return f"{table.rowid_alias} <> OLD.{table.rowid_alias}"
    return f"({_differs(table, '', 'OLD.')})"


def moved(table: Table) -> str:
    """A condition that is true when an update changes the key, be it only in case, trailing blanks or storage class."""
    return _differs(table, "OLD.", "NEW.")


def key_columns(table: Table, row: str = "") -> tuple[str, ...]:
    """What is logged of a key as SQL, of the row `NEW.`, `OLD.` or of the table itself.

    A declared key that can be NULL is followed by the rowid of rows where it is: only that tells such rows apart.
    """
    columns = _declared(table, row)
    if table.null_rowid is None:
        return columns
    return (*columns, f"CASE WHEN {_any_null(columns)} THEN {row}{table.null_rowid} END")


def is_null(table: Table) -> str:
    """A condition on NEW that is true where a declared key has a NULL."""
    return _any_null(_declared(table, "NEW."))


def _declared(table: Table, row: str) -> tuple[str, ...]:
    return tuple(row + _name(table, column) for column in table.key.columns)


def _any_null(columns: tuple[str, ...]) -> str:
    return " OR ".join(f"{column} IS NULL" for column in columns)


def unknown_before(table: Table, event: str) -> str:
    """When the look-ups cannot know what will be stored, as a condition on NEW; empty when they always can."""
    unforeseen = {_is_null(c): None for c in _key(table) if c.not_null and c.default is not None}
    alias = rowid_column(table)
    for index in table.indexes:
        if _can_hit_other_keys(table, index):
            foreseen = _foreseen(table, index, event)
            if _out_of_reach(table, index, foreseen):
                return "1"
            computed = _computed_from(table, index, foreseen)
            unforeseen |= {_is_null(c): None for c in _filled_unseen(table, index, computed)}
            if event == "INSERT" and alias is not None and alias in computed:
                unforeseen[f"NEW.{quote(alias.name)} = -1"] = None
            unforeseen |= {foreseen.unknown: None} if foreseen.unknown else {}
    return " OR ".join(unforeseen)


def named_before_update(table: Table) -> tuple[Column, ...]:
    """Columns that a BEFORE UPDATE trigger must name: those that generated columns which can fail are computed from.

    SQLite computes generated columns before such triggers run, and takes NULL for each column that none of them names.
    """
    fallible = [c for c in table.columns if c.generated and conditions(c.generated_expression or "", ()) != ()]
    return tuple(c for c in _with_bases(table, tuple(fallible)) if not c.generated)


def _can_hit_other_keys(table: Table, index: Index) -> bool:
    if not index.unique:
        return False
    if table.key.kind is KeyKind.ROWID:
        return True
    terms = {term.column.lower(): term for term in index.terms if term.column is not None}
    return not all(_pins(table, terms.get(column.lower())) for column in table.key.columns)


def _pins(table: Table, term: IndexTerm | None) -> bool:
    """Whether rows that are equal in this key term are identical in it: not under NOCASE, nor 1 and 1.0 untyped."""
    if term is None or term.column is None:
        return False
    typed = table.column(term.column).affinity is not Affinity.BLOB
    return table.key.kind is KeyKind.INTEGER or (typed and term.collation == "BINARY")


def _through_index(table: Table, index: Index, event: str) -> str:
    foreseen = _foreseen(table, index, event)
    if _out_of_reach(table, index, foreseen):
        return "0"
    terms = [_equal(table, term, foreseen) for term in index.terms]
    stored = [f"({index.predicate})"] if index.predicate is not None and not _ambiguous(table, index.predicate) else []
    # Rows outside the predicate may have no value for the terms, so it stands first where one can fail.
    parts = [*stored, *terms] if foreseen.guarded else [*terms, *stored]
    # SQLite leaves a generated column NULL in a BEFORE UPDATE trigger unless the columns it is computed from are named.
    computed = _computed_from(table, index, foreseen)
    if any(c.generated for c in computed):
        parts += [f"NEW.{quote(c.name)} IS NEW.{quote(c.name)}" for c in computed if not c.generated]
    return " AND ".join(parts)


def _foreseen(table: Table, index: Index, event: str) -> Foreseen:
    predicate = index.predicate or ""
    alias = rowid_column(table)
    if _ambiguous(table, predicate) or (event == "INSERT" and alias in _mentioned(table, predicate)):
        return Foreseen(table, index, event, None, None)
    return Foreseen(table, index, event, predicate, _surely_computed(table, index, event))


def _surely_computed(table: Table, index: Index, event: str) -> str | None:
    """SQL that is true where nothing makes SQLite skip NEW before it comes to this index; None where it cannot be told.

    The order in which SQLite looks at uniqueness rules is its own affair, so no other rule may be in the way.
    """
    others = [i for i in table.indexes if i.unique and i is not index]
    never_null = [c for c in table.columns if c.not_null or (c.primary_key and (table.without_rowid or table.strict))]
    plain = [_plain_columns(table, other) for other in others]
    if table.checks or event in table.before_events or None in plain or any(c.generated for c in never_null):
        return None
    skipping = [_is_null(c) for c in never_null]
    rules = [_through_columns(table, other) for other in others]
    if table.rowid_alias is not None:
        rules.append(f"{table.rowid_alias} = NEW.{table.rowid_alias}")
    apart = f" AND {other_than_old(table)}" if event == "UPDATE" else ""
    skipping += [f"EXISTS (SELECT 1 FROM {source(table)} WHERE {rule}{apart})" for rule in rules]
    return f"NOT ({' OR '.join(skipping)})" if skipping else "1"


def _plain_columns(table: Table, index: Index) -> tuple[Column, ...] | None:
    """The index's columns, None where it is made of anything that is computed."""
    columns = [table.column(term.column) for term in index.terms if term.column is not None]
    return tuple(columns) if len(columns) == len(index.terms) and not any(c.generated for c in columns) else None


def _through_columns(table: Table, index: Index) -> str:
    """The condition of an index of plain columns."""
    parts = [
        f"{quote(t.column)} COLLATE {quote(t.collation)} = {_new_value(table.column(t.column))}"
        for t in index.terms
        if t.column
    ]
    if index.predicate is not None and not _ambiguous(table, index.predicate):
        parts.append(f"({index.predicate})")
    return " AND ".join(parts)


def _ambiguous(table: Table, predicate: str) -> bool:
    """Whether `old.x` in the predicate of a table called `old` would mean the trigger's row; it is then left out."""
    return table.name.lower() in _TRIGGER_NAMES and any(token.text == "." for token in tokens(predicate))


def _out_of_reach(table: Table, index: Index, foreseen: Foreseen) -> bool:
    """Whether rows could only be looked up without the predicate that keeps those out for which a term fails."""
    return foreseen.guarded and _ambiguous(table, index.predicate or "")


def _equal(table: Table, term: IndexTerm, foreseen: Foreseen) -> str:
    """One term of the index against NEW, in the index's own words, so that SQLite finds the row through the index."""
    collate = f"COLLATE {quote(term.collation)}"
    if term.column is not None:
        return f"{quote(term.column)} {collate} = {_new_value(table.column(term.column))}"
    return f"({term.expression}) {collate} = {foreseen.value(term)}"


def _new_value(column: Column) -> str:
    """NEW's value as it will be stored: under OR REPLACE a NULL becomes the default of a NOT NULL column."""
    new = f"NEW.{quote(column.name)}"
    if not column.not_null or column.default is None or _unforeseeable(column.default):
        return new
    return f"ifnull({new}, ({_default(column.default)}))"


def _unforeseeable(default: str) -> bool:
    """Whether a default calls a function, which may give another value each time, or fail, or can fail otherwise."""
    return calls_function(default) or conditions(default, ()) != ()


def _default(default: str) -> str:
    """A default's SQL; a lone name in it is a text to SQLite, but would be a column's name inside a trigger."""
    parts = tokens(default)
    if len(parts) == 1 and parts[0].kind in {"word", "quoted"} and parts[0].word not in _CONSTANTS:
        return quote_literal(parts[0].name or "")
    return default


def _is_null(column: Column) -> str:
    return f"NEW.{quote(column.name)} IS NULL"


def _key(table: Table) -> tuple[Column, ...]:
    """The declared key's columns; none where the rowid is the key."""
    return tuple(table.column(c) for c in table.key.columns) if table.key.kind is KeyKind.COLUMNS else ()


def _filled_unseen(table: Table, index: Index, computed: tuple[Column, ...]) -> Iterator[Column]:
    """NOT NULL columns whose default, put in place of a NULL, the look-up through this index cannot foresee."""
    plain = [table.column(term.column) for term in index.terms if term.column is not None]
    for column in (*computed, *plain):
        if column.not_null and column.default is not None and (column in computed or _unforeseeable(column.default)):
            yield column


def _computed_from(table: Table, index: Index, foreseen: Foreseen) -> tuple[Column, ...]:
    """The columns that the index's expressions and generated columns are computed from, in the table's order."""
    generated = [table.column(term.column) for term in index.terms if term.column is not None]
    read = (*foreseen.reads, *(c for c in generated if c.generated))
    bases = {c.name for c in _with_bases(table, read)}
    return tuple(c for c in table.columns if c.name in bases)


def _with_bases(table: Table, columns: tuple[Column, ...]) -> Iterator[Column]:
    """The columns and, for generated ones, all columns they are computed from, however deep."""
    seen: set[str] = set()
    waiting = list(columns)
    while waiting:
        column = waiting.pop()
        if column.name not in seen:
            seen.add(column.name)
            waiting += _mentioned(table, column.generated_expression or "")
            yield column


def _mentioned(table: Table, expression: str) -> tuple[Column, ...]:
    words = names(expression)
    return tuple(c for c in table.columns if c.name.lower() in words)


def _name(table: Table, column: str) -> str:
    return column if table.key.kind is KeyKind.ROWID else quote(column)


def _differs(table: Table, left: str, right: str) -> str:
    pairs = list(zip(key_columns(table, left), key_columns(table, right), strict=True))
    if table.key.kind is not KeyKind.COLUMNS:
        return " OR ".join(f"{a} IS NOT {b}" for a, b in pairs)
    return " OR ".join(f"{a} COLLATE BINARY IS NOT {b} OR typeof({a}) <> typeof({b})" for a, b in pairs)
