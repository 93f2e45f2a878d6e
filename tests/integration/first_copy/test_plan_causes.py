"""One finding a cause: rows that only hang on others are counted under what holds those back."""

from pathlib import Path
from typing import Any

from harness import application

from cdc.cli.plan_report import MOST_LINES, screen
from cdc.config import decode_config
from cdc.facts.cause import Cause
from cdc.first_copy.plan import Plan
from cdc.first_copy.preflight import build_plan
from cdc.first_copy.rehearsal_notes import NO_PARENT

FAMILY = """
CREATE TABLE users(id INTEGER PRIMARY KEY, score INTEGER, name TEXT);
CREATE TABLE albums(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES users(id));
CREATE TABLE photos(id INTEGER PRIMARY KEY, album INTEGER REFERENCES albums(id), owner INTEGER REFERENCES users(id),
    width INTEGER);
INSERT INTO users VALUES (1, 1, 'a'), (2, 'lots', 'b'), (3, 3, 'c');
INSERT INTO albums VALUES (10, 1), (20, 2), (30, 3);
INSERT INTO photos VALUES (100, 10, 1, 5), (200, 20, 2, 5), (300, 30, 3, 5);
"""


async def planned(tmp_path: Path, sql: str, tables: dict[str, Any] | None = None) -> Plan:
    application(tmp_path / "app.db").execute(sql)
    sections = {
        "source": {"path": str(tmp_path / "app.db")},
        "target": {"dsn": "postgresql://nobody@nowhere/x"},
        "state": {"dir": str(tmp_path / "state")},
    }
    return await build_plan(decode_config({**sections, "tables": tables or {}}))


def told(plan: Plan) -> dict[str, tuple[int, int]]:
    """By cause: rows that have it, and rows that come when it alone is gone."""
    return {cause.text: (cause.rows, cause.frees) for cause in plan.causes}


def cause(plan: Plan, words: str) -> Cause:
    (found,) = (cause for cause in plan.causes if words in cause.text)
    return found


async def test_descendants_are_counted_under_the_cause_that_holds_back_their_ancestor(tmp_path: Path) -> None:
    plan = await planned(tmp_path, FAMILY)
    assert told(plan) == {"the value (bigint) is a text": (1, 3)}
    assert plan.held == 3
    assert {(r.table, r.keys) for r in plan.risks if r.follows} == {("albums", ("20",)), ("photos", ("200",))}


async def test_a_row_whose_parent_is_nowhere_is_a_cause_of_its_own(tmp_path: Path) -> None:
    plan = await planned(
        tmp_path, f"{FAMILY} INSERT INTO albums VALUES (40, 99); INSERT INTO photos VALUES (400, 40, 1, 5)"
    )
    assert told(plan) == {"the value (bigint) is a text": (1, 3), NO_PARENT: (1, 2)}
    assert [place.name for place in cause(plan, NO_PARENT).places] == ["albums.owner"]


async def test_a_row_with_two_causes_is_freed_by_neither_alone(tmp_path: Path) -> None:
    both = "UPDATE photos SET width = 1.5 WHERE id = 200; UPDATE users SET name = 'x' || char(0) WHERE id = 2"
    plan = await planned(tmp_path, f"{FAMILY} {both}")
    assert plan.held == 3
    assert {text: frees for text, (_, frees) in told(plan).items()} == dict.fromkeys(told(plan), 0)
    assert len(told(plan)) == 3


async def test_a_child_of_parents_that_wait_for_different_causes_is_freed_by_neither(tmp_path: Path) -> None:
    other = "INSERT INTO albums VALUES (40, 99); INSERT INTO photos VALUES (400, 40, 2, 5), (500, 99, 2, 5)"
    plan = await planned(tmp_path, f"{FAMILY} {other}")
    assert plan.held == 6
    assert told(plan) == {"the value (bigint) is a text": (1, 3), NO_PARENT: (2, 1)}


async def test_a_circle_of_rows_that_hold_each_other_back_ends(tmp_path: Path) -> None:
    plan = await planned(
        tmp_path,
        "CREATE TABLE n(id INTEGER PRIMARY KEY, next INTEGER REFERENCES n(id), v INTEGER);"
        "INSERT INTO n VALUES (1, 2, 1), (2, 3, 1), (3, 1, 'bad'), (4, NULL, 1), (5, 5, 1)",
    )
    assert told(plan) == {"the value (bigint) is a text": (1, 3)}


async def test_what_settles_a_cause_does_so_when_it_is_written(tmp_path: Path) -> None:
    data = f"{FAMILY} UPDATE users SET name = 'x' || char(0) WHERE id = 1"
    plan = await planned(tmp_path, data)
    tables: dict[str, Any] = {}
    for found in plan.causes:
        ((choice,), *_) = found.options
        (line,) = choice.lines
        name, _, value = line.partition(" = ")
        tables.setdefault(choice.section[1], {}).setdefault("columns", {})[choice.section[3]] = {name: value.strip('"')}
    (tmp_path / "again").mkdir()
    assert (await planned(tmp_path / "again", data, tables)).held == 0


