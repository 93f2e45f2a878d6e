"""Indexes of expressions that fail for some rows: the application's writes go on, and what REPLACE removes is seen."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest

from cdc.config import decode_config
from cdc.sqlite.capture.triggers import install
from cdc.sqlite.schema.read import read_schema

CONFIG = decode_config({"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}})
EVENTS = """
CREATE TABLE audit(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, data TEXT);
CREATE UNIQUE INDEX audit_event ON audit(json_extract(data, '$.event')) WHERE kind = 'json';
INSERT INTO audit VALUES (1, 'json', '{"event":1}'), (2, 'text', 'plain words');
"""
COMPARED = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
CREATE UNIQUE INDEX u ON t((a = 1));
INSERT INTO t VALUES (1, '1');
"""
FOLDED = """
CREATE TABLE t(id INTEGER PRIMARY KEY, name, code TEXT UNIQUE);
CREATE UNIQUE INDEX u ON t(fold(name));
INSERT INTO t VALUES (1, 'Anna', 'x'), (2, 'Berta', 'y');
"""
BESIDE = """
CREATE TABLE t(id INTEGER PRIMARY KEY, data TEXT, place TEXT, CHECK (place <> 'nowhere'));
CREATE UNIQUE INDEX u ON t({expression}, place){predicate};
INSERT INTO t VALUES (1, '{{"nr":7}}', 'here'), (2, '{{"nr":7}}', 'there'), (3, '{{"nr":7}}', 'far');
"""

Run = Callable[[str], list[tuple[object, ...]]]


def fold(*names: Any) -> Any:
    return names[0].casefold()


@pytest.fixture(params=["this SQLite", "an older SQLite"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs SQL in an application whose file capture is put into after the first call."""
    first = apsw.Connection(":memory:")
    first.create_scalar_function("fold", fold, 1, deterministic=True)
    old = sqlite3.connect(":memory:", isolation_level=None)
    old.create_function("fold", 1, fold, deterministic=True)

    def started(sql: str) -> list[tuple[object, ...]]:
        first.execute(sql)
        install(first, read_schema(first, CONFIG).tables)
        old.deserialize(first.serialize("main"))
        return []

    def execute(sql: str) -> list[tuple[object, ...]]:
        if request.param == "this SQLite":
            return first.execute(sql).fetchall()
        return old.execute(sql).fetchall()

    calls: Iterator[Run] = iter([started])

    def call(sql: str) -> list[tuple[object, ...]]:
        return next(calls, execute)(sql)

    return call


def logged(run: Run) -> list[tuple[object, ...]]:
    return run("SELECT op, k1 FROM _cdc_changelog WHERE tid > 0 ORDER BY seq")


def test_a_row_that_the_index_leaves_out_may_hold_what_the_index_cannot(run: Run) -> None:
    run(EVENTS)
    run("INSERT INTO audit VALUES (3, 'text', 'no document')")
    run("UPDATE audit SET data = 'other words' WHERE id = 2")
    assert logged(run) == [("I", 3), ("U", 2)]


def test_a_row_that_replace_removes_through_such_an_index_is_logged(run: Run) -> None:
    run(EVENTS)
    run("""INSERT OR REPLACE INTO audit VALUES (4, 'json', '{"event": 1}')""")
    assert ("R", 1) in logged(run)


def test_a_row_that_another_rule_skips_is_not_computed(run: Run) -> None:
    run(EVENTS)
    run("INSERT OR IGNORE INTO audit VALUES (1, 'json', 'no document')")
    assert ("*", None) in logged(run)


def test_a_comparison_in_an_index_is_made_as_in_the_table(run: Run) -> None:
    """In a trigger, NEW's columns have no affinity: '1' = 1 would be false."""
    run(COMPARED)
    run("INSERT OR REPLACE INTO t VALUES (2, '1')")
    assert ("R", 1) in logged(run)


@pytest.mark.parametrize("predicate", ["", " WHERE json_valid(data)"])
@pytest.mark.parametrize("expression", ["json_extract(data, '$.nr')", "fold(data)"])
def test_a_row_that_replace_removes_is_logged_where_only_a_column_beside_the_expression_changed(
    run: Run, expression: str, predicate: str
) -> None:
    run(BESIDE.format(expression=expression, predicate=predicate))
    run("UPDATE OR REPLACE t SET place = 'here' WHERE id = 2")
    assert logged(run) == [("U", 2), ("R", 1)]
    run("UPDATE t SET data = data")
    assert ("*", None) not in logged(run)


def test_the_application_s_own_function_in_an_index_costs_no_reading_of_the_whole_table(
    run: Run,
) -> None:
    run(FOLDED)
    run("INSERT INTO t VALUES (3, 'Clara', 'z')")
    run("INSERT OR REPLACE INTO t VALUES (4, 'ANNA', 'a')")
    run("UPDATE OR REPLACE t SET name = 'BERTA' WHERE id = 4")
    assert logged(run) == [("I", 3), ("R", 1), ("I", 4), ("U", 4), ("R", 2)]


def test_a_row_that_the_application_s_own_function_refuses_may_be_skipped(run: Run) -> None:
    run(FOLDED)
    run("INSERT OR IGNORE INTO t VALUES (1, 5, 'z')")
    assert run("SELECT count(*) FROM t") == [(2,)]
