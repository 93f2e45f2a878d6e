"""Both files of YTV2 go to Postgres as their examples say, into tables made here and into the application's own."""

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import pytest
from harness import drain, execute, fetch, quarantined, up, value

from cdc.config import Config, load_config
from cdc.config.load import beside, decode_config
from cdc.facts.progress import Silent
from cdc.first_copy.preflight import build_plan
from cdc.postgres.connection.open import connect
from cdc.resources import folder
from cdc.verify import verify

UTC: Final = "AT TIME ZONE 'UTC'"


def configured(tmp_path: Path, name: str, dsn: str) -> Config:
    place = tmp_path / "ytv2"
    shutil.copytree(folder("ytv2"), place)
    config = load_config(place / name)
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, dsn=dsn))


def connected(config: Config) -> apsw.Connection:
    """As the application connects: rollback journal, foreign keys off."""
    connection = apsw.Connection(str(config.source.path))
    connection.set_busy_timeout(5000)
    return connection


def upsert(app: apsw.Connection, video: str, title: str) -> None:
    app.execute(
        "INSERT INTO content(id, video_id, title, indexed_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(id) DO UPDATE SET title = excluded.title, updated_at = excluded.updated_at",
        (f"yt:{video.lower()}", video, title, *("2025-09-20T00:00:00.5",) * 3),
    )


def summarise(app: apsw.Connection, video: str, text: str) -> None:
    app.execute(
        "INSERT INTO content_summaries(content_id, summary_text, created_at) VALUES (?, ?, '2025-09-20T00:00:01Z')"
        " ON CONFLICT(content_id) DO UPDATE SET summary_text = excluded.summary_text",
        (f"yt:{video.lower()}", text),
    )


async def agreed(config: Config) -> None:
    report = await verify(config, None, False, Silent())
    assert [t for t in report.tables if t.different or t.missing or t.extra or t.problem] == []
    assert all(answer.source == answer.target for answer in report.answers)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cdc.toml", {"content": 81, "content_summaries": 59, "summary_variants": 173}),
        ("september.toml", {"content": 62, "content_summaries": 40, "content_files": 63, "migration_log": 63}),
    ],
)
async def test_all_of_a_file_arrives_and_what_belongs_to_a_video_goes_with_it(
    tmp_path: Path, any_database: str, name: str, rows: dict[str, int]
) -> None:
    config = configured(tmp_path, name, any_database)
    assert [risk for risk in (await build_plan(config)).risks if risk.level != "note"] == []
    await up(config)
    assert {t: await value(any_database, f"SELECT count(*) FROM {t}") for t in rows} == rows
    assert (await verify(config, None, False, Silent())).result == "equal"
    await _drops_what_belongs_to_a_video(config, any_database, list(rows))


async def _drops_what_belongs_to_a_video(config: Config, dsn: str, tables: list[str]) -> None:
    """The application deletes a summary and its content, and leaves files and variants behind."""
    children = [table for table in tables if table.startswith(("content_", "summary_"))]
    has_all = " AND ".join(f"id IN (SELECT content_id FROM {table})" for table in children)
    first, second = [row["id"] for row in await fetch(dsn, f"SELECT id FROM content WHERE {has_all} LIMIT 2")]
    app = connected(config)
    with app:
        app.execute("DELETE FROM content_summaries WHERE content_id = ?", (first,))
        app.execute("DELETE FROM content WHERE id = ?", (first,))
    app.close()
    await drain(config)
    await agreed(config)
    await execute(dsn, f"DELETE FROM content WHERE id = '{second}'")
    for table in children:
        assert await value(dsn, f"SELECT count(*) FROM {table} WHERE content_id IN ('{first}', '{second}')") == 0, table


FILTERS: Final = (
    """category @> '["Technology"]'""",
    "category ? 'Technology'",
    """subcategories_json @> '{"categories": [{"category": "History"}]}'""",
    """subcategories_json @> '{"categories": [{"subcategories": ["Modern History"]}]}'""",
    """subcategories_json @? '$.categories[*] ? (@.category == "History")'""",
    "topics_json ? 'demo'",
    """analysis @> '{"language": "en"}'""",
)


