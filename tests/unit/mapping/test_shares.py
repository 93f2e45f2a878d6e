"""Which rows of a target are whose, where several tables of SQLite feed it."""

from typing import Any

import pytest
from small_tables import config

from cdc.errors import MappingError
from cdc.facts.table_map import Share
from cdc.mapping.shares import share_of


def feeding(*constants: str, **options: Any) -> dict[str, Any]:
    """Sections of tables a, b, c ... that feed one target, each with a constant of its own."""
    return {
        name: {
            "target": "all",
            "adopt": True,
            "target_key": ["id", "kind"],
            "columns": {"kind": {"expression": constant}},
            **options,
        }
        for name, constant in zip("abc", constants, strict=False)
    }


def test_each_table_has_the_rows_of_its_constant_and_the_first_what_none_of_the_others_has() -> None:
    sections = config(feeding("'x'", " 'it''s' ", "-3"))
    assert share_of("A", sections) == Share("kind", ("it's", "-3"), rest=True)
    assert share_of("b", sections) == Share("kind", ("it's",), rest=False)
    assert share_of("c", sections) == Share("kind", ("-3",), rest=False)


def test_a_table_alone_has_all_rows() -> None:
    assert share_of("a", config(feeding("'x'"))) is None
    assert share_of("other", config(feeding("'x'", "'y'"))) is None
    made_here = feeding("'x'", "'y'", adopt=False)  # two tables of that name would be made, which is refused elsewhere
    assert share_of("a", config(made_here)) is None


@pytest.mark.parametrize("of_values", ["lower('y')", "y", "'y' || 'z'"])
def test_one_table_may_go_without_a_constant_and_has_what_none_of_the_others_has(of_values: str) -> None:
    sections = config(feeding("'x'", of_values, "3"))
    assert share_of("a", sections) == Share("kind", ("x",), rest=False)
    assert share_of("b", sections) == Share("kind", ("x", "3"), rest=True)
    assert share_of("c", sections) == Share("kind", ("3",), rest=False)


def test_a_column_with_a_constant_in_each_wins_over_one_in_which_some_table_has_values() -> None:
    sections = feeding("'x'", "'y'", target_key=["id", "part", "kind"])
    sections["a"]["columns"]["part"] = {"expression": "1"}
    assert share_of("b", config(sections)) == Share("kind", ("y",), rest=False)


@pytest.mark.parametrize("constants", [("'x'", "'x'"), ("lower('y')", "y"), ("'x'", "y", "z"), ("'x'", "'x'", "z")])
def test_without_constants_of_their_own_nothing_tells_the_rows_apart(constants: tuple[str, ...]) -> None:
    with pytest.raises(MappingError, match="nothing tells their rows apart"):
        share_of("a", config(feeding(*constants)))
    with pytest.raises(MappingError, match="nothing tells their rows apart"):
        share_of("a", config(feeding("'x'", "'y'", target_key=["id"])))
