"""The reader of CREATE texts: quotes, comments and parentheses never mislead it."""

import pytest

from cdc.sqlite.schema.create_text import (
    calls_function,
    index_text,
    module_of,
    names,
    runs_before,
    table_text,
)


@pytest.mark.parametrize(
    ("sql", "checks"),
    [
        ("CREATE TABLE t(a CHECK (a > 0))", ["a > 0"]),
        ("CREATE TABLE t(a CHECK(a IN (1, ')', 3)), CHECK (a <> '(''') )", ["a IN (1, ')', 3)", "a <> '('''"]),
        ("CREATE TABLE t(a, CONSTRAINT c CHECK (a) CONSTRAINT d CHECK (a -- )\n))", ["a", "a"]),
        ('CREATE TABLE "CHECK (1)"("check" INT, [check (2)] INT, `check (3)` INT)', []),
        ("CREATE TABLE t(a DEFAULT 'CHECK (1)' /* CHECK (2) */ -- CHECK (3)\n)", []),
        ("CREATE TABLE t(a DEFAULT (check_it(1)))", []),
    ],
)
def test_checks_are_found_where_sqlite_finds_them(sql: str, checks: list[str]) -> None:
    assert list(table_text(sql).checks) == checks


def test_keys_that_are_checked_at_the_commit_are_found_in_their_order() -> None:
    sql = """CREATE TABLE t(
        a REFERENCES p DEFERRABLE INITIALLY DEFERRED REFERENCES q(x) NOT DEFERRABLE INITIALLY DEFERRED,
        b DEFAULT 'REFERENCES p' REFERENCES p(a) deferrable /* so */ initially deferred UNIQUE,
        FOREIGN KEY (a, b) REFERENCES r ON DELETE CASCADE DEFERRABLE INITIALLY IMMEDIATE
    )"""
    assert table_text(sql).deferred == (True, False, True, False)


@pytest.mark.parametrize(
    ("column", "expression"),
    [
        ("g AS (a + 1)", "a + 1"),
        ("g TEXT GENERATED ALWAYS AS ( (a) || ')' ) STORED", "(a) || ')'"),
        ("g NUMERIC(10, 2) NOT NULL as(CAST(a AS TEXT))", "CAST(a AS TEXT)"),
        ("g DEFAULT (CAST(1 AS TEXT))", None),
    ],
)
def test_generated_expressions_are_found(column: str, expression: str | None) -> None:
    assert table_text(f"CREATE TABLE t(a, {column})").generated.get("g") == expression


@pytest.mark.parametrize(
    ("term", "expression"),
    [
        ("lower(a)", "lower(a)"),
        ("lower(a) COLLATE nocase DESC", "lower(a)"),
        ("(a || b) COLLATE nocase COLLATE rtrim", "(a || b)"),
        ("a || b COLLATE nocase", "a || b COLLATE nocase"),
        ("(a) || (b) COLLATE nocase ASC", "(a) || (b) COLLATE nocase"),
        ("coalesce(a, 'x,y)')", "coalesce(a, 'x,y)')"),
        ("a DESC", "a"),
    ],
)
def test_a_term_loses_only_what_is_not_its_expression(term: str, expression: str) -> None:
    assert index_text(f'CREATE UNIQUE INDEX "i (" ON t(c, {term}, d)').terms == ("c", expression, "d")


@pytest.mark.parametrize(
    ("rest", "predicate"), [("", None), (" WHERE a > 0", "a > 0"), (" where (a) -- b\n", "(a)"), (" -- WHERE a", None)]
)
def test_the_predicate_of_a_partial_index_is_found(rest: str, predicate: str | None) -> None:
    assert index_text(f"CREATE INDEX i ON t(a){rest}").predicate == predicate


def test_names_are_told_from_texts_and_numbers() -> None:
    assert names("""lower("A b") || 'text' || c.d -- e""") == {"lower", "a b", "c", "d"}


@pytest.mark.parametrize(
    ("sql", "expected"), [("random()", True), ("('x')", False), ("1 + (2)", False), ('"f" (1)', True)]
)
def test_calls_are_told_from_parentheses(sql: str, expected: bool) -> None:
    assert calls_function(sql) is expected


@pytest.mark.parametrize(
    ("sql", "module"),
    [
        ("CREATE VIRTUAL TABLE f USING FTS5(a, b)", "fts5"),
        ('create virtual table if not exists "using" using "Rtree"(a)', "rtree"),
        ("CREATE TABLE t(a) -- USING fts5", ""),
        ("CREATE VIRTUAL TABLE broken", ""),
    ],
)
def test_the_module_of_a_virtual_table_is_found(sql: str, module: str) -> None:
    assert module_of(sql) == module


@pytest.mark.parametrize(
    ("head", "event"),
    [
        ("BEFORE INSERT ON t", "INSERT"),
        ("UPDATE OF a ON t", "UPDATE"),  # neither word: SQLite takes it as BEFORE
        ("INSTEAD OF DELETE ON v", "DELETE"),
        ("AFTER DELETE ON t", ""),
        ("/* BEFORE */ AFTER INSERT ON t", ""),
    ],
)
def test_a_trigger_runs_before_unless_it_says_after(head: str, event: str) -> None:
    assert runs_before(f"CREATE TRIGGER \"insert\" {head} BEGIN INSERT INTO log VALUES ('AFTER'); END") == event


def test_a_text_that_ends_early_is_read_to_its_end() -> None:
    """SQLite's own catalogue can be written to by hand (`PRAGMA writable_schema`)."""
    assert table_text("CREATE TABLE t(a CHECK (a > (0)").checks == ("a > (0)",)
    assert table_text("CREATE VIEW v AS SELECT 1").checks == ()