async def test_filters_by_category_and_subcategory_are_served_by_indexes(tmp_path: Path, any_database: str) -> None:
    await up(configured(tmp_path, "cdc.toml", any_database))
    connection = await connect(any_database, purpose="test")
    # So few rows are read faster without an index; whether one can serve is asked here.
    await connection.execute("SET enable_seqscan = off")
    for wanted in FILTERS:
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN SELECT id FROM content WHERE {wanted}"))
        assert "Bitmap Index Scan on content_" in plan, plan
    found = await connection.fetchval(f"SELECT count(*) FROM content WHERE {FILTERS[2]}")
    await connection.close()
    assert found == await value(any_database, "SELECT count(*) FROM content WHERE subcategories_json::text ~ 'History'")


async def test_the_application_s_own_tables_get_every_row_unbent(tmp_path: Path, any_database: str) -> None:
    config = configured(tmp_path, "adopted.toml", any_database)
    await execute(any_database, (folder("ytv2") / "adopted.sql").read_text(encoding="utf-8"))
    risks = (await build_plan(config)).risks
    told = [risk for risk in risks if risk.level != "note"]
    assert [(risk.level, risk.table) for risk in told] == [("warning", "content")]
    assert 'ALTER TABLE "public"."content" ALTER COLUMN "id" SET NOT NULL;' in told[0].remedy  # before a cutover
    await up(config)
    app = connected(config)
    await _equal(config, app, any_database)
    for change in _days_of_the_application():
        with app:
            change(app)
        await drain(config)
        await _equal(config, app, any_database)
    assert await quarantined(any_database) == []
    assert await value(any_database, "SELECT count(*) FROM cdc.disabled_trigger") == 3
    report = await verify(config, None, False, Silent())
    assert report.schema == ()
    assert [note.partition(":")[0] for note in report.notes] == ["triggers that do not fire while rows are replicated"]
    app.close()


def _days_of_the_application() -> Iterator[Any]:
    def ingest(app: apsw.Connection) -> None:
        upsert(app, "NewVideo_1", "A new one")
        summarise(app, "NewVideo_1", "What it says")

    def again(app: apsw.Connection) -> None:
        upsert(app, "NewVideo_1", "A new title")
        summarise(app, "NewVideo_1", "What it says now")

    def summary_first(app: apsw.Connection) -> None:
        summarise(app, "NewVideo_2", "Before its content")
        upsert(app, "NewVideo_2", "After its summary")

    def replace(app: apsw.Connection) -> None:
        app.execute("INSERT OR REPLACE INTO content SELECT * FROM content WHERE id = 'yt:newvideo_1'")
        app.execute("UPDATE content SET video_id = 'NewVideo_3' WHERE id = 'yt:newvideo_2'")

    def delete(app: apsw.Connection) -> None:
        app.execute("DELETE FROM content_summaries WHERE content_id = 'yt:newvideo_1'")
        app.execute("DELETE FROM content WHERE id = 'yt:newvideo_1'")

    yield from (ingest, again, summary_first, replace, delete)


async def _equal(config: Config, app: apsw.Connection, dsn: str) -> None:
    """Times as SQLite's own functions read them, the other values as they are."""
    here = "SELECT id, video_id, title, strftime('%Y-%m-%d %H:%M:%f', updated_at), {} FROM content".format(
        "strftime('%Y-%m-%d %H:%M:%f', coalesce(nullif(created_at, ''), indexed_at))"
    )
    # SQLite rounds to milliseconds.
    shown = f"to_char(({{}} + interval '500 microseconds') {UTC}, 'YYYY-MM-DD HH24:MI:SS.MS')"
    there = f"SELECT id, video_id, title, {shown.format('updated_at')}, {shown.format('created_at')} FROM content"
    assert {tuple(row) for row in await fetch(dsn, there)} == set(app.execute(here))
    summaries = (
        "SELECT c.video_id, s.summary_type, s.summary_text FROM content_summaries AS s "
        "JOIN content AS c ON c.id = s.content_id"
    )
    found = await fetch(
        dsn, "SELECT video_id, variant, text, revision, is_latest, updated_at = created_at FROM content_summaries"
    )
    assert {tuple(row) for row in found} == {(*row, 1, True, True) for row in app.execute(summaries)}
    await agreed(config)


