"""One table that cannot be read, named or checked here waits alone, or alone does without what it cannot have."""

import tomllib
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from harness import drain, fetch, load, make_config, value
from replicated_pair import Pair, replicated

from cdc.config import ReplicateSection, TableOptions
from cdc.evolve import drop_leftovers
from cdc.facts.progress import Silent
from cdc.first_copy.plan import Plan
from cdc.first_copy.preflight import build_plan
from cdc.observe.status import gather
from cdc.postgres.server.endpoint import reached
from cdc.verify import verify

PLAIN = "CREATE TABLE plain(id INTEGER PRIMARY KEY, v TEXT)"


def collated(a: str, b: str) -> int:
    return (a.casefold() > b.casefold()) - (a.casefold() < b.casefold())


def folded(*values: object) -> str:
    return str(values[0]).casefold()


@pytest.fixture(autouse=True)
def _brought_by_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of the tests know what the application brings; those that the program opens do not."""
    monkeypatch.setattr("harness.application", application)
    monkeypatch.setattr("replicated_pair.application", application)


def application(path: str | Path, *, wal: bool = True) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.create_collation("alike", collated)
    connection.create_scalar_function("folded", folded, 1, deterministic=True)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.set_busy_timeout(5000)
    connection.pragma("journal_mode", "wal" if wal else "delete")
    return connection


def waiting(plan: Plan) -> dict[str, str]:
    return {table.name: table.reason for table in plan.waiting}


# --- collations of the application ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "wal"),
    [
        ("t(id INTEGER PRIMARY KEY, a TEXT COLLATE alike, n INTEGER)", False),
        ("t(id INTEGER PRIMARY KEY, a TEXT COLLATE alike UNIQUE, n INTEGER)", True),
        ("t(a TEXT COLLATE alike NOT NULL PRIMARY KEY, n INTEGER)", False),
        ("t(a TEXT, n INTEGER, PRIMARY KEY (a COLLATE alike))", True),
        ("t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER, UNIQUE (a COLLATE alike))", True),
    ],
)
async def test_a_table_with_a_collation_of_the_application_is_read_without_it(
    tmp_path: Path, database: str, table: str, wal: bool
) -> None:
    made = (f"CREATE TABLE {table}", "INSERT INTO t(a, n) VALUES ('B', 1), ('a', 2), ('C', 3), ('d', 5)")
    async with replicated(tmp_path, database, *made, "CREATE INDEX i ON t(a COLLATE alike, n)", PLAIN, wal=wal) as pair:
        assert await rows_of(pair) == rows_there(pair)
        for sql in (
            "INSERT INTO t(a, n) VALUES ('b', 6) ON CONFLICT DO NOTHING",
            "REPLACE INTO t(a, n) VALUES ('A', 7), ('e', 8)",
            "UPDATE OR REPLACE t SET a = 'c' WHERE a = 'd'",
            "DELETE FROM t WHERE a = 'E'",
        ):
            await pair.write(sql)
            assert await rows_of(pair) == rows_there(pair), sql
        report = await verify(pair.config, None, False, Silent())
        assert (report.result, sum(t.matched for t in report.tables)) == ("equal", len(rows_there(pair)))


async def rows_of(pair: Pair) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await pair.rows('SELECT a, n FROM t ORDER BY a COLLATE "C", n')
    return rows


def rows_there(pair: Pair) -> list[tuple[Any, ...]]:
    found = pair.app.execute("SELECT a, n FROM t NOT INDEXED ORDER BY a COLLATE BINARY, n").fetchall()
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    "columns", ["a TEXT COLLATE alike PRIMARY KEY, n", "id INTEGER PRIMARY KEY, a TEXT COLLATE alike"]
)
async def test_rows_in_an_order_that_only_the_application_knows_wait_alone(
    tmp_path: Path, database: str, columns: str
) -> None:
    own = f"CREATE TABLE own({columns}) WITHOUT ROWID"
    views = ("CREATE VIEW over_own AS SELECT a FROM own", "CREATE VIEW over_plain AS SELECT v FROM plain")
    made = (own, "INSERT INTO own VALUES (2, 'B'), (1, 'a')", PLAIN, *views)
    async with replicated(tmp_path, database, *made) as pair:
        await pair.write("INSERT INTO plain VALUES (1, 'x')", "INSERT INTO own VALUES (3, 'c')")
        assert await pair.rows("SELECT v FROM plain") == [("x",)]
        told = {"own": "its rows lie in an order that only the application knows (collation ALIKE)"}
        plan = await build_plan(pair.config)
        assert waiting(plan) == told
        assert (plan.views, [left.name for left in plan.left_out]) == (("over_plain",), ["over_own"])
        async with reached(pair.config) as target:
            status = await gather(pair.config, target)
        assert [table["name"] for table in status.to_json()["waiting"]] == ["own"]
        assert "tables wait, and are not replicated: own" in " ".join(status.to_json()["warnings"])
        report = await verify(pair.config, None, False, Silent())
        assert (report.result, report.tables[-1].table, report.tables[-1].problem is None) == ("critical", "own", False)
        assert (await verify(pair.config, ["plain"], False, Silent())).result == "equal"
        # What is left out on purpose holds up nothing.
        assert plan.waiting[0].remedy == 'leave it out with `exclude = ["own"]` in [replicate]'
        excluded = msgspec.structs.replace(
            pair.config, replicate=msgspec.structs.replace(pair.config.replicate, exclude=["own"])
        )
        assert waiting(await build_plan(excluded)) == {}
        assert (await verify(excluded, None, False, Silent())).result == "equal"


async def test_a_table_waits_from_the_moment_it_cannot_be_read_and_is_taken_up_again(
    tmp_path: Path, database: str
) -> None:
    made = ("CREATE TABLE t(a TEXT PRIMARY KEY, n) WITHOUT ROWID", "INSERT INTO t VALUES ('B', 1), ('a', 2)", PLAIN)
    async with replicated(tmp_path, database, *made) as pair:
        for table in ("t(a TEXT COLLATE alike PRIMARY KEY, n)", "t(a TEXT PRIMARY KEY, n)"):
            with pair.app:
                pair.app.execute("CREATE TABLE before AS SELECT * FROM t; DROP TABLE t")
                pair.app.execute(f"CREATE TABLE {table} WITHOUT ROWID")
                pair.app.execute("INSERT INTO t SELECT * FROM before; DROP TABLE before")
            await pair.write("INSERT INTO plain(v) VALUES ('x')", "INSERT OR REPLACE INTO t VALUES ('c', random())")
            if "alike" in table:
                assert waiting(await planned_now(pair, tmp_path)) != {}
                assert await pair.rows("SELECT a FROM t ORDER BY a") == [("B",), ("a",)]
                assert await drop_leftovers.render(pair.config) == ""
        assert await pair.rows("SELECT count(*) FROM plain") == [(2,)]
        assert await pair.differences() == []
        assert await pair.rows("SELECT count(*) FROM cdc.pending") == [(0,)]


async def planned_now(pair: Pair, folder: Path) -> Plan:
    """The plan of the file as it is, not of the snapshot that the copy began with."""
    state = msgspec.structs.replace(pair.config.state, dir=folder / "another")
    return await build_plan(msgspec.structs.replace(pair.config, state=state))


# --- functions of the application -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        ["t(id INTEGER PRIMARY KEY, a TEXT CHECK (folded(a) <> 'no'), n INTEGER DEFAULT (folded('X')))"],
        ["t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER, g AS (folded(a)) STORED)"],
        ["t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER)", "CREATE UNIQUE INDEX u ON t(folded(a))"],
        ["t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER)", "CREATE UNIQUE INDEX u ON t(a) WHERE folded(a) <> 'x'"],
    ],
)
async def test_a_table_with_a_function_of_the_application_is_read_without_it(
    tmp_path: Path, database: str, parts: list[str]
) -> None:
    first = "INSERT INTO t(a, n) VALUES ('B', 1), ('a', 2), ('C', 3)"
    async with replicated(tmp_path, database, f"CREATE TABLE {parts[0]}", *parts[1:], first) as pair:
        for sql in (
            "REPLACE INTO t(a, n) VALUES ('A', 7), ('e', 8), ('C', 9)",
            "UPDATE OR REPLACE t SET a = 'a', n = 0",
        ):
            await pair.write(sql)
            assert await rows_of(pair) == rows_there(pair), sql


async def test_a_column_that_only_the_application_can_compute_holds_up_its_table_until_it_is_skipped(
    tmp_path: Path, database: str
) -> None:
    own = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER, g AS (folded(a)))"
    async with replicated(tmp_path, database, own, "CREATE UNIQUE INDEX u ON t(g)", PLAIN) as pair:
        await pair.write("INSERT INTO t(a, n) VALUES ('B', 1)", "INSERT INTO plain(v) VALUES ('x')")
        assert await pair.rows("SELECT v FROM plain") == [("x",)]
        (held,) = (await build_plan(pair.config)).waiting
        assert held.reason == "its column g cannot be read: unknown function: folded()"
        assert 'skip = ["g"]' in held.remedy
        assert "[tables.t]" in held.remedy
        pair.config = msgspec.structs.replace(pair.config, tables={"t": TableOptions(skip=["g"])})
        await pair.replica.close()
        await drain(pair.config)
        assert (await planned_now(pair, tmp_path)).waiting == ()
        assert await rows_of(pair) == [("B", 1)]


# --- names ------------------------------------------------------------------------------------------------------------

NAMES = [
    *[
        "  ",
        "two\n\nlines",
        "a.b",
        'q"uote',
        "it's",
        "$tid",
        "new",
        "old",
        "oid",
        "_cdc_rowid",
        "a;b",
        "%s",
        "{x}",
        "\x7f",
    ],
    *["_rowid_", "\\", "pg_x", "Äö", "a--b"],
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def test_names_of_any_kind_are_followed(tmp_path: Path, database: str) -> None:
    made = [
        sql.format(n=quoted(name))
        for name in NAMES
        for sql in (
            "CREATE TABLE {n}({n} TEXT NOT NULL PRIMARY KEY, v TEXT UNIQUE)",
            "INSERT INTO {n} VALUES ('a', '1')",
        )
    ]
    async with replicated(tmp_path, database, *made) as pair:
        for name in NAMES:
            pair.app.execute(f"REPLACE INTO {quoted(name)} VALUES ('c', '1'), ('b', '2')")
        await pair.replica.sync()
        assert await pair.differences() == []
        assert await pair.rows(f"SELECT v FROM {quoted(NAMES[1])} ORDER BY 1") == [("1",), ("2",)]


UNFIT = {
    "": "its name is empty, which Postgres refuses",
    "x" * 64: "its name is 64 bytes long, and Postgres allows 63",
    "c": 'the name of its column "" is empty, which Postgres refuses',
    "k": 'the name of its column "ctid" is one that Postgres or this tool keeps for itself',
    "g": 'the name of its column "_cdc_gone" is one that Postgres or this tool keeps for itself',
    "l.m": f'the name of its column "{"y" * 64}" is 64 bytes long, and Postgres allows 63',
}


async def test_names_that_postgres_cannot_have_wait_alone_until_the_remedy_is_followed(
    tmp_path: Path, database: str
) -> None:
    columns = [reason.split('"')[1] if '"' in reason else "v" for reason in UNFIT.values()]
    made = [
        f"CREATE TABLE {quoted(table)}(id INTEGER PRIMARY KEY, {quoted(column)} TEXT)"
        for table, column in zip(UNFIT, columns, strict=True)
    ]
    async with replicated(tmp_path, database, *made, "CREATE TABLE _cdc_notes(id)", PLAIN) as pair:
        for table in UNFIT:
            pair.app.execute(f"INSERT INTO {quoted(table)} VALUES (1, 'x')")
        await pair.write("INSERT INTO plain(v) VALUES ('x')")
        assert await pair.rows("SELECT v FROM plain") == [("x",)]
        plan = await build_plan(pair.config)
        assert waiting(plan) == {**UNFIT, "_cdc_notes": "its name begins as those of this tool's own tables do"}
        remedies = [table.remedy for table in plan.waiting if table.name != "_cdc_notes"]
        headings = [remedy.removeprefix("set `target` in ") for remedy in remedies]
        text = "\n".join(f'{heading}\ntarget = "fits {n}"' for n, heading in enumerate(headings))
        pair.config = msgspec.structs.replace(
            pair.config, tables=msgspec.convert(tomllib.loads(text)["tables"], dict[str, TableOptions])
        )
        await pair.replica.close()
        await drain(pair.config)
        (left,) = (await planned_now(pair, tmp_path)).waiting
        assert left.name == "_cdc_notes"
        exclude = tomllib.loads(left.remedy.partition("leave it out with `")[2].partition("` in")[0])["exclude"]
        pair.config = msgspec.structs.replace(pair.config, replicate=ReplicateSection(exclude=exclude))
        assert waiting(await planned_now(pair, tmp_path)) == {}
        names = [*(f"fits {n}" for n, heading in enumerate(headings) if "columns" not in heading), "c", "k", "g", "l.m"]
        for name in names:
            assert await value(database, f"SELECT count(*) FROM {quoted(name)}") == 1


async def test_a_table_whose_expression_reads_one_that_waits_waits_with_it(tmp_path: Path, database: str) -> None:
    own = "CREATE TABLE own(a TEXT COLLATE alike PRIMARY KEY, n) WITHOUT ROWID"
    options = msgspec.convert(
        {"t": {"columns": {"n": {"expression": "(SELECT count(*) FROM held)"}}}}, dict[str, TableOptions]
    )
    held = "CREATE TABLE held(id INTEGER PRIMARY KEY, ctid TEXT)"
    made = (own, held, "CREATE TABLE t(id INTEGER PRIMARY KEY)", PLAIN)
    async with replicated(tmp_path, database, *made, tables=options) as pair:
        await pair.write("INSERT INTO plain(v) VALUES ('x')")
        assert await pair.rows("SELECT v FROM plain") == [("x",)]
        told = waiting(await build_plan(pair.config))
        assert (list(told), told["t"]) == (["held", "own", "t"], "an expression of it reads held, which waits")


# --- rows that break what their table declares ------------------------------------------------------------------------


async def test_rows_that_break_what_their_table_declares_go_to_quarantine_alone(tmp_path: Path, database: str) -> None:
    made = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c TEXT CHECK (c IN ('y', 'z')))",
        "PRAGMA ignore_check_constraints = on",
        "INSERT INTO t VALUES (1, 'a', 1, 'y'), (2, NULL, 2, 'y'), (3, 'a', 3, 'x'), (4, 'a', NULL, 'z')",
        "INSERT INTO t VALUES (5, 'a', 5, NULL), (6, 'a', NULL, 'q')",
        "PRAGMA writable_schema = on",
        "UPDATE sqlite_schema SET sql = replace(replace(sql, 'a TEXT', 'a TEXT NOT NULL'), 'b INTEGER', 'b TEXT')",
        "PRAGMA writable_schema = reset",
        "PRAGMA ignore_check_constraints = off",
        PLAIN,
    )
    app = application(tmp_path / "app.db")
    for sql in made:
        app.execute(sql)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    foreseen = {key for risk in (await build_plan(config)).risks if risk.level == "quarantine" for key in risk.keys}
    await load(config)
    await drain(config)
    held = {row[0][1:] for row in await pair_rows(database, "SELECT key FROM cdc.quarantine")}
    assert held == foreseen == {"1", "2", "3", "5", "6"}
    assert await pair_rows(database, "SELECT id, a, b, c FROM t") == [(4, "a", None, "z")]
    reason = "SELECT reason, detail FROM cdc.quarantine WHERE key = 'i6'"
    assert await pair_rows(database, reason) == [("constraint", "it breaks CHECK (c IN ('y', 'z')) of its own table")]
    app.execute("UPDATE t SET a = 'n', b = 'b', c = 'z'")
    app.close()
    await drain(config)
    assert await pair_rows(database, "SELECT count(*), min(b) FROM t") == [(6, "b")]
    assert await pair_rows(database, "SELECT count(*) FROM cdc.quarantine") == [(0,)]


async def pair_rows(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await fetch(dsn, sql)]


@pytest.mark.parametrize("translated", ["n > 1", "1 / (n - 1) = 1", "no_such_function(n)"])
async def test_a_check_that_means_another_in_postgres_gives_way_and_no_row_does(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, translated: str
) -> None:
    monkeypatch.setattr("cdc.postgres.ddl.check_constraints.translate_condition", lambda *_: translated)
    made = ("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0))", "INSERT INTO t(n) VALUES (1), (2)")
    async with replicated(tmp_path, database, *made, PLAIN) as pair:
        assert await pair.rows("SELECT n FROM t ORDER BY 1") == [(1,), (2,)]
        assert await pair.held() == {}
        checks = "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = 't'::regclass"
        assert await pair.rows(checks) == [(0,)]


# --- foreign keys without a fitting key -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "child", "reason"),
    [
        ("p(id TEXT NOT NULL, t)", "p TEXT REFERENCES p", "p has no primary key of 1 column"),
        ("p(a, b, PRIMARY KEY (a, b))", "p REFERENCES p", "p has no primary key of 1 column"),
        ("p(id INTEGER PRIMARY KEY)", "a, b, FOREIGN KEY (a, b) REFERENCES p", "p has no primary key of 2 columns"),
        ("p(id INTEGER PRIMARY KEY, t INT)", "p INT REFERENCES p(t)", "(t) is not unique in p"),
        ("p(id INTEGER PRIMARY KEY)", "p INT REFERENCES p(no)", "column no is not replicated as it is"),
        ("p(id INTEGER PRIMARY KEY)", "p INT REFERENCES p(rowid)", "column rowid is not replicated as it is"),
        ("p(x INT UNIQUE)", "a INT, b INT, FOREIGN KEY (a, b) REFERENCES p(x, x)", "it names a column of p twice"),
        ("p(id INTEGER PRIMARY KEY)", "p INT REFERENCES nowhere", "nowhere is not replicated"),
        ("p(id INTEGER PRIMARY KEY)", "p INT REFERENCES v(id)", "v is not replicated"),
        ("p(a TEXT COLLATE alike PRIMARY KEY)", "p TEXT REFERENCES p", "a is compared under a collation of SQLite"),
    ],
)
async def test_a_foreign_key_that_no_key_fits_gives_way(
    tmp_path: Path, database: str, parent: str, child: str, reason: str
) -> None:
    made = (
        f"CREATE TABLE {parent}",
        f"CREATE TABLE c(id INTEGER PRIMARY KEY, {child})",
        "CREATE VIEW v AS SELECT 1 AS id",
    )
    app = application(tmp_path / "app.db")
    for sql in made:
        app.execute(sql)
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    notes = [note for note in (await build_plan(config)).notes if note.object.startswith("foreign key")]
    assert [(note.table, note.reason) for note in notes] == [("c", f"it is left out: {reason}")]


async def test_a_foreign_key_that_no_key_fits_comes_while_the_application_is_followed(
    tmp_path: Path, database: str
) -> None:
    async with replicated(tmp_path, database, PLAIN) as pair:
        await pair.write(
            "CREATE TABLE p(id TEXT NOT NULL, t TEXT)",
            "CREATE TABLE c(id INTEGER PRIMARY KEY, p TEXT REFERENCES p)",
            "INSERT INTO c VALUES (1, 'nobody')",
        )
        assert await pair.rows("SELECT id, p FROM c") == [(1, "nobody")]


# --- virtual tables of a module that is not known here ----------------------------------------------------------------


async def test_tables_of_a_virtual_table_whose_module_is_unknown_are_left_out_unless_they_are_named(
    tmp_path: Path, database: str
) -> None:
    made = (
        "CREATE TABLE vec_items_chunks(id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE TABLE vec_items_notes(id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE VIRTUAL TABLE found USING fts5(v)",
        "CREATE TABLE found_by(id INTEGER PRIMARY KEY)",
        "PRAGMA writable_schema = on",
        (
            "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) "
            "VALUES ('table', 'vec_items', 'vec_items', 0, 'CREATE VIRTUAL TABLE vec_items USING vec0(e float[4])')"
        ),
        "PRAGMA writable_schema = reset",
    )
    named = {"vec_items_notes": TableOptions()}
    async with replicated(tmp_path, database, *made, PLAIN, tables=named) as pair:
        await pair.write("INSERT INTO plain(v) VALUES ('x')", "INSERT INTO vec_items_notes(v) VALUES ('y')")
        plan = await build_plan(pair.config)
        assert [table.source for table in plan.tables] == ["found_by", "plain", "vec_items_notes"]
        reason = next(left.reason for left in plan.left_out if left.name == "vec_items_chunks")
        assert "virtual table vec_items, whose module vec0 is not known here" in reason
        assert await pair.rows("SELECT v FROM vec_items_notes") == [("y",)]


# --- names that are no valid text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("comment", ""),
        ("column", "a name or default in it is not valid UTF-8"),
        ("default", "a name or default in it is not valid UTF-8"),
        ("odd", "its name is not valid UTF-8"),
    ],
)
async def test_a_name_that_is_not_valid_utf_8_holds_up_its_own_table_only(
    tmp_path: Path, database: str, what: str, reason: str
) -> None:
    app = application(tmp_path / "app.db")
    for sql in (
        PLAIN,
        "CREATE TABLE odd(id INTEGER PRIMARY KEY, column TEXT DEFAULT 'default' /* comment */)",
        "INSERT INTO odd(id) VALUES (1)",
        "PRAGMA writable_schema = on",
        (
            "UPDATE sqlite_schema SET "
            f"sql = CAST(replace(CAST(sql AS BLOB), '{what}', '\"' || x'e9' || '\"') AS TEXT), "
            f"name = CASE WHEN '{what}' = name THEN CAST(x'e9' AS TEXT) ELSE name END, "
            f"tbl_name = CASE WHEN '{what}' = name THEN CAST(x'e9' AS TEXT) ELSE tbl_name END WHERE name = 'odd'"
        ),
        "PRAGMA writable_schema = reset",
    ):
        app.execute(sql)
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    assert list(waiting(await build_plan(config)).values()) == ([reason] if reason else [])
    await load(config)
    app = application(tmp_path / "app.db")
    app.execute("INSERT INTO plain(v) VALUES ('x')")
    app.close()
    await drain(config)
    assert await pair_rows(database, "SELECT v FROM plain") == [("x",)]


# --- rows that cannot be read -----------------------------------------------------------------------------------------


ADDED = "ALTER TABLE t ADD COLUMN g TEXT AS (json_extract(a, '$.x'))"  # which looks at no row that is there


@pytest.mark.parametrize("early", [True, False])
async def test_a_row_whose_computed_column_fails_waits_alone(tmp_path: Path, database: str, early: bool) -> None:
    made = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)",
        """INSERT INTO t(a) VALUES ('{"x": "1"}'), ('{'), ('{"x": "3"}')""",
        *([ADDED] if early else []),
        PLAIN,
    )
    async with replicated(tmp_path, database, *made) as pair:
        await pair.write("INSERT INTO t(id, a) VALUES (5, '{}')", *([] if early else [ADDED]))
        assert await pair.held() == {"t 2": "value"}
        assert [tuple(row) for row in await pair.rows("SELECT id, g FROM t ORDER BY id")] == [
            (1, "1"),
            (3, "3"),
            (5, None),
        ]
        report = await verify(pair.config, None, False, Silent())
        assert (report.result, [t.quarantined for t in report.tables]) == ("equal", [0, 1])
        plan = await planned_now(pair, tmp_path)
        assert [key for risk in plan.risks if risk.level == "quarantine" for key in risk.keys] == ["2"]
        await pair.write("""UPDATE t SET a = '{"x": "y"}'""")
        assert await pair.held() == {}
