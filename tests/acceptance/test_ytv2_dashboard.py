"""What YTV2's dashboard asks gets the same answers from the application's own tables in Postgres as from SQLite.

The queries of SQLite are written from its columns, those of Postgres as the application asks there. Neither goes
through the program, nor through the functions that compute what Postgres has and SQLite has not.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import msgspec
from app_processes import Client
from harness import Daemon, execute, quarantined, up, value, wait_until_caught_up, wait_until_follows

from cdc.config import Config, VerifySection, load_config
from cdc.errors import ExitCode
from cdc.first_copy.preflight import build_plan
from cdc.resources import folder

VARIANTS: Final = (
    *("comprehensive", "key-points", "bullet-points", "executive", "key-insights"),
    *("audio", "audio-fr", "audio-es"),
)
_SHOWN: Final = ", ".join(f"'{variant}'" for variant in VARIANTS)

# The videos that the dashboard lists, on either side. It shows those of which it has a summary of a variant it knows.
HERE: Final = f"""WITH listed AS (
    SELECT c.*, coalesce(nullif(s.summary_type, ''), 'comprehensive') AS variant, s.summary_type AS kind
    FROM content AS c JOIN content_summaries AS s ON s.content_id = c.id
    WHERE s.summary_text <> '' AND coalesce(nullif(s.summary_type, ''), 'comprehensive') IN ({_SHOWN}))"""
THERE: Final = f"""WITH listed AS (
    SELECT c.*, s.variant, s.summary_type AS kind FROM content AS c JOIN content_summaries AS s USING (video_id)
    WHERE s.html IS NOT NULL AND s.is_latest AND s.variant IN ({_SHOWN}))"""


@dataclass(frozen=True)
class Facet:
    """Something that the list is filtered by: `(video_id, value)` from `listed` on either side, and the condition that
    asks Postgres for a value.
    """

    here: str
    there: str
    asked: str


def column(here: str, there: str, asked: str) -> Facet:
    return Facet(f"SELECT video_id, {here} AS value FROM listed", f"SELECT video_id, {there} FROM listed", asked)


def member(name: str, here: str = "") -> Facet:
    """A member of the document in Postgres, which is a column of SQLite."""
    asked = f"analysis_json @> jsonb_build_object('{name}', $1::text)"
    return column(here or name, f"analysis_json ->> '{name}'", asked)


_SUBJECTS: Final = "jsonb_array_elements(coalesce(subcategories_json, analysis_json) -> 'categories') AS subject"
_WANTED: Final = (
    "coalesce(subcategories_json, analysis_json) @> jsonb_build_object('categories', jsonb_build_array("
    "jsonb_build_object({})))"
)
FACETS: Final = {
    "category": Facet(
        "SELECT video_id, json_extract(e.value, '$.category') AS value"
        " FROM listed, json_each(nullif(subcategories_json, ''), '$.categories') AS e"
        " UNION SELECT video_id, e.value FROM listed, json_each(nullif(category, '')) AS e"
        " WHERE coalesce(subcategories_json, '') = ''",
        f"SELECT DISTINCT video_id, subject ->> 'category' FROM listed, {_SUBJECTS}",
        _WANTED.format("'category', $1::text"),
    ),
    "subcategory": Facet(
        "SELECT video_id, f.value AS value"
        " FROM listed, json_each(nullif(subcategories_json, ''), '$.categories') AS e,"
        " json_each(e.value, '$.subcategories') AS f"
        " UNION SELECT video_id, subcategory FROM listed"
        " WHERE coalesce(subcategories_json, '') = '' AND subcategory IS NOT NULL AND json_array_length(category) > 0",
        f"SELECT DISTINCT video_id, jsonb_array_elements_text(subject -> 'subcategories') FROM listed, {_SUBJECTS}",
        _WANTED.format("'subcategories', jsonb_build_array($1::text)"),
    ),
    "topic": Facet(
        "SELECT DISTINCT video_id, e.value AS value FROM listed,"
        " json_each(CASE WHEN json_valid(key_topics) THEN key_topics END) AS e",
        "SELECT DISTINCT video_id, jsonb_array_elements_text(topics_json) FROM listed"
        " WHERE jsonb_typeof(topics_json) = 'array'",
        "topics_json ? $1",
    ),
    "content type": member("content_type"),
    "complexity": member("complexity_level"),
    "language": member("language", "coalesce(nullif(language, ''), 'en')"),
    "channel": column("channel_name", "channel_name", "channel_name = $1"),
    "audio": column("CAST(has_audio AS TEXT)", "has_audio::int::text", "has_audio = ($1 = '1')"),
    "summary type": column("kind", "kind", "summary_type_latest = $1"),
}
COUNTS: Final = {
    "all": "SELECT count(*) FROM content",
    "listed": f"{THERE} SELECT count(DISTINCT video_id) FROM listed",
    "categorised": "SELECT count(*) FROM content WHERE subcategories_json -> 'categories' -> 0 IS NOT NULL",
}
# Every video with what its page shows, those without a summary among them.
PAGES_HERE: Final = """
    SELECT c.video_id, title, canonical_url, thumbnail_url, CAST(round(duration_seconds) AS INTEGER),
        strftime('%Y-%m-%d %H:%M:%S', nullif(published_at, '')), strftime('%Y-%m-%d %H:%M:%S', indexed_at),
        strftime('%Y-%m-%d %H:%M:%S', c.updated_at),
        word_count, audio_duration_seconds, has_transcript, transcript_chars,
        coalesce(summary_text <> '', 0), summary_text
    FROM content AS c LEFT JOIN content_summaries AS s ON s.content_id = c.id"""
PAGES_THERE: Final = """
    SELECT c.video_id, title, canonical_url, thumbnail_url, duration_seconds,
        to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        to_char(indexed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        to_char(c.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        (analysis_json -> 'word_count')::int, (analysis_json -> 'audio_duration_seconds')::int,
        (analysis_json -> 'has_transcript')::boolean::int, (analysis_json -> 'transcript_chars')::int,
        (html IS NOT NULL)::int, text
    FROM content AS c LEFT JOIN content_summaries AS s USING (video_id)"""


def example(tmp_path: Path, dsn: str, file: str = "ytv2_migration_day.db") -> Config:
    """The mapping as it is shipped, on a copy of one generation of the file."""
    place = tmp_path / "ytv2"
    shutil.copytree(folder("ytv2"), place)
    config = load_config(place / "adopted.toml")
    return msgspec.structs.replace(
        config,
        source=msgspec.structs.replace(config.source, path=place / file),
        target=msgspec.structs.replace(config.target, dsn=dsn),
        verify=VerifySection(),  # asked elsewhere, and not written into the daemon's own configuration
    )


async def tables_of_the_application(dsn: str) -> None:
    await execute(dsn, (folder("ytv2") / "adopted.sql").read_text(encoding="utf-8"))


async def counted(config: Config, dsn: str) -> dict[str, int]:
    """How many videos there are in Postgres, are listed and are in categories, and how many values each facet has;
    SQLite answers all alike.
    """
    app = apsw.Connection(str(config.source.path), flags=apsw.SQLITE_OPEN_READONLY)
    there = await asyncpg.connect(dsn)
    try:
        assert await _there(there, PAGES_THERE) == _here(app, PAGES_HERE)
        facets = {name: await _answered_alike(app, there, name, facet) for name, facet in FACETS.items()}
        return {**{name: await there.fetchval(sql) for name, sql in COUNTS.items()}, **facets}
    finally:
        await there.close()
        app.close()


async def _answered_alike(app: apsw.Connection, there: Any, name: str, facet: Facet) -> int:
    """The facet with its counts, and the list filtered by each of its values; returns how many values there are."""
    found = _here(app, f"{HERE} {facet.here}")
    assert await _there(there, f"{THERE} {facet.there}") == found, name
    counts = "SELECT value, count(*) FROM f WHERE value IS NOT NULL GROUP BY value"
    values = _here(app, f"{HERE}, f(video_id, value) AS ({facet.here}) {counts}")
    assert await _there(there, f"{THERE}, f(video_id, value) AS ({facet.there}) {counts}") == values, name
    for wanted, _ in values:
        filtered = await there.fetch(f"{THERE} SELECT video_id FROM listed WHERE {facet.asked}", wanted)
        assert {row[0] for row in filtered} == {video for video, had in found if had == wanted}, f"{name} {wanted}"
    return len(values)


def _here(app: apsw.Connection, sql: str) -> list[tuple[Any, ...]]:
    return sorted(app.execute(sql), key=repr)


async def _there(there: Any, sql: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in await there.fetch(sql)), key=repr)


class Bot(Client):
    """The sample application as a process, a command at a time."""

    def does(self, *command: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "null\n"


async def test_the_dashboard_answers_alike_after_the_load_and_while_the_application_works(
    tmp_path: Path, any_database: str
) -> None:
    config = example(tmp_path, any_database)
    await tables_of_the_application(any_database)
    await up(config)
    # 22 of the 81 have no summary in SQLite either: nothing there could be shown.
    found = await counted(config, any_database)
    assert (found["all"], found["listed"], found["categorised"]) == (81, 59, 67)
    assert [found[name] for name in FACETS] == [9, 36, 10, 4, 3, 1, 35, 2, 5]
    bot = Bot(folder("ytv2") / "application.py", config.source.path)
    with Daemon(config) as daemon, bot:
        await wait_until_follows(config, daemon)

        async def settled() -> tuple[int, ...]:
            await wait_until_caught_up(config, any_database, daemon=daemon)
            found = await counted(config, any_database)
            return found["all"], found["listed"], found["categorised"]

        bot.does("finish", "yt:NewVideo_1")
        assert await settled() == (82, 60, 68)
        bot.does("start", "yt:NewVideo_2")
        assert await settled() == (83, 60, 69)
        bot.does("finish", "yt:NewVideo_1")  # once more, with another text
        bot.does("finish", "yt:NewVideo_2")
        assert await settled() == (83, 61, 69)
        rendered = "SELECT bool_and(html = format('<div class=\"summary comprehensive\"><p>%s</p></div>', trim(text)))"
        assert await value(any_database, f"{rendered} FROM content_summaries WHERE video_id LIKE 'NewVideo_%'")
        bot.does("delete", "yt:NewVideo_1")
        assert await settled() == (82, 60, 68)
        # The application's own triggers neither touched a time nor marked a summary.
        disabled = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'D'"
        assert await value(any_database, disabled) == 3
        assert await value(any_database, "SELECT count(*) FROM cdc.disabled_trigger") == 3
        assert await value(any_database, "SELECT count(*) FROM latest_summaries") == 60
        assert daemon.terminate() == 0
        bot.end()
    assert await quarantined(any_database) == []


async def test_unfed_html_is_the_first_that_the_plan_says_and_hides_every_video(
    tmp_path: Path, any_database: str
) -> None:
    config = example(tmp_path, any_database)
    del config.tables["content_summaries"].columns["html"]
    await tables_of_the_application(any_database)
    plan = await build_plan(config)
    assert [(r.level, r.table, r.column) for r in plan.risks if r.level != "note"] == [
        ("warning", "content_summaries", "html"),
        ("warning", "content", ""),  # its key may be NULL, which matters before a cutover
    ]
    assert plan.risks[0].level == "warning"
    assert plan.exit_code is ExitCode.OK  # every row fits
    await up(config)
    assert await value(any_database, "SELECT count(*) FROM content_summaries") == 59
    assert await value(any_database, COUNTS["listed"]) == 0


async def test_an_earlier_file_goes_there_by_the_same_mapping_whatever_columns_it_lacks(
    tmp_path: Path, database: str
) -> None:
    config = example(tmp_path, database, "ytv2_content.db")
    app = apsw.Connection(str(config.source.path))
    app.execute("ALTER TABLE content DROP COLUMN analysis; ALTER TABLE content DROP COLUMN summary")
    app.close()
    await tables_of_the_application(database)
    plan = await build_plan(config)
    assert {r.column for r in plan.risks if "`skip` names it" in r.text} == {"analysis", "summary"}
    assert [(r.table, r.level) for r in plan.risks if r.level != "note"] == [("content", "warning")]
    await up(config)
    found = await counted(config, database)
    assert (found["all"], found["listed"], found["categorised"]) == (62, 40, 40)
    assert await quarantined(database) == []
