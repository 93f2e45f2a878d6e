"""Which lines of configuration the data of a column speak for."""

from dataclasses import replace

import pytest
from small_tables import config, table

from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.facts.proposal import Proposal
from cdc.facts.source_schema import Affinity, Column, ForeignKey, Key, KeyKind
from cdc.facts.table_map import TableMap
from cdc.mapping.map_tables import map_table
from cdc.mapping.proposals import configuration, propose

INTEGER, NUMERIC, TEXT, BLOB = Affinity.INTEGER, Affinity.NUMERIC, Affinity.TEXT, Affinity.BLOB


def proposed(column: Column, content: ColumnProfile, **chosen: str) -> tuple[Proposal, ...]:
    source = table("t", column)
    looked = TableProfile(content.present + content.null, (content,))
    options = config({"t": {"columns": {column.name: chosen}}} if chosen else None)
    mapped: TableMap = map_table(source, options, looked)
    return propose(source, mapped, looked, options)


def lines(declared: str, affinity: Affinity, content: ColumnProfile) -> list[dict[str, str]]:
    return [dict(p.lines) for p in proposed(Column("c", declared, affinity), content)]


def test_numbers_with_fractions_in_an_integer_column_get_the_type_that_holds_them_all() -> None:
    content = ColumnProfile("c", integer=66, real=1, least=1, greatest=99)
    (found,) = proposed(Column("c", "INTEGER", INTEGER), content)
    assert (found.lines, found.frees, found.leaves, found.exact) == ((("type", "numeric"),), 1, 0, True)
    assert "66 integers, 1 real" in found.why


@pytest.mark.parametrize(
    ("declared", "affinity", "content", "expected"),
    [
        ("INTEGER", INTEGER, ColumnProfile("c", text=3), {"type": "text"}),
        ("INTEGER", INTEGER, ColumnProfile("c", blob=3), {"type": "bytea"}),
        ("INTEGER", INTEGER, ColumnProfile("c", integer=2, text=1), {"type": "literal"}),
        ("REAL", Affinity.REAL, ColumnProfile("c", real=2, text=1), {"type": "literal"}),
        ("BLOB", BLOB, ColumnProfile("c", text=3), {"type": "text"}),
        ("BOOLEAN", NUMERIC, ColumnProfile("c", integer=3, not_boolean=1), {"type": "bigint"}),
        (
            "BOOLEAN",
            NUMERIC,
            ColumnProfile("c", integer=2, text=1, forms=TextForms(other=1, words=1)),
            {"format": "words"},
        ),
        ("TEXT", TEXT, ColumnProfile("c", text=3, forms=TextForms(other=3, nul=1)), {"type": "literal"}),
    ],
)
def test_what_a_declared_type_does_not_hold_gets_one_that_does(
    declared: str, affinity: Affinity, content: ColumnProfile, expected: dict[str, str]
) -> None:
    (found,) = proposed(Column("c", declared, affinity), content)
    assert (dict(found.lines), found.leaves) == (expected, 0)
    assert found.exact is (expected != {"type": "literal"}), "an application would have to read literals"
    assert found.frees > 0


def test_empty_texts_may_also_become_null_which_is_a_loss_and_needs_a_column_that_may_be_null() -> None:
    content = ColumnProfile("c", integer=5, text=3, forms=TextForms(empty=2, other=1))
    literal, null = proposed(Column("c", "INTEGER", INTEGER), content)
    assert (literal.frees, literal.leaves, literal.exact) == (3, 0, False)
    assert (null.lines, null.frees, null.leaves, null.exact) == ((("empty", "null"),), 2, 1, False)
    assert len(proposed(Column("c", "INTEGER", INTEGER, not_null=True), content)) == 1


@pytest.mark.parametrize(
    ("declared", "affinity", "content", "expected"),
    [
        ("TEXT", TEXT, ColumnProfile("c", text=3, json=3, forms=TextForms(other=3, documents=3)), {"type": "jsonb"}),
        ("TEXT", TEXT, ColumnProfile("c", text=10, forms=TextForms(uuid=10)), {"type": "uuid"}),
        ("TEXT", TEXT, ColumnProfile("c", text=3, forms=TextForms(zoned=3)), {"type": "timestamptz"}),
        ("TEXT", TEXT, ColumnProfile("c", text=3, forms=TextForms(time=3)), {"type": "time"}),
        ("DATETIME", NUMERIC, ColumnProfile("c", text=3, forms=TextForms(naive=1, date=2)), {"format": "iso utc"}),
        ("DATETIME", NUMERIC, ColumnProfile("c", integer=3, least=1.6e9, greatest=1.8e9), {"format": "epoch s"}),
        (
            "DATETIME",
            NUMERIC,
            ColumnProfile("c", text=2, integer=3, least=1.6e9, greatest=1.8e9, forms=TextForms(naive=1, date=1)),
            {"format": "auto utc"},
        ),
        ("DATETIME", NUMERIC, ColumnProfile("c", integer=3, least=1.6e12, greatest=1.8e12), {"format": "epoch ms"}),
        ("DATE", NUMERIC, ColumnProfile("c", integer=3, least=-6.2e11, greatest=-5.8e10), {"format": "epoch ms"}),
        ("DATETIME", NUMERIC, ColumnProfile("c", real=3, least=2.45e6, greatest=2.46e6), {"format": "julian day"}),
        ("INTEGER", INTEGER, ColumnProfile("c", integer=3, least=0, greatest=1), {"type": "boolean"}),
        ("JSON", NUMERIC, ColumnProfile("c", blob=3, binary_json=3), {"type": "jsonb", "expression": 'json("c")'}),
        (
            "BLOB",
            BLOB,
            ColumnProfile("c", blob=3, binary_json=3, longest=9),
            {"type": "jsonb", "expression": 'json("c")'},
        ),
    ],
)
def test_where_every_row_arrives_it_is_a_choice(
    declared: str, affinity: Affinity, content: ColumnProfile, expected: dict[str, str]
) -> None:
    (found,) = proposed(Column("c", declared, affinity), content)
    assert (dict(found.lines), found.frees, found.leaves, found.exact) == (expected, 0, 0, True)


