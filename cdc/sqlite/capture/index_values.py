"""What stands in an index for a row that is about to be written, computed in the trigger only where that cannot fail.

SQLite computes an index's expressions last: after the application's triggers, NOT NULL, CHECK and other rules, each of
which may skip the row, and only where the index's predicate holds. A trigger runs before all that. So an expression
that can fail is guarded: by its predicate, and by what makes sure that it does not fail. Where neither helps, it is
computed if SQLite is sure to compute it too; else the look-up gives up, and a marker asks to read the whole table.

CASE is what the guards are made of, because SQLite promises to compute no more of it than it needs
(https://www.sqlite.org/lang_expr.html#the_case_expression), and promises no order for the terms of AND.
"""

from collections.abc import Iterator
from typing import Final

from cdc.facts.source_schema import Affinity, Column, Index, IndexTerm, Table
from cdc.sql_names import quote
from cdc.sqlite.schema.create_text import names
from cdc.sqlite.schema.fallible_expressions import compared, conditions

# NEW's columns have no affinity, which comparisons need. A cast lends it, and keeps the values of these types.
_CASTS: Final = {
    Affinity.TEXT: ("TEXT", "'text', 'null'"),
    Affinity.INTEGER: ("NUMERIC", "'integer', 'real', 'null'"),
    Affinity.NUMERIC: ("NUMERIC", "'integer', 'real', 'null'"),
    Affinity.REAL: ("REAL", "'real', 'null'"),
}


class Foreseen:
    """The expressions of a unique index, computed for NEW.

    `predicate` is the index's own where it can be computed for NEW, empty where it has none. `surely` is SQL that is
    true where SQLite is sure to compute the index for NEW, None where nobody knows.
    """

    def __init__(self, table: Table, index: Index, event: str, predicate: str | None, surely: str | None) -> None:
        self._table = table
        self._updates = event == "UPDATE"
        self._expressions = tuple(t.expression or "" for t in index.terms if t.column is None)
        self._plain = tuple(table.column(t.column) for t in index.terms if t.column is not None)
        self._typed = self._compared(*self._expressions)
        self._needs = self._needed(*self._expressions)
        self.guarded = bool(self._needs is None or self._needs or self._typed)
        self._predicate = predicate if self.guarded else ""
        # Without its predicate, SQLite would compute the index for fewer rows.
        self._surely = surely if predicate is not None else None
        if self.guarded and self._predicate:
            self._typed = self._compared(*self._expressions, self._predicate)

    @property
    def reads(self) -> tuple[Column, ...]:
        """The columns of NEW that are read, those of the predicate included where it is computed."""
        return self._named(*self._expressions, self._predicate or "")

    def value(self, term: IndexTerm) -> str:
        """The value of one of its expressions as SQL; NULL, which equals nothing, where it is not to be computed."""
        expression = f"({term.expression})"
        if not self.guarded:
            return self._of_new(expression, self._named(expression))
        within = f"CASE WHEN ({self._predicate}) THEN {expression} END" if self._predicate else expression
        unsure = f"CASE WHEN {self._surely} THEN {within} END" if self._surely else "NULL"
        return self._of_new(self._cases("NULL", "NULL", within, unsure, expression), self.reads)

    @property
    def unknown(self) -> str:
        """SQL that is true where NEW may be in the index by a value that was not computed; empty when never."""
        if not self.guarded:
            return ""
        unsure = f"NOT ({self._surely})" if self._surely else "1"
        return self._of_new(self._cases("1", "0", "0", unsure, "0"), self.reads)

    def _cases(self, bent: str, left_out: str, stands: str, unsure: str, computed: str) -> str:
        """What it is where a cast would bend NEW, the predicate leaves it out, it stands already, may fail, or else."""
        beside = [c for c in self._plain if c not in self.reads]
        whens = []
        if self._updates:
            # An entry that is not touched is not computed anew either, and is in the way of nothing but itself.
            whens.append(f"WHEN {self._untouched(*self.reads, *beside)} THEN {left_out}")
        if self._typed:
            whens.append(f"WHEN NOT ({' AND '.join(self._kept(c) for c in self._typed)}) THEN {bent}")
        if self._updates and beside:
            # Another column moves the entry, and what was computed for it before cannot fail now.
            whens.append(f"WHEN {self._untouched(*self.reads)} THEN {stands}")
        if self._predicate:
            whens += self._unmet(self._needed(self._predicate), unsure)
            whens.append(f"WHEN NOT ifnull(({self._predicate}), 0) THEN {left_out}")
        whens += self._unmet(self._needs, unsure)
        return f"CASE {' '.join(whens)} ELSE {computed} END"

    @staticmethod
    def _unmet(needs: tuple[str, ...] | None, outcome: str) -> Iterator[str]:
        if needs is None:
            yield f"WHEN 1 THEN {outcome}"
        else:
            yield from (f"WHEN NOT ({need}) THEN {outcome}" for need in needs)

    def _needed(self, *expressions: str) -> tuple[str, ...] | None:
        """What must hold, one after the other, so that none of the expressions fails; None when nobody knows."""
        needs: dict[str, None] = {}
        for expression in expressions:
            required = conditions(expression, [quote(c.name) for c in self._named(expression)])
            if required is None:
                return None
            needs |= dict.fromkeys(required)
        return tuple(needs)

    def _compared(self, *expressions: str) -> tuple[Column, ...]:
        words = frozenset[str]().union(*map(compared, expressions))
        return tuple(c for c in self._table.columns if c.name.lower() in words and c.affinity in _CASTS)

    def _named(self, *expressions: str) -> tuple[Column, ...]:
        words = frozenset[str]().union(*map(names, expressions))
        return tuple(c for c in self._table.columns if c.name.lower() in words)

    def _of_new(self, sql: str, columns: tuple[Column, ...]) -> str:
        if not columns:
            return f"({sql.removeprefix('(').removesuffix(')')})"
        row = ", ".join(f"{self._as_stored(c)} AS {quote(c.name)}" for c in columns)
        # The predicate may name its table; one called `old` or `new` would hide the trigger's row.
        named = self._predicate and self._table.name.lower() not in {"old", "new"}
        alias = f" AS {quote(self._table.name)}" if named else ""
        return f"(SELECT {sql} FROM (SELECT {row}){alias})"

    def _as_stored(self, column: Column) -> str:
        new = f"NEW.{quote(column.name)}"
        return f"CAST({new} AS {_CASTS[column.affinity][0]})" if column in self._typed else new

    @staticmethod
    def _untouched(*columns: Column) -> str:
        pairs = [(f"NEW.{quote(c.name)}", f"OLD.{quote(c.name)}") for c in columns]
        same = [f"{new} COLLATE BINARY IS {old} AND typeof({new}) = typeof({old})" for new, old in pairs]
        return " AND ".join(same) or "1"

    @staticmethod
    def _kept(column: Column) -> str:
        return f"typeof(NEW.{quote(column.name)}) IN ({_CASTS[column.affinity][1]})"
