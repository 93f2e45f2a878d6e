"""Queries of SQLite as Postgres SQL, with the names that tables and columns have there, and each habit as a remedy."""

import dataclasses

import pytest
from small_tables import mapped, table, text

from cdc.postgres.translate.ported import habits, port, without_limit
from cdc.postgres.translate.terms import Untranslatable

POST = mapped(table("Post", text("Title")))
RENAMED = dataclasses.replace(
    POST,
    target="posts",
    columns=tuple(dataclasses.replace(c, target=c.target.lower()) for c in POST.columns),
)


def test_tables_and_columns_get_the_names_they_have_in_postgres() -> None:
    ported = port("SELECT Title, p.id FROM post AS p WHERE p.title = :t", [RENAMED])
    assert ported.sql({"t": "O'Hara\\"}) == (
        'SELECT "title", p."id" FROM "app"."posts" AS p WHERE p."title" = \'O\'\'Hara\\\''
    )
    assert ported.tables == ("Post",)
    assert [origin[1].target for origin in ported.origins if origin] == ["title", "id"]


def test_a_table_keeps_the_name_by_which_the_query_calls_it() -> None:
    assert port("SELECT Post.id FROM Post", [RENAMED]).sql({}) == 'SELECT Post."id" FROM "app"."posts" AS Post'


def test_habits_are_tried_one_by_one_and_then_together() -> None:
    sql = "SELECT title FROM post WHERE title LIKE 'a%' ORDER BY title LIMIT 2"
    ported = port(sql, [POST], of_target=sql)
    tried = {cause: query.sql({}) for cause, query in habits(ported)}
    assert list(tried) == [
        "order of NULL",
        "LIKE and letter case",
        "collation",
        "order without case",
        "order of NULL + LIKE and letter case + collation + order without case",
    ]
    assert tried["order of NULL"].endswith("ORDER BY title NULLS FIRST LIMIT 2")
    assert "title ILIKE 'a%'" in tried["LIKE and letter case"]
    assert 'ORDER BY CAST(title AS TEXT) COLLATE "C"' in tried["collation"]
    whole = without_limit(ported)
    assert whole is not None
    assert "LIMIT" not in whole.sql({})


@pytest.mark.parametrize(
    "sql", ["DELETE FROM post", "SELECT (", "SELECT id FROM post WHERE id = ?", "PRAGMA page_size"]
)
def test_what_cannot_be_asked_is_refused(sql: str) -> None:
    with pytest.raises(Untranslatable):
        port(sql, [POST])


@pytest.mark.parametrize("value", [b"x", None, 1, 2.5, "a"])
def test_parameters_are_written_as_literals(value: object) -> None:
    ported = port("SELECT :v AS v", [])
    if isinstance(value, bytes):
        with pytest.raises(Untranslatable, match="neither a text nor a number"):
            ported.sql({"v": value})
    else:
        assert isinstance(value, str | int | float | None)
        assert ported.sql({"v": value}) in {"SELECT NULL AS v", "SELECT 1 AS v", "SELECT 2.5 AS v", "SELECT 'a' AS v"}
