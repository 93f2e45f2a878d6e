"""The schema that is made in Postgres means what the schema of SQLite means; both databases are asked."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import apsw
import asyncpg
import pytest

from cdc.config import decode_config
from cdc.errors import TargetError, TargetMismatch, TargetNotEmpty
from cdc.facts.table_map import TableMap
from cdc.mapping.map_tables import map_schema
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.ddl.runner import apply, missing_columns, preflight
from cdc.postgres.ddl.schema_script import script
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.statement import Made, Script, Statement
from cdc.resources import folder
from cdc.sql_names import qualified, quote
from cdc.sqlite.schema.read import read_schema

pytestmark = pytest.mark.every_postgres

SCHEMA = "app"


class Source:
    """A SQLite database and what is made of it."""

    def __init__(self, path: Path) -> None:
        self.db = apsw.Connection(str(path))
        self.db.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 1)

    def run(self, sql: str) -> list[Any]:
        return self.db.execute(sql).fetchall()

    def maps(self, tables: dict[str, Any] | None = None) -> tuple[TableMap, ...]:
        raw = {"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": SCHEMA}, "tables": tables or {}}
        config = decode_config(raw)
        return map_schema(read_schema(self.db, config), config)

    def script(self, tables: dict[str, Any] | None = None) -> Script:
        return script(self.maps(tables), SCHEMA)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path / "app.db")
    yield made
    made.db.close()


@pytest.fixture
async def conn(any_database: str) -> AsyncIterator[Connection]:
    connection = await connect(any_database, purpose="test")
    yield connection
    await connection.close()


async def make(conn: Connection, made: Script) -> list[Statement]:
    before = await apply(conn, made.before_load)
    return before + await apply(conn, made.after_load, together=False)


def notes(made: Script) -> str:
    return "\n".join(map(str, made.notes))


@pytest.mark.parametrize("name", ["ytv2_content.db", "ytv2_migration_day.db"])
async def test_the_examples_become_schemas_whole_and_a_second_time_changes_nothing(
    conn: Connection, tmp_path: Path, name: str
) -> None:
    copy(folder("ytv2") / name, tmp_path / name)
    source = Source(tmp_path / name)
    made = source.script()
    assert not made.notes
    assert len(await make(conn, made)) == len(made.before_load) + len(made.after_load)
    assert await make(conn, made) == []
    await preflight(conn, source.maps())
    tables = await read_tables(conn, SCHEMA)
    for mapped in source.maps():
        table = tables[mapped.target]
        assert tuple(c.name for c in table.columns) == mapped.target_columns
        assert table.primary_key == mapped.key
        assert len(table.foreign_keys) == len(mapped.source.foreign_keys)
        assert all(c.collation == "C" for c in table.columns if c.base == "text")
    source.db.close()


NASTY = ['we"ird', "select", "Ünïcode ☃", "Mixed Case", "a.b", "it's", "%s $1 {x} \\", "new\nline", "--", "x" * 63]


async def test_nasty_names_stay_exactly_as_they_are(conn: Connection, source: Source) -> None:
    columns = ", ".join(f"{quote(n)} INT CHECK ({quote(n)} > 0)" for n in NASTY)
    for name in NASTY:
        source.run(f"CREATE TABLE {quote(name)} (id INTEGER PRIMARY KEY, {columns}, UNIQUE ({quote(name)}))")
        source.run(f"CREATE INDEX {quote('i' + name)} ON {quote(name)} ({quote(name)} DESC) WHERE {quote(name)} <> 5")
        source.run(f"ALTER TABLE {quote(name)} ADD COLUMN {quote('ref')} INT REFERENCES {quote(NASTY[0])}")
    made = source.script()
    assert not made.notes
    await make(conn, made)
    assert await make(conn, made) == []
    tables = await read_tables(conn, SCHEMA)
    assert set(tables) == set(NASTY)
    for table in tables.values():
        assert [c.name for c in table.columns] == ["id", *NASTY, "ref"]
        assert table.foreign_keys[0].parent == NASTY[0]
        await conn.execute(f"INSERT INTO {qualified(SCHEMA, table.name)} ({quote(NASTY[0])}) VALUES (1)")
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(f"INSERT INTO {qualified(SCHEMA, table.name)} ({quote(NASTY[0])}) VALUES (0)")


async def test_long_index_names_are_cut_and_stay_different(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT)")
    for end in ("1", "2"):
        source.run(f"CREATE INDEX {quote('é' * 40 + end)} ON t (a)")
    assert len(await make(conn, source.script())) == 5
    assert await make(conn, source.script()) == []


async def test_tables_named_like_what_postgres_makes_itself_are_made_too(conn: Connection, source: Source) -> None:
    for name in ("t", "t_pkey", "t_id_seq", "t_a_key", "t_a_idx"):
        source.run(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, a INT UNIQUE, b INT REFERENCES t)")
    source.run("CREATE INDEX t_b_idx ON t_pkey (b)")
    made = source.script()
    assert len(await make(conn, made)) == len(made.before_load) + len(made.after_load)
    assert len(await read_tables(conn, SCHEMA)) == 5
    assert await make(conn, made) == []


# --- uniqueness -------------------------------------------------------------------------------------------------------


async def same_verdicts(conn: Connection, source: Source, table: str, rows: list[tuple[Any, ...]]) -> list[bool]:
    """Inserts the rows on both sides, one statement each; both must take or refuse the same ones."""
    verdicts = []
    for row in rows:
        marks = ", ".join("?" for _ in row)
        dollars = ", ".join(f"${n + 1}" for n in range(len(row)))
        try:
            source.db.execute(f"INSERT INTO {quote(table)} VALUES ({marks})", row)
            taken = True
        except apsw.ConstraintError:
            taken = False
        try:
            await conn.execute(f"INSERT INTO {qualified(SCHEMA, table)} VALUES ({dollars})", *row)
            assert taken, f"Postgres took {row!r}"
        except asyncpg.IntegrityConstraintViolationError:
            assert not taken, f"Postgres refused {row!r}"
        verdicts.append(taken)
    return verdicts


async def test_nocase_uniqueness_folds_a_to_z_only_as_sqlite_does(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE)")
    await make(conn, source.script())
    names = ["É", "é", "A", "a", "ß", "ẞ", "İ", "i", "I", "Ж", "ж", "K", "k", "\u212a", "a ", None, None, "", "Z", "["]
    verdicts = await same_verdicts(conn, source, "t", list(enumerate(names)))
    refused = [n for n, taken in zip(names, verdicts, strict=True) if not taken]
    assert refused == ["a", "I", "k"]


async def test_rtrim_and_expression_and_partial_uniqueness_agree_with_sqlite(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE r (id INTEGER PRIMARY KEY, v TEXT COLLATE RTRIM UNIQUE)")
    source.run("CREATE TABLE e (id INTEGER PRIMARY KEY, v TEXT, w INT)")
    source.run("CREATE UNIQUE INDEX e_v ON e (lower(trim(v)), w) WHERE w IS NOT NULL AND v <> 'free'")
    source.run("CREATE UNIQUE INDEX e_n ON e (v COLLATE NOCASE) WHERE w = 9")
    assert not source.script().notes
    await make(conn, source.script())
    texts = ["a", "a ", "a\t", " a", "", " ", None, None]
    assert await same_verdicts(conn, source, "r", list(enumerate(texts))) == [
        *[True, False] * 1,
        True,
        True,
        True,
        False,
        True,
        True,
    ]
    rows = [("A ", 1), (" a", 1), ("a", 2), ("a", None), ("a", None), ("free", 1), ("free", 1), ("É", 1), ("é", 1)]
    rows += [("Q", 9), ("q ", 9), ("q", 8), ("q", 9)]
    verdicts = await same_verdicts(conn, source, "e", [(n, *row) for n, row in enumerate(rows)])
    assert [row for row, taken in zip(rows, verdicts, strict=True) if not taken] == [(" a", 1), ("q ", 9), ("q", 9)]


async def test_a_nocase_key_keeps_its_wider_uniqueness(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY)")
    await make(conn, source.script())
    assert await same_verdicts(conn, source, "t", [("A",), ("a",), ("É",), ("é",)]) == [True, False, True, True]


async def test_unique_values_can_swap_owners_inside_a_transaction(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT COLLATE NOCASE UNIQUE, c TEXT)")
    source.run("CREATE UNIQUE INDEX t_c ON t (lower(c)) WHERE c IS NOT NULL")
    await make(conn, source.script())
    await conn.execute("INSERT INTO app.t VALUES (1, 'x', 'x', 'x'), (2, 'y', 'y', 'y')")
    for column in "abc":
        async with conn.transaction():
            await conn.execute("SET CONSTRAINTS ALL DEFERRED")
            await conn.execute(f"UPDATE app.t SET {column} = 'Y' WHERE id = 1")
            await conn.execute(f"UPDATE app.t SET {column} = 'Y' WHERE id = 2")
            await conn.execute(f"UPDATE app.t SET {column} = 'x' WHERE id = 2")
    assert await conn.fetchval("SELECT count(*) FROM app.t WHERE (id, a, b, c) IN ((1,'Y','Y','Y'), (2,'x','x','x'))")


async def test_uniqueness_over_dates_that_could_be_written_twice_is_left_to_sqlite(
    conn: Connection, source: Source
) -> None:
    source.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME UNIQUE, day DATE UNIQUE, doc JSON UNIQUE, t TIME UNIQUE)"
    )
    made = source.script()
    assert len(made.notes) == 3
    await make(conn, made)
    unique = [u.columns for u in (await read_tables(conn, SCHEMA))["t"].uniques]
    assert unique == [("id",), ("day",)]


# --- foreign keys -----------------------------------------------------------------------------------------------------


async def test_foreign_keys_act_as_in_sqlite_and_let_a_child_come_first(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, up INT REFERENCES p ON DELETE SET NULL)")
    source.run(
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p (id) ON DELETE CASCADE ON UPDATE RESTRICT,"
        " code TEXT REFERENCES p (code) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED)"
    )
    made = source.script()
    assert "RESTRICT becomes NO ACTION" in notes(made)
    assert "foreign key (code) to p: INITIALLY DEFERRED becomes INITIALLY IMMEDIATE" in notes(made)
    await make(conn, made)
    tables = await read_tables(conn, SCHEMA)
    actions = {k.columns: (k.on_delete, k.on_update, k.deferrable) for k in tables["c"].foreign_keys}
    assert actions == {("p",): ("CASCADE", "NO ACTION", True), ("code",): ("NO ACTION", "CASCADE", True)}
    assert not next(u for u in tables["p"].uniques if u.columns == ("code",)).deferrable
    async with conn.transaction():
        await conn.execute("SET CONSTRAINTS ALL DEFERRED")
        await conn.execute("INSERT INTO app.c VALUES (1, 1, 'x')")
        await conn.execute("INSERT INTO app.p VALUES (1, 'x', 2), (2, 'y', NULL)")
    await conn.execute("UPDATE app.p SET code = 'z' WHERE id = 1")
    assert await conn.fetchval("SELECT code FROM app.c") == "z"
    names = await conn.fetch("SELECT indexname FROM pg_indexes WHERE schemaname = 'app' AND indexname LIKE '%_idx'")
    assert {r[0] for r in names} == {"c_p_idx", "c_code_idx", "p_up_idx"}


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ("a INT REFERENCES gone (id)", "gone is not replicated"),
        ("a TEXT REFERENCES p (id)", "a is of type text, id of type bigint"),
        ("a TEXT REFERENCES p (name)", "(name) is not unique in p"),
        ("a TEXT REFERENCES p (tag)", "compared under a collation"),
        ("a TEXT REFERENCES p (code)", "(code) is not unique in p"),
    ],
)
def test_a_foreign_key_that_cannot_mean_the_same_is_left_out_and_told(source: Source, child: str, reason: str) -> None:
    source.run("CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT, tag TEXT COLLATE NOCASE UNIQUE, code TEXT)")
    source.run("CREATE UNIQUE INDEX p_code ON p (code) WHERE code > 'a'")
    source.run(f"CREATE TABLE c (id INTEGER PRIMARY KEY, {child})")
    made = source.script()
    assert reason in notes(made)
    assert "FOREIGN KEY" not in made.sql


# --- expressions ------------------------------------------------------------------------------------------------------

SAME = [
    "n > 0",
    "n BETWEEN -1 AND - -1 OR t IS NULL",
    "n NOT IN (1, 2, 3)",
    "b IN (0, 1)",
    "b = 1 AND NOT b = 0",
    "b <> 1",
    "b",
    "NOT b",
    "n",
    "b < n",
    "b IN (n, 5)",
    "t = 'abc' OR t > 'É'",
    "length(t) > 2",
    "lower(t) = 'é' OR upper(t) = 'ABC'",
    "trim(t) <> ''",
    "rtrim(t) = t AND ltrim(t) = t",
    "substr(t, 2) = 'bc'",
    "substr(t, 2, 1) IN ('b', 'B')",
    "ifnull(t, '') || 'x' = 'abcx'",
    "coalesce(n, 7) = 7",
    "r >= 0.5 AND r < 1e3",
    "n == TRUE",
    "t.n != 2",
    "[n] = 1 OR `n` = 2",
    "x IS NOT NULL AND d IS NULL",
]


async def test_a_translated_condition_gives_sqlites_answer_for_every_row(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, b BOOLEAN, t TEXT, r REAL, x BLOB, d DATETIME)")
    for number, expression in enumerate(SAME):
        source.run(f"CREATE INDEX i{number} ON t (id) WHERE {expression}")
    made = source.script()
    assert not made.notes
    await make(conn, made)
    await fill(conn, source)
    for statement in made.after_load:
        expression = SAME[int(statement.object[1:])]
        ours = source.run(f"SELECT id, ({expression}) FROM t ORDER BY id")
        condition = statement.sql.partition(" WHERE ")[2]
        theirs = await conn.fetch(f"SELECT id, {condition} FROM app.t ORDER BY id")
        assert [tuple(r) for r in theirs] == [(i, None if v is None else bool(v)) for i, v in ours], expression


async def fill(conn: Connection, source: Source) -> None:
    texts = [None, "", "abc", "ABC", "É", "é", " a ", "aBc", "☃x"]
    numbers = [None, 0, 1, 2, -1, 7, 2**62]
    rows = [(n, [None, 0, 1][i % 3], t, [None, 0.5, -1.5][i % 3]) for i, n in enumerate(numbers) for t in texts]
    source.db.executemany("INSERT INTO t (n, b, t, r) VALUES (?, ?, ?, ?)", rows)
    typed = [(n, None if b is None else bool(b), t, r) for n, b, t, r in rows]
    await conn.executemany("INSERT INTO app.t (n, b, t, r) VALUES ($1, $2, $3, $4)", typed)


@pytest.mark.parametrize(
    "expression",
    [
        "t LIKE 'a%'",
        "t GLOB 'a*'",
        "typeof(n) = 'integer'",
        "json_valid(t)",
        "t = 5",
        "n = '5'",
        "n IS 5",
        "n + 1 > 0",
        "-n > 0",
        "t",
        "substr(t, -2) = 'x'",
        "c = 'abc'",
        "d > '2024-01-01'",
        "CASE WHEN n THEN 1 END",
        "n COLLATE NOCASE = 1",
        "replace(t, 'a', 'b') = t",
        "n > 0 > 1",
        "abs(n) > 1",
        "r >= n",
        "r <> 9007199254740993",
        "n < 9223372036854775808",
        "n < 1e400",
        "e < '5'",
        "t < e",
    ],
)
def test_a_check_that_could_mean_something_else_is_left_out_and_told(source: Source, expression: str) -> None:
    columns = "id INTEGER PRIMARY KEY, n INT, t TEXT, c TEXT COLLATE NOCASE, d DATETIME, r REAL, e STRING"
    source.run(f"CREATE TABLE t ({columns}, CHECK ({expression}))")
    made = source.script()
    assert "left out" in notes(made)
    assert "CHECK" not in made.sql


def test_a_check_over_values_that_may_become_others_is_left_out(source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, t TEXT, CHECK (t IS NOT NULL), CHECK (t <> ''))")
    made = source.script({"t": {"columns": {"t": {"empty": "null"}}}})
    assert notes(made).count("may become others") == 2
    assert "CHECK" not in made.sql


DEFAULTS = [
    ("INT", "5"),
    ("INT", "-5"),
    ("INT", "'7'"),
    ("INT", "(3)"),
    ("INT", "TRUE"),
    ("REAL", "1.5"),
    ("NUMERIC", "10.25"),
    ("TEXT", "'it''s'"),
    ("TEXT", '"quoted"'),
    ("TEXT", "5"),
    ("TEXT", "''"),
    ("TEXT", "'☃'"),
    ("BLOB", "x'00ff'"),
    ("TEXT", "NULL"),
]


async def test_defaults_give_the_values_that_sqlite_gives(conn: Connection, source: Source) -> None:
    columns = ", ".join(f"c{i} {type_} DEFAULT {default}" for i, (type_, default) in enumerate(DEFAULTS))
    source.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns}, b BOOLEAN DEFAULT 1, f BOOLEAN DEFAULT FALSE)")
    made = source.script()
    assert not made.notes
    await make(conn, made)
    source.run("INSERT INTO t DEFAULT VALUES")
    await conn.execute("INSERT INTO app.t DEFAULT VALUES")
    (ours,) = source.run("SELECT * FROM t")
    theirs = await conn.fetchrow("SELECT * FROM app.t")
    assert theirs is not None
    assert [float(v) if i == 7 else v for i, v in enumerate(theirs)] == list(ours)


async def test_the_clock_as_a_default_is_written_as_sqlite_writes_it(conn: Connection, source: Source) -> None:
    source.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT CURRENT_TIMESTAMP, b TEXT DEFAULT CURRENT_DATE,"
        " c TEXT DEFAULT (time('now')), d DATETIME DEFAULT (datetime('now')), e DATE DEFAULT CURRENT_DATE,"
        " f INT DEFAULT (random()), g TEXT DEFAULT (datetime('now', 'localtime')))"
    )
    made = source.script()
    assert {n.object for n in made.notes} == {"f", "g"}
    await make(conn, made)
    row = await conn.fetchrow(
        "INSERT INTO app.t DEFAULT VALUES RETURNING a, b, c, statement_timestamp() AT TIME ZONE 'UTC' AS now, d, e"
    )
    assert row is not None
    now = row["now"].replace(microsecond=0)
    assert (row["a"], row["b"], row["c"]) == (f"{now}", f"{now.date()}", f"{now.time()}")
    assert (row["d"], row["e"]) == (now, now.date())


# --- applying ---------------------------------------------------------------------------------------------------------


async def test_an_index_that_cannot_be_built_is_skipped_with_its_reason(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    source.run("CREATE INDEX t_v ON t (v)")
    source.run("CREATE INDEX t_id ON t (id DESC)")
    made = source.script()
    await apply(conn, made.before_load)
    await conn.execute(
        "INSERT INTO app.t VALUES (1, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 999) i))"
    )
    outcomes: list[tuple[str, str | None]] = []

    def outcome(statement: Statement, reason: str | None) -> None:
        outcomes.append((statement.object, reason))

    await apply(conn, made.after_load, outcome, together=False)
    assert [name for name, reason in outcomes if reason is None] == ["t_id"]
    assert "maximum size" in next(reason or "" for name, reason in outcomes if name == "t_v")


async def test_rows_that_break_a_constraint_are_told_without_their_values(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)")
    made = source.script()
    await apply(conn, made.before_load)
    await conn.execute("INSERT INTO app.t VALUES (1, 'secret'), (2, 'secret')")
    with pytest.raises(TargetMismatch, match="t_v_key") as refused:
        await apply(conn, made.after_load, together=False)
    assert "secret" not in f"{refused.value.message} {refused.value.remedy}"


async def test_all_tables_are_made_or_none(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    broken = Statement("u", "CREATE TABLE app.u (x no_such_type)", Made.TABLE, SCHEMA, "u")
    with pytest.raises(TargetError, match="no_such_type"):
        await apply(conn, (*source.script().before_load, broken))
    assert await read_tables(conn, SCHEMA) == {}


async def test_tables_of_others_are_refused_and_our_own_are_taken(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    source.run("CREATE TABLE u (id INTEGER PRIMARY KEY)")
    maps = source.maps()
    await conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int); CREATE VIEW app.u AS SELECT 1")
    with pytest.raises(TargetNotEmpty, match=r"app\.t, app\.u") as refused:
        await preflight(conn, maps)
    assert "schema" in refused.value.remedy
    await preflight(conn, maps, own={"t", "u"})
    await conn.execute("DROP SCHEMA app CASCADE")
    await make(conn, source.script())
    await preflight(conn, maps)


async def test_an_index_name_that_another_table_has_is_refused(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT)")
    source.run("CREATE INDEX taken ON t (a)")
    await conn.execute("CREATE SCHEMA app; CREATE TABLE app.other (a int); CREATE INDEX taken ON app.other (a)")
    with pytest.raises(TargetNotEmpty, match="taken"):
        await make(conn, source.script())


async def test_columns_that_appear_in_the_source_are_added(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    await make(conn, source.script())
    await conn.execute("INSERT INTO app.t VALUES (1)")
    source.run("ALTER TABLE t ADD COLUMN a TEXT NOT NULL DEFAULT 'x'")
    source.run("ALTER TABLE t ADD COLUMN b INT")
    statements = await missing_columns(conn, source.maps())
    assert [s.object for s in statements] == ["a", "b"]
    await apply(conn, statements)
    assert await missing_columns(conn, source.maps()) == ()
    row = await conn.fetchrow("SELECT * FROM app.t")
    assert row is not None
    assert tuple(row) == (1, "x", None)


async def test_what_sqlite_computes_is_kept_as_values_and_told(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, g INT AS (a * 2) STORED, v TEXT AS (a || 'x'))")
    made = source.script()
    assert [n.object for n in made.notes] == ["g", "v"]
    await make(conn, made)
    columns = (await read_tables(conn, SCHEMA))["t"].columns
    assert [(c.name, c.generated) for c in columns] == [("id", False), ("a", False), ("g", False), ("v", False)]


async def test_jsonb_columns_are_searchable_and_not_ordered(conn: Connection, source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT)")
    source.run("CREATE INDEX t_doc ON t (doc)")
    made = source.script({"t": {"columns": {"doc": {"type": "jsonb"}}}})
    assert [s.object for s in made.after_load] == ["t_doc_gin"]
    assert "GIN" in notes(made)
    await make(conn, made)


def test_index_order_follows_sqlite_where_nulls_can_be(source: Source) -> None:
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT NOT NULL)")
    source.run("CREATE INDEX i ON t (a, a DESC, b, b DESC)")
    (statement,) = source.script().after_load
    assert statement.sql.endswith('("a" NULLS FIRST, "a" DESC NULLS LAST, "b", "b" DESC)')