@pytest.mark.parametrize(
    ("declared", "affinity", "content"),
    [
        ("INTEGER", INTEGER, ColumnProfile("c", integer=3, least=0, greatest=0)),
        ("INTEGER", INTEGER, ColumnProfile("c", integer=3, not_boolean=1, least=0, greatest=2)),
        ("TEXT", TEXT, ColumnProfile("c", text=3, json=2, forms=TextForms(other=3, documents=2))),
        ("TEXT", TEXT, ColumnProfile("c", text=3, forms=TextForms(naive=2, time=1))),
        ("TEXT", TEXT, ColumnProfile("c", text=3, forms=TextForms(naive=2, other=1))),
        ("DATETIME", NUMERIC, ColumnProfile("c", integer=3, least=1.6e9, greatest=1.8e12)),
        ("DATETIME", NUMERIC, ColumnProfile("c", text=1, integer=2, least=5, greatest=9, forms=TextForms(naive=1))),
        ("DATETIME", NUMERIC, ColumnProfile("c", text=1, integer=2, least=2e9, greatest=2e9, forms=TextForms(other=1))),
        ("BLOB", BLOB, ColumnProfile("c", blob=3, binary_json=3, longest=1)),  # single bytes, such as 0 and 1
        ("JSON", NUMERIC, ColumnProfile("c", text=3, json=3, forms=TextForms(other=3, documents=3))),
        ("TEXT", TEXT, ColumnProfile("c", null=3)),
        ("TEXT", TEXT, ColumnProfile("c", text=9, forms=TextForms(uuid=9))),
    ],
)
def test_nothing_is_proposed_for_a_guess_nor_for_what_stands(
    declared: str, affinity: Affinity, content: ColumnProfile
) -> None:
    assert lines(declared, affinity, content) == []


@pytest.mark.parametrize("name", ["user_id", "tagId", "uuid"])
def test_a_column_that_others_are_compared_with_stays_text_though_its_values_are_uuids(name: str) -> None:
    """Postgres knows no equality of a UUID and a text: the application's joins would fail."""
    content = ColumnProfile(name, text=50, forms=TextForms(uuid=50))
    assert proposed(Column(name, "TEXT", TEXT), content) == ()


def test_what_a_choice_would_keep_out_is_counted() -> None:
    broken = ColumnProfile("c", text=50, json=47, not_json=3, forms=TextForms(other=50, documents=47))
    (found,) = proposed(Column("c", "JSON", NUMERIC), broken)
    assert (found.lines, found.frees, found.leaves) == ((("type", "jsonb"),), 0, 3)
    assert "47 of 50 values are JSON" in found.why


def test_columns_that_somebody_decided_on_and_those_that_others_depend_on_get_none() -> None:
    content = ColumnProfile("c", integer=2, real=1)
    assert proposed(Column("c", "INTEGER", INTEGER), content, target="d") != ()
    assert proposed(Column("c", "INTEGER", INTEGER), content, on_invalid="round") == ()
    source = table("t", Column("c", "INTEGER", INTEGER), foreign_keys=(ForeignKey(("C",), "p", ("id",)),))
    looked = TableProfile(3, (content, ColumnProfile("id", integer=3, least=0, greatest=1)))
    assert propose(source, map_table(source, config(), looked), looked, config()) == ()
    adopting = config({"t": {"adopt": True}})
    plain = table("t", Column("c", "INTEGER", INTEGER))
    assert propose(plain, map_table(plain, adopting, looked), looked, adopting) == ()


def test_texts_among_blobs_may_become_their_bytes_which_is_a_loss() -> None:
    literal, as_bytes = proposed(Column("c", "BLOB", BLOB), ColumnProfile("c", blob=2, text=1))
    assert (dict(literal.lines), literal.exact) == ({"type": "literal"}, False)
    assert (dict(as_bytes.lines), as_bytes.frees, as_bytes.exact) == ({"format": "utf-8"}, 1, False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ColumnProfile("c", text=2), [{"type": "text"}]),
        (ColumnProfile("c", text=1, integer=1), []),
        (ColumnProfile("c", integer=2, not_boolean=2), []),
    ],
)
@pytest.mark.parametrize("bound", ["key", "reference"])
def test_a_column_that_rows_are_found_by_becomes_text_where_all_its_values_are(
    content: ColumnProfile, expected: list[dict[str, str]], bound: str
) -> None:
    """A mapper that declares a column INTEGER although it refers to a text would have every row of it wait."""
    in_key = bound == "key"
    column = Column("c", "INT", INTEGER, primary_key=1 if in_key else 0)
    references = () if in_key else (ForeignKey(("c",), "p", ("id",)),)
    source = table("t", column, foreign_keys=references)
    source = replace(source, key=Key(KeyKind.COLUMNS, ("c",))) if in_key else source
    looked = TableProfile(2, (content,))
    found = propose(source, map_table(source, config(), looked), looked, config())
    assert [dict(p.lines) for p in found] == expected


def test_a_proposal_is_written_as_the_section_that_it_stands_for() -> None:
    written = configuration(Proposal("a b", 'c"d', (("type", "jsonb"), ("expression", 'json("c""d")')), "why"))
    assert written == '[tables."a b".columns."c\\"d"]\ntype = "jsonb"\nexpression = "json(\\"c\\"\\"d\\")"'
