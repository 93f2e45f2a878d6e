"""Which cause two values point to, whichever side has which."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.shadow.causes import CAUSES, explain
from cdc.shadow.report import remedy_of


@pytest.mark.parametrize(
    ("one", "other", "cause"),
    [
        (1, True, "boolean"),
        ("false", False, "boolean"),
        (0.1, 0.10000000000000002, "float text"),
        (3, "3.0", "number as text"),
        (3, 3.5, "integer division"),
        ("", None, "empty and NULL"),
        ({"a": 1}, '{"a": 1}', "JSON as text"),
        ('{"b":1,"a":2}', '{"a": 2, "b": 1}', "JSON key order"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "time format"),
        ("2026-01-02T03:04:05", "2026-01-02T05:04:05+00:00", "time zone"),
        ("a  b", "a b ", "blanks"),
        ("Straße", "STRASSE", "letter case"),
        ("é", "e\u0301", "Unicode form"),
        ("one", "two", "changed value"),
        (None, 0, "changed value"),
        ([1], [1, 2], "changed value"),
    ],
)
def test_the_cause_of_two_values(one: Any, other: Any, cause: str) -> None:
    assert explain(one, other) == explain(other, one) == cause
    assert remedy_of(cause)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_any_two_values_have_a_cause(one: Any, other: Any) -> None:
    assert explain(one, other) in CAUSES
