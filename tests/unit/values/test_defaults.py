"""Which default of a column stands for an empty text: a constant that the column keeps as it is, and no other."""

from typing import Any

import pytest

from cdc.facts.target_schema import TargetColumn
from cdc.values.defaults import default_of

CONSTANTS: list[tuple[str, dict[str, Any], str, object]] = [
    ("int4", {}, "'-1'::integer", -1),
    ("int8", {}, "0", 0),
    ("int4", {}, "(-5)", -5),
    ("text", {}, "''::text", ""),
    ("text", {}, "'it''s'::text", "it's"),
    ("bool", {}, "true", True),
    ("varchar", {"length": 3}, "'abc'::character varying", "abc"),
    ("bpchar", {"length": 3}, "'ab'::bpchar", "ab"),
    ("bytea", {}, r"'\x00ff'::bytea", b"\x00\xff"),
    ("date", {}, "'2000-01-02'::date", 1),
    ("interval", {}, "'1 day'::interval", (0, 1, 0)),
    ("mood", {"labels": ("sad",)}, "'sad'::app.mood", "sad"),
]


@pytest.mark.parametrize(("base", "facts", "expression", "stored"), CONSTANTS)
def test_a_constant_is_taken_as_it_is_stored(base: str, facts: dict[str, Any], expression: str, stored: object) -> None:
    assert default_of(TargetColumn("v", base, base, default=expression, **facts)) == (stored,)


@pytest.mark.parametrize(
    ("base", "facts", "expression"),
    [
        ("text", {}, ""),
        ("timestamptz", {}, "now()"),
        ("int4", {}, "nextval('s'::regclass)"),
        ("int4", {}, "(1 + 1)"),
        ("int4", {}, "1.7"),  # which Postgres rounds
        ("numeric", {"precision": 6, "scale": 2}, "0.555"),
        ("varchar", {"length": 2}, "'abc'::character varying"),
        ("text", {}, "('a'::text || 'b'::text)"),
        ("text", {}, "lower('A'::text)"),
        ("text", {}, "('1'::integer)::text"),
        ("xml", {}, "'<a/>'::xml"),
    ],
)
def test_anything_else_is_not(base: str, facts: dict[str, Any], expression: str) -> None:
    assert default_of(TargetColumn("v", base, base, default=expression, **facts)) is None
