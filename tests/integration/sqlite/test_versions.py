"""VIRTUAL columns are computed by the SQLite that reads them; where two versions differ, the plan says so."""

import sqlite3
from pathlib import Path

import pytest
from harness import application, make_config

from cdc.facts.profile import TableProfile
from cdc.facts.risk import Risk
from cdc.first_copy.preflight import build_plan
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.schema.generated_columns import changed_between_versions, makes_text_of_numbers
from cdc.sqlite.schema.profile import profile
from cdc.sqlite.schema.read import read_schema

REALS = """
CREATE TABLE t(
    id INTEGER PRIMARY KEY, a REAL, shown AS (a || '') VIRTUAL, kept TEXT AS (a || '') STORED, twice AS (a * 2)
);
INSERT INTO t(id, a) VALUES (1, 0.1 + 0.2), (2, 1.5), (3, NULL), (4, 1.0 / 3);
"""


def profiled(file: Path, sql: str) -> TableProfile:
    app = application(file)
    app.execute(sql)
    app.close()
    copy = open_copy(file)
    try:
        return profile(copy, read_schema(copy, make_config(file.parent, file, "postgresql://localhost/app")).tables[0])
    finally:
        copy.close()


def test_values_that_a_second_version_computes_otherwise_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    found = profiled(file, REALS)
    copy = open_copy(file)
    ours = copy.execute("SELECT shown FROM t ORDER BY id").fetchall()
    copy.close()
    other = sqlite3.connect(file)
    theirs = other.execute("SELECT shown FROM t ORDER BY id").fetchall()
    other.close()
    assert found.columns[2].disagreeing == sum(a != b for a, b in zip(ours, theirs, strict=True))
    assert [c.disagreeing for c in found.columns if c.name != "shown"] == [0, 0, 0, 0]


def test_a_table_that_the_second_version_cannot_read_is_left_alone(tmp_path: Path) -> None:
    assert profiled(tmp_path / "app.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b AS (a) VIRTUAL)").columns


@pytest.mark.parametrize(
    ("expression", "changed", "textual"),
    [
        ("a + 1", False, False),
        ("a || 'x'", False, True),
        ("CAST(a AS TEXT)", False, True),
        ("length(a)", False, True),
        ("round(a, 2)", True, False),
        ("json_extract(a, '$.b')", True, False),
        ("a | 1", False, False),
    ],
)
def test_what_versions_answer_otherwise(expression: str, changed: bool, textual: bool) -> None:
    assert changed_between_versions(expression) is changed
    assert makes_text_of_numbers(expression) is textual


async def test_the_plan_names_such_columns(tmp_path: Path, database: str) -> None:
    file = tmp_path / "app.db"
    app = application(file)
    app.execute(REALS)
    app.close()
    plan = await build_plan(make_config(tmp_path, file, database))
    assert [r.column for r in plan.risks if about_versions(r)] == ["shown"]


def about_versions(risk: Risk) -> bool:
    return "STORED" in risk.remedy
