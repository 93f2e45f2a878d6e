"""The trigger texts: made from templates that say why, for SQLite back to 3.31, with names quoted."""

import re
from pathlib import Path

import pytest

from cdc.facts.source_schema import Affinity, Column, Index, IndexTerm, Key, KeyKind, Table
from cdc.resources import folder
from cdc.sqlite.capture.trigger_sql import changelog_sql, state_sql, tables_sql, trigger_sql

ID = Column("id", "INTEGER", Affinity.INTEGER, primary_key=1)
EMAIL = Column("email", "TEXT", Affinity.TEXT, not_null=True, default="n/a")
USERS = Table("users", (ID, EMAIL), Key(KeyKind.INTEGER, ("id",)))


def with_index(*terms: IndexTerm, predicate: str | None = None, columns: tuple[Column, ...] = (ID, EMAIL)) -> Table:
    index = Index("i", unique=True, origin="c", terms=terms, predicate=predicate)
    return Table("users", columns, Key(KeyKind.INTEGER, ("id",)), indexes=(index,))


def text(table: Table, suffix: str) -> str:
    """One trigger's text with blanks evened out."""
    return re.sub(r"\s+", " ", trigger_sql(7, table)[f"_cdc_7_{suffix}"])


@pytest.mark.parametrize("template", sorted(folder("triggers").glob("*.sql")), ids=lambda path: path.name)
def test_every_template_begins_with_its_reason(template: Path) -> None:
    assert re.match(r"-- [A-Z]", template.read_text(encoding="utf-8"))


def test_the_changelog_constrains_nothing() -> None:
    assert changelog_sql(2) == "CREATE TABLE _cdc_changelog(seq INTEGER PRIMARY KEY, tid, op, at, k1, k2)"
    made = changelog_sql(2) + state_sql() + tables_sql()
    assert not re.search("AUTOINCREMENT|NOT NULL|UNIQUE|CHECK|DEFAULT", made)


def test_a_plain_table_has_five_triggers_and_no_marker() -> None:
    assert list(trigger_sql(7, USERS)) == [f"_cdc_7_{suffix}" for suffix in ("bi", "ai", "bu", "bd")]


def test_only_functions_of_old_sqlite_are_called() -> None:
    made = " ".join(trigger_sql(7, with_index(IndexTerm("email"))).values())
    called = set(re.findall(r"\b([a-z_]+)\(", made)) - {"_cdc_changelog"}
    assert called <= {"julianday", "ifnull", "typeof"}


def test_names_are_quoted() -> None:
    column = Column('i"d', "TEXT", Affinity.TEXT, not_null=True, primary_key=1)
    made = trigger_sql(1, Table('we"ird', (column,), Key(KeyKind.COLUMNS, ('i"d',))))
    assert 'BEFORE INSERT ON "we""ird"' in made["_cdc_1_bi"]
    assert 'NEW."i""d"' in made["_cdc_1_bi"]


def test_a_look_up_speaks_the_words_of_its_index() -> None:
    table = with_index(IndexTerm("email", collation="NOCASE"), predicate="id > 5")
    assert """WHERE "email" COLLATE "NOCASE" = ifnull(NEW."email", (n/a)) AND (id > 5);""" in text(table, "bi")


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("'x'", "'x'"),
        ("abc", "'abc'"),
        ('"a""b"', "'a\"b'"),
        ("[it's]", "'it''s'"),
        ("-1", "-1"),
        ("TRUE", "TRUE"),
        ("NULL", "NULL"),
    ],
)
def test_a_default_is_a_value_never_the_name_of_a_column(default: str, expected: str) -> None:
    column = Column("email", "TEXT", Affinity.TEXT, not_null=True, default=default)
    table = with_index(IndexTerm("email"), columns=(ID, column))
    assert f'ifnull(NEW."email", ({expected}))' in text(table, "bi")


def test_an_indexed_expression_is_computed_from_the_new_row() -> None:
    table = with_index(IndexTerm(None, "lower(email)"))
    assert '= (SELECT (lower(email)) FROM (SELECT NEW."email" AS "email"))' in text(table, "bu")


def test_an_index_on_a_generated_column_names_what_it_is_computed_from() -> None:
    generated = Column("g", "TEXT", Affinity.TEXT, generated="virtual", generated_expression="upper(email)")
    table = with_index(IndexTerm("g"), columns=(ID, EMAIL, generated))
    assert 'NEW."email" IS NEW."email"' in text(table, "bu")
    assert 'WHEN NEW."email" IS NULL' in text(table, "mu")


def test_an_expression_over_the_rowid_is_marked_where_the_rowid_is_not_known_yet() -> None:
    table = with_index(IndexTerm(None, "id % 3"))
    assert 'WHEN NEW."id" = -1' in text(table, "mi")
    assert "_cdc_7_mu" not in trigger_sql(7, table)


def test_only_one_look_up_finds_the_row_with_the_new_key() -> None:
    table = with_index(IndexTerm("id"), IndexTerm("email"))
    assert text(table, "bi").count("SELECT") == 1
    assert text(table, "bu").count("'R'") == 0
