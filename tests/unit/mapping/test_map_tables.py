"""Which type holds a column, and what is said about values that do not fit."""

from dataclasses import replace
from typing import Any

import pytest

from cdc.config import Config, decode_config
from cdc.errors import MappingError
from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, SourceSchema, Table
from cdc.facts.table_map import TableMap
from cdc.first_copy.risks import risks
from cdc.mapping.map_tables import map_schema, map_table


def config(**table: Any) -> Config:
    raw = {"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": "app"}}
    return decode_config({**raw, "tables": {"t": table}} if table else raw)


def affinity(declared: str) -> Affinity:
    """By the five rules of SQLite, written again so that a slip in one place shows."""
    upper = declared.upper()
    if "INT" in upper:
        return Affinity.INTEGER
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if not upper or "BLOB" in upper:
        return Affinity.BLOB
    return Affinity.REAL if any(w in upper for w in ("REAL", "FLOA", "DOUB")) else Affinity.NUMERIC


def table(*columns: Column, key: Key | None = None) -> Table:
    whole = (Column("id", "INTEGER", Affinity.INTEGER, primary_key=1), *columns)
    return Table("t", whole, key or Key(KeyKind.INTEGER, ("id",)))


def typed(declared: str, profile: ColumnProfile | None = None, *, in_key: bool = False) -> tuple[str, bool]:
    key = Key(KeyKind.COLUMNS, ("c",)) if in_key else None
    found = TableProfile(1, (profile,)) if profile else None
    mapped = map_table(table(Column("c", declared, affinity(declared)), key=key), config(), found)
    column = mapped.columns[1]
    return column.type, column.literal


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("INTEGER", "bigint"),
        ("TINYINT(1)", "bigint"),
        ("UNSIGNED BIG INT", "bigint"),
        ("FLOATING POINT", "bigint"),  # POINT holds INT: SQLite gives it INTEGER affinity
        ("VARCHAR(20)", "text"),
        ("NATIVE CHARACTER(70)", "text"),
        ("CLOB", "text"),
        ("BLOB", "bytea"),
        ("DOUBLE PRECISION", "double precision"),
        ("FLOAT", "double precision"),
        ("NUMERIC", "numeric"),
        ("decimal(10,5)", "numeric"),
        ("boolean", "boolean"),
        ("BOOL", "boolean"),
        ("JSON", "jsonb"),
        ("jsonb", "jsonb"),
        ("DATETIME", "timestamp"),
        ("TIMESTAMP", "timestamp"),
        ("DATE", "date"),
        ("TIMESTAMPTZ", "timestamptz"),
        ("TIME", "time"),
        ("TIMEZONE", "text"),
        ("UUID", "text"),
    ],
)
def test_an_empty_column_gets_the_type_that_it_declares(declared: str, expected: str) -> None:
    assert typed(declared) == (expected, False)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (ColumnProfile("c", text=3, forms=TextForms(naive=3)), ("timestamp", False)),
        (ColumnProfile("c", text=3, forms=TextForms(zoned=3)), ("timestamptz", False)),
        (ColumnProfile("c", text=3, forms=TextForms(date=3)), ("date", False)),
        (ColumnProfile("c", text=3, forms=TextForms(time=3)), ("time", False)),
        (ColumnProfile("c", text=3, forms=TextForms(time=2, other=1)), ("text", False)),
        (ColumnProfile("c", integer=3), ("bigint", False)),
        (ColumnProfile("c", integer=1, real=2), ("double precision", False)),
        (ColumnProfile("c", integer=1, real=2, big=1), ("text", True)),
        (ColumnProfile("c", text=3, forms=TextForms(naive=2, empty=1)), ("text", False)),
        (ColumnProfile("c", text=3, forms=TextForms(naive=2, date=1)), ("text", False)),
        (ColumnProfile("c", text=2, integer=1, forms=TextForms(naive=2)), ("text", True)),
    ],
)
def test_dates_get_the_first_type_that_holds_every_value_exactly(
    profile: ColumnProfile, expected: tuple[str, bool]
) -> None:
    assert typed("DATETIME", profile) == expected


def test_dates_that_identify_rows_stay_text_because_two_texts_can_be_one_instant() -> None:
    assert typed("DATETIME", ColumnProfile("c", text=3, forms=TextForms(naive=3)), in_key=True) == ("text", False)
    assert typed("DATETIME", in_key=True) == ("text", False)
    assert typed("DATETIME", ColumnProfile("c", integer=3), in_key=True) == ("bigint", False)


