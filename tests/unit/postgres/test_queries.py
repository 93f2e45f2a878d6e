"""Views are translated where both engines are known to answer alike; each other one is left out with the reason."""

from typing import Any

import apsw
import pytest

from cdc.config import decode_config
from cdc.mapping.map_tables import map_schema
from cdc.postgres.translate.views import TargetView, Views, translate_views
from cdc.sqlite.schema.read import read_schema

TABLES = """
CREATE TABLE t(
    id INTEGER PRIMARY KEY, n INT, b BOOLEAN, s TEXT, c TEXT COLLATE NOCASE, r REAL, d DATETIME, j JSON, e STRING
);
CREATE TABLE u(id INTEGER PRIMARY KEY, t INT, n INT, s TEXT, x REAL);
CREATE VIRTUAL TABLE found USING fts5(body);
"""


def views(*statements: str, tables: dict[str, Any] | None = None, **sections: Any) -> Views:
    """What becomes of the views of a file."""
    connection = apsw.Connection(":memory:")
    for sql in (TABLES, *statements):
        connection.execute(sql)
    raw = {"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": "app"}, "tables": tables or {}, **sections}
    config = decode_config(raw)
    schema = read_schema(connection, config)
    return translate_views(schema.views, map_schema(schema, config), "app")


def view(query: str, **options: Any) -> TargetView:
    found = views(f"CREATE VIEW v AS {query}", **options)
    assert not found.left_out, found.left_out
    return found.translated[0]


def reason(query: str, **options: Any) -> str:
    found = views(f"CREATE VIEW v AS {query}", **options)
    assert not found.translated, found.translated
    return found.left_out[0].reason


def test_names_are_those_of_the_target_and_columns_those_of_the_view() -> None:
    tables = {"t": {"target": 'T"1', "columns": {"s": {"target": "S s"}}}}
    made = view("SELECT T.S, \"N\" AS \"a b\" FROM main.T WHERE s = 'it''s'", tables=tables)
    assert made.sql == (
        """CREATE VIEW "app"."v" ("s", "a b") AS SELECT "t"."S s", "t"."n" FROM "app"."T""1" AS "t" """
        """WHERE ("t"."S s" = 'it''s')"""
    )
    assert made.tables == {"t"}


def test_a_star_is_every_column_of_sqlite_and_no_other() -> None:
    made = view("SELECT u.*, t.id FROM t JOIN u ON u.t = t.id")
    assert [column.target.name for column in made.columns][:3] == ["id", "t", "n"]
    assert '"u"."id", "u"."t", "u"."n", "u"."s", "u"."x", "t"."id" FROM' in made.sql
    assert "expression" not in view("SELECT * FROM t", tables={"t": {"columns": {"extra": {"expression": "1"}}}}).sql


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("n", "ORDER BY 1 ASC NULLS FIRST"),
        ("n DESC", "ORDER BY 1 DESC NULLS LAST"),
        (
            "1 NULLS LAST, lower(s) DESC",
            'ORDER BY 1 ASC NULLS LAST, (lower("t"."s" COLLATE "C"))::text COLLATE "C" DESC',
        ),
        ("a", "ORDER BY 2 ASC NULLS FIRST"),
        ("t.s", "ORDER BY 2 ASC NULLS FIRST"),
    ],
)
def test_null_is_ordered_where_sqlite_has_it(order: str, expected: str) -> None:
    assert expected in view(f"SELECT n, s AS a FROM t ORDER BY {order}").sql


def test_every_computed_column_has_the_type_that_its_values_have_in_sqlite() -> None:
    columns = "count(*), sum(n), max(r), min(s), length(max(s)), n > 1, 'x', 1, 0.5, coalesce(r, 0), b"
    types = [column.target.type for column in view(f"SELECT {columns} FROM t GROUP BY n, r, b").columns]
    number, real, text = "bigint", "double precision", "text"
    assert types == [number, number, real, text, number, number, text, number, real, real, "boolean"]


def test_a_text_that_is_no_number_is_compared_with_any_text_column() -> None:
    assert '"t"."e" = \'new\'' in view("SELECT DISTINCT e FROM t WHERE e = 'new' ORDER BY e").sql


