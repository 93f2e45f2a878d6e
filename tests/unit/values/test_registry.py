"""What lists types, formats or outcomes and cannot be made from the registry says the same as it does.

The configuration stands below the room of values, and the comparison shares nothing with it on purpose.
"""

from typing import Any, get_args

import pytest

from cdc.canonical import chosen, columns, rules, type_limits
from cdc.canonical.text import NEVER
from cdc.config import sections as config
from cdc.facts.profile import TextForms
from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.mapping.type_names import canonical_type, column_of_type
from cdc.postgres.tables import hashed_rows
from cdc.values import addresses, texts, times
from cdc.values.column_rules import encoder_for, problem_with
from cdc.values.encoder import Encoder
from cdc.values.outcomes import OUTCOMES
from cdc.values.registry import FAMILIES, FORMATS, PROMISES, SUPPORTED, TYPES


def column(base: str, **options: object) -> TargetColumn:
    return TargetColumn("v", base, base, **options)  # type: ignore[arg-type]


# --- the registry itself ----------------------------------------------------------------------------------------------


def test_every_type_stands_in_exactly_one_family() -> None:
    in_families = [type_.base for family in FAMILIES.values() for type_ in family.types]
    assert sorted(in_families) == sorted(TYPES)
    assert set(SUPPORTED) == {*TYPES, texts.ENUMS, "arrays"}


def test_every_format_has_a_name_of_its_own() -> None:
    assert len(FORMATS) == sum(len(family.formats) for family in FAMILIES.values())


def test_a_format_stands_in_the_family_of_the_types_that_it_is_read_into() -> None:
    for family in FAMILIES.values():
        for format_ in family.formats:
            assert set(format_.into) <= set(family.types), format_.name
            assert format_.usual is None or format_.usual in format_.into


def test_something_is_promised_of_every_type() -> None:
    promised = [name.removesuffix("(n)") for promise in PROMISES for name in promise.types]
    assert sorted(promised) == sorted(type_.name for type_ in TYPES.values())


def test_no_word_means_two_types() -> None:
    words = [word for t in TYPES.values() for word in {t.name, *t.aliases, *t.synonyms}]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("base", TYPES)
def test_every_word_for_a_type_leads_to_it(base: str) -> None:
    type_ = TYPES[base]
    for word in (type_.name, *type_.aliases, *type_.synonyms):
        made = column_of_type("v", word, not_null=False)
        assert made is not None
        assert made.base == base
    assert {canonical_type(alias) for alias in type_.aliases} <= {type_.name}


@pytest.mark.parametrize("base", TYPES)
def test_every_type_has_an_encoder_by_itself_and_by_every_format_that_is_read_into_it(base: str) -> None:
    formats = [name for name, format_ in FORMATS.items() if TYPES[base] in format_.into]
    for name in ("", *formats):
        assert isinstance(encoder_for(column(base), ValueRules(name)), Encoder), name


@pytest.mark.parametrize("base", TYPES)
def test_every_form_of_a_type_has_a_name_of_its_own_and_a_storage_class(base: str) -> None:
    formats = [format_.forms for format_ in FORMATS.values() if TYPES[base] in format_.into]
    for forms in (TYPES[base].returning.forms, *formats):
        made = forms(column(base))
        assert made
        assert len({form.name for form in made}) == len(made)
        assert {form.storage for form in made} <= {"integer", "real", "text", "blob"}


# --- the configuration ------------------------------------------------------------------------------------------------


def test_the_configuration_takes_the_formats_that_there_are() -> None:
    assert set(get_args(config.Format)) == set(FORMATS)


def test_the_configuration_takes_the_outcomes_that_there_are() -> None:
    assert set(get_args(config.OnInvalid)) == set(OUTCOMES)


def test_the_section_of_formats_has_types_for_which_something_can_be_chosen() -> None:
    fields = config.Formats.__struct_fields__
    by_name = {type_.name: type_.base for type_ in TYPES.values()}
    choices = [*map(ValueRules, FORMATS), *(ValueRules(on_invalid=s) for s in get_args(config.Shortening))]
    for name in fields:
        suiting = [c for c in choices if not problem_with(column(by_name[name]), c)]
        assert suiting, name
        for choice in suiting:
            written: Any = choice.format or choice.on_invalid
            outcome = "" if choice.format else choice.on_invalid
            assert config.Formats(**{name: written}).by_base() == {by_name[name]: (choice.format, outcome)}


def test_a_format_and_an_outcome_may_be_chosen_for_a_type_at_once() -> None:
    both = config.Formats(timestamp=("auto utc", "round"))
    assert both.by_base() == {"timestamp": ("auto utc", "round")}


# --- the comparison ---------------------------------------------------------------------------------------------------


def test_the_comparison_reads_every_format() -> None:
    assert set(chosen._FORMATS) == set(FORMATS)


def test_the_comparison_knows_what_every_type_holds() -> None:
    assert set(type_limits._FITS) == set(TYPES)


def test_the_comparison_has_a_rule_for_every_type_that_is_not_its_own_characters() -> None:
    as_characters = {type_.base for type_ in (*texts.CHARACTERS, *addresses.TYPES)} | {"uuid"}
    assert set(rules._FORMS) == set(TYPES) - as_characters
    assert set(columns._SHORT) <= set(TYPES)
    assert {type_.base for type_ in texts.CHARACTERS} == columns.CHARACTERS


def test_postgres_has_rules_for_known_types_only() -> None:
    assert set(hashed_rows._FORMS) <= set(TYPES)
    assert set(hashed_rows._FROM_TEXT) <= set(TYPES)


# For each outcome a type, and a value that does not fit it but becomes something.
BECOMES_SOMETHING: dict[str, tuple[str, Value]] = {
    "null": ("int4", "x"),
    "text": ("text", 5),
    "replace": ("text", "a\0b"),
    "cut": ("varchar", "abc"),
    "round": ("int4", 1.5),
}


def test_the_comparison_knows_every_outcome() -> None:
    assert set(BECOMES_SOMETHING) == set(OUTCOMES) - {"quarantine"}
    for outcome, (base, value) in BECOMES_SOMETHING.items():
        target = column(base, length=2 if outcome == "cut" else None)
        by_outcome = ValueRules(on_invalid=outcome)
        assert not problem_with(target, by_outcome)
        assert chosen.form(target, by_outcome, rules.form_of(target))(value) != NEVER, outcome
        assert chosen.form(target, ValueRules(), rules.form_of(target))(value) == NEVER, outcome


@pytest.mark.parametrize("base", TYPES)
def test_the_comparison_rounds_the_types_that_are_rounded(base: str) -> None:
    times = {"time": "00:00:00.0000004", "timestamp": "2024-01-01 00:00:00.0000004"}
    unfit = {**times, "timestamptz": f"{times['timestamp']}Z"}.get(base, 0.1)
    target = column(base, scale=0, precision=5 if base == "numeric" else None)
    rounds = chosen.form(target, ValueRules(on_invalid="round"), rules.form_of(target))
    if problem_with(target, ValueRules(on_invalid="round")):
        assert TYPES[base].nearest is None
    else:
        assert rounds(unfit) != NEVER


# --- the profile ------------------------------------------------------------------------------------------------------


def test_the_ways_of_writing_times_are_counted_by_the_profile() -> None:
    forms = TextForms(**{written.form: 1 for written in times.WRITTEN})
    assert [getattr(forms, written.form) for written in times.WRITTEN] == [1] * len(times.WRITTEN)
