"""What Postgres has no room for: the row is held with its reason, and everything else goes on."""

import json
import random
from pathlib import Path

import apsw
import asyncpg
import msgspec
import pytest
from harness import application, drain, execute, fetch, load, make_config, up, value
from replicated_pair import replicated

from cdc.config import Config, TableOptions
from cdc.facts.progress import Silent
from cdc.facts.row_key import decode_key, show_key
from cdc.first_copy import create_schema, preflight
from cdc.postgres.apply import direct
from cdc.postgres.record.record import Record
from cdc.postgres.server import embedded
from cdc.postgres.tables import hashed_rows
from cdc.stream import retry_quarantined
from cdc.verify import VerifyReport, verify

pytestmark = pytest.mark.every_postgres

OTHER = "CREATE TABLE other(id INTEGER PRIMARY KEY, v); INSERT INTO other VALUES (1, 'first')"
WIDE = 1_100  # integers of eight bytes each are more than a page holds
LIMIT = "limit"


def long_text(seed: int, length: int = 3_500) -> str:
    """A text that no compression makes much shorter."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "".join(random.Random(seed).choices(letters, k=length))


def begin(folder: Path, dsn: str, *statements: str) -> tuple[apsw.Connection, Config]:
    app = application(folder / "app.db")
    for sql in (OTHER, *statements):
        app.execute(sql).fetchall()
    return app, make_config(folder, folder / "app.db", dsn)


def wide_table(columns: int = WIDE) -> str:
    return f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {', '.join(f'q{n} INTEGER' for n in range(1, columns))})"


def full(key: int, columns: int = WIDE) -> str:
    return f"INSERT INTO wide VALUES ({key}, {', '.join('6' * (columns - 1))})"


async def held(dsn: str) -> dict[str, str]:
    """The reason by table and the beginning of the key."""
    rows = await fetch(dsn, "SELECT source_table, key, reason FROM cdc.quarantine")
    return {f"{r['source_table']} {str(decode_key(r['key'])[0])[:3]}": r["reason"] for r in rows}


async def compared(config: Config) -> VerifyReport:
    return await verify(config, None, False, Silent())


# --- the first copy ---------------------------------------------------------------------------------------------------


async def test_rows_that_postgres_refuses_stay_out_of_the_first_copy_and_all_others_are_in_it(
    tmp_path: Path, any_database: str
) -> None:
    app, config = begin(
        tmp_path,
        any_database,
        "CREATE TABLE feed(url TEXT PRIMARY KEY NOT NULL, n INTEGER)",
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 700) "
        "INSERT INTO feed SELECT 'u' || i, i FROM n",
        wide_table(),
        "INSERT INTO wide(id, q1) VALUES (1, 7)",
        full(2),
    )
    app.executemany("INSERT INTO feed VALUES (?, 1)", [(f"{n}{long_text(n)}",) for n in (101, 102)])
    await load(config)
    assert await held(any_database) == {"feed 101": LIMIT, "feed 102": LIMIT, "wide 2": LIMIT}
    assert await value(any_database, "SELECT count(*) FROM feed") == 700
    assert await value(any_database, "SELECT array_agg(id) FROM wide") == [1]
    assert await value(any_database, "SELECT count(*) FROM other") == 1
    report = await compared(config)
    assert (report.result, sum(t.quarantined for t in report.tables)) == ("equal", 3)
    app.close()


async def test_the_plan_names_the_rows_and_the_indexes_that_postgres_may_have_no_room_for(
    tmp_path: Path, database: str
) -> None:
    app, config = begin(
        tmp_path,
        database,
        "CREATE TABLE feed(url TEXT PRIMARY KEY NOT NULL, title TEXT, mail TEXT UNIQUE)",
        "CREATE INDEX by_title ON feed(title)",
        wide_table(),
        "INSERT INTO wide(id, q1) VALUES (1, 7)",
        full(2),
    )
    long = long_text(1)
    app.executemany("INSERT INTO feed VALUES (?, ?, ?)", [(long, "t", "m"), ("u", long, "n"), ("v", "t", long)])
    plan = await preflight.build_plan(config)
    found = {(r.table, r.column, r.level, r.rows) for r in plan.risks if r.rows}
    assert found == {
        ("feed", "url", "quarantine", 1),
        ("feed", "mail", "quarantine", 1),
        ("feed", "", "note", 1),
        ("wide", "", "quarantine", 1),
    }
    assert [r.keys for r in plan.risks if r.table == "wide" and r.rows] == [("2",)]
    app.close()


async def test_a_unique_key_is_made_and_the_row_that_it_has_no_room_for_is_held_with_its_children(
    tmp_path: Path, any_database: str
) -> None:
    app, config = begin(
        tmp_path,
        any_database,
        "CREATE TABLE person(id INTEGER PRIMARY KEY, mail TEXT UNIQUE)",
        "CREATE TABLE letter(id INTEGER PRIMARY KEY, person INTEGER REFERENCES person(id))",
        "INSERT INTO letter VALUES (1, 1), (2, 2)",
    )
    app.executemany("INSERT INTO person VALUES (?, ?)", [(1, "short"), (2, long_text(1)), (3, None)])
    await up(config)
    assert await held(any_database) == {"person 2": LIMIT, "letter 2": "orphan"}
    assert await value(any_database, "SELECT array_agg(id ORDER BY id) FROM person") == [1, 3]
    assert await value(any_database, "SELECT count(*) FROM pg_constraint WHERE conname = 'person_mail_key'") == 1
    # The remedy for whoever can do without that uniqueness in Postgres.
    await execute(any_database, "ALTER TABLE person DROP CONSTRAINT person_mail_key")
    assert await retry_quarantined.retry_quarantined(config, "person") == 1
    await drain(config)
    assert await held(any_database) == {}
    app.execute("UPDATE person SET mail = 'shorter' WHERE id = 2")
    await drain(config)
    assert await held(any_database) == {}
    # There is room for it again, which the comparison of the schema says.
    report = await compared(config)
    assert (report.differences, [finding.name for finding in report.schema]) == (0, ["person_mail_key"])
    await create_schema.create_schema(config)
    assert (await compared(config)).result == "equal"
    app.close()


async def test_an_index_gives_way_before_a_row(tmp_path: Path, any_database: str) -> None:
    app, config = begin(
        tmp_path,
        any_database,
        "CREATE TABLE page(id INTEGER PRIMARY KEY, body TEXT, short TEXT)",
        "CREATE INDEX by_body ON page(body)",
        "CREATE INDEX by_short ON page(short)",
    )
    app.execute("INSERT INTO page VALUES (1, ?, 's')", (long_text(1),))
    await load(config)
    assert await held(any_database) == {}
    assert await value(any_database, "SELECT length(body) FROM page") == 3_500
    made = await fetch(any_database, "SELECT indexname FROM pg_indexes WHERE tablename = 'page' ORDER BY 1")
    assert [row[0] for row in made] == ["by_short", "page_pkey"]
    told = [json.loads(line) for line in (config.state.dir / "audit.jsonl").read_text().splitlines()]
    left_out = [one["details"]["index"] for one in told if one["action"] == "leave out index"]
    assert left_out == ["by_body"]
    app.close()


async def test_an_orphan_keeps_no_index_from_being_made(tmp_path: Path, any_database: str) -> None:
    app, config = begin(
        tmp_path,
        any_database,
        "CREATE TABLE tag(name TEXT PRIMARY KEY NOT NULL)",
        "CREATE TABLE use(id INTEGER PRIMARY KEY, tag TEXT REFERENCES tag(name))",
    )
    app.execute("INSERT INTO use VALUES (1, ?)", (long_text(1),))
    await up(config)
    assert await held(any_database) == {"use 1": "orphan"}
    assert await value(any_database, "SELECT count(*) FROM pg_indexes WHERE indexname = 'use_tag_idx'") == 1
    # The parent has no room either, so its child waits on; once it is short, both arrive.
    app.execute("INSERT INTO tag VALUES (?)", (long_text(1),))
    await drain(config)
    assert {name.split()[0] for name in await held(any_database)} == {"use", "tag"}
    app.execute("UPDATE tag SET name = 'short'")
    app.execute("UPDATE use SET tag = 'short'")
    await drain(config)
    assert await held(any_database) == {}
    app.close()


# --- the stream and the keys of our own -------------------------------------------------------------------------------


async def test_a_long_key_in_the_stream_is_held_listed_acknowledged_and_released(
    tmp_path: Path, any_database: str
) -> None:
    table = "CREATE TABLE feed(url TEXT PRIMARY KEY NOT NULL, n INTEGER)"
    async with replicated(tmp_path, any_database, OTHER, table) as pair:
        for length in (2_600, 2_800, 8_300, 10_000):
            pair.app.execute("INSERT INTO feed VALUES (?, 1)", (long_text(length, length),))
        await pair.write("UPDATE other SET v = 'next'")
        assert await pair.rows("SELECT v FROM other") == [("next",)]
        lengths = "SELECT array_agg(length(key) - 1 ORDER BY length(key)) FROM cdc.quarantine"
        assert await value(any_database, lengths) == [2_800, 8_300, 10_000]
        assert await pair.differences() == []
        identity = await value(any_database, "SELECT source_id FROM cdc.stream")
        one = await value(any_database, "SELECT key FROM cdc.quarantine ORDER BY length(key) LIMIT 1")
        connection = await asyncpg.connect(any_database)
        try:
            assert await Record(connection, identity).quarantine.acknowledge("feed", one, "somebody") == 1
            assert await Record(connection, identity).quarantine.acknowledge(None, None, "somebody") == 2
        finally:
            await connection.close()
        await pair.write("UPDATE feed SET url = substr(url, 1, 9), n = 2 WHERE length(url) > 8000")
        assert await value(any_database, lengths) == [2_800]
        assert await pair.differences() == []


async def test_rows_whose_key_in_postgres_is_long_are_known_by_both_keys(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(name TEXT PRIMARY KEY NOT NULL, a TEXT, v TEXT)").fetchall()
    app.execute("INSERT INTO t VALUES (?, 'short', 'one')", (long_text(1),))
    await execute(any_database, "CREATE TABLE t (a text PRIMARY KEY, v text)")
    tables = {"t": TableOptions(target_key=["a"], skip=["name"])}
    config = make_config(tmp_path, tmp_path / "app.db", any_database, tables=tables)
    config = msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, adopt=True))
    await up(config)
    app.execute("UPDATE t SET a = 'other'")
    app.execute("INSERT INTO t VALUES (?, 'second', 'two')", (long_text(2),))
    await drain(config)
    assert [tuple(r) for r in await fetch(any_database, "SELECT a, v FROM t ORDER BY 1")] == [
        ("other", "one"),
        ("second", "two"),
    ]
    assert (await compared(config)).result == "equal"
    app.close()


# As an installation of the version before had it: a long key found no room here.
BEFORE = """
DROP TABLE cdc.quarantine;
CREATE TABLE cdc.quarantine (
    source_id text NOT NULL, source_table text NOT NULL, key text NOT NULL, reason text NOT NULL,
    column_name text NOT NULL DEFAULT '', detail text NOT NULL, remedy text NOT NULL, waits_table text, waits_for text,
    first_seen timestamptz NOT NULL DEFAULT now(), last_seen timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz, acknowledged_by text, PRIMARY KEY (source_id, source_table, key)
);
CREATE INDEX quarantine_waits ON cdc.quarantine (source_id, waits_table, waits_for) WHERE waits_table IS NOT NULL;
INSERT INTO cdc.quarantine (source_id, source_table, key, reason, detail, remedy, waits_table, waits_for)
    SELECT source_id, 'child', 'i1', 'orphan', 'd', 'r', '"public"."feed"("url")', 'mother' FROM cdc.stream;
