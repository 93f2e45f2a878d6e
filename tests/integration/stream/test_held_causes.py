"""What waits in quarantine is told by causes, and a child of a row that waits is told so."""

import json
from pathlib import Path

import pytest
from harness import application, drain, execute, followed

from cdc.cli.quarantine_report import as_json
from cdc.cli.target import desk
from cdc.config import Config
from cdc.stream.quarantine_causes import HeldCause, causes, fed_tables

FAMILY = """
CREATE TABLE users(id INTEGER PRIMARY KEY, score INTEGER, name TEXT, code TEXT UNIQUE);
CREATE TABLE albums(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES users(id));
CREATE TABLE photos(id INTEGER PRIMARY KEY, album INTEGER REFERENCES albums(id), width INTEGER);
CREATE TABLE badges(id INTEGER PRIMARY KEY, code TEXT REFERENCES users(code));
INSERT INTO users VALUES (1, 1, 'a', 'x'), (2, 'lots', 'b', '2'), (10, 'many', 'c', 'z');
INSERT INTO albums VALUES (10, 1), (20, 2), (40, 99);
INSERT INTO photos VALUES (100, 10, 5), (200, 20, 5), (400, 40, 5), (500, 10, 1.5);
INSERT INTO badges VALUES (1, '2')
"""


async def found(config: Config) -> list[HeldCause]:
    async with desk(config, "quarantine") as record:
        assert record is not None
        _, fed = await fed_tables(record, config)
        return causes(await record.quarantine.list_rows(), fed)


def told(found: list[HeldCause]) -> dict[str, tuple[list[str], list[str]]]:
    """By cause: the keys of its rows, and of those that follow."""
    return {c.text: ([r.key for r in c.rows], [f"{r.source_table} {r.key}" for r in c.followers]) for c in found}


@pytest.mark.parametrize("streamed", [False, True])
async def test_children_are_under_the_cause_of_their_parent(tmp_path: Path, database: str, streamed: bool) -> None:
    tables, rows = FAMILY.split("INSERT", 1)
    config = await followed(tmp_path, database, tables if streamed else FAMILY)
    if streamed:
        app = application(config.source.path)
        app.execute(f"INSERT{rows}")
        await drain(config)
        app.close()
    # What refers to another key than the primary one is not known to wait for a row that waits.
    assert told(await found(config)) == {
        "the value (bigint) is a text": (["i2", "i10"], ["albums i20", "photos i200"]),
        "its parent row in users is not in Postgres": (["i40", "i1"], ["photos i400"]),
        "the value (bigint) is a real": (["i500"], []),
    }


async def test_the_lines_that_suit_are_those_that_help(tmp_path: Path, database: str) -> None:
    config = await followed(tmp_path, database, FAMILY)
    lines = {
        place: [choice.lines[0] for choice in choices]
        for cause in await found(config)
        for place, choices in cause.choices.items()
    }
    assert lines == {
        ("users", "score"): ['on_invalid = "null"'],
        ("photos", "width"): ['on_invalid = "round"', 'on_invalid = "null"'],
    }


async def test_programs_are_told_the_cause_of_each_row_and_the_row_that_it_waits_for(
    tmp_path: Path, database: str
) -> None:
    config = await followed(tmp_path, database, FAMILY)
    async with desk(config, "quarantine") as record:
        assert record is not None
        rows = await record.quarantine.list_rows()
        answer = json.loads(json.dumps(as_json(rows, (await fed_tables(record, config))[1])))
    by_key = {(row["source_table"], row["shown_key"]): row for row in answer["rows"]}
    assert by_key["photos", "200"]["waits_for_row"] == {"table": "albums", "key": "i20", "shown_key": "20"}
    assert answer["causes"][by_key["photos", "200"]["cause"] - 1]["text"] == "the value (bigint) is a text"
    assert by_key["albums", "40"]["waits_for_row"] is None
    assert "T" in by_key["albums", "40"]["first_seen"]


async def test_rows_that_wait_for_each_other_have_one_cause(tmp_path: Path, database: str) -> None:
    config = await followed(
        tmp_path,
        database,
        "CREATE TABLE n(id INTEGER PRIMARY KEY, next INTEGER REFERENCES n(id), v INTEGER);"
        "INSERT INTO n VALUES (1, 2, 1), (2, 1, 'bad')",
    )
    waits = """waits_table = '"public"."n"("id")', waits_for = CASE key WHEN 'i1' THEN '2' ELSE '1' END"""
    await execute(database, f"UPDATE cdc.quarantine SET reason = 'orphan', {waits}")
    (cause,) = await found(config)
    assert len(cause.rows) + len(cause.followers) == 2
