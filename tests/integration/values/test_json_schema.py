"""Documents must satisfy the JSON Schema of their column, here and in Postgres, and are found through an index."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from harness import application, drain, execute, fetch, make_config, quarantined, up, value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.first_copy.preflight import build_plan
from cdc.postgres.connection.open import connect
from cdc.values import json_schema
from cdc.verify import verify

SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["categories"],
    "properties": {
        "categories": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["category"],
                "properties": {"category": {"type": "string"}, "share": {"type": "integer"}},
            },
        },
        "kind": {"enum": ["a", "b", None]},
    },
}
GOOD: Final = '{"categories": [{"category": "AI", "share": 1.0}], "kind": "a", "more": 1}'
BAD: Final = (
    "{}",
    "[]",
    '{"categories": []}',
    '{"categories": [{"category": 1}]}',
    '{"categories": [{}], "kind": "c"}',
)


def configured(folder: Path, dsn: str, **chosen: Any) -> Config:
    (folder / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    column = ColumnOptions(schema=folder / "schema.json", **chosen)
    return make_config(folder, folder / "app.db", dsn, tables={"t": TableOptions(columns={"doc": column})})


async def test_documents_that_break_their_schema_stay_in_quarantine(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, doc TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES (1, ?), (2, NULL), (3, '{}')", (GOOD,))
    config = configured(tmp_path, any_database)
    await up(config)
    app.executemany("INSERT INTO t(doc) VALUES (?)", [(text,) for text in (*BAD, GOOD)])
    await drain(config)
    assert [row["id"] for row in await fetch(any_database, "SELECT id FROM t ORDER BY id")] == [1, 2, 9]
    assert {row[1] for row in await quarantined(any_database)} == {"i3", "i4", "i5", "i6", "i7", "i8"}
    reasons = {row["detail"] for row in await fetch(any_database, "SELECT detail FROM cdc.quarantine")}
    rule = "is a document that breaks its JSON Schema at #/properties/categories/items/properties/category/type"
    assert f"the value for column doc (jsonb) {rule}" in reasons
    assert (await verify(config, None, False, Silent())).result == "equal"
    app.execute("UPDATE t SET doc = ? WHERE id = 3", (GOOD,))
    await drain(config)
    assert await value(any_database, "SELECT count(*) FROM t") == 4
    app.close()


async def test_the_plan_names_the_rows_whose_documents_break_their_schema(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, doc TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES (1, ?), (7, '{}')", (GOOD,))
    app.close()
    risks = [risk for risk in (await build_plan(configured(tmp_path, database))).risks if risk.level == "quarantine"]
    assert [(risk.column, risk.keys) for risk in risks] == [("doc", ("7",))]
    assert "breaks its JSON Schema at #/required" in risks[0].text


async def test_a_document_that_breaks_its_schema_may_become_null_in_writing(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, doc TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES (1, ?), (2, '{}'), (3, 'no JSON')", (GOOD,))
    config = configured(tmp_path, database, on_invalid="null")
    await up(config)
    assert [row["id"] for row in await fetch(database, "SELECT id FROM t WHERE doc IS NULL ORDER BY 1")] == [2, 3]
    assert (await verify(config, None, False, Silent())).result == "equal"
    app.close()


async def test_postgres_refuses_what_others_write_against_the_schema(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, doc TEXT)").fetchall()
    app.close()
    await up(configured(tmp_path, any_database))
    connection = await connect(any_database, purpose="test")
    for text in ("[]", "{}", '{"categories": []}', '{"categories": [{}], "kind": "c"}'):
        with pytest.raises(Exception, match="violates check constraint"):
            await connection.execute("INSERT INTO t(id, doc) VALUES (1, $1)", text)
    await connection.execute("INSERT INTO t(id, doc) VALUES (1, $1), (2, NULL)", GOOD)
    await connection.close()


# --- what Postgres checks is never stricter ---------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "it's"])
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(["", "x", "é😀", "it's"]), st.integers(-3, 3), st.sampled_from([1.0, 0.5])
)
documents = st.recursive(
    scalars, lambda d: st.one_of(st.lists(d, max_size=3), st.dictionaries(names, d, max_size=3)), max_leaves=6
)
types = st.sampled_from(["object", "array", "string", "number", "boolean", "null", "integer"])
schemas = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(types, st.lists(types, min_size=1, max_size=3, unique=True)),
            "required": st.lists(names, max_size=2, unique=True),
            "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
            "const": scalars,
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "not": st.just({"type": "boolean"}),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {"properties": st.dictionaries(names, inner, max_size=2)}, optional={"items": inner, "type": types}
    ),
    max_leaves=4,
)


async def test_what_postgres_checks_holds_for_every_document_that_satisfies_the_schema(database: str) -> None:
    connection = await connect(database, purpose="test")
    counts = {"said": 0, "refused": 0}

    async def holds(condition: str, text: str) -> bool:
        return bool(
            await connection.fetchval(f"SELECT coalesce({condition}, true) FROM (SELECT $1::jsonb AS c) AS t", text)
        )

    pairs: list[tuple[dict[str, Any], Any]] = []

    @settings(max_examples=1500, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(schemas, documents)
    def draw(schema: dict[str, Any], document: Any) -> None:
        pairs.append((schema, document))

    draw()
    for schema, document in pairs:
        text = json.dumps(schema)
        if (condition := json_schema.condition(text, "c")) is None:
            continue
        counts["said"] += 1
        found = await holds(condition, json.dumps(document))
        counts["refused"] += not found
        if json_schema._validator(text).is_valid(json.loads(json.dumps(document))):
            assert found, f"{schema} is satisfied by {document}, and {condition} is not"
    await connection.close()
    assert counts["said"] > 300, counts
    assert counts["refused"] > 50, counts


# --- indexes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filter_",
    [
        """doc @> '{"categories": [{"category": "c7"}]}'""",
        "doc ? 'rare'",
        "doc ?| ARRAY['rare', 'none']",
        """doc @? '$.categories[*] ? (@.category == "c7")'""",
    ],
)
async def test_filters_on_documents_are_index_scans(tmp_path: Path, any_database: str, filter_: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, doc TEXT)").fetchall()
    app.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t "
        "SELECT i, json_object('categories', json_array(json_object('category', 'c' || (i % 700)))) FROM n"
    ).fetchall()
    app.execute("UPDATE t SET doc = json_set(doc, '$.rare', 1) WHERE id = 9").fetchall()
    app.close()
    await up(configured(tmp_path, any_database))
    await execute(any_database, "ANALYZE t")
    plan = "\n".join(row[0] for row in await fetch(any_database, f"EXPLAIN SELECT id FROM t WHERE {filter_}"))
    assert "Bitmap Index Scan on t_doc_gin" in plan, plan
    assert "Seq Scan" not in plan, plan
