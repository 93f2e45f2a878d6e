"""One hash of many rows: the short way of whole columns and the way by single texts join the same bytes."""

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.canonical import rules
from cdc.canonical.columns import column_form
from cdc.canonical.ordered_rows import _FIXED, OrderedRows, layout_of
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.postgres.tables import hashed_rows

WHOLES = st.integers(-(1 << 63), (1 << 63) - 1)
MOMENTS = st.datetimes()
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "int2": st.integers(-(1 << 15), (1 << 15) - 1),
    "int4": st.integers(-(1 << 31), (1 << 31) - 1),
    "int8": WHOLES,
    "float8": st.floats(allow_nan=False),
    "bool": st.integers(0, 1),
    "timestamp": MOMENTS.map(str),
    "timestamptz": MOMENTS.map(lambda moment: str(moment.replace(tzinfo=UTC))),
    "bytea": st.binary(max_size=6),
    "text": st.text(max_size=6).map(lambda text: text.replace("\x00", "")),
}
STRANGE: st.SearchStrategy[Value] = st.one_of(
    WHOLES, st.floats(allow_nan=False), st.text(max_size=3), st.binary(max_size=3), st.just("2024-01-01T00:00:00")
)


def forms(base: str, *, short: bool) -> OrderedRows:
    """One column of that type; without the short way it is joined text by text."""
    form = rules.form_of(TargetColumn("v", base, base))
    kind = base if short else ""
    return OrderedRows([(layout_of(base, kind), column_form(form, kind))], 1)


def digest(base: str, values: list[Value], *, short: bool = True, pieces: int = 3) -> bytes | None:
    hashed = forms(base, short=short)
    rows = [(key, value) for key, value in enumerate(values)]
    for place in range(0, len(rows), pieces):
        hashed.add(rows[place : place + pieces])
    return hashed.digest()


def test_both_sides_have_a_layout_for_the_same_types() -> None:
    assert set(_FIXED) == set(hashed_rows._FIXED)
    assert set(VALUES) == {*_FIXED, "text"}


@pytest.mark.parametrize("base", VALUES)
@given(data=st.data())
def test_the_short_way_is_the_long_way(base: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.one_of(VALUES[base], st.none(), STRANGE), max_size=8))
    whole = digest(base, values, pieces=100)
    assert whole == digest(base, values) == digest(base, values, short=False)


@pytest.mark.parametrize("base", VALUES)
@given(data=st.data())
def test_other_values_have_another_hash(base: str, data: st.DataObject) -> None:
    """Also where one of them does not fit its column: it is like nothing that Postgres has."""
    value = st.one_of(VALUES[base], st.none())
    pairs = data.draw(st.lists(st.tuples(value, value), min_size=1, max_size=6))
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))  # as many rows, which are compared apart
    place = data.draw(st.integers(0, len(ours) - 1))
    form = rules.form_of(TargetColumn("v", base, base))
    texts = column_form(form, base)
    assert (digest(base, ours) == digest(base, theirs)) == (texts(ours) == texts(theirs))
    unfit: Value = 2.5 if base != "float8" else "2.5"
    assert digest(base, [*ours[:place], unfit, *ours[place + 1 :]]) not in {digest(base, ours), digest(base, theirs)}


def test_a_whole_number_that_a_real_cannot_hold_is_none() -> None:
    assert digest("float8", [(1 << 53) + 1]) != digest("float8", [float(1 << 53)])
    assert digest("float8", [1 << 53]) == digest("float8", [float(1 << 53)])


def test_borders_between_values_are_hashed() -> None:
    assert digest("bytea", [b"ab", b"c"]) != digest("bytea", [b"a", b"bc"])
    assert digest("bytea", [b"", b"\x00\x00\x00\x00"]) != digest("bytea", [b"\x00\x00\x00\x00", b""])
    assert digest("text", ["ab", "c"]) != digest("text", ["a", "bc"])
    assert digest("int8", [None, 1]) != digest("int8", [1, None])


def test_a_column_of_keys_is_not_taken_for_the_keys_of_a_column_of_nulls() -> None:
    form = (layout_of("int8", "int8"), column_form(rules.form_of(TargetColumn("v", "int8", "int8")), "int8"))
    here, there = OrderedRows([form, form], 1), OrderedRows([form, form], 1)
    here.add([(1, 1, None), (2, 2, None)])
    there.add([(1, None, 1), (2, None, 2)])
    assert here.digest() != there.digest()


def test_instants_are_counted_from_2000_as_postgres_does() -> None:
    usual, one = _FIXED["timestamp"]
    seconds = int((datetime(2024, 5, 1) - datetime(2000, 1, 1)).total_seconds())
    assert usual(["2024-05-01 00:00:00"]) == struct.pack(">q", seconds * 1_000_000)
    assert one(rules.form_of(TargetColumn("v", "timestamp", "timestamp"))("2024-05-01 00:00:00") or "") == usual(
        ["2024-05-01 00:00:00"]
    )
