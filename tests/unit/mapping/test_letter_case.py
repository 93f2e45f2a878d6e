"""Adopted names mean what is there, where only the letter case differs."""

from typing import Any

import pytest
from small_tables import config, mapped, table, target_of, text

from cdc.config import Config
from cdc.facts.source_schema import SourceSchema
from cdc.mapping.letter_case import as_there, named_as_there
from cdc.mapping.map_tables import map_schema


@pytest.mark.parametrize(
    ("wanted", "there", "kept", "found"),
    [
        (["Lock"], ["lock"], [], ["lock"]),
        (["Lock"], ["Lock", "lock"], [], ["Lock"]),  # the exact name is what is meant
        (["Lock"], ["LOCK", "lock"], [], ["Lock"]),  # nobody can tell which
        (["Lock"], ["other"], [], ["Lock"]),
        (["Lock"], ["Lock", "lock"], ["lock"], ["lock"]),  # what is fed stays fed
        (["Lock"], ["LOCK", "lock"], ["lock"], ["lock"]),
        (["Lock"], ["lock"], ["Lock"], ["lock"]),  # what was fed is not there any more
        (["Lock"], [], ["lock"], ["lock"]),  # dropped there: the name by which it is missing
        (["A", "a"], ["a"], [], ["A", "a"]),
        (["Ab", "aB"], ["ab"], [], ["Ab", "aB"]),  # two would become one
        (["Ä"], ["ä"], [], ["Ä"]),  # two names for both databases
    ],
)  # fmt: skip
def test_a_name_is_the_one_there_that_equals_it_but_for_its_case(
    wanted: list[str], there: list[str], kept: list[str], found: list[str]
) -> None:
    assert list(as_there(dict(enumerate_names(wanted)), there, kept).values()) == found


def enumerate_names(names: list[str]) -> list[tuple[str, str]]:
    return [(str(place), name) for place, name in enumerate(names)]


SOURCE = table("Pos", text("Lock"), text("Note"))
THERE = target_of(mapped(table("pos", text("lock"), text("note"), text("full_text"))))


def named(chosen: Config, **decided: Any) -> Config:
    return named_as_there(chosen, [SOURCE], {"pos": THERE}, decided, ())


def test_tables_columns_keys_and_computed_columns_are_found() -> None:
    options = {"target_key": ["Full_Text"], "columns": {"Full_Text": {"expression": "Note || 'x'"}}}
    found = named(config(target={"dsn": "x", "adopt": True}, tables={"pos": options}))
    (made,) = map_schema(SourceSchema((SOURCE,)), found)
    assert made.target == "pos"
    assert {c.target for c in made.columns} >= {"lock", "note", "full_text"}
    assert made.key == ("full_text",)


def test_tables_of_our_making_are_called_as_in_sqlite() -> None:
    chosen = config()
    assert named(chosen) == chosen
    chosen = config(target={"dsn": "x", "adopt": True}, tables={"Pos": {"adopt": False}})
    assert named(chosen) == chosen


def test_a_name_that_is_written_is_looked_for_in_the_same_way() -> None:
    chosen = config(target={"dsn": "x", "adopt": True}, tables={"Pos": {"columns": {"Lock": {"target": "NOTE2"}}}})
    found = named(chosen).options("pos")
    assert found.target == "pos"
    assert found.columns["Lock"].target == "NOTE2"  # not there under any case: the plan says so
    assert found.columns["Note"].target == "note"


def test_what_a_pattern_says_of_other_tables_does_not_become_the_tables_own() -> None:
    pattern = {"skip": ["Notes"], "columns": {"elsewhere": {"type": "text"}, "Note": {"type": "varchar(9)"}}}
    found = named(config(target={"dsn": "x", "adopt": True}, tables={"po*": pattern}))
    (made,) = map_schema(SourceSchema((SOURCE,)), found)
    assert {c.target: c.type for c in made.columns} == {"id": "bigint", "lock": "text", "note": "varchar(9)"}
