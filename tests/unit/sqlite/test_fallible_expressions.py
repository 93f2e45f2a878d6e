"""Which expressions of SQL can fail for a row, and what makes sure beforehand that they do not."""

import apsw
import pytest

from cdc.sqlite.schema.fallible_expressions import compared, conditions

SMALLEST = "-9223372036854775807 - 1"


@pytest.mark.parametrize(
    "expression",
    [
        "a",
        "lower(a)",
        "a + 1 > b * 2",
        "CASE WHEN a IN (1, 2) THEN substr(b, 1, 3) END COLLATE NOCASE",
        "a LIKE 'x%'",
        "CAST(a AS TEXT)",
        "date(a, 'start of month')",
        "strftime('%Y', a)",
        "json_valid(a)",
        "a | b",
    ],
)
def test_some_never_fail(expression: str) -> None:
    assert conditions(expression, ["a", "b"]) == ()


@pytest.mark.parametrize(
    "expression",
    [
        "own(a)",
        "a LIKE b",
        "a REGEXP 'x'",
        "json_extract(a, b)",
        "json_extract(a, '$[')",
        "date(a, b)",
        "date(a, 'localtime')",
        "replace(a, 'x', b)",
        "printf(a, b)",
        "printf('%*d', a, b)",
        "zeroblob(a)",
        "(a || b) -> 'x' -> b",
        "a || b -> 'x'",
        "lower(own(a))",
        "json_array(a)",
    ],
)
def test_of_some_nobody_knows(expression: str) -> None:
    assert conditions(expression, ["a", "b"]) is None


@pytest.mark.parametrize(
    ("expression", "good", "bad"),
    [
        ("json_extract(a, '$.b')", """'{"b": 1}'""", "'{'"),
        ("a -> 'b' ->> 'c'", """'{"b": {"c": 1}}'""", "'{'"),
        ("lower(a ->> '$.b[0]')", """'{"b": [1]}'""", "x'7b'"),
        ("abs(a)", "-5", SMALLEST),
        ("abs(json_extract(a, '$.b'))", """'{"b": -5}'""", """'{"b": -9223372036854775808}'"""),
        ("a || 'x'", "'y'", "printf('%.5000c', 'x')"),
        ("hex(a)", "'y'", "printf('%.5000c', 'x')"),
        ("printf('%05d', a)", "5", "printf('%.5000c', 'x')"),
    ],
)
def test_some_do_not_fail_where_their_conditions_hold(expression: str, good: str, bad: str) -> None:
    needs = conditions(expression, ["a"])
    assert needs
    connection = apsw.Connection(":memory:")
    whens = " ".join(f"WHEN NOT ({need}) THEN 0" for need in needs)
    holds = f"SELECT CASE {whens} ELSE 1 END FROM (SELECT {{}} AS a)"
    assert connection.execute(holds.format(good)).get == 1
    assert connection.execute(holds.format("NULL")).get == 1
    assert connection.execute(holds.format(bad)).get == 0
    connection.execute(f"SELECT {expression} FROM (SELECT {good} AS a)").fetchall()


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("a IS NULL", set()),
        ("a IS NOT NULL AND b = 1", {"b"}),
        ("lower(a)", set()),
        ("a IN (1, 2)", {"a"}),
        ("CASE a WHEN 1 THEN b END", {"a", "b"}),
    ],
)
def test_what_is_compared_is_known_by_name(expression: str, names: set[str]) -> None:
    assert compared(expression) & {"a", "b"} == names
