"""Views that both databases answer alike are made in Postgres, and no others; outdated ones do not stay."""

from pathlib import Path
from typing import Any

import pytest
from harness import Daemon, drain, execute, wait_until_caught_up
from replicated_pair import Pair, replicated
from sqlglot import exp

from cdc.config import TableOptions
from cdc.errors import TargetError
from cdc.evolve import drop_leftovers, views
from cdc.first_copy.create_schema import create_schema, render_schema
from cdc.first_copy.preflight import build_plan
from cdc.postgres.translate import aggregates
from cdc.postgres.translate.terms import Naming, Term, text
from cdc.stream.resync import request_resync

TABLES = """
CREATE TABLE author(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, nick TEXT COLLATE NOCASE, active BOOLEAN, born DATETIME
);
CREATE TABLE book(id INTEGER PRIMARY KEY, author INT REFERENCES author, title TEXT, pages INT, price REAL, doc JSON);
INSERT INTO author VALUES
    (1, 'Ann', 'A', 1, '1970-01-01 00:00:00'), (2, 'bob', 'b', 0, NULL), (3, 'Émile', NULL, NULL, NULL);
INSERT INTO book VALUES
    (1, 1, 'First', 100, 1.5, '{"a": 1}'), (2, 1, 'second', NULL, 0.1, NULL), (3, 2, '', 9, NULL, '[]');
"""
VIEWS = """
CREATE VIEW everything AS SELECT * FROM author;
CREATE VIEW picked AS
    SELECT a.name AS who, b.title AS title, doc FROM book b LEFT JOIN author AS a ON a.id = b.author WHERE b.pages > 5;
CREATE VIEW counted AS
    SELECT author, count(*) n, count(pages) p, sum(pages) AS total, max(title) m FROM book GROUP BY author;
CREATE VIEW Over AS SELECT who, upper(title) up FROM Picked WHERE title LIKE 'f%' ORDER BY who DESC;
CREATE VIEW words(word) AS SELECT name FROM author UNION ALL SELECT title FROM book ORDER BY 1;
CREATE VIEW sizes AS
    SELECT DISTINCT CASE WHEN pages > 50 THEN 'long' ELSE 'short' END AS size, coalesce(pages, 0) p FROM book;
CREATE VIEW foreign_to_us AS SELECT random() AS r FROM author;
"""
MADE = {"everything", "picked", "counted", "Over", "words", "sizes"}
ONE = "CREATE VIEW titles AS SELECT title FROM book WHERE pages > 5"


async def made(pair: Pair) -> set[str]:
    return {row[0] for row in await pair.rows("SELECT viewname::text FROM pg_views WHERE schemaname = 'public'")}


async def told(pair: Pair, action: str) -> list[dict[str, Any]]:
    sql = (
        f"SELECT entry->'details'->>'view', entry->'details'->>'why' FROM cdc.audit WHERE entry->>'action' = '{action}'"
    )
    return [{"view": row[0], "why": row[1]} for row in await pair.rows(sql)]


async def test_views_of_the_first_copy_answer_as_in_sqlite(tmp_path: Path, any_database: str) -> None:
    async with replicated(tmp_path, any_database, TABLES, VIEWS) as pair:
        assert await made(pair) == MADE
        assert {entry["view"] for entry in await told(pair, "make view")} == MADE
        await pair.write(
            "UPDATE book SET pages = 60 WHERE id = 2", "INSERT INTO book VALUES (4, 3, 'Fünf', 5, 0, NULL)"
        )
        for query in (
            "SELECT * FROM counted ORDER BY author",
            'SELECT * FROM "Over"',
            "SELECT * FROM words",
            "SELECT * FROM sizes ORDER BY p",
            "SELECT who, title FROM picked ORDER BY title",
        ):
            assert await pair.rows(query) == pair.app.execute(query).fetchall(), query
        assert await create_schema(pair.config) == []