DROP TABLE cdc.crosswalk;
CREATE TABLE cdc.crosswalk (
    source_id text NOT NULL, source_table text NOT NULL, source_key text COLLATE "C" NOT NULL,
    target_key text[] COLLATE "C" NOT NULL, PRIMARY KEY (source_id, source_table, source_key),
    UNIQUE (source_id, source_table, target_key)
);
INSERT INTO cdc.crosswalk SELECT source_id, 't', 'i1', '{a,b}' FROM cdc.stream;
"""


async def test_an_installation_of_the_version_before_goes_on_and_knows_what_it_held(
    tmp_path: Path, any_database: str
) -> None:
    tables = (
        "CREATE TABLE feed(url TEXT PRIMARY KEY NOT NULL)",
        "CREATE TABLE child(id INTEGER PRIMARY KEY, url TEXT REFERENCES feed(url))",
    )
    async with replicated(tmp_path, any_database, *tables) as pair:
        await pair.write("INSERT INTO child VALUES (1, 'mother')")
        await pair.replica.close()
        await execute(any_database, BEFORE)
        pair.app.execute("INSERT INTO feed VALUES (?)", (long_text(1),))
        await pair.write("INSERT INTO feed VALUES ('mother')")
        assert await pair.rows("SELECT id, url FROM child") == [(1, "mother")]
        assert list(await held(any_database)) == [f"feed {long_text(1)[:3]}"]
        digests = "SELECT source_digest = sha256('i1') AND target_digest = sha256('{a,b}') FROM cdc.crosswalk"
        assert await value(any_database, digests)


async def test_a_table_with_a_value_that_postgres_cannot_write_as_text_keeps_no_other_from_being_compared(
    tmp_path: Path, any_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, config = begin(tmp_path, any_database, "CREATE TABLE file(id INTEGER PRIMARY KEY, body BLOB)")
    app.execute("INSERT INTO file VALUES (1, x'00')")
    await up(config)
    # The digits of half a gigabyte are more than a value can be; so are as many of one byte, and they need no memory.
    digits = "repeat(encode({0}, 'hex'), 1073741824)"
    monkeypatch.setitem(hashed_rows._FORMS, "bytea", digits)
    monkeypatch.setitem(hashed_rows._FIXED, "bytea", f"textsend({digits})")
    report = await compared(config)
    found = {t.table: t for t in report.tables}
    assert found["other"].matched == 1
    assert found["file"].problem == "comparing table file: Postgres refuses: requested length too large"
    app.close()


# --- many tables ------------------------------------------------------------------------------------------------------


async def test_tables_that_need_more_locks_than_the_server_has_are_made_loaded_and_compared(tmp_path: Path) -> None:
    # As few locks as a server can have with its usual 64 a transaction: they are for all connections together.
    none = ("max_worker_processes", "max_wal_senders")
    few = ("autovacuum_worker_slots", "autovacuum_max_workers")
    settings = {"max_connections": "10", "fsync": "off", **dict.fromkeys(none, "0"), **dict.fromkeys(few, "1")}
    with embedded.start(tmp_path / "postgres", settings=settings) as server:
        app, config = begin(tmp_path, server.dsn)
        with app:
            for n in range(300):
                columns = ", ".join(f"{name} INTEGER UNIQUE" for name in "abcd")
                up = f"up INTEGER REFERENCES t{max(0, n - 1)}(id)"
                app.execute(f"CREATE TABLE t{n}(id INTEGER PRIMARY KEY, v TEXT, {columns}, {up})")
                app.execute(f"INSERT INTO t{n}(id, v, up) VALUES (1, 'one', NULL), (2, 'two', 1), (3, 'orphan', 99)")
        await load(config)
        assert await value(server.dsn, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 300
        assert await value(server.dsn, "SELECT count(*) FROM cdc.quarantine") == 300
        report = await compared(config)
        assert (report.result, len(report.tables)) == ("equal", 301)
        app.close()


async def test_a_row_that_no_page_holds_is_taken_up_once_columns_are_skipped(tmp_path: Path, database: str) -> None:
    app, config = begin(tmp_path, database, wide_table(), full(1))
    await up(config)
    assert await held(database) == {"wide 1": LIMIT}
    skipped = {"wide": TableOptions(skip=[f"q{n}" for n in range(1, 301)])}
    config = msgspec.structs.replace(config, tables=skipped)
    assert await retry_quarantined.retry_quarantined(config, None) == 1
    await drain(config)
    assert await held(database) == {}
    assert await value(database, "SELECT q1 IS NULL AND q301 = 6 FROM wide")
    assert (await compared(config)).result == "equal"
    app.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_rows_of_any_size_are_in_postgres_or_held_and_the_plan_names_all_that_are_held(
    tmp_path: Path, database: str, seed: int
) -> None:
    drawn = random.Random(seed)
    columns = drawn.randint(300, 1_500)
    kinds = [drawn.choice(("INTEGER", "TEXT", "REAL")) for _ in range(columns)]
    app, config = begin(
        tmp_path,
        database,
        "CREATE TABLE feed(url TEXT PRIMARY KEY NOT NULL, mail TEXT UNIQUE, title TEXT)",
        "CREATE INDEX by_title ON feed(title)",
        f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {', '.join(f'q{n} {kind}' for n, kind in enumerate(kinds))})",
    )

    def text(longest: int) -> str:
        length = drawn.randint(0, longest)
        return drawn.choice((long_text(drawn.randint(0, 10**9), length), "ab" * (length // 2)))

    def write(first: int) -> None:
        for key in range(first, first + 40):
            app.execute(
                "INSERT INTO feed VALUES (?, ?, ?)", (f"{key}{text(10_000)}", f"{key}{text(4_000)}", text(9_000))
            )
            filled = drawn.random()
            values = [drawn.choice((7, text(60))) if drawn.random() < filled else None for _ in kinds]
            values = [v if kind == "TEXT" or v is None else 7 for v, kind in zip(values, kinds, strict=True)]
            app.execute(f"INSERT INTO wide VALUES ({key}{', ?' * columns})", values)

    write(100)
    foreseen = {(r.table, key) for r in (await preflight.build_plan(config)).risks for key in r.keys}
    await load(config)
    limits = {(r["source_table"], show_key(r["key"])) for r in await fetch(database, "SELECT * FROM cdc.quarantine")}
    assert limits
    assert limits <= foreseen
    await drain(config)
    write(200)
    await drain(config)
    for table, key in (("feed", "url"), ("wide", "id")):
        there = {row[0] for row in await fetch(database, f"SELECT {key} FROM {table}")}
        kept = {
            decode_key(r[0])[0]
            for r in await fetch(database, "SELECT key FROM cdc.quarantine WHERE source_table = $1", table)
        }
        assert not there & kept
        assert there | kept == {row[0] for row in app.execute(f"SELECT {key} FROM {table}")}
    assert (await compared(config)).result == "equal"
    app.close()


# --- limits in the stream ---------------------------------------------------------------------------------------------


async def test_a_row_that_no_page_holds_is_held_by_the_stream_and_all_others_go_on(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, OTHER, wide_table()) as pair:
        pair.app.execute("INSERT INTO wide(id, q1) VALUES (1, 7), (2, 7)")
        await pair.write(full(3), "UPDATE other SET v = 'next'", full(4), "INSERT INTO wide(id) VALUES (5)")
        assert await held(any_database) == {"wide 3": LIMIT, "wide 4": LIMIT}
        assert await pair.rows("SELECT id FROM wide ORDER BY id") == [(1,), (2,), (5,)]
        assert await pair.rows("SELECT v FROM other") == [("next",)]
        # What was there leaves with its new state, and comes back when it fits again.
        await pair.write("UPDATE wide SET " + ", ".join(f"q{n} = 6" for n in range(1, WIDE)) + " WHERE id = 2")
        assert await pair.rows("SELECT id FROM wide ORDER BY id") == [(1,), (5,)]
        await pair.write("UPDATE wide SET " + ", ".join(f"q{n} = NULL" for n in range(1, WIDE)))
        assert await held(any_database) == {}
        # One result of SQLite has no room for twice as many columns, which a broken text would need.
        await pair.write("UPDATE wide SET q1 = CAST(x'ff' AS TEXT) WHERE id = 1")
        assert await held(any_database) == {"wide 1": "value"}
        assert (await compared(pair.config)).result == "equal"


# What the server says of a value or row of more than a gigabyte, from within a merge or a copy.
TOO_LARGE = """
CREATE FUNCTION fits(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    IF $1 = 'huge' THEN RAISE EXCEPTION 'invalid memory alloc request size 1073741824' USING ERRCODE = 'XX000'; END IF;
    RETURN true;
END $$;
"""
WHERE_IT_IS_SAID = {
    "the target": "ALTER TABLE huge ADD CONSTRAINT small CHECK (fits(v))",
    "the stage": "CREATE DOMAIN small AS text CHECK (fits(VALUE)); ALTER TABLE huge ALTER v TYPE small",
}


@pytest.mark.parametrize("where", WHERE_IT_IS_SAID)
@pytest.mark.parametrize("rows", [1, direct.DIRECT_ROWS + 1])
async def test_a_row_of_more_than_a_gigabyte_is_held_by_itself(
    tmp_path: Path, any_database: str, where: str, rows: int
) -> None:
    async with replicated(tmp_path, any_database, OTHER, "CREATE TABLE huge(id INTEGER PRIMARY KEY, v TEXT)") as pair:
        await pair.replica.close()
        await execute(any_database, TOO_LARGE + WHERE_IT_IS_SAID[where])
        fill = f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        await pair.write(
            f"{fill} INSERT INTO huge SELECT 1000 + i, 'small' FROM n",
            "INSERT INTO huge VALUES (100, 'huge')",
            "UPDATE other SET v = 'next'",
        )
        assert await held(any_database) == {"huge 100": LIMIT}
        assert await value(any_database, "SELECT count(*) FROM huge") == rows
        assert await pair.rows("SELECT v FROM other") == [("next",)]
        await pair.write("UPDATE huge SET v = 'shorter' WHERE id = 100")
        assert await held(any_database) == {}


@pytest.mark.parametrize("length", [3_500, 9_000])
async def test_an_index_gives_way_before_a_row_of_the_stream(tmp_path: Path, any_database: str, length: int) -> None:
    table = "CREATE TABLE page(id INTEGER PRIMARY KEY, body TEXT, short TEXT, mail TEXT UNIQUE)"
    indexes = (
        "CREATE INDEX by_body ON page(body)",
        "CREATE INDEX by_both ON page(short, body)",
        "CREATE INDEX s ON page(short)",
    )
    async with replicated(tmp_path, any_database, table, *indexes) as pair:
        pair.app.execute("INSERT INTO page VALUES (1, ?, 's', 'm')", (long_text(1, length),))
        pair.app.execute("INSERT INTO page VALUES (2, 'b', 's', ?)", (long_text(2, length),))
        await pair.write("INSERT INTO page VALUES (3, 'b', 's', 'n')")
        assert await pair.rows("SELECT id FROM page ORDER BY id") == [(1,), (3,)]
        assert await held(any_database) == {"page 2": LIMIT}
        made = await pair.rows("SELECT indexname FROM pg_indexes WHERE tablename = 'page' ORDER BY 1")
        assert [name for (name,) in made] == ["page_mail_key", "page_pkey", "s"]
        told = "SELECT entry -> 'details' ->> 'index' FROM cdc.audit WHERE entry ->> 'action' = 'leave out index'"
        assert [name for (name,) in await pair.rows(f"{told} ORDER BY 1")] == ["by_body", "by_both"]
        assert await pair.differences() == []


async def test_more_columns_than_one_statement_has_parameters_are_staged(
    tmp_path: Path, any_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [f"CREATE TABLE t{n}(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)" for n in range(4)]
    async with replicated(tmp_path, any_database, *tables) as pair:
        # As 33 tables of 1,000 columns are with the driver's own limit: such a batch was tried for ever.
        monkeypatch.setattr(direct, "MOST_ARGUMENTS", 20)
        stages = "SELECT count(*) FROM pg_class WHERE relname LIKE 'cdc_stage%' AND relkind = 'r'"
        await pair.write("INSERT INTO t1 VALUES (1, 1, 1)")
        assert await value(any_database, stages) == 0
        await pair.write(*(f"INSERT INTO t{n} VALUES (2, 2, 2)" for n in range(4)))
        assert await value(any_database, stages) == 4
        assert await pair.differences() == []