def test_views_come_after_those_they_read_whatever_their_names() -> None:
    found = views(
        "CREATE VIEW a AS SELECT x FROM B",
        "CREATE VIEW b AS SELECT c AS x FROM z",
        "CREATE VIEW z(c) AS SELECT n FROM t",
    )
    assert [made.name for made in found.translated] == ["z", "b", "a"]
    assert [set(made.tables) for made in found.translated] == [{"t"}] * 3
    assert [set(made.views) for made in found.translated] == [set(), {"z"}, {"b"}]


def test_a_view_over_one_that_is_left_out_is_left_out() -> None:
    found = views("CREATE VIEW a AS SELECT * FROM b", "CREATE VIEW b AS SELECT random() FROM t")
    assert [left.name for left in found.left_out] == ["a", "b"]
    assert found.left_out[0].reason == "it reads view b, which is left out"


def test_a_view_gets_another_mark_when_it_or_what_it_reads_is_another() -> None:
    def marks(first: str, columns: str = "") -> list[str]:
        made = views(
            f"ALTER TABLE t ADD COLUMN y {columns}", f"CREATE VIEW a AS {first}", "CREATE VIEW b AS SELECT * FROM a"
        )
        return [one.mark for one in made.translated]

    same = marks("SELECT n FROM t")
    assert same == marks("SELECT n FROM t")
    assert not set(same) & set(marks("SELECT n FROM t WHERE n > 1"))
    before = view("SELECT * FROM t").mark
    assert before != views("ALTER TABLE t ADD COLUMN y", "CREATE VIEW v AS SELECT * FROM t").translated[0].mark


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT 1", "reads no table"),
        ("SELECT rowid FROM t", "no column"),
        ("SELECT n FROM t LIMIT 5", "LIMIT 5 may"),
        ("SELECT n, count(*) FROM t GROUP BY n HAVING count(*) > 1", "HAVING COUNT(*) > 1 may"),
        ("WITH q AS (SELECT n FROM t) SELECT * FROM q", "WITH q AS"),
        ("SELECT n FROM (SELECT n FROM t)", "something else than tables"),
        ("SELECT n FROM t WHERE n IN (SELECT n FROM u)", "may mean something else"),
        ("SELECT (SELECT max(n) FROM u) FROM t", "(SELECT MAX(n) FROM u) may"),
        ("SELECT t.n FROM t JOIN u USING (id)", "using"),
        ("SELECT t.n FROM t NATURAL JOIN u", "NATURAL may"),
        ("SELECT t.n FROM t FULL JOIN u ON t.id = u.id", "FULL"),
        ("SELECT n FROM t UNION SELECT n FROM u", "distinct"),
        ("SELECT n FROM t EXCEPT SELECT n FROM u", "no SELECT"),
        ("SELECT n FROM t UNION ALL SELECT s FROM u", "types differ"),
        ("SELECT n FROM t UNION ALL SELECT x FROM u", "types differ"),
        ("SELECT n, s FROM t GROUP BY n", "does not group by"),
        ("SELECT n, max(s) FROM t", "does not group by"),
        ("SELECT n FROM t GROUP BY n ORDER BY s", "does not group by"),
        ("SELECT c, count(*) FROM t GROUP BY c", "collation"),
        ("SELECT max(c) FROM t", "collation"),
        ("SELECT DISTINCT c FROM t", "collation"),
        ("SELECT n FROM t ORDER BY c", "collation"),
        ("SELECT DISTINCT d FROM t", "type differs"),
        ("SELECT n FROM t ORDER BY d", "type differs"),
        ("SELECT max(j) FROM t", "type differs"),
        ("SELECT d FROM t WHERE d > '2024-01-01'", "type differs"),
        ("SELECT DISTINCT n FROM t ORDER BY s", "does not select"),
        ("SELECT sum(r) FROM t", "order of the rows"),
        ("SELECT avg(n) FROM t", "avg() may"),
        ("SELECT total(n) FROM t", "may mean something else"),
        ("SELECT group_concat(s) FROM t", "group_concat() may"),
        ("SELECT sum(DISTINCT n) FROM t", "DISTINCT n may"),
        ("SELECT count(*) FILTER (WHERE n > 1) FROM t", "FILTER(WHERE n > 1) may"),
        ("SELECT row_number() OVER () FROM t", "ROW_NUMBER() OVER () may"),
        ("SELECT max(n, 1) FROM t", "may mean something else"),
        ("SELECT n + 1 FROM t", "n + 1 may"),
        ("SELECT n / 2 FROM t", "n / 2 may"),
        ("SELECT -n FROM t", "range"),
        ("SELECT coalesce(n, 0.5) FROM t", "mixes"),
        ("SELECT coalesce(s, 1) FROM t", "texts and numbers"),
        ("SELECT CASE WHEN n THEN r ELSE n END FROM t", "mixes"),
        ("SELECT n FROM t WHERE n = r", "integers with reals"),
        ("SELECT n FROM t WHERE e > '5'", "look like numbers"),
        ("SELECT n FROM t ORDER BY count(*)", "counts or sums"),
        ("SELECT n FROM t WHERE r > 9007199254740993", "no real holds"),
        ("SELECT n FROM t WHERE s LIKE 'a!%' ESCAPE '!'", "ESCAPE '!' may"),
        ("SELECT n FROM t WHERE s GLOB 'a*'", "s GLOB 'a*' may"),
        ("SELECT n FROM t WHERE s = 'x' COLLATE NOCASE", "COLLATE NOCASE may"),
        ("SELECT CAST(s AS INTEGER) FROM t", "cast() may"),
        ("SELECT date(d) FROM t", "may mean something else"),
        ("SELECT NULL FROM t", "NULL may"),
        ("SELECT count(*) FROM t GROUP BY 'x'", "constant"),
        ("SELECT body FROM found", "not replicated"),
        ("SELECT 1 AS one FROM t AS x, t AS X", "two relations"),
    ],
)
def test_what_may_answer_otherwise_is_left_out_and_says_why(query: str, words: str) -> None:
    assert words in reason(query)


