"""A value that is looked up in another table follows that table too."""

from pathlib import Path
from typing import Final

import pytest
from harness import application, drain, fetch, make_config, quarantined, up

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.changes import TableRows
from cdc.facts.progress import Silent
from cdc.mapping.map_tables import map_schema
from cdc.sqlite.rows import computed_dependencies
from cdc.sqlite.schema.read import read_schema
from cdc.verify import verify

TABLES: Final = """
CREATE TABLE content(id TEXT PRIMARY KEY, video_id TEXT, visible INTEGER DEFAULT 1);
CREATE TABLE summary(id INTEGER PRIMARY KEY, content_id TEXT, text TEXT);
INSERT INTO content VALUES ('yt:a', 'A', 1), ('yt:b', 'B', 1);
INSERT INTO summary VALUES (1, 'yt:a', 'one'), (2, 'yt:a', 'two'), (3, 'yt:b', 'three'), (4, 'yt:c', 'four');
"""
BY_KEY: Final = "(SELECT video_id FROM content AS c WHERE c.id = content_id AND visible)"
BY_ANYTHING: Final = "(SELECT max(video_id) FROM content WHERE 'yt:' || lower(video_id) = content_id AND visible)"
CHANGES: Final = (
    "UPDATE content SET video_id = 'a' WHERE id = 'yt:a'",
    "INSERT INTO content VALUES ('yt:c', 'C', 1)",
    "UPDATE content SET visible = 0 WHERE id = 'yt:b'",
    "DELETE FROM content WHERE id = 'yt:a'; UPDATE summary SET text = 'anew' WHERE id = 1",
    "UPDATE content SET id = 'yt:a' WHERE id = 'yt:b'; UPDATE content SET visible = 1",
    "DELETE FROM summary WHERE id = 2; INSERT OR REPLACE INTO content VALUES ('yt:b', 'B', 1)",
)


def looking_up(folder: Path, dsn: str, expression: str) -> Config:
    columns = {"video": ColumnOptions(expression=expression)}
    return make_config(folder, folder / "app.db", dsn, tables={"summary": TableOptions(columns=columns)})


@pytest.mark.parametrize("expression", [BY_KEY, BY_ANYTHING])
@pytest.mark.parametrize("most_keys", [500, 1])
async def test_a_value_follows_the_row_that_it_was_looked_up_in(
    tmp_path: Path, any_database: str, expression: str, most_keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computed_dependencies, "MOST_KEYS", most_keys)
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    config = looking_up(tmp_path, any_database, expression)
    await up(config)
    for sql in CHANGES:
        with app:
            app.execute(sql).fetchall()
        await drain(config)
        here = {tuple(row) for row in app.execute(f"SELECT id, text, {expression} FROM summary")}
        there = {tuple(row) for row in await fetch(any_database, "SELECT id, text, video FROM summary")}
        assert there == here, sql
        assert (await verify(config, None, False, Silent())).result == "equal"
    assert await quarantined(any_database) == []
    app.close()


async def test_a_value_follows_a_table_that_is_compared_as_a_whole(tmp_path: Path, database: str) -> None:
    """What was written to it past the triggers left no entry that would tell which values were looked up there."""
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    config = looking_up(tmp_path, database, BY_KEY)
    await up(config)
    # This leaves SQLite's schema counter as it was, so no other table is thought to be concerned.
    app.execute(
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'content'"
    )
    app.close()
    app = application(tmp_path / "app.db")
    app.execute("UPDATE content SET video_id = 'unseen'")
    await drain(config)
    there = [row["video"] for row in await fetch(database, "SELECT video FROM summary ORDER BY id")]
    assert there == ["unseen", "unseen", "unseen", None]
    assert (await verify(config, None, False, Silent())).result == "equal"
    app.close()


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        (BY_KEY, [1, 2]),
        ("upper((SELECT video_id FROM content WHERE visible AND content_id = id))", [1, 2]),
        ("(SELECT video_id || text FROM content WHERE (summary.content_id) = (content.id))", [1, 2]),
        (BY_ANYTHING, None),
        ("(SELECT video_id FROM content WHERE id = content_id OR visible)", None),
        ("(SELECT c.video_id FROM content AS c JOIN summary AS s ON s.id = 1 WHERE c.id = s.content_id)", None),
        ("(SELECT video_id FROM content WHERE id = (SELECT min(id) FROM content))", None),
        ("(SELECT video_id FROM content WHERE id = summary.id)", None),
    ],
)
def test_only_rows_that_name_the_changed_one_are_read_again_where_that_can_be_seen(
    tmp_path: Path, expression: str, read: list[int] | None
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    config = looking_up(tmp_path, "embedded", expression)
    schema = read_schema(app, config)
    maps = {m.source.name: m for m in map_schema(schema, config)}
    changed = TableRows("content", rows=[("yt:a", "yt:a", "a", 1)])
    tables, whole = computed_dependencies.Dependents(maps).follow(app, [changed], [])
    rows = [row[0] for found in tables if found.table == "summary" for row in found.rows]
    assert (rows, whole) == ((read, ()) if read else ([], ("summary",)))
    app.close()
