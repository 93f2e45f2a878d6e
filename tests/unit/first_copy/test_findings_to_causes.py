"""Findings with the same wrong are one thing to decide; what only follows, and what is worth knowing, is none."""

import pytest

from cdc.cli.plan_apply import chosen_of
from cdc.cli.plan_report import screen
from cdc.errors import UsageError
from cdc.facts.cause import Cause, ConfigLines, Place
from cdc.facts.proposal import Proposal
from cdc.facts.risk import Risk
from cdc.facts.source_schema import WaitingTable
from cdc.first_copy.causes import causes
from cdc.first_copy.plan import Plan


def lines(table: str, line: str, *, exact: bool = True) -> ConfigLines:
    return ConfigLines(("tables", table, "columns", "c"), (line,), "", exact=exact)


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("public.{table} holds {n} rows already", "its table holds rows already"),
        ("there is no table public.{table} in Postgres", "there is no such table in Postgres"),
        ("table {table} has no column {column}", "its table has no such column"),
        ("{column} is NULL in every row: nothing feeds it", "its column is NULL in every row: nothing feeds it"),
        ("rules of public.{table} rewrite it", "rules of its table rewrite it"),
        ('no row of "{table}" has more than {n} columns', "no row of its table has more than ... columns"),
        ("{table}s are not {table}", "{table}s are not its table"),
    ],
)
def test_the_same_wrong_in_several_tables_is_one_cause_whatever_the_names_and_numbers_are(
    text: str, alike: str
) -> None:
    rows = [
        Risk(f"t{n}", f"c{n}", "blocks", text.format(table=f"t{n}", column=f"c{n}", n=f"{n},000"), "empty it")
        for n in (2, 3)
    ]
    found = causes(rows, (), {})
    if "{" in alike:  # what only begins like a name is none
        assert [cause.text for cause in found] == [rows[0].text, rows[1].text]
        return
    (cause,) = found
    assert cause.text == alike
    assert [place.table for place in cause.places] == ["t2", "t3"]


def test_one_row_and_several_are_the_same_wrong() -> None:
    rows = [Risk(f"t{n}", "", "blocks", f"public.t{n} holds {n} row{'s' * (n > 1)} already", "") for n in (1, 2)]
    assert [cause.text for cause in causes(rows, (), {})] == ["its table holds rows already"]


@pytest.mark.parametrize(
    ("names", "headline"),
    [(["g_seq"], "sequence g_seq: nothing moves it"), (["g_seq", "h_seq"], "2 sequences: nothing moves it")],
)
def test_sequences_count_as_what_they_are(names: list[str], headline: str) -> None:
    (cause,) = causes([Risk(name, "", "warning", "nothing moves it", "", what="sequence") for name in names], (), {})
    assert f"1  {headline}" in [line.text for line in screen(Plan((), (), (), (), (), causes=(cause,)))]


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
