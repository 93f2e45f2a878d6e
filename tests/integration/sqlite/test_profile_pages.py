"""A column that is decided late is looked at in pages, and so that they tell what one look at all of it tells."""

import random
from pathlib import Path

import apsw
import pytest
from harness import application, make_config

from cdc.config import Config
from cdc.errors import CaptureLost
from cdc.sqlite.changelog import source_file
from cdc.sqlite.schema.profile import profile
from cdc.sqlite.schema.read import read_schema

VALUES = (None, 0, 1, -7, 2**60, 1.5, -2e300, "", "x", "2024-02-29", "12:34", '{"a": 1}', "true", b"", b"\x00\xff")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path, tmp_path / "app.db", "embedded")


def fill(app: apsw.Connection, chance: random.Random, rows: int) -> None:
    app.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT); CREATE TABLE k(w TEXT PRIMARY KEY, a) WITHOUT ROWID"
    )
    with app:
        for _ in range(rows):
            number = chance.randint(-(10**6), 10**6)
            app.execute("INSERT OR IGNORE INTO t VALUES (?, ?, ?)", (number, *chance.choices(VALUES, k=2)))
            app.execute("INSERT OR IGNORE INTO k VALUES (?, ?)", (str(number), chance.choice(VALUES)))


@pytest.mark.parametrize("rows", [0, 1, source_file.PROFILED_ROWS, 3 * source_file.PROFILED_ROWS + 7])
def test_pages_tell_what_one_look_tells(tmp_path: Path, config: Config, rows: int) -> None:
    app = application(tmp_path / "app.db")
    fill(app, random.Random(rows), rows)
    schema = read_schema(app, config)
    paged = source_file.profiled(config, schema, {"t": ["a", "b"], "k": ["a"]})
    for name, found in paged.items():
        table = schema.table(name)
        assert table is not None
        whole = profile(app, table)
        assert found.rows == whole.rows
        assert found.columns == tuple(column for column in whole.columns if column.name in {"a", "b"})
    app.close()


def test_a_writer_in_journal_mode_commits_between_two_pages(tmp_path: Path, config: Config) -> None:
    """It waits for no whole scan: here each page is followed by a commit that waits for nobody."""
    app = application(tmp_path / "app.db", wal=False)
    fill(app, random.Random(1), 4 * source_file.PROFILED_ROWS)
    app.set_busy_timeout(0)
    assert app.pragma("journal_mode") == "delete"
    pages = 0
    schema = read_schema(app, config)
    with source_file.opened(config) as connection:
        for _ in source_file._pages(connection, config, schema, "t", ["a"]):
            pages += 1
            app.execute("UPDATE k SET a = 'written between two pages'")
    assert pages >= 4
    app.close()


def test_a_schema_that_changes_between_two_pages_is_looked_at_anew(tmp_path: Path, config: Config) -> None:
    app = application(tmp_path / "app.db")
    fill(app, random.Random(2), 2 * source_file.PROFILED_ROWS)
    schema = read_schema(app, config)
    with source_file.opened(config) as connection:
        pages = source_file._pages(connection, config, schema, "t", ["a"])
        next(pages)
        app.execute("ALTER TABLE t RENAME COLUMN a TO other")
        with pytest.raises(CaptureLost):
            next(pages)
    app.close()
