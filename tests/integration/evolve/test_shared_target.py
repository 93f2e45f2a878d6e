"""Two tables of SQLite that feed one adopted table: each has rows of its own there, and leaves those of the other."""

import random
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import pytest
from harness import application, drain, execute, fetch, live, make_config, quarantined, up

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.first_copy.preflight import build_plan
from cdc.mapping.map_tables import map_schema
from cdc.postgres.connection.open import connect
from cdc.postgres.tables.counts import count_own
from cdc.sql_names import quote_literal
from cdc.sqlite.changelog import source_file
from cdc.stream.resync import request_resync
from cdc.stream.retry_quarantined import retry_quarantined
from cdc.verify import verify

SOURCE: Final = """
CREATE TABLE summaries(id INTEGER PRIMARY KEY, body TEXT, u TEXT, work INT);
CREATE TABLE variants(id INTEGER PRIMARY KEY, body TEXT, u TEXT, work INT);
CREATE TABLE works(id INTEGER PRIMARY KEY);
INSERT INTO works VALUES (1), (2);
INSERT INTO summaries VALUES (1, 'one', NULL, 1), (2, 'two', 'p', 2);
INSERT INTO variants VALUES (1, 'eins', NULL, 1), (3, 'drei', 'q', NULL);
"""
TARGET: Final = """
CREATE TABLE works(id bigint PRIMARY KEY);
CREATE TABLE summary(
    id bigint, kind text, body text, u text UNIQUE, work bigint REFERENCES works ON DELETE CASCADE,
    PRIMARY KEY (id, kind)
);
"""
TABLES: Final = ("summaries", "variants")


def fed_by(kind: str, **options: Any) -> TableOptions:
    columns = {"kind": ColumnOptions(expression=quote_literal(kind))}
    return TableOptions(target="summary", target_key=["id", "kind"], columns=columns, **options)


def both(folder: Path, dsn: str, *, existing: str = "refuse") -> Config:
    tables = {"summaries": fed_by("it's"), "variants": fed_by("variant")}
    config = make_config(folder, folder / "app.db", dsn, tables=tables)
    target = msgspec.structs.replace(config.target, adopt=True, existing_rows=existing)
    return msgspec.structs.replace(config, target=target)


async def compared(config: Config) -> dict[str, tuple[int, int, int]]:
    """What the comparison finds different, missing and extra, by source table; nothing where both are equal."""
    report = await verify(config, None, False, Silent())
    assert not [t.problem for t in report.tables if t.problem]
    found = {t.table: (t.different, t.missing, t.extra) for t in report.tables}
    return {table: counts for table, counts in found.items() if any(counts)}


async def rows_there(dsn: str) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in await fetch(dsn, "SELECT kind, id, body, u, work FROM summary")}


def rows_here(app: apsw.Connection, held: set[tuple[str, str]]) -> set[tuple[Any, ...]]:
    kinds = {"summaries": "it's", "variants": "variant"}
    return {
        (kinds[table], *row)
        for table in TABLES
        for row in app.execute(f"SELECT id, body, u, work FROM {table}")
        if (table, f"i{row[0]}") not in held
    }


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_to_one_table_the_rows_of_the_other_stay(
    tmp_path: Path, any_database: str, seed: int
) -> None:
    chance = random.Random(seed)
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(any_database, TARGET)
    config = both(tmp_path, any_database)
    await up(config)
    async with live(config) as replica:
        for turn in range(6):
            with app:
                for _ in range(chance.randint(1, 12)):
                    app.execute(*_statement(chance))
            if turn == 3:
                await replica.close()
                await request_resync(config)
            await replica.sync()
            held = {(table, key) for table, key, _ in await quarantined(any_database)}
            assert await rows_there(any_database) == rows_here(app, held)
            assert await compared(config) == {}
    connection = await connect(any_database, purpose="test")
    counts = await count_own(connection, map_schema(source_file.look(config).schema, config))
    kept = [row[0] for row in rows_here(app, held)]
    assert [counts[table] for table in TABLES] == [kept.count("it's"), kept.count("variant")]
    await connection.close()
    app.close()


