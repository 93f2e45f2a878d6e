"""Findings with the same wrong are one thing to decide; what only follows, and what is worth knowing, is none."""

import pytest

from cdc.cli.plan_apply import chosen_of
from cdc.errors import UsageError
from cdc.facts.cause import Cause, ConfigLines, Place
from cdc.facts.proposal import Proposal
from cdc.facts.risk import Risk
from cdc.facts.source_schema import WaitingTable
from cdc.first_copy.causes import causes


def lines(table: str, line: str, *, exact: bool = True) -> ConfigLines:
    return ConfigLines(("tables", table, "columns", "c"), (line,), "", exact=exact)


def test_the_same_wrong_in_several_tables_is_one_cause_whatever_the_names_and_numbers_are() -> None:
    rows = [Risk(f"t{n}", "", "blocks", f"public.t{n} holds {n},000 rows already", "empty it") for n in (2, 3)]
    (cause,) = causes(rows, (), {})
    assert cause.text == "public.... holds ... rows already"
    assert [place.table for place in cause.places] == ["t2", "t3"]


def test_one_place_is_told_in_its_own_words() -> None:
    (cause,) = causes([Risk("t", "c", "warning", "c is NULL in every row", "feed it")], (), {})
    assert cause.text == "c is NULL in every row"


def test_warnings_come_first_then_what_blocks_then_the_causes_of_most_rows() -> None:
    found = causes(
        [
            Risk("a", "x", "quarantine", "", "", 5, cause="few hang on it"),
            Risk("a", "y", "quarantine", "", "", 1, cause="many hang on it"),
            Risk("a", "z", "quarantine", "", "", 9, follows=True),
            Risk("a", "", "note", "worth knowing", ""),
            Risk("a", "", "blocks", "in the way", ""),
            Risk("a", "", "warning", "look", ""),
        ],
        [WaitingTable("w", "it waits", "wait")],
        {"few hang on it": 5, "many hang on it": 90},
        [Proposal("a", "j", (("type", "jsonb"),), "all JSON"), Proposal("a", "k", (("type", "text"),), "", leaves=1)],
    )
    assert [(cause.kind, cause.text) for cause in found] == [
        ("warning", "look"),
        ("blocks", "in the way"),
        ("waiting", "it waits"),
        ("quarantine", "many hang on it"),
        ("quarantine", "few hang on it"),
        ("choice", 'could have type = "jsonb"'),
    ]


def test_an_option_is_offered_where_every_place_has_it() -> None:
    null = 'on_invalid = "null"'
    places = (
        Place("a", "c", choices=(lines("a", 'type = "numeric"'), lines("a", null, exact=False))),
        Place("b", "c", choices=(lines("b", 'type = "text"'), lines("b", null, exact=False))),
    )
    options = Cause("quarantine", "", places).options
    assert [[choice.lines[0] for choice in option] for option in options] == [
        ['type = "numeric"', 'type = "text"'],
        [null, null],
    ]
    assert Cause("quarantine", "", (*places, Place("c", "c"))).options == ()


def test_all_writes_what_changes_no_value_and_no_mere_choice() -> None:
    exact, lossy = lines("a", 'type = "text"'), lines("b", 'on_invalid = "null"', exact=False)
    found = (
        Cause("quarantine", "", (Place("a", "c", choices=(exact,)),)),
        Cause("quarantine", "", (Place("b", "c", choices=(lossy,)),)),
        Cause("quarantine", "", (Place("c", "c"),)),
        Cause("choice", "", (Place("d", "c", choices=(lines("d", 'type = "jsonb"'),)),)),
    )
    assert chosen_of(found, "all") == [exact]
    assert chosen_of(found, "2, 1a") == [lossy, exact]
    assert chosen_of(found, "") == []
    with pytest.raises(UsageError, match="names 3"):
        chosen_of(found, "3")