async def test_every_other_choice_settles_it_too(tmp_path: Path) -> None:
    plan = await planned(tmp_path, f"{FAMILY} UPDATE photos SET width = 1.5 WHERE id = 200")
    offered = [choice for found in plan.causes for place in found.places for choice in place.choices]
    assert {choice.lines[0] for choice in offered} == {
        'type = "literal"',
        'type = "numeric"',
        'on_invalid = "round"',
        'on_invalid = "null"',
    }
    for number, choice in enumerate(offered):
        name, _, value = choice.lines[0].partition(" = ")
        column = {choice.section[3]: {name: value.strip('"')}}
        folder = tmp_path / str(number)
        folder.mkdir()
        again = await planned(
            folder,
            f"{FAMILY} UPDATE photos SET width = 1.5 WHERE id = 200",
            {choice.section[1]: {"columns": column}},
        )
        assert not any(choice.section[3] in (p.column for p in c.places) for c in again.causes), choice


async def test_nothing_is_offered_that_would_change_a_key_or_what_refers_to_it(tmp_path: Path) -> None:
    plan = await planned(
        tmp_path,
        "CREATE TABLE p(id INTEGER PRIMARY KEY, k INT UNIQUE);"
        "CREATE TABLE c(id TEXT PRIMARY KEY, p INT REFERENCES p(k));"
        "INSERT INTO p VALUES (1, 1); INSERT INTO c VALUES ('a' || char(0), 1), ('b', 'x')",
    )
    offered = {place.name: [choice.lines for choice in place.choices] for c in plan.causes for place in c.places}
    assert offered["c.id"] == []
    assert offered["c.p"] == [('on_invalid = "null"',)]


async def test_a_format_that_reads_every_value_is_offered_before_what_loses_some(tmp_path: Path) -> None:
    plan = await planned(
        tmp_path,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT); INSERT INTO t VALUES (1, '2024-01-01 00:00:00')",
        {"t": {"columns": {"at": {"type": "timestamptz"}}}},
    )
    ((place,),) = [found.places for found in plan.decisions]
    assert [choice.lines[0] for choice in place.choices][:1] == ['format = "iso utc"']
    assert place.choices[-1].lines == ('on_invalid = "null"',)
    assert not any(choice.exact for choice in place.choices)


async def test_an_application_of_150_tables_is_told_on_two_screens(tmp_path: Path) -> None:
    plan = await planned(tmp_path, "".join(_large(number) for number in range(150)))
    assert len(plan.tables) == 150
    assert plan.counts["note"] > 300
    lines = screen(plan)
    assert sum(line.height for line in lines) <= MOST_LINES
    assert lines[0].text.startswith(f"{len(plan.decisions)} things to decide")
    for number in range(1, len(plan.causes) + 1):
        assert any(line.text.startswith(f"{number}  ") for line in lines)


def _large(number: int) -> str:
    """A table with something of everything that is found in data, in every few tables another."""
    bad = {
        0: "UPDATE t{n} SET n = 'bad' WHERE id = 3;",
        1: "UPDATE t{n} SET meta = 'no json' WHERE id = 3;",
        2: "UPDATE t{n} SET isOn = 5 WHERE id = 3;",
        3: "UPDATE t{n} SET parentId = 77 WHERE id = 3;",
        4: "UPDATE t{n} SET data = 'x' || char(0) WHERE id = 3;",
        5: "UPDATE t{n} SET n = 1.5 WHERE id = 3;",
        6: "PRAGMA ignore_check_constraints = 1; UPDATE t{n} SET c = -1; PRAGMA ignore_check_constraints = 0;",
        7: "UPDATE t{n} SET n = x'00' WHERE id = 2;",
        8: "UPDATE t{n} SET data = x'00' WHERE id = 2;",
        9: "UPDATE t{n} SET data = 5, data2 = CAST(x'ff' AS TEXT) WHERE id = 2;",
    }
    parent = f", parentId INTEGER REFERENCES t{number - 1}(id)" if number % 5 else ", parentId INTEGER"
    statements = (
        "CREATE TABLE t{n}(id INTEGER PRIMARY KEY, createdAt DATETIME, isOn BOOLEAN, meta JSON, data TEXT, data2 TEXT, "
        f"day DATE, n INTEGER, loose, c INTEGER CHECK (c > 0){parent});"
        "CREATE INDEX i{n} ON t{n}(data) WHERE data GLOB 'a*';"
        "CREATE VIEW v{n} AS SELECT n / 2 AS half FROM t{n};"
        "INSERT INTO t{n}(id, createdAt, isOn, meta, data, day, n, loose) "
        "VALUES (1, '2024-01-01T00:00:00+02:00', 1, '{{}}', '[1]', '2024-01-01', 1, 1),"
        "(2, '2024-01-01 00:00:00', 0, '{{}}', 'a', 1700000000, 2, 'x'), (3, NULL, 1, '{{}}', 'b', NULL, 3, NULL);"
    )
    return (statements + bad.get(number % 12, "")).format(n=number)


async def test_the_verdict_counts_tables_that_stay_in_sqlite(tmp_path: Path) -> None:
    sql = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE words USING fts5(body); CREATE VIEW v AS SELECT 1"
    )
    plan = await planned(tmp_path, sql)
    verdict = [line.text for line in screen(plan, whole=False)][:2]
    assert verdict == ["READY: 1 table, 0 rows", "1 table stays in SQLite with all rows: words"]
