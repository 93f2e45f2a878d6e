"""Values that are computed from a row: by SQL, by helpers that SQLite lacks, and by functions of the operator."""

import uuid
from pathlib import Path
from typing import Final

import pytest
from harness import application, drain, fetch, load, make_config, up, value
from replicated_pair import Pair, replicated

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.first_copy.preflight import build_plan
from cdc.stream.retry_quarantined import retry_quarantined
from cdc.values.user_functions import stored
from cdc.verify import verify

TABLE: Final = "CREATE TABLE video(id INTEGER PRIMARY KEY, title TEXT, doc TEXT)"
TOPIC: Final = {"topic": ColumnOptions(expression="json_extract(doc, '$.topic')")}
MODULE: Final = """
import json
from dataclasses import dataclass

@dataclass
class Page:
    title: "str"

def html(title):
    return f"<h1>{Page(title).title.upper()}</h1>"

def topic(doc, *, missing="none"):
    return json.loads(doc).get("topic", missing) if doc else None

def everything(row):
    return {"columns": sorted(row), "id": row["id"]}
"""


def by_function(folder: Path, name: str, **options: str) -> ColumnOptions:
    (folder / "render.py").write_text(MODULE)
    return ColumnOptions(python=folder / f"render:{name}", **options)  # type: ignore[arg-type]


async def details(pair: Pair) -> dict[str, str]:
    """Why rows are in quarantine, by their keys."""
    return dict(await pair.rows("SELECT key, detail FROM cdc.quarantine"))


async def is_equal(pair: Pair) -> bool:
    return (await verify(pair.config, None, False, Silent())).result == "equal"


# --- what fails for one row -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wal", [True, False])
async def test_a_row_whose_value_cannot_be_computed_waits_and_the_others_go_on(
    tmp_path: Path, any_database: str, wal: bool
) -> None:
    rows = ["INSERT INTO video VALUES (1, 'a', '{\"topic\": \"x\"}'), (2, 'b', 'secret'), (3, 'c', NULL)"]
    tables = {"video": TableOptions(columns=TOPIC)}
    async with replicated(tmp_path, any_database, TABLE, *rows, wal=wal, tables=tables) as pair:
        assert await pair.rows("SELECT id, topic FROM video ORDER BY id") == [(1, "x"), (3, None)]
        assert await details(pair) == {"i2": "the value for column topic could not be computed: malformed JSON"}
        assert await is_equal(pair)
        await pair.write(
            "UPDATE video SET doc = '[' WHERE id = 1",
            "INSERT INTO video VALUES (4, 'd', '{\"topic\": 4}')",
            "UPDATE video SET title = 'cc' WHERE id = 3",
        )
        assert await pair.rows("SELECT id, title FROM video ORDER BY id") == [(3, "cc")]
        assert set(await pair.held()) == {"video 1", "video 2", "video 4"}, "4 is a number, and the column a text"
        assert await is_equal(pair)
        await pair.write("UPDATE video SET doc = '{}' WHERE id <> 3")
        assert await pair.rows("SELECT id FROM video ORDER BY id") == [(1,), (2,), (3,), (4,)]
        assert await pair.held() == {}
        assert await is_equal(pair)


async def test_one_failing_row_among_many_keeps_only_itself_out_of_a_load(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(TABLE)
    app.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "INSERT INTO video SELECT i, 't' || i, iif(i = 700, '{', json_object('topic', 'n' || i)) FROM n"
    )
    app.execute("UPDATE video SET title = CAST(x'ff' AS TEXT) WHERE id = 900")  # the careful way meets it too
    config = make_config(tmp_path, tmp_path / "app.db", database, tables={"video": TableOptions(columns=TOPIC)})
    await load(config)
    assert await value(database, "SELECT count(*) FROM video") == 2998
    assert await value(database, "SELECT bool_and(topic = 'n' || id) FROM video")
    assert await value(database, "SELECT string_agg(key, ',' ORDER BY key) FROM cdc.quarantine") == "i700,i900"
    app.close()


async def test_comparing_reads_keys_exactly_where_a_value_cannot_be_computed(tmp_path: Path, database: str) -> None:
    """Each row is then read by its key, which SQLite's collation would find others by."""
    table = "CREATE TABLE video(id TEXT COLLATE NOCASE, n, doc TEXT, PRIMARY KEY(id, n)) WITHOUT ROWID"
    rows = (
        "INSERT INTO video VALUES ('Ab', 1, '{'), ('Ab', 1.5, '{\"topic\": \"x\"}'), ('ac', '1', '{\"topic\": \"y\"}')"
    )
    async with replicated(tmp_path, database, table, rows, tables={"video": TableOptions(columns=TOPIC)}) as pair:
        assert await pair.rows("SELECT id, n, topic FROM video ORDER BY id") == [("Ab", "1.5", "x"), ("ac", "'1'", "y")]
        assert await is_equal(pair)
        await pair.write("UPDATE video SET id = 'aB' WHERE n = 1.5")
        assert await pair.rows("SELECT id, topic FROM video WHERE n = '1.5'") == [("aB", "x")]
        assert await is_equal(pair)


# --- helpers ----------------------------------------------------------------------------------------------------------