async def test_variants_go_into_the_table_of_the_summaries_by_the_lines_of_the_recipe(
    tmp_path: Path, any_database: str
) -> None:
    recipe = (Path(__file__).parents[2] / "docs" / "recipes" / "ytv2.md").read_text(encoding="utf-8")
    found = re.search("### Variants into the same table.*?```toml\n(.*?)```", recipe, re.DOTALL)
    assert found
    config = _changed(configured(tmp_path, "adopted.toml", any_database), tomllib.loads(found.group(1)))
    await execute(any_database, (folder("ytv2") / "adopted.sql").read_text(encoding="utf-8"))
    await up(config)
    app = connected(config)
    await _both_are_there(config, app, any_database)
    for change in _days_of_variants():
        with app:
            change(app)
        await drain(config)
        await _both_are_there(config, app, any_database)
    assert await quarantined(any_database) == []
    app.close()


def _changed(config: Config, lines: Mapping[str, Any]) -> Config:
    """The configuration with these lines over those that it has."""
    place = config.source.path.parent
    there = tomllib.loads((place / "adopted.toml").read_text(encoding="utf-8"))
    return msgspec.structs.replace(beside(decode_config(_merged(there, lines)), place), target=config.target)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: _merged(below[name], above[name]) for name in above if isinstance(below.get(name), dict)}
    return {**below, **above, **both}


def _days_of_variants() -> Iterator[Any]:
    def revise(app: apsw.Connection) -> None:
        app.execute(
            "INSERT INTO summary_variants(video_id, variant_type, revision, content, created_at) "
            "SELECT video_id, variant_type, revision + 1, 'anew', '2025-09-21 00:00:00' FROM summary_variants "
            "WHERE is_latest LIMIT 9"
        )

    def first_of_a_summary(app: apsw.Connection) -> None:
        app.execute(
            "INSERT INTO summary_variants(video_id, variant_type, content, created_at) "
            "SELECT c.video_id, 'comprehensive', 'first', '2025-09-21 00:00:01' FROM content_summaries AS s "
            "JOIN content AS c ON c.id = s.content_id WHERE c.video_id NOT IN (SELECT video_id FROM summary_variants) "
            "LIMIT 3"
        )

    def delete(app: apsw.Connection) -> None:
        video = app.execute("SELECT video_id FROM summary_variants WHERE content = 'first' LIMIT 1").get
        key = app.execute("SELECT id FROM content WHERE video_id = ?", (video,)).get
        app.execute("DELETE FROM summary_variants WHERE video_id = ?", (video,))
        app.execute("DELETE FROM content_summaries WHERE content_id = ?", (key,))
        app.execute("DELETE FROM content WHERE id = ?", (key,))

    yield from (revise, first_of_a_summary, delete)


async def _both_are_there(config: Config, app: apsw.Connection, dsn: str) -> None:
    """Every summary and every variant, once; and at most one of a kind is the latest of a video."""
    summaries = (
        "SELECT c.video_id, coalesce(nullif(s.summary_type, ''), 'comprehensive'), 0, s.summary_text "
        "FROM content_summaries AS s JOIN content AS c ON c.id = s.content_id"
    )
    variants = "SELECT video_id, variant_type, revision, content FROM summary_variants"
    there = await fetch(dsn, "SELECT video_id, variant, revision, text FROM content_summaries")
    assert {tuple(row) for row in there} == {*app.execute(summaries), *app.execute(variants)}
    latest = "SELECT count(*) - count(DISTINCT (video_id, variant)) FROM latest_summaries"
    assert await value(dsn, latest) == 0
    await agreed(config)