def _statement(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    table, id_, body, u = chance.choice(TABLES), chance.randint(1, 6), str(chance.random()), chance.choice([None, "p"])
    work = chance.choice([None, 1, 2])
    return chance.choice(
        [
            (f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", (id_, body, u, work)),
            ("INSERT OR IGNORE INTO works VALUES (?)", (work or 1,)),
            ("DELETE FROM works WHERE id = ?", (work or 2,)),
            (f"UPDATE {table} SET body = ? WHERE id = ?", (body, id_)),
            (f"UPDATE OR REPLACE {table} SET id = ? WHERE id = ?", (id_, chance.randint(1, 6))),
            (f"DELETE FROM {table} WHERE id = ?", (id_,)),
            (f"DELETE FROM {table}", ()) if chance.random() < 0.2 else (f"DELETE FROM {table} WHERE id > ?", (id_,)),
        ]
    )


async def test_a_row_that_no_table_feeds_is_found_once_and_leaves_with_a_resync(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(any_database, TARGET)
    config = both(tmp_path, any_database)
    await up(config)
    await execute(any_database, "INSERT INTO summary(id, kind, body) VALUES (9, 'nobody''s', 'x'), (9, 'variant', 'y')")
    assert await compared(config) == {"summaries": (0, 0, 1), "variants": (0, 0, 1)}
    await request_resync(config)
    await drain(config)
    assert await rows_there(any_database) == rows_here(app, set())
    saved = [file.read_text() for file in (config.state.dir / "replaced").glob("*.csv")]
    assert sorted(("nobody" in text, "variant" in text) for text in saved) == [(False, True), (True, False)]
    app.close()


async def test_of_two_rows_that_meet_in_another_unique_key_one_waits_until_the_other_leaves(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(any_database, TARGET)
    config = both(tmp_path, any_database)
    (note,) = {r.text for r in (await build_plan(config)).risks if "unique" in r.text}
    assert note.startswith("(u) is unique in public.summary, which several tables feed")
    await up(config)
    app.execute("UPDATE variants SET u = 'p' WHERE id = 1").fetchall()
    await drain(config)
    assert await quarantined(any_database) == [("variants", "i1", "constraint")]
    assert await compared(config) == {}
    app.execute("UPDATE summaries SET u = NULL WHERE id = 2").fetchall()
    await drain(config)
    await retry_quarantined(config, None)
    await drain(config)
    assert await quarantined(any_database) == []
    assert await rows_there(any_database) == rows_here(app, set())
    app.close()


async def test_rows_of_others_are_refused_or_saved_once(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(
        any_database, TARGET + "INSERT INTO summary(id, kind, body) VALUES (7, 'variant', 'x'), (8, 'other', 'y')"
    )
    assert (await build_plan(both(tmp_path, any_database))).exit_code == 2
    config = both(tmp_path, any_database, existing="replace")
    await up(config)
    assert await rows_there(any_database) == rows_here(app, set())
    (saved,) = (config.state.dir / "replaced").glob("public.summary.csv")
    assert len(saved.read_text().splitlines()) == 3
    app.close()


async def test_rows_of_a_table_that_is_excluded_later_are_not_those_of_the_other(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(any_database, TARGET)
    config = both(tmp_path, any_database)
    await up(config)
    excluded = msgspec.structs.replace(config.replicate, exclude=["variants"])
    config = msgspec.structs.replace(config, replicate=excluded)
    app.execute("DELETE FROM variants; INSERT INTO summaries VALUES (5, 'five', NULL, NULL)").fetchall()
    await drain(config)
    await request_resync(config)
    await drain(config)
    there = await rows_there(any_database)
    assert {row for row in there if row[0] == "it's"} == {("it's", *r) for r in app.execute("SELECT * FROM summaries")}
    assert {row[1] for row in there if row[0] == "variant"} == {1, 3}
    assert await compared(config) == {}
    app.close()


async def test_a_table_that_others_refer_to_is_fed_by_one(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE + "CREATE TABLE note(id INTEGER PRIMARY KEY, sid INT, kind TEXT)").fetchall()
    note = "CREATE TABLE note(id bigint PRIMARY KEY, sid bigint, kind text, FOREIGN KEY (sid, kind) REFERENCES summary)"
    await execute(any_database, TARGET + note)
    blocks = (await build_plan(both(tmp_path, any_database))).blocks
    assert {(r.table, "rows of note refer to it" in r.text) for r in blocks} == {(table, True) for table in TABLES}
    app.close()


async def test_a_row_with_the_constant_of_another_table_waits_and_takes_nothing_from_it(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    variants = "CREATE TABLE variants(id INTEGER PRIMARY KEY, body TEXT, kind TEXT);"
    summaries = "CREATE TABLE summaries(id INTEGER PRIMARY KEY, body TEXT);"
    rows = "INSERT INTO summaries VALUES (1, 'one'); INSERT INTO variants VALUES (1, 'eins', 'de'), (2, 'due', 'it');"
    app.execute(variants + summaries + rows).fetchall()
    await execute(any_database, TARGET)
    columns = {"kind": ColumnOptions(expression="'summary'")}
    tables = {
        "summaries": TableOptions(target="summary", target_key=["id", "kind"], columns=columns),
        "variants": TableOptions(target="summary", target_key=["id", "kind"]),
    }
    config = make_config(tmp_path, tmp_path / "app.db", any_database, tables=tables)
    config = msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, adopt=True))
    await up(config)
    ours = {("summary", 1, "one"), ("de", 1, "eins"), ("it", 2, "due")}
    assert await _kinds(any_database) == ours
    for kind, held, there in [
        ("'summary'", [("variants", "i1", "value")], ours - {("de", 1, "eins")}),
        ("'fr'", [], ours - {("de", 1, "eins")} | {("fr", 1, "eins")}),
    ]:
        app.execute(f"UPDATE variants SET kind = {kind} WHERE id = 1").fetchall()
        await drain(config)
        assert await quarantined(any_database) == held
        assert await _kinds(any_database) == there
        assert await compared(config) == {}
    app.execute("DELETE FROM variants; DELETE FROM summaries WHERE id = 9").fetchall()
    await drain(config)
    assert await _kinds(any_database) == {("summary", 1, "one")}
    app.close()


async def _kinds(dsn: str) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in await fetch(dsn, "SELECT kind, id, body FROM summary")}
