"""The plan tells what will be made and what in the data will not fit, before anything is made."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any, Final

import apsw
import pytest
from harness import application, load, make_config, quarantined

from cdc.config import decode_config
from cdc.errors import ExitCode
from cdc.facts.profile import ColumnProfile, TextForms
from cdc.facts.row_key import show_key
from cdc.first_copy.dry_run import rehearse_load
from cdc.first_copy.plan import DataLook, Plan, make_plan
from cdc.first_copy.preflight import build_plan
from cdc.first_copy.rehearsal_notes import NO_PARENT
from cdc.mapping.map_tables import map_schema
from cdc.postgres.ddl.schema_script import script
from cdc.postgres.translate.views import translate_views
from cdc.resources import folder
from cdc.sqlite.schema.profile import profile
from cdc.sqlite.schema.read import read_schema


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "app.db"))
    yield connection
    connection.close()


def planned(db: apsw.Connection, tables: dict[str, Any] | None = None) -> Plan:
    config = decode_config({"source": {"path": "a.db"}, "target": {"dsn": "x"}, "tables": tables or {}})
    schema = read_schema(db, config)
    profiles = {t.name: profile(db, t) for t in schema.tables}
    maps = map_schema(schema, config, profiles)
    rehearsal = rehearse_load(Path(db.db_filename("main")), maps)
    views = translate_views(schema.views, maps, "public")
    return make_plan(schema, maps, script(maps, "public"), views, DataLook(profiles, rehearsal))


def column(db: apsw.Connection, name: str) -> ColumnProfile:
    config = decode_config({"source": {"path": "a.db"}, "target": {"dsn": "x"}})
    found = profile(db, read_schema(db, config).tables[0]).column(name)
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "rows"), [("ytv2_content.db", 228), ("ytv2_migration_day.db", 313)])
def test_the_examples_have_a_plan_that_json_can_carry(tmp_path: Path, name: str, rows: int) -> None:
    copy(folder("ytv2") / name, tmp_path / name)
    db = apsw.Connection(str(tmp_path / name))
    plan = planned(db)
    assert plan.counts["rows"] == rows
    assert json.loads(json.dumps(plan.to_json()))["counts"] == plan.counts
    assert not plan.blocks
    proposed = {(r.table, r.column) for r in plan.risks if "jsonb" in r.remedy}
    assert ("content", "subcategories_json") in proposed
    db.close()


def test_every_value_is_counted_by_its_class(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    values = [None, 0, 1, 2, 2**53 + 1, 1.5, "x", "{}", "[1]", "5", "{", b"\x00", "a\x00b"]
    db.executemany("INSERT INTO t (v) VALUES (?)", [(v,) for v in values])
    db.execute("INSERT INTO t (v) VALUES (CAST(x'ff' AS TEXT))")
    assert column(db, "v") == ColumnProfile(
        "v",
        null=1,
        integer=4,
        real=1,
        text=7,
        blob=1,
        not_boolean=2,
        big=1,
        json=2,
        not_json=4,
        binary_json=1,
        least=0,
        greatest=2**53 + 1,
        first="5",
        last="\ufffd",
        longest=3,
        forms=TextForms(other=7, nul=1, invalid=1, documents=3),
    )


def test_texts_are_counted_by_form_whatever_their_column_is_declared(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME, w TEXT)")
    naive = ["2024-01-02 03:04", "2024-01-02T03:04:05", "2024-01-02 03:04:05.123456"]
    zoned = ["2024-01-02T03:04:05Z", "2024-01-02 03:04:05+02:00"]
    uuids = ["12345678-90ab-cdef-1234-567890abcdef"]
    other = ["2024-02-30 00:00", "2024-01-02 24:00:00", "2024-01-02 03:04:05.1234567", "now", "2024-01-02\n"]
    for text in [*naive, *zoned, "2024-01-02", "", *uuids, *other, uuids[0].upper()]:
        db.execute("INSERT INTO t (v, w) VALUES (?1, ?1)", (text,))
    for name in ("v", "w"):
        assert column(db, name).forms == TextForms(naive=3, zoned=2, date=1, empty=1, uuid=1, other=6)


def test_a_date_type_that_the_operator_chose_is_held_against_the_texts(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO t (at) VALUES ('2024-01-02 03:04'), ('')")
    (risk,) = planned(db, {"T": {"columns": {"AT": {"type": "timestamp without time zone"}}}}).risks
    assert (risk.level, risk.column, risk.rows, risk.keys) == ("quarantine", "at", 1, ("2",))
    assert "is an empty text" in risk.text


def test_a_type_that_only_postgres_knows_is_told_and_the_others_are_tried(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, mood TEXT, n INT); INSERT INTO t VALUES (1, 'x', 'y')")
    found = {r.column: r for r in planned(db, {"t": {"columns": {"mood": {"type": "app.mood"}}}}).risks}
    assert (found["mood"].level, found["n"].level) == ("note", "quarantine")


def test_names_that_postgres_sql_must_quote_are_told(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE Mixed (id INTEGER PRIMARY KEY, userName TEXT)")
    (risk,) = planned(db).risks
    assert (risk.level, risk.table) == ("note", "Mixed")
    assert "Mixed, userName" in risk.text


AWKWARD: Final = """
CREATE TABLE p (id TEXT NOT NULL PRIMARY KEY, n INT NOT NULL);
CREATE TABLE c (id INTEGER PRIMARY KEY, p TEXT REFERENCES p, parent INT REFERENCES c, v REAL);
CREATE TABLE w (a INT, b TEXT, doc JSON, d NUMERIC, f BOOLEAN, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE r (x INT, y BLOB, at DATE);
INSERT INTO p VALUES ('fine', 1), ('bad', 'text'), ('real', 1.5);
INSERT INTO c VALUES (1, 'fine', NULL, 1.5), (2, 'bad', NULL, 1), (3, 'none', NULL, 2), (4, 'fine', 3, 1),
    (5, 'fine', 4, 1), (6, NULL, 1, 'text'), (7, NULL, 6, NULL), (8, 'fine', 8, 9007199254740993);
INSERT INTO w VALUES (1, 'a', '{"a":1}', 1, 1), (1, 'b', '{"a":1,"a":2}', 1.5, 0), (2, 'a', '{', 'x', 2),
    (3, 'a' || char(0), NULL, 1e400, NULL);
INSERT INTO r VALUES (1, x'00', '2024-01-02'), ('1x', 'text', '2024-02-30'), (NULL, NULL, '');
INSERT INTO r (y) VALUES (CAST(x'ff' AS TEXT));
"""


async def test_what_the_rehearsal_keeps_out_is_what_the_load_keeps_out(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(AWKWARD)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    foreseen = {(r.table, key) for r in (await build_plan(config)).risks for key in r.keys}
    await load(config)
    assert foreseen == {(table, show_key(key)) for table, key, _ in await quarantined(database)}
    assert {("c", str(n)) for n in (2, 3, 4, 5, 6, 7)} <= foreseen
    app.close()


def test_a_wide_table_is_counted_whole(db: apsw.Connection) -> None:
    db.execute(f"CREATE TABLE t ({', '.join(f'c{i} INT' for i in range(1000))})")
    db.execute("INSERT INTO t (c999) VALUES (7)")
    assert column(db, "c999") == ColumnProfile("c999", integer=1, not_boolean=1, least=7, greatest=7)


def test_a_clean_file_is_fine_and_a_risk_and_a_block_are_told_by_the_exit_code(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, n INT)")
    db.execute("INSERT INTO t VALUES ('a', 1)")
    assert planned(db).exit_code is ExitCode.OK
    db.execute("INSERT INTO t VALUES ('b', 'text')")
    assert planned(db).exit_code is ExitCode.DIFFERENCE
    # All names of the rowid are taken, so the declared key is the only one.
    db.execute("CREATE TABLE u (id TEXT PRIMARY KEY, rowid, oid, _rowid_); INSERT INTO u (id) VALUES (NULL), (NULL)")
    plan = planned(db)
    assert plan.exit_code is ExitCode.CRITICAL
    assert plan.risks[0].level == "blocks"


def test_orphans_are_counted_and_what_is_left_out_has_its_reason(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE p (id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p, q INT REFERENCES p, CHECK (p LIKE '1%'))")
    db.execute("CREATE VIEW v AS SELECT 1; INSERT INTO c VALUES (1, 10, 11), (2, NULL, NULL)")
    plan = planned(db)
    assert [(r.rows, r.keys, r.column) for r in plan.risks] == [(1, ("1",), "p")]
    assert [(c.text, c.rows, c.frees) for c in plan.causes] == [(NO_PARENT, 1, 1)]
    assert [(left.name, left.kind, left.reason) for left in plan.left_out] == [("v", "view", "it reads no table")]
    assert "CHECK" in plan.notes[0].object
    assert ("foreign key", "c_p_fkey") in next(t for t in plan.tables if t.source == "c").creates
    assert plan.counts == {
        "tables": 2,
        "columns": 4,
        "rows": 2,
        "creates": 4,
        "views": 0,
        "left_out": 2,
        "waiting": 0,
        "held": 1,
        "causes": 1,
        "warning": 0,
        "blocks": 0,
        "quarantine": 1,
        "note": 0,
    }