@pytest.mark.parametrize(
    "declared", ["POINT", "multipoint", "MULTIPOINT ZM", "POINT(4326)", "POLYGON", "INTERVAL", "HINT", "print (9)"]
)
def test_a_column_is_no_integer_because_of_the_letters_in_its_name(declared: str) -> None:
    assert typed(declared, ColumnProfile("c", blob=3)) == ("bytea", False)
    assert typed(declared, ColumnProfile("c", text=3)) == ("text", False)
    assert typed(declared, ColumnProfile("c", text=3, integer=1)) == ("text", True)


@pytest.mark.parametrize("declared", ["BIG INT", "UINT8", "int_unsigned", "MEDIUMINT(3) UNSIGNED", "INTEGER NULL"])
def test_an_integer_stays_one_whatever_it_holds(declared: str) -> None:
    assert typed(declared, ColumnProfile("c", text=3)) == ("bigint", False)


def test_what_sqlite_makes_integers_of_is_one_while_nothing_speaks_against_it() -> None:
    assert typed("INTERVAL") == ("bigint", False)
    assert typed("INTERVAL", ColumnProfile("c", integer=3)) == ("bigint", False)
    assert typed("FLOATING POINT", ColumnProfile("c", integer=3, real=1)) == ("numeric", False)
    assert typed("MULTIPOINT") == ("text", False)  # a geometry, as an empty POLYGON


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (ColumnProfile("c", text=3, forms=TextForms(other=3, documents=3)), ("jsonb", False)),
        (ColumnProfile("c", text=2, integer=1, real=1, forms=TextForms(other=2, documents=2)), ("jsonb", False)),
        (ColumnProfile("c", integer=3), ("jsonb", False)),
        (ColumnProfile("c", real=3, greatest=float("inf")), ("text", True)),
        (ColumnProfile("c", text=3, forms=TextForms(other=3, documents=2)), ("text", False)),
        (ColumnProfile("c", text=3, forms=TextForms(other=2, empty=1, documents=2)), ("text", False)),
        (ColumnProfile("c", text=3, integer=1, forms=TextForms(other=3, documents=2)), ("text", True)),
        (ColumnProfile("c", blob=3, binary_json=3), ("bytea", False)),
        (ColumnProfile("c", blob=3, text=1, binary_json=3), ("text", True)),
    ],
)
def test_json_is_decided_by_whether_jsonb_keeps_every_value(profile: ColumnProfile, expected: tuple[str, bool]) -> None:
    assert typed("JSON", profile) == expected


def test_documents_that_identify_rows_stay_text_because_two_texts_can_be_one_document() -> None:
    assert typed("JSON", in_key=True) == ("text", False)
    assert typed("JSON", ColumnProfile("c", text=3, forms=TextForms(documents=3)), in_key=True) == ("text", False)


@pytest.mark.parametrize("declared", ["", "ANY"])
@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (ColumnProfile("c", integer=3), ("bigint", False)),
        (ColumnProfile("c", real=3), ("double precision", False)),
        (ColumnProfile("c", text=3), ("text", False)),
        (ColumnProfile("c", blob=3), ("bytea", False)),
        (ColumnProfile("c", integer=1, real=2), ("text", True)),
        (ColumnProfile("c", null=3), ("text", True)),
    ],
)
def test_an_untyped_column_gets_the_one_class_it_holds_or_keeps_literals(
    declared: str, profile: ColumnProfile, expected: tuple[str, bool]
) -> None:
    assert typed(declared, profile) == expected


def test_a_table_known_by_rowid_gets_the_rowid_as_its_first_column_and_key() -> None:
    rowid = Key(KeyKind.ROWID, ("_rowid_",))
    mapped = map_table(table(Column("_cdc_rowid", "TEXT", Affinity.TEXT), key=rowid), config())
    first = mapped.columns[0]
    assert (first.target, first.expression, first.type, first.source) == ("_cdc_rowid_", '"_rowid_"', "bigint", None)
    assert mapped.key == ("_cdc_rowid_",)


