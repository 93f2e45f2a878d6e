"""Expressions and defaults of SQLite are translated only where both engines answer the same."""

import pytest

from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.postgres.tables.statement import Names, shorten
from cdc.postgres.translate.defaults import translate_default
from cdc.postgres.translate.expressions import Scope, translate_condition, translate_value
from cdc.postgres.translate.terms import Untranslatable

TABLE = Table("t", (Column("n", "INT", Affinity.INTEGER), Column("s", "TEXT", Affinity.TEXT)), Key(KeyKind.ROWID, ()))
MAPPED = TableMap(
    TABLE, "app", "t", (ColumnMap("N", '"n"', "bigint", "n"), ColumnMap('s"', '"s"', "text", "s")), ("N",)
)
SCOPE = Scope.of(MAPPED)


def test_columns_are_written_by_their_target_names() -> None:
    assert (
        translate_condition("N > 1 AND T.s = 'it''s'", SCOPE) == """(("N" > 1) AND ("s""" + '""' + """" = 'it''s'))"""
    )
    assert translate_value("lower(s)", SCOPE).sql == 'lower("s""" COLLATE "C")'


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "n >",
        "1), (2",
        "1, 2",
        "1) FROM t WHERE (1",
        "(SELECT 1)",
        "n > ?",
        "no_such",
        "u.n = 1",
        "n > 1; DROP TABLE t",
    ],
)
def test_what_is_not_one_expression_over_this_table_is_refused(sql: str) -> None:
    with pytest.raises(Untranslatable):
        translate_condition(sql, SCOPE)


def test_a_comment_inside_an_expression_ends_with_its_line() -> None:
    assert translate_condition("n > 1 -- why", SCOPE) == '("N" > 1)'


@pytest.mark.parametrize(
    ("type_", "default", "expected"),
    [
        ("bigint", "'x'", None),
        ("bigint", "1.5", None),
        ("bigint", "9223372036854775808", None),
        ("bigint", "random()", None),
        ("boolean", "2", None),
        ("text", "1.50", None),
        ("text", "007", "'7'"),
        ("text", "x'00'", None),
        ("text", "'a' || 'b'", None),
        ("bytea", "'x'", None),
        ("jsonb", "'[1]'", "'[1]'::jsonb"),
        ("jsonb", "'{'", None),
        ("jsonb", "'\"\\u0000\"'", None),
        ("jsonb", "'\"\\ud800\"'", None),
        ("jsonb", "'NaN'", None),
        ("date", "CURRENT_TIMESTAMP", None),
        ("point", "'(1,2)'", None),
    ],
)
def test_a_default_is_left_out_where_it_has_no_sure_equal(type_: str, default: str, expected: str | None) -> None:
    assert translate_default(default, ColumnMap("c", '"c"', type_, "c")) == expected


def test_a_column_of_literals_has_no_default() -> None:
    assert translate_default("5", ColumnMap("c", '"c"', "text", "c", literal=True)) is None


def test_names_are_cut_at_63_bytes_between_characters_and_never_given_twice() -> None:
    assert shorten("x" * 63) == "x" * 63
    assert len(shorten("é" * 40).encode()) <= 63
    assert shorten("é" * 40) == shorten("é" * 40) != shorten("é" * 41)
    names = Names({"a"})
    assert len({names.take("a"), names.take("a", "1"), "a"}) == 3
