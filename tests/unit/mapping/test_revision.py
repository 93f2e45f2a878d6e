"""Which columns are mapped otherwise by now, and as what: by what is remembered, chosen now, and held by the file."""

from typing import Any

import pytest
from small_tables import config, table, text

from cdc.errors import MappingError
from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.facts.source_schema import Affinity, Column, ForeignKey, SourceSchema, Table
from cdc.facts.table_map import TableMap
from cdc.mapping.known import Decisions, for_good, map_anew, map_known, outgrown, remember, retyped
from cdc.mapping.map_tables import map_schema
from cdc.mapping.revision import Revision, left_to_data, outdated, revised, revisions

AT = Column("at", "DATETIME", Affinity.NUMERIC)
ANY = Column("any", "", Affinity.BLOB)
PARENT = Column("parent", "DATETIME", Affinity.NUMERIC)
INTEGERS = ColumnProfile("at", integer=2)


def schema(*more: Table) -> SourceSchema:
    return SourceSchema(
        (table("t", AT, ANY, text("words"), PARENT, foreign_keys=(ForeignKey(("parent",), "u", ("id",)),)), *more)
    )


def first(chosen: dict[str, Any] | None = None, **profiles: TableProfile) -> Decisions:
    """What is remembered of the first copy."""
    return remember(map_schema(schema(), config(_tables(chosen)), profiles))


def look(
    decided: Decisions, chosen: dict[str, Any] | None = None, *holds: ColumnProfile, **sections: Any
) -> tuple[tuple[Revision, ...], tuple[TableMap, ...]]:
    """What becomes of the columns, and the maps as they are to be."""
    of = config(_tables(chosen), **sections)
    maps = map_known(schema(), of, decided)
    found = tuple(outdated(maps, decided, {}))
    profiles = {"t": TableProfile(2, holds)} if left_to_data(found, map_anew(schema(), of, decided)) else {}
    made = revisions(found, map_anew(schema(), of, decided, profiles), profiles)
    return made, tuple(revised(maps, made))


def _tables(chosen: dict[str, Any] | None) -> dict[str, Any] | None:
    return {"t": {"columns": chosen}} if chosen else None


def provisional(decided: Decisions) -> list[str]:
    return [name for name, decision in decided["t"].items() if decision.get("provisional")]


def test_a_type_is_provisional_where_the_data_decides_and_there_was_none() -> None:
    assert provisional(first()) == ["at", "any"]
    assert provisional(first({"at": {"type": "text"}})) == ["any"]
    assert provisional(first(t=TableProfile(2, (INTEGERS,)))) == ["any"]


def test_nothing_is_outdated_by_itself() -> None:
    assert look(first()) == ((), map_known(schema(), config(), first()))
    chosen = {"at": {"format": "epoch ms"}, "words": {"type": "varchar(3)", "on_invalid": "cut"}}
    assert look(first(chosen), chosen)[0] == ()


def test_what_an_older_version_decided_counts_as_unchanged() -> None:
    old = {"t": {name: {**d} for name, d in first()["t"].items()}}
    for decision in old["t"].values():
        del decision["choice"]
    assert look(old, {"words": {"type": "jsonb"}})[0] == ()


def test_a_value_that_does_not_fit_has_all_values_decide() -> None:
    ((found,), (mapped,)) = look(outgrown(first(), [("t", "at")]), None, INTEGERS)
    assert (str(found.held), str(found.wanted), found.provisional) == ("timestamp", "bigint", True)
    assert str(found) == "t.at becomes bigint, it is timestamp: its values need it"
    (column,) = (c for c in mapped.columns if c.target == "at")
    assert (column.type, column.held) == ("bigint", found.held)


def test_a_value_that_is_gone_again_leaves_the_type_provisional() -> None:
    ((found,), _) = look(outgrown(first(), [("t", "at")]), None, ColumnProfile("at", null=2))
    assert (found.retypes, found.provisional) == (False, True)


def test_a_type_that_nothing_better_is_found_for_stands() -> None:
    naive = ColumnProfile("at", text=2, forms=TextForms(naive=2))
    ((found,), _) = look(outgrown(first(), [("t", "at")]), None, naive)
    assert (found.retypes, found.provisional) == (False, False)
    assert str(found) == "t.at stays timestamp: no type holds all of its values"


def test_literals_are_the_last_word() -> None:
    mixed = ColumnProfile("any", integer=1, text=1)
    ((found,), _) = look(outgrown(first(), [("t", "any")]), None, mixed)
    assert (str(found.wanted), found.provisional) == ("literal", False)


def test_only_a_provisional_type_is_outgrown() -> None:
    decided = first()
    decided["t"]["at"] = for_good(decided["t"]["at"])
    assert look(outgrown(decided, [("t", "at"), ("t", "words")]))[0] == ()


def test_a_type_that_is_chosen_later_is_applied_and_remembered_until_it_is_there() -> None:
    chosen = {"words": {"type": "jsonb"}}
    (made, maps) = look(first(), chosen)
    assert [str(found) for found in made] == ["t.words becomes jsonb, it is text: type changed"]
    pending = remember(maps)
    assert (pending["t"]["words"]["type"], pending["t"]["words"]["next"]["type"]) == ("text", "jsonb")
    assert look(pending, chosen)[0][0].wanted.type == "jsonb"  # whoever died goes on with it
    done = retyped(pending, ["t"])
    assert (done["t"]["words"]["type"], "next" in done["t"]["words"]) == ("jsonb", False)
    assert look(done, chosen)[0] == ()


def test_a_choice_that_is_taken_back_leaves_the_word_to_the_data() -> None:
    ((found,), _) = look(first({"at": {"type": "text"}}), None, INTEGERS)
    assert (str(found.held), str(found.wanted)) == ("text", "bigint")


def test_other_rules_for_values_need_a_comparison_and_no_other_type() -> None:
    ((found,), _) = look(first(), {"words": {"on_invalid": "replace"}})
    assert (found.retypes, found.compares) == (False, True)
    assert str(found) == "t.words is read otherwise: on_invalid changed"


def test_the_name_of_the_type_that_is_there_changes_nothing() -> None:
    ((found,), _) = look(first(), {"words": {"type": "text"}})
    assert (found.retypes, found.compares) == (False, False)


def test_a_format_for_all_columns_of_a_type_counts_for_each() -> None:
    (made, _) = look(first(), None, formats={"timestamp": "iso utc"})
    assert [(found.column, found.keys) for found in made] == [("at", ("format",)), ("parent", ("format",))]


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"id": {"type": "text"}}, "rows are found by it"),
        ({"id": {"on_invalid": "round"}}, "rows are found by it"),
        ({"parent": {"type": "text"}}, "a foreign key has it"),
    ],
)
def test_rows_must_be_found_again(chosen: dict[str, Any], why: str) -> None:
    with pytest.raises(MappingError, match=why) as raised:
        look(first(), chosen)
    (key,) = next(iter(chosen.values()))
    assert raised.value.remedy == f"write no `{key}` there, as it was"


def test_the_remedy_names_what_was_chosen_before() -> None:
    with pytest.raises(MappingError) as raised:
        look(first({"parent": {"type": "date"}}), {"parent": {"type": "text"}})
    assert raised.value.remedy == 'write `type = "date"` there, as it was'