def test_the_operator_renames_skips_types_and_computes() -> None:
    columns = {
        "A": {"target": "alpha", "type": "JSONB"},
        "b": {"expression": "upper(b)", "type": "Character  Varying(9)"},
        "new": {"expression": "substr(a, 4)"},
        "any": {"type": "literal"},
    }
    source = table(*(Column(n, "TEXT", Affinity.TEXT) for n in ("a", "b", "c", "any")))
    mapped = map_table(source, config(target="other", skip=["C"], columns=columns))
    assert mapped.target == "other"
    assert [(c.target, c.expression, c.type, c.source, c.literal) for c in mapped.columns[1:]] == [
        ("alpha", '"a"', "jsonb", "a", False),
        ("b", "upper(b)", "character varying(9)", None, False),
        ("any", '"any"', "text", "any", True),
        ("new", "substr(a, 4)", "text", None, False),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "x" * 64}, "64 bytes"),
        ({"target": "é" * 32}, "64 bytes"),
        ({"skip": ["id"]}, "identifies the rows"),
        ({"columns": {"nope": {"type": "text"}}}, "no such column"),
        ({"columns": {"id": {"expression": "1"}}}, "identifies the rows"),
        ({"columns": {"id": {"type": "jsonb"}}}, "could become equal"),
        ({"columns": {"c": {"target": "ID"}, "id": {"target": "ID"}}}, "two columns"),
        ({"columns": {"c": {"target": "xmin"}}}, "keeps for itself"),
        ({"columns": {"c": {"type": "text); DROP TABLE x; --"}}}, "not the name of a type"),
        ({"columns": {"n": {"expression": ""}}}, "`expression` is empty"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_with_a_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MappingError, match=message) as refused:
        map_table(table(Column("c", "TEXT", Affinity.TEXT)), config(**options))
    assert refused.value.remedy


def test_a_column_without_a_name_needs_one_from_the_operator() -> None:
    with pytest.raises(MappingError, match="empty"):
        map_table(table(Column("", "TEXT", Affinity.TEXT)), config())


def test_two_tables_cannot_go_to_one_target_and_sections_must_name_tables() -> None:
    twin = Table("other", (Column("id", "INTEGER", Affinity.INTEGER, primary_key=1),), Key(KeyKind.INTEGER, ("id",)))
    with pytest.raises(MappingError, match="two tables"):
        map_schema(SourceSchema((table(), twin)), config(target="other"))
    with pytest.raises(MappingError, match="no such table"):
        map_schema(SourceSchema((twin,)), config(target="x"))


def found(column: Column, profile: ColumnProfile, **options: Any) -> list[tuple[str, str]]:
    source = table(column)
    looked = TableProfile(9, (profile,))
    mapped: TableMap = map_table(source, config(**options), looked)
    return [(r.level, r.text) for r in risks(source, mapped, looked)]


@pytest.mark.parametrize(
    ("declared", "profile", "level", "text"),
    [
        ("TEXT", ColumnProfile("c", text=81, json=81), "note", "every one of 81 texts is a JSON object"),
        (
            "DATETIME",
            ColumnProfile("c", text=3, forms=TextForms(naive=2, empty=1)),
            "note",
            "2 timestamps, 1 text that is empty",
        ),
        (
            "TIMESTAMP",
            ColumnProfile("c", text=3, forms=TextForms(zoned=3)),
            "note",
            "the offset that was written is not",
        ),
        ("", ColumnProfile("c", text=3, integer=3), "note", "kept as SQL literals"),
        (
            "JSON",
            ColumnProfile("c", text=50, integer=2, forms=TextForms(other=50, documents=47)),
            "note",
            "would not keep 3 of its 52 values",
        ),
        ("JSONB", ColumnProfile("c", blob=3, binary_json=3), "note", "binary form, kept as bytea"),
        ("JSONB", ColumnProfile("c", blob=3, text=1, binary_json=2), "note", "2 blobs of 4 values"),
    ],
)
def test_what_the_data_suggests_is_told_in_words(declared: str, profile: ColumnProfile, level: str, text: str) -> None:
    ((told, words),) = found(Column("c", declared, affinity(declared)), profile)
    assert told == level
    assert text in words


def test_nothing_is_said_where_everything_fits() -> None:
    assert not found(Column("c", "TEXT", Affinity.TEXT), ColumnProfile("c", text=5, not_json=5))
    assert not found(Column("c", "INTEGER", Affinity.INTEGER), ColumnProfile("c", integer=5, not_boolean=5, big=5))


def test_null_keys_are_noted_and_block_where_no_rowid_tells_them_apart() -> None:
    source = table(Column("c", "TEXT", Affinity.TEXT), key=Key(KeyKind.COLUMNS, ("c",), nullable=True))
    mapped = map_table(source, config())
    held = risks(source, mapped, TableProfile(2, (ColumnProfile("c", null=2),)))
    assert [(r.level, r.column, r.rows) for r in held] == [("note", "c", 2)]
    assert 'key = "rowid"' in held[0].remedy
    hidden = replace(source, rowid_alias=None)
    blocked = risks(hidden, mapped, TableProfile(2, (ColumnProfile("c", null=2),)))
    assert [(r.level, r.column) for r in blocked] == [("blocks", "c")]
    assert [r.level for r in risks(source, mapped, TableProfile(2, (ColumnProfile("c", text=2),)))] == ["note"]
