"""Lines that a program adds to a configuration somebody wrote: nothing else of it changes, not even a blank."""

import tomllib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.config.edit import with_lines
from cdc.sql_names import heading, toml_text

WRITTEN = """\
# mine
[source]
path = "app.db"  # there

[replicate]
tables = ["*"]
exclude = [  # private
    "a",  # one
]  # end

# below
[tables.x]
skip = ["p"]
"""


def test_a_section_gets_keys_at_its_end_and_its_comments_stay() -> None:
    grown = with_lines(WRITTEN, ("tables", "x"), ['target = "y"'])
    assert grown == WRITTEN + 'target = "y"\n'
    grown = with_lines(WRITTEN, ("source",), ["busy_timeout_seconds = 1.0"])
    assert grown == WRITTEN.replace("# there\n", "# there\nbusy_timeout_seconds = 1.0\n")


def test_a_section_that_is_missing_is_appended_after_a_blank_line() -> None:
    lines = ['format = "epoch ms"', 'on_invalid = "null"']
    assert with_lines(WRITTEN, ("tables", "a b", "columns", "c"), lines) == (
        WRITTEN + '\n[tables."a b".columns.c]\nformat = "epoch ms"\non_invalid = "null"\n'
    )
    assert with_lines("", ("formats",), ['real = "number"']) == '[formats]\nreal = "number"\n'
    assert with_lines("[a]\nb = 1", ("c",), ["d = 1"]) == "[a]\nb = 1\n\n[c]\nd = 1\n"


def test_a_section_that_stands_for_its_columns_only_gets_a_heading_of_its_own() -> None:
    text = '[tables.x.columns.c]\ntype = "text"\n'
    assert with_lines(text, ("tables", "x"), ['skip = ["d"]']) == f'{text}\n[tables.x]\nskip = ["d"]\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[]", '["b", "c"]'),
        ('["a"]', '["a", "b", "c"]'),
        ('["a", ] # x ]', '["a", "b", "c" ] # x ]'),
        ('["b"]', '["b", "c"]'),
        ('[\n  "a",  # one ]\n]', '[\n  "a",  # one ]\n    "b", "c"\n]'),
        ('[\n  "a"  # one\n]', '[\n  "a"  # one\n    , "b", "c"\n]'),
        ("['a]'] # x", '[\'a]\', "b", "c"] # x'),
    ],
)
def test_a_list_grows_by_what_it_lacks(before: str, after: str) -> None:
    text = "[replicate]\nexclude = {}\n\n[state]\n"
    assert with_lines(text.format(before), ("replicate",), ['exclude = ["b", "c"]']) == text.format(after)


def test_what_is_there_already_changes_nothing() -> None:
    assert with_lines(WRITTEN, ("tables", "x"), ['skip = ["p"]']) == WRITTEN
    assert with_lines(WRITTEN, ("source",), ['path = "app.db"']) == WRITTEN


def test_a_key_that_somebody_gave_another_value_stays() -> None:
    with pytest.raises(ValueError, match="path has another value in \\[source\\]"):
        with_lines(WRITTEN, ("source",), ['path = "other.db"'])
    with pytest.raises(ValueError, match="skip is no section"):
        with_lines(WRITTEN, ("tables", "x", "skip"), ["a = 1"])


def test_a_section_without_lines_of_its_own_is_left_to_a_person() -> None:
    with pytest.raises(ValueError, match="no line for type"):
        with_lines('tables = { x = { skip = ["a"] } }\n', ("tables", "x"), ['type = "text"'])


def test_a_commented_proposal_loses_its_marks() -> None:
    text = '[a]\n\n# 3 rows\n# [tables.x.columns.c]\n# type = "jsonb"  # all are\n\n[b]\n'
    grown = with_lines(text, ("tables", "x", "columns", "c"), ['type = "jsonb"'])
    assert grown == '[a]\n\n# 3 rows\n[tables.x.columns.c]\ntype = "jsonb"  # all are\n\n[b]\n'


def test_what_only_looks_like_a_heading_is_not_one() -> None:
    text = '[a]\nsql = """\n[b]\n"""\n[b]\nc = 1\n'
    assert with_lines(text, ("b",), ["d = 1"]) == text + "d = 1\n"
    text = '[a]\nsql = """\n[c]\n"""\n'
    assert with_lines(text, ("a",), ["d = 1"]) == '[a]\nd = 1\nsql = """\n[c]\n"""\n'


def test_lines_end_as_those_of_the_file_do() -> None:
    text = "[a]\r\nb = 1\r\n\r\n[c]\r\n"
    assert with_lines(text, ("a",), ["d = 1"]) == "[a]\r\nb = 1\r\nd = 1\r\n\r\n[c]\r\n"


NAMES = st.sampled_from(["a", "b c", 'q"', "é", "#", "]", "x.y", ""])


@given(
    st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.lists(NAMES, max_size=2, unique=True)), max_size=5),
    st.lists(NAMES, min_size=1, max_size=3),
    NAMES,
)
def test_the_result_differs_by_exactly_the_keys_that_were_asked_for(
    sections: Sequence[tuple[list[str], list[str]]], section: list[str], key: str
) -> None:
    text = "".join(
        f"{heading(*names)}  # {n}\n" + "".join(f"{toml_text(k)} = [ {n} ] # ]\n" for k in keys) + "\n"
        for n, (names, keys) in enumerate(sections)
    )
    line = f'{toml_text(key)} = ["new"]'
    try:
        before = tomllib.loads(text)
        grown = with_lines(text, section, [line])
    except ValueError:
        return
    kept = iter(grown)
    assert all(char in kept for char in text), "what was there stands there still, in its order"
    inner = tomllib.loads(grown)
    for name in section:
        inner = inner[name]
    assert inner[key][-1] == "new"
    inner[key].remove("new")
    after = tomllib.loads(grown)
    assert {k: v for k, v in after.items() if k != section[0]} == {k: v for k, v in before.items() if k != section[0]}