async def test_the_plan_and_the_printed_schema_name_views(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES, VIEWS) as pair:
        plan = await build_plan(pair.config)
        assert set(plan.views) == MADE
        assert [(left.name, left.kind) for left in plan.left_out] == [("foreign_to_us", "view")]
        assert plan.to_json()["counts"]["views"] == len(MADE)
        await execute(database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await execute(database, await render_schema(pair.config))
        assert await made(pair) == MADE


def wrong_like(node: exp.Expr, scope: Naming) -> Term:
    return Term(f"({text(node.this, scope).sql} LIKE {text(node.expression, scope).sql})", "condition")


async def test_a_view_that_is_translated_wrongly_is_not_made(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, nothing else suffers, and what reads it is left out as well."""
    monkeypatch.setitem(aggregates.QUERY_RULES, exp.Like, wrong_like)
    above = "CREATE VIEW above AS SELECT up FROM over"
    async with replicated(tmp_path, database, TABLES, VIEWS, above) as pair:
        assert await made(pair) == MADE - {"Over"}
        assert await told(pair, "leave out view") == [
            {"view": "Over", "why": "it answers with 0 rows in Postgres and with 1 in SQLite"},
            {"view": "above", "why": "it reads views that are left out: Over"},
        ]
        assert await pair.differences() == []


async def test_the_proof_sees_another_value_in_as_many_rows(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aggregates.QUERY_RULES, exp.Upper, lambda node, scope: text(node.this, scope))
    async with replicated(tmp_path, database, TABLES, VIEWS) as pair:
        assert await made(pair) == MADE - {"Over"}
        assert "other values" in (await told(pair, "leave out view"))[0]["why"]


async def test_a_view_that_takes_too_long_holds_up_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PROOF_SECONDS", 0.5)
    product = "CREATE VIEW product AS SELECT count(*) AS n FROM " + ", ".join(f"author a{n}" for n in range(40))
    async with replicated(tmp_path, database, TABLES, ONE, product) as pair:
        assert await made(pair) == {"titles"}
        assert "interrupted" in (await told(pair, "leave out view"))[0]["why"]


async def test_a_view_over_rows_in_quarantine_waits_for_them(tmp_path: Path, database: str) -> None:
    broken = "INSERT INTO book(id, pages) VALUES (9, 'many')"
    async with replicated(tmp_path, database, TABLES, VIEWS, broken) as pair:
        assert await made(pair) == {"everything"}
        assert "in quarantine: book" in (await told(pair, "leave out view"))[0]["why"]
        await pair.write("DELETE FROM book WHERE id = 9")
        assert set(await create_schema(pair.config)) == {f"view {name}" for name in MADE - {"everything"}}
        assert await made(pair) == MADE


async def test_a_view_that_comes_later_is_made_by_the_schema_command(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES) as pair:
        await pair.write(ONE)
        assert await create_schema(pair.config) == ["view titles"]
        assert await create_schema(pair.config) == []
        assert await pair.rows("SELECT title FROM titles ORDER BY 1") == [("",), ("First",)]


async def test_a_view_waits_until_postgres_has_everything(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "WAIT_SECONDS", 0.0)
    async with replicated(tmp_path, database, TABLES) as pair:
        pair.app.execute(ONE)
        pair.app.execute("UPDATE author SET nick = 'n'")
        assert await create_schema(pair.config) == []
        await pair.replica.sync()
        assert await create_schema(pair.config) == ["view titles"]


async def test_a_view_waits_for_a_daemon_that_catches_up(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "ATTEMPTS", 300)
    async with replicated(tmp_path, database, TABLES) as pair:
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            pair.app.execute("UPDATE author SET nick = 'n'")
            await wait_until_caught_up(pair.config, database, daemon=daemon)
            pair.app.execute(ONE)
            pair.app.execute("UPDATE book SET title = 'Third' WHERE id = 3")
            assert await create_schema(pair.config) == ["view titles"]
            assert await pair.rows("SELECT title FROM titles ORDER BY 1") == [("First",), ("Third",)]
            assert daemon.terminate() == 0


async def test_a_name_that_somebody_else_took_stays_theirs(tmp_path: Path, database: str) -> None:
    theirs = "CREATE VIEW titles AS SELECT 5 AS five"
    async with replicated(tmp_path, database, TABLES, ONE, prepared=theirs) as pair:
        assert await told(pair, "leave out view") == [{"view": "titles", "why": "its name is taken in Postgres"}]
        assert await pair.rows("SELECT * FROM titles") == [(5,)]


async def test_a_view_that_the_application_changes_or_drops_does_not_stay(tmp_path: Path, database: str) -> None:
    other = "CREATE VIEW words AS SELECT name AS word FROM author"
    async with replicated(tmp_path, database, TABLES, VIEWS) as pair:
        await pair.write("DROP VIEW words", other)
        assert await made(pair) == MADE - {"words"}
        assert [entry["view"] for entry in await told(pair, "drop view")] == ["words"]
        assert await create_schema(pair.config) == ["view words"]
        await pair.write("DROP VIEW picked")
        assert await made(pair) == MADE - {"picked", "Over"}


async def test_the_application_alters_tables_under_views(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES, VIEWS) as pair:
        await pair.write("ALTER TABLE author ADD COLUMN mail TEXT", "UPDATE author SET mail = 'a@b'")
        assert await made(pair) == MADE - {"everything"}  # its star means one column more
        await pair.write("ALTER TABLE book RENAME COLUMN title TO heading")
        assert await made(pair) == {"sizes"}  # SQLite rewrote the others, and what they read
        assert set(await create_schema(pair.config)) == {f"view {name}" for name in MADE - {"sizes"}}
        await pair.write("UPDATE book SET heading = 'First of all' WHERE id = 1")
        assert await pair.rows('SELECT * FROM "Over"') == [("Ann", "FIRST OF ALL")]
        await pair.replica.close()
        assert [found.what for found in await drop_leftovers.drop(pair.config)] == ["book.title"]
        assert await made(pair) == MADE


async def test_the_application_rebuilds_a_table_under_views(tmp_path: Path, database: str) -> None:
    rebuild = (
        "CREATE TABLE new_book(id INTEGER PRIMARY KEY, author INT, title TEXT, pages INT, extra TEXT DEFAULT 'x')",
        "INSERT INTO new_book(id, author, title, pages) SELECT id, author, title, pages FROM book",
        "DROP VIEW picked",
        "DROP TABLE book",
        "ALTER TABLE new_book RENAME TO book",
    )
    async with replicated(tmp_path, database, TABLES, VIEWS) as pair:
        pair.app.execute("PRAGMA legacy_alter_table = ON")  # else SQLite refuses while views read a table that is gone
        await pair.write(*rebuild)
        assert await made(pair) == MADE - {"picked", "Over"}
        await pair.write("UPDATE book SET pages = 500")
        assert await pair.rows("SELECT p FROM sizes") == [(500,)]
        await pair.replica.close()
        assert {found.what for found in await drop_leftovers.drop(pair.config)} == {"book.doc", "book.price"}
        assert await made(pair) == MADE - {"picked", "Over"}


async def test_views_of_ours_do_not_keep_a_leftover_from_being_dropped(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES, ONE) as pair:
        await pair.replica.close()
        pair.app.execute("DROP VIEW titles")
        pair.app.execute("DROP TABLE book")
        await drain(pair.config)
        mark = "cdc: view of titles, as an older version left it"
        await execute(database, f"CREATE VIEW titles AS SELECT title FROM book; COMMENT ON VIEW titles IS '{mark}'")
        assert [found.what for found in await drop_leftovers.drop(pair.config)] == ["book"]
        assert await made(pair) == set()


async def test_nothing_of_somebody_else_is_dropped_along(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES, ONE) as pair:
        await execute(database, "CREATE VIEW theirs AS SELECT title FROM titles")
        await pair.write("DROP VIEW titles", "DROP TABLE book")
        assert await made(pair) == {"titles", "theirs"}
        await pair.replica.close()
        words = "cannot be dropped in Postgres, other objects depend on it.*titles"
        with pytest.raises(TargetError, match=words) as refused:
            await drop_leftovers.drop(pair.config)
        assert "drop or change them first" in refused.value.remedy
        await execute(database, "DROP VIEW theirs")
        assert [found.what for found in await drop_leftovers.drop(pair.config)] == ["book"]
        assert await made(pair) == set()


async def test_views_stay_while_the_file_is_compared_as_a_whole(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES, VIEWS) as pair:
        await pair.replica.close()
        await request_resync(pair.config)
        assert await create_schema(pair.config) == []
        await drain(pair.config)
        assert await made(pair) == MADE


async def test_views_are_made_while_the_application_keeps_a_rollback_journal(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLES, wal=False) as pair:
        await pair.write(ONE)
        assert await create_schema(pair.config) == ["view titles"]


async def test_views_over_adopted_tables_are_left_out(tmp_path: Path, database: str) -> None:
    theirs = "CREATE TABLE author(id bigint PRIMARY KEY, name text NOT NULL, nick text, active boolean, born timestamp)"
    options = {"author": TableOptions(adopt=True)}
    async with replicated(tmp_path, database, TABLES, VIEWS, prepared=theirs, tables=options) as pair:
        assert await made(pair) == set()  # adopted tables are filled by the first batch
        assert set(await create_schema(pair.config)) == {"view counted", "view sizes"}
