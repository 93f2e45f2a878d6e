"""Adopted keys that Postgres lets be NULL: told before the copy, and the printed statement lets the switch go on."""

import asyncio
import json
import re
from pathlib import Path
from typing import Final

import pytest
from harness import value
from installation import Installation

from cdc.cutover import run as switch
from cdc.errors import ExitCode
from cdc.facts.progress import Silent

SOURCE: Final = """
DROP TABLE t;
CREATE TABLE e(o INTEGER PRIMARY KEY, t TEXT); INSERT INTO e VALUES (1, 'one'), (2, 'two');
CREATE TABLE "Pair it"(a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO "Pair it" VALUES ('x', 1);
"""
TARGET: Final = """
CREATE TABLE e(o bigint, t text); CREATE UNIQUE INDEX ON e(o);
CREATE TABLE "Pair it"(a text, b bigint NOT NULL, UNIQUE (a, b));
"""
STATEMENTS: Final = [
    'ALTER TABLE "public"."Pair it" ALTER COLUMN "a" SET NOT NULL;',
    'ALTER TABLE "public"."e" ALTER COLUMN "o" SET NOT NULL;',
]
STATEMENT: Final = re.compile(r"ALTER TABLE [^;]+;")


@pytest.fixture
def nullable(
    tmp_path: Path, any_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Installation:
    """Two tables whose keys are unique in both databases, and NOT NULL in SQLite alone."""
    monkeypatch.chdir(tmp_path)
    site = Installation(tmp_path, any_database, capsys)
    site.sql(SOURCE)
    site.target_sql(TARGET)
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true')
    return site


def statements(text: str) -> list[str]:
    return sorted(set(STATEMENT.findall(" ".join(text.split()))))


def goes_there_and_back(site: Installation) -> None:
    config = site.switched()
    site.target_sql("INSERT INTO e VALUES (3, 'three'); UPDATE \"Pair it\" SET b = 2")
    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    assert site.run("-q", "verify")[0] == ExitCode.OK
    assert asyncio.run(value(site.dsn, "SELECT string_agg(t, ',' ORDER BY o) FROM e")) == "one,two,three"


def test_the_plan_tells_before_the_copy_and_what_it_prints_is_enough(nullable: Installation) -> None:
    code, out, _ = nullable.run("plan")
    assert code == ExitCode.OK  # rows arrive
    assert "2 tables: the key may be NULL in Postgres" in out
    assert "and 1 remedy more like it: `cdc plan --all`" in out
    code, out, _ = nullable.run("plan", "--all")
    assert statements(out) == STATEMENTS
    nullable.target_sql("".join(statements(out)))
    assert "may be NULL" not in nullable.run("plan")[1]
    goes_there_and_back(nullable)


def test_the_switch_is_refused_with_the_statement_that_opens_it(nullable: Installation) -> None:
    nullable.followed()
    code, out, _ = nullable.run("cutover", "--dry-run", "--json")
    assert code == ExitCode.CRITICAL
    (gate,) = (gate for gate in json.loads(out)["gates"] if gate["name"] == "way back")
    assert "e has a key that may be NULL: o" in gate["now"]
    assert statements(gate["remedy"]) == STATEMENTS
    assert "one to one" not in gate["remedy"]
    code, _, err = nullable.run("-q", "cutover", "--prepare")
    assert code == ExitCode.CRITICAL
    assert statements(err) == STATEMENTS
    nullable.target_sql("".join(statements(err)))
    goes_there_and_back(nullable)


def test_what_else_is_in_the_way_has_its_remedy_beside_it(nullable: Installation) -> None:
    nullable.sql("CREATE TABLE u(id INTEGER PRIMARY KEY)")
    nullable.target_sql("CREATE UNLOGGED TABLE u(id bigint PRIMARY KEY)")
    nullable.followed()
    _, _, err = nullable.run("-q", "cutover", "--prepare")
    assert statements(err) == STATEMENTS
    assert "as for the others, map them one to one, or leave them out with `exclude`" in " ".join(err.split())


def test_a_column_for_the_rowid_has_to_number_itself_as_well(nullable: Installation) -> None:
    nullable.sql("DROP TABLE e; DROP TABLE \"Pair it\"; CREATE TABLE log(v TEXT); INSERT INTO log VALUES ('a'), ('a')")
    nullable.target_sql("CREATE TABLE log(v text); ALTER TABLE log ADD _cdc_rowid bigint UNIQUE")
    _, out, _ = nullable.run("plan")
    assert len(statements(out)) == 1
    nullable.target_sql(statements(out)[0])
    config = nullable.switched()
    nullable.target_sql("INSERT INTO log VALUES ('b')")  # as an application that does not know of it
    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    assert nullable.run("-q", "verify")[0] == ExitCode.OK
    assert asyncio.run(value(nullable.dsn, "SELECT string_agg(v, ',' ORDER BY _cdc_rowid) FROM log")) == "a,a,b"


def test_the_column_that_the_plan_tells_to_add_by_hand_stands_in_nobodys_way(nullable: Installation) -> None:
    nullable.sql("DROP TABLE e; DROP TABLE \"Pair it\"; CREATE TABLE log(v TEXT); INSERT INTO log VALUES ('a'), ('a')")
    nullable.target_sql("CREATE TABLE log(v text)")
    _, out, _ = nullable.run("plan", "--json")
    remedies = " ".join(risk["remedy"] for risk in json.loads(out)["risks"])
    column = re.search(r"or add (_cdc_rowid .+?) there yourself", remedies)
    assert column, remedies
    nullable.target_sql(f"ALTER TABLE log ADD {column[1]}")
    assert nullable.run("plan")[0] == ExitCode.OK
    config = nullable.switched()
    nullable.target_sql("INSERT INTO log VALUES ('b')")
    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    assert nullable.run("-q", "verify")[0] == ExitCode.OK