async def test_helpers_make_identifiers_that_others_make_too(tmp_path: Path, database: str) -> None:
    columns = {
        "uid": ColumnOptions(expression="cdc_uuid5('url', 'https://example.org/' || id)", type="uuid"),
        "own": ColumnOptions(expression="cdc_uuid3('6ba7b810-9dad-11d1-80b4-00c04fd430c8', id)", type="uuid"),
        "sum": ColumnOptions(expression="cdc_sha256(title) || cdc_sha1(title) || cdc_md5(doc)"),
    }
    tables = {"video": TableOptions(columns=columns)}
    async with replicated(tmp_path, database, TABLE, tables=tables) as pair:
        await pair.write("INSERT INTO video VALUES (7, 'é', 'b'), (8, NULL, NULL), (9, 'a', 'b')")
        found = await pair.rows("SELECT uid, own, sum FROM video ORDER BY id")
        assert found[0][:2] == (
            uuid.uuid5(uuid.NAMESPACE_URL, "https://example.org/7"),
            uuid.uuid3(uuid.NAMESPACE_DNS, "7"),
        )
        assert found[0][2].startswith("4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c")
        assert found[1][2] is None
        assert await is_equal(pair)


# --- functions in Python ----------------------------------------------------------------------------------------------


async def test_a_function_makes_the_value_of_a_column(tmp_path: Path, database: str) -> None:
    columns = {
        "html": by_function(tmp_path, "html"),
        "topic": by_function(tmp_path, "topic"),
        "title": by_function(tmp_path, "html"),  # in place of the column itself
        "all": by_function(tmp_path, "everything", type="jsonb"),
    }
    async with replicated(tmp_path, database, TABLE, tables={"video": TableOptions(columns=columns)}) as pair:
        await pair.write("INSERT INTO video VALUES (1, 'one', '{\"topic\": \"x\"}'), (2, 'two', NULL)")
        await pair.write("UPDATE video SET title = 'zwei', doc = '{}' WHERE id = 2")
        found = await pair.rows("SELECT id, html, title, topic, \"all\"->'columns' FROM video ORDER BY id")
        assert found == [
            (1, "<h1>ONE</h1>", "<h1>ONE</h1>", "x", '["doc", "id", "title"]'),
            (2, "<h1>ZWEI</h1>", "<h1>ZWEI</h1>", "none", '["doc", "id", "title"]'),
        ]
        assert await is_equal(pair)


async def test_a_row_that_a_function_cannot_take_waits_without_its_values_being_told(
    tmp_path: Path, database: str
) -> None:
    tables = {"video": TableOptions(columns={"topic": by_function(tmp_path, "topic")})}
    rows = "INSERT INTO video VALUES (1, 'a', 'secret'), (2, 'b', '{}'), (3, 'c', CAST(x'7bff' AS TEXT))"
    async with replicated(tmp_path, database, TABLE, rows, tables=tables) as pair:
        assert await pair.rows("SELECT id, topic FROM video") == [(2, "none")]
        raised = "the value for column topic could not be computed: python render:topic raised JSONDecodeError"
        assert (await details(pair))["i1"] == raised
        assert "not valid UTF-8" in (await details(pair))["i3"]
        assert await is_equal(pair)
        await pair.write('UPDATE video SET doc = \'{"topic": "y"}\'')
        assert await pair.rows("SELECT id, topic FROM video ORDER BY id") == [(1, "y"), (2, "y"), (3, "y")]


async def test_a_corrected_function_is_tried_on_request(tmp_path: Path, database: str) -> None:
    """Nothing changed in SQLite, so the rows have to be asked for."""
    app = application(tmp_path / "app.db")
    app.execute(TABLE)
    app.execute("INSERT INTO video VALUES (1, 'a', '{')")

    def config(name: str) -> Config:
        columns = {"topic": by_function(tmp_path, name)}
        return make_config(tmp_path, tmp_path / "app.db", database, tables={"video": TableOptions(columns=columns)})

    await up(config("topic"))
    assert await fetch(database, "SELECT * FROM video") == []
    assert await retry_quarantined(config("html"), None) == 1
    await drain(config("html"))
    assert await value(database, "SELECT topic FROM video") == "<h1>A</h1>"
    app.close()


async def test_comparing_takes_a_value_that_cannot_be_computed_for_no_value(tmp_path: Path, database: str) -> None:
    """NULL in Postgres is not what such a row should be, although `on_invalid` makes NULL of what does not fit."""
    app = application(tmp_path / "app.db")
    app.execute(TABLE)
    app.execute("INSERT INTO video VALUES (1, 'a', NULL), (2, 'b', '{')")

    def config(options: ColumnOptions) -> Config:
        tables = {"video": TableOptions(columns={"topic": options})}
        return make_config(tmp_path, tmp_path / "app.db", database, tables=tables)

    await up(config(ColumnOptions(expression="NULL")))
    report = await verify(config(by_function(tmp_path, "topic", on_invalid="null")), None, False, Silent())
    assert [(t.matched, t.different) for t in report.tables] == [(1, 1)]
    app.close()


async def test_the_plan_tells_what_a_function_will_keep_out(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(TABLE)
    app.execute("INSERT INTO video VALUES (1, 'a', '{'), (2, 'b', '{}')")
    app.close()
    tables = {"video": TableOptions(columns={"topic": by_function(tmp_path, "topic")})}
    plan = await build_plan(make_config(tmp_path, tmp_path / "app.db", database, tables=tables))
    assert [(r.level, r.column, r.keys) for r in plan.risks] == [("quarantine", "topic", ("1",))]
    assert "python render:topic" in [c.source for c in plan.tables[0].columns]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (True, 1),
        (2**63 - 1, 2**63 - 1),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ([1, "é"], '[1, "é"]'),
        (float("inf"), float("inf")),
    ],
)
def test_what_a_function_may_return(given: object, wanted: object) -> None:
    assert stored(given) == wanted


@pytest.mark.parametrize("given", [2**63, float("nan"), {1, 2}, "\ud800", [float("nan")]])
def test_what_sqlite_has_no_class_for_is_never_guessed(given: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        stored(given)
