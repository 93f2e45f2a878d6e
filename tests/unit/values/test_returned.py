"""A value that Postgres made is written as the application wrote the others, as far as these can tell."""

from collections.abc import Sequence

import pytest

from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.values import Value
from cdc.facts.written_form import WrittenForm
from cdc.mapping.type_names import column_of_type
from cdc.values.encoder import Unfit
from cdc.values.returned import ReturnedColumn

ID = Column("id", "INTEGER", Affinity.INTEGER, primary_key=1)
PLAIN = ValueRules()


def returned(type_: str, rules: ValueRules = PLAIN, declared: str = "", **how: object) -> ReturnedColumn:
    affinity = Affinity(declared) if declared in set(Affinity) else Affinity.BLOB
    here = Column("v", declared, affinity, **how)  # type: ignore[arg-type]
    column = ColumnMap("v", '"v"', type_, "v", reading=rules)
    there = column_of_type("v", type_, not_null=False)
    assert there is not None
    table = Table("s", (ID, here), Key(KeyKind.INTEGER, ("id",)))
    return ReturnedColumn(TableMap(table, "public", "s", (column,), ("id",)), column, there, here)


@pytest.mark.parametrize(
    ("type_", "format_", "sample", "text", "written"),
    [
        (
            "timestamptz",
            "",
            ["2024-01-01T00:00:00+02:00"],
            "2024-07-01 01:02:03.5+00",
            "2024-07-01T01:02:03.500000+00:00",
        ),
        ("timestamptz", "", ["2024-01-01 00:00 -0330"], "2024-07-01 01:02:00+00", "2024-07-01 01:02 +0000"),
        ("timestamptz", "iso utc", ["2024-01-01", "2024-01-02"], "2024-07-01 00:00:00+00", "2024-07-01"),
        ("timestamptz", "iso utc", ["2024-01-01"], "2024-07-01 01:00:00+00", "2024-07-01 01:00:00"),
        ("timestamptz", "epoch s", [1.5, 2.5], "1970-01-01 00:00:03+00", 3.0),
        ("timestamptz", "epoch s", [1, 2.5, 3.5], "1970-01-01 00:00:04+00", 4),
        ("timestamptz", "epoch ms", ["1"], "1970-01-01 00:00:03+00", "3000"),
        ("timestamp", "julian day", [2460000.5], "2000-01-01 12:00:00", 2451545.0),
        ("float8", "", [1, 2], "5", 5),
        ("float8", "", [1, 2], "-0", -0.0),
        ("numeric", "number", [1, 2, "2.50"], "12345678901234567890.50", "12345678901234567890.50"),
        ("numeric", "number", [1, 2, "2.5"], "7", 7),
        ("bool", "words", ["yes", "YES", "NO"], "f", "NO"),
        ("jsonb", "", ['{"b":1,"a":"\\u00e9"}'], '{"a": "\\"é, :", "b": 1.50}', '{"a":"\\"\\u00e9, :","b":1.50}'),
        ("jsonb", "", ['["a\\/b"]'], '["c/d", 1]', '["c\\/d", 1]'),
        ("uuid", "uuid", [bytes(16)], "a0000000-0000-0000-0000-000000000000", bytes([0xA0, *bytes(15)])),
    ],
)
def test_the_majority_of_values_shows_how_another_one_is_written(
    type_: str, format_: str, sample: Sequence[Value], text: str, written: Value
) -> None:
    column = returned(type_, ValueRules(format_))
    found = column.value(text, column.learn(sample))
    assert repr(found) == repr(written)


@pytest.mark.parametrize(
    ("declared", "type_", "format_", "text", "written"),
    [
        ("TEXT", "timestamptz", "epoch s", "1970-01-01 00:00:03+00", "3"),
        ("REAL", "timestamptz", "epoch s", "1970-01-01 00:00:03+00", 3.0),
        ("INTEGER", "timestamptz", "epoch s", "1970-01-01 00:00:03+00", 3),
        ("BLOB", "uuid", "uuid", "a0000000-0000-0000-0000-000000000000", bytes([0xA0, *bytes(15)])),
        ("TEXT", "bool", "words", "t", "true"),
        ("", "bool", "words", "t", 1),
        ("TEXT", "numeric", "number", "1.50", "1.5"),
    ],
)
def test_the_declaration_shows_it_where_there_is_no_value(
    declared: str, type_: str, format_: str, text: str, written: Value
) -> None:
    column = returned(type_, ValueRules(format_), declared)
    assert repr(column.value(text, column.learn([None]))) == repr(written)


def test_null_comes_back_as_the_empty_text_that_the_application_wrote() -> None:
    rules = ValueRules(empty="null")
    assert returned("text", rules).learn(["", "a", None, ""]) == WrittenForm(("text",), empty=True)
    assert returned("text", rules).learn(["", None, None]) == WrittenForm(("text",))
    assert returned("text").learn(["", ""]) == WrittenForm(("text",))
    needed = returned("text", rules, not_null=True)
    assert needed.value(None, needed.learn([])) == ""
    assert returned("text", rules).value(None, WrittenForm(("text",))) is None


def test_what_was_altered_on_purpose_is_what_postgres_has() -> None:
    assert returned("int4", ValueRules("", "null")).alike("no number", None)
    assert returned("int4", ValueRules("", "round")).alike(1.5, "2")
    assert not returned("int4", ValueRules("", "round")).alike(1.5, "1")
    assert not returned("int4").alike("no number", None)


def test_zeros_of_a_number_in_a_document_tell_two_documents_apart() -> None:
    column = returned("jsonb")
    assert column.alike('{"b":1e2,"a":-0.0}', '{"a": 0.0, "b": 100}')
    assert not column.alike("[1.5]", "[1.50]")
    assert not column.alike("[0.00]", "[0]")
    assert not column.alike("[1]", '["1"]')


def test_forms_of_a_type_that_was_changed_meanwhile_are_those_of_the_new_one() -> None:
    assert returned("int4").value("5", WrittenForm(("YYYY-MM-DD",))) == 5


@pytest.mark.parametrize(
    ("type_", "format_", "text", "wrong"),
    [
        ("float8", "", "NaN", "is NaN, which SQLite does not have"),
        ("timestamp", "", "infinity", "is infinite, or outside of the days of years 1 to 9999 and their 24 hours"),
        ("timestamp", "", "10000-01-01 00:00:00", "is infinite, or outside of the days of years 1 to 9999"),
        ("date", "", "0001-12-31 BC", "is infinite, or outside of the days of years 1 to 9999"),
        ("time", "", "24:00:00", "is infinite, or outside of the days of years 1 to 9999 and their 24 hours"),
        ("numeric", "", "12345678901234567890.5", "has no such form that would be the same value in Postgres again"),
    ],
)
def test_a_value_that_sqlite_has_no_form_for_is_refused(type_: str, format_: str, text: str, wrong: str) -> None:
    column = returned(type_, ValueRules(format_))
    with pytest.raises(Unfit, match=f"^{wrong}"):
        column.value(text, column.learn([]))
