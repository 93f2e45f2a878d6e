"""Schemas whose expressions fail for some rows: what SQLite refuses and takes must be the same with capture.

Indexes, predicates, generated columns, defaults and checks are made of functions that raise: on broken JSON, on the
smallest integer, on what is too long or too complex, and functions that only the application has.
"""

from typing import Any, Final

from schemas import ANY_VALUES, DEFAULTS, Col, SchemaMaker, Tab

# What the application sets for its connections; with it, texts of a bearable length are too long.
LONGEST_VALUE: Final = 30_000
LONGEST_PATTERN: Final = 20
TOO_LONG_TOGETHER: Final = LONGEST_VALUE * 2 // 3

_VALUES: Final = (
    *("'{\"a\":1}'", "'{\"a\":2}'", "'[1,2]'", "'{bad'", "'{\"a\":-9223372036854775808}'", "'refused'", "'now'"),
    *("-9223372036854775807 - 1", "5000000000", "'2024-01-01'", f"'{'%x' * LONGEST_PATTERN}'", "NULL", "'{a:1}'"),
    f"printf('%.{TOO_LONG_TOGETHER}c', 'x')",
)
_TERMS: Final = (
    *("json_extract({0}, '$.a')", "json_extract({0}, '$.a', '$.b')", "json({0})", "{0} ->> '$.a'", "{0} -> 'a'"),
    *("abs({0})", "abs({0} + 0)", "abs(json_extract({0}, '$.a'))", "strict({0})", "lower(strict({0}))"),
    *("{0} || {1}", "replace({0}, 'x', 'xy')", "hex({0})", "'xx' LIKE {0}", "{0} GLOB {1}", "date({0})"),
    *("zeroblob({0} % 4)", "zeroblob({0})", "substr({0}, 1, {1})", "CAST({0} AS INTEGER)", "printf('%d', {0})"),
    *("printf('%' || {0} || 'd', 1)", "CASE WHEN json_valid({0}) THEN json_extract({0}, '$.a') END"),
    *("({0} = 1)", "{0} > '2'", "{0} IN ('1', 2)", "CASE {0} WHEN 1 THEN 'x' ELSE {1} END", "({0} < {1})"),
    *("coalesce({0}, abs({1}))", "json_array_length({0})", "json_extract({0}, {1})", "strftime('%Y', {0})"),
)
_PREDICATES: Final = (
    *("{0} IS NOT NULL", "{1} = 1", "{1} = 'a'", "typeof({0}) = 'integer'", "json_valid({0})", "json_valid({1})"),
    *("abs({1}) > 1", "json_extract({1}, '$.a') = 1", "strict({1}) IS NOT NULL", "{0} <> 'a' AND {1} > 0"),
    *("{1} IN (1, 2, 'a')", "{1} LIKE 'a%'", "NOT json_valid({1})", "length({0}) < 9 AND {1} IS NOT 1"),
)
_DEFAULTS: Final = ("(abs(-9223372036854775807 - 1))", "(json('{bad'))", "(strict('refused'))", "('a' || 'b')", "(-1)")
_GENERATED: Final = (
    *("abs({0})", "json_extract({0}, '$.a')", "json_extract(coalesce({0}, '{{bad'), '$.a')", "strict({0})"),
    *("abs(coalesce({0}, -9223372036854775807 - 1))", "{0} || {1}", "strict(coalesce({0}, 'refused'))"),
)
_CHECKS: Final = ("abs({}) >= 0", "json({}) IS NOT 1", "strict({}) IS NOT 4", "{} IS NOT 2", "length({}) < 9")


def strict(*values: Any) -> Any:
    """A function of the application's own: it refuses some values."""
    (value,) = values
    if value == "refused" or value is None:
        raise ValueError
    return value


class RaisingSchemaMaker(SchemaMaker):
    """Draws the same tables and indexes as its base, of expressions that fail for some values."""

    def value(self, column: Col) -> str:
        if column.strict or self._chance(0.5):
            return super().value(column)
        return self.random.choice(_VALUES)

    def _constraints(self, column: Col) -> str:
        made = super()._constraints(column)
        check = f" CHECK ({self.random.choice(_CHECKS).format(column.name)})" if self._chance(0.15) else ""
        return made + check

    def _default(self, column: Col) -> str:
        return self.random.choice((*DEFAULTS, *_DEFAULTS, *ANY_VALUES[1:8]))

    def _generated(self, table: Tab) -> list[str]:
        if not self._chance(0.35):
            return []
        columns = [self.random.choice(table.writable).name for _ in range(2)]
        expression = self.random.choice(_GENERATED).format(*columns)
        table.columns.append(Col("g", "", generated=True))
        unique = self.random.choice(("", f" UNIQUE {self._clause()}"))
        return [f"g AS ({expression}) {self.random.choice(('STORED', 'VIRTUAL'))}{unique}"]

    def _indexes(self, table: Tab) -> None:
        super()._indexes(table)
        # Indexes that SQLite could use instead of the unique ones, where it takes them for as good.
        for number, column in enumerate(self.random.sample(table.columns, self.random.randint(0, 2))):
            self.sql.append(f'CREATE INDEX "other {len(self.tables)} {number}" ON {table.name}({column.name})')

    def _term(self, column: Col) -> str:
        if self._chance(0.2):
            return super()._term(column)
        other = self.random.choice(self.tables[-1].columns).name
        term = self.random.choice(_TERMS).format(column.name, other)
        return term + (" COLLATE NOCASE" if self._chance(0.1) else "")

    def _predicate(self, table: Tab) -> str:
        columns = [self.random.choice(table.columns).name for _ in range(2)]
        return " WHERE " + self.random.choice(_PREDICATES).format(*columns)
