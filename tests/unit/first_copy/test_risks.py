"""What the operator is told of a table before anything is created: about its names, its computed columns, its rows."""

from small_tables import levels, mapped, number, table, text

from cdc.config import TableOptions
from cdc.facts.changes import Reason
from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.risk import Risk
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind
from cdc.first_copy.dry_run import Rehearsal, Unknown
from cdc.first_copy.rehearsal_notes import Finding
from cdc.first_copy.risks import kept_out, risks, skipped_in_vain


def computed(expression: str, *, affinity: Affinity = Affinity.BLOB, stored: bool = False) -> Column:
    kind = "stored" if stored else "virtual"
    declared = "TEXT" if affinity is Affinity.TEXT else ""
    return Column("g", declared, affinity, generated=kind, generated_expression=expression)


def told(*columns: Column, profile: TableProfile | None = None) -> list[Risk]:
    source = table("t", *columns)
    return [risk for risk in risks(source, mapped(source), profile) if risk.column == "g"]


def profile(*columns: ColumnProfile) -> TableProfile:
    return TableProfile(9, (ColumnProfile("id", integer=9), *columns))


REAL = Column("r", "REAL", Affinity.REAL)


def test_a_text_that_is_made_of_a_real_may_differ_between_versions_of_sqlite() -> None:
    assert levels(told(REAL, computed("r || ''"))) == [("note", "g")]
    assert levels(told(REAL, computed("r", affinity=Affinity.TEXT))) == [("note", "g")]


def test_numbers_that_stay_numbers_and_texts_that_stay_texts_do_not() -> None:
    assert told(REAL, computed("r * 2")) == []
    assert told(text("a"), computed("a || ''")) == []


def test_what_is_stored_was_computed_by_whoever_wrote_it() -> None:
    assert told(REAL, computed("r || ''", stored=True)) == []


def test_the_data_decides_where_the_declaration_only_allows() -> None:
    number_column = Column("r", "NUMERIC", Affinity.NUMERIC)
    assert told(number_column, computed("r || ''")) != []
    assert told(number_column, computed("r || ''"), profile=profile(ColumnProfile("r", integer=9))) == []
    assert told(number_column, computed("r || ''"), profile=profile(ColumnProfile("r", real=1))) != []


def test_functions_that_answer_otherwise_in_other_versions_are_told_whatever_they_are_applied_to() -> None:
    assert levels(told(text("a"), computed("json_extract(a, '$.b')"))) == [("note", "g")]


def test_values_that_were_seen_to_differ_are_counted() -> None:
    upper = computed("upper(a)", affinity=Affinity.TEXT)
    (risk,) = told(text("a"), upper, profile=profile(ColumnProfile("g", text=9, disagreeing=2)))
    assert risk.rows == 2
    assert "another value in 2 rows" in risk.text


def test_names_with_capitals_are_told_in_one_note_that_does_not_grow() -> None:
    source = table("T", *(text(f"C{n}") for n in range(6)))
    (risk,) = risks(source, mapped(source), None)
    assert risk.text.endswith("must quote them: T, C0, C1, C2, C3, ...")
    assert not risks(table("t", text("a")), mapped(table("t", text("a"))), None)


def test_a_table_without_a_key_is_told_that_vacuum_may_renumber_it() -> None:
    source = table("t", key=Key(KeyKind.ROWID, ("_rowid_",)))
    (risk,) = risks(source, mapped(source), None)
    assert (risk.level, risk.column) == ("note", "")
    assert "VACUUM may renumber" in risk.text


def test_documents_are_worth_a_word_unless_they_identify_rows() -> None:
    documents = ColumnProfile("a", text=2, json=2)
    plain = table("t", text("a"))
    assert [r.remedy for r in risks(plain, mapped(plain), profile(documents))] == ['consider `type = "jsonb"`']
    keyed = table("t", text("a"), key=Key(KeyKind.COLUMNS, ("a",)))
    assert not risks(keyed, mapped(keyed), profile(documents))
    assert not risks(plain, mapped(plain), profile(ColumnProfile("a", text=3, json=2)))


def test_a_profile_of_another_column_says_nothing() -> None:
    source = table("t", number("a"))
    assert not risks(source, mapped(source), TableProfile(1, (ColumnProfile("b", text=1, json=1),)))


# --- what is to be skipped and is not there ---------------------------------------------------------------------------


def test_a_column_to_skip_that_the_file_does_not_have_is_told_with_the_name_that_may_be_meant() -> None:
    source = table("t", text("channel_name"), text("summary"))
    found = list(skipped_in_vain(source, TableOptions(skip=["SUMMARY", "analysis", "channel_id"])))
    assert levels(found) == [("note", "analysis"), ("note", "channel_id")]
    assert [r.remedy.startswith("did you mean `channel_name`? ") for r in found] == [False, True]


# --- what a rehearsal of the load found -------------------------------------------------------------------------------


def test_rows_that_stay_behind_are_named_and_what_becomes_another_value_is_counted() -> None:
    rehearsal = Rehearsal(
        findings=(Finding("t", "a", Reason.VALUE, "no integer", "correct it", 2, ("1", "2")),),
        unknown=(Unknown("t", "mood", "app.mood"),),
        altered={("t", "b"): 1},
        tight={("t", "i"): 3},
    )
    found = list(kept_out(rehearsal))
    assert levels(found) == [("quarantine", "a"), ("note", "b"), ("note", ""), ("note", "mood")]
    assert [r.rows for r in found] == [2, 1, 3, 0]
    assert found[0].keys == ("1", "2")
    assert found[0].text == "2 rows: no integer: to quarantine"
    assert found[1].text.startswith("1 value will become another one")