@pytest.mark.parametrize(
    ("column", "query", "words"),
    [
        ({"type": "literal"}, "SELECT s FROM t WHERE s = 'a'", "type differs"),
        ({"format": "number", "type": "bigint"}, "SELECT sum(s) FROM t", "type differs"),
        ({"on_invalid": "replace"}, "SELECT s FROM t", "as the configuration says"),
        ({"empty": "null"}, "SELECT n FROM t WHERE s IS NULL", "as the configuration says"),
        ({"expression": "upper(s)"}, "SELECT s FROM t", "no replicated column"),
    ],
)
def test_a_column_whose_values_become_others_is_not_computed_with(
    column: dict[str, Any], query: str, words: str
) -> None:
    assert words in reason(query, tables={"t": {"columns": {"s": column}}})


def test_a_column_with_a_format_of_its_own_may_be_passed_on() -> None:
    options = {"t": {"columns": {"n": {"format": "epoch s"}, "s": {"type": "literal"}}}}
    made = view("SELECT n, s FROM t WHERE n IS NOT NULL", tables=options)
    assert [column.target.type for column in made.columns] == ["timestamptz", "text"]


def test_what_the_configuration_leaves_out_is_not_read() -> None:
    assert "no replicated column" in reason("SELECT * FROM t", tables={"t": {"skip": ["s"]}})
    assert "not replicated" in reason("SELECT n FROM u", replicate={"exclude": ["u"]})
    assert "others made" in reason("SELECT n FROM u", tables={"u": {"adopt": True}})
    assert not views("CREATE VIEW v AS SELECT n FROM u", replicate={"exclude": ["v"]}).translated


def test_a_name_that_postgres_would_cut_or_that_is_taken_is_refused() -> None:
    assert "longer" in reason(f"SELECT n AS {'x' * 64} FROM t")
    assert "name" in reason("SELECT n FROM t", tables={"u": {"target": "v"}})


def test_a_view_that_sqlite_cannot_use_is_left_out_by_its_catalogue() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n); CREATE VIEW v AS SELECT n FROM gone")
    schema = read_schema(connection, decode_config({"source": {"path": "a"}, "target": {"dsn": "x"}}))
    assert schema.views == ()
    assert [(left.name, "no such table" in left.reason) for left in schema.left_out] == [("v", True)]
