"""Targets that the application's own migrations made: compared, used as they are, never altered."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from comparison import differences
from harness import adopted, application, execute, fetch, quarantined, up, value
from installation import Installation

from cdc.audit import trail
from cdc.config import ColumnOptions, Config, Formats, TableOptions
from cdc.errors import ExitCode, TargetMismatch
from cdc.facts.progress import Silent
from cdc.facts.row_key import show_key
from cdc.first_copy.create_schema import create_schema
from cdc.first_copy.preflight import build_plan
from cdc.first_copy.snapshots import take_snapshot
from cdc.verify.run import verify

SOURCE: Final = """
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email VARCHAR(40) NOT NULL UNIQUE, mood TEXT, admin BOOLEAN);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    parent INTEGER REFERENCES posts, title TEXT, rank INTEGER, UNIQUE (author, rank));
INSERT INTO users VALUES (1, 'a@x', 'glad', 1), (2, 'b@x', 'sad', 0), (3, 'c@x', NULL, NULL);
INSERT INTO posts VALUES (1, 1, NULL, 'one', 1), (2, 1, 1, 'two', 2), (3, 2, 2, 'three', 1), (4, 3, 4, 'self', 1);
"""
TARGET: Final = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE users (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(40) NOT NULL UNIQUE, mood mood,
    admin boolean, seen timestamptz NOT NULL DEFAULT now(), changes integer NOT NULL DEFAULT 0);
CREATE TABLE posts (id bigint PRIMARY KEY, author integer NOT NULL REFERENCES users ON DELETE CASCADE,
    parent bigint REFERENCES posts, title text, rank integer, UNIQUE (author, rank));
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := 'bent'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION touch();
"""
SWAPS: Final = """
UPDATE users SET email = 'spare' WHERE id = 1; UPDATE users SET email = 'a@x' WHERE id = 2;
UPDATE users SET email = 'b@x' WHERE id = 1;
UPDATE posts SET rank = 9 WHERE id = 1; UPDATE posts SET rank = 1 WHERE id = 2; UPDATE posts SET rank = 2 WHERE id = 1;
"""
WRITES: Final = (
    SWAPS,
    "DELETE FROM users WHERE id = 2",
    "INSERT INTO users(email, mood) VALUES ('d@x', 'glad')",
    "UPDATE posts SET author = 1, rank = id + 10, parent = 2 WHERE id = 4",
    "UPDATE posts SET title = 'changed'",
)


async def told(config: Config, level: str) -> dict[str, str]:
    """What the plan says at a level, by `table.column`."""
    found = [r for r in (await build_plan(config)).risks if r.level == level]
    return {f"{r.table}.{r.column}": r.text for r in found}


async def test_rows_arrive_in_tables_that_others_made_and_follow(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    app.execute("PRAGMA foreign_keys = ON")
    await execute(any_database, TARGET)
    config = adopted(tmp_path, any_database)
    before = await shape(any_database)
    await up(config)
    for sql in ("", *WRITES):
        with app:
            app.execute(sql)
        await up(config)
        assert await differences(app, any_database) == []
    assert await shape(any_database) == before
    assert await value(any_database, "SELECT count(*) FROM users WHERE changes = 0 AND seen IS NOT NULL") == 3
    assert await value(any_database, "SELECT count(*) FROM posts WHERE title = 'bent'") == 0
    app.close()


async def test_everything_that_blocks_is_told_at_once_with_a_remedy(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, gone TEXT, made TEXT, place TEXT, n INT);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY); CREATE TABLE c (name TEXT PRIMARY KEY NOT NULL);"
        "CREATE TABLE missing (id INTEGER PRIMARY KEY); INSERT INTO a (id, n) VALUES (1, 1)"
    )
    await execute(
        database,
        "CREATE TABLE a (id bigint PRIMARY KEY, made text GENERATED ALWAYS AS ('x') STORED, place point, n int,"
        " wanted text NOT NULL, kept text DEFAULT 'x');"
        "CREATE TABLE b (id bigint); CREATE RULE quiet AS ON INSERT TO b DO INSTEAD NOTHING;"
        "CREATE TABLE c (name timestamptz PRIMARY KEY); INSERT INTO c VALUES (now())",
    )
    config = adopted(tmp_path, database)
    blocked = await told(config, "blocks")
    assert blocked.keys() >= {"a.gone", "a.made", "a.place", "a.wanted", "b.", "c.", "c.name", "missing."}
    assert "there is no table public.missing" in blocked["missing."]
    assert (await build_plan(config)).exit_code is ExitCode.CRITICAL
    assert all(r.remedy for r in (await build_plan(config)).risks)
    await take_snapshot(config, Silent())
    with pytest.raises(TargetMismatch) as refused:
        await create_schema(config)
    for place in ("a.gone", "a.wanted", "b: ", "missing: "):
        assert place in refused.value.message
    assert await fetch(database, "SELECT FROM pg_tables WHERE schemaname = 'cdc' AND tablename = 'loaded'") is not None
    app.close()


def test_the_plan_begins_with_the_columns_that_nothing_feeds(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true')
    site.target_sql("CREATE TABLE t (id bigint PRIMARY KEY, v int, html text)")
    code, out, _ = site.run("plan")
    assert code == ExitCode.DIFFERENCE
    assert out.startswith("2 things to decide")
    places = [out.index(words) for words in ("1  t.html: html is NULL in every row", "2  t.v: the value (integer)")]
    assert places == sorted(places)
    assert json.loads(site.run("plan", "--json")[1])["counts"]["warning"] == 1
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[tables.t.columns.html]\nexpression = "NULL"')
    assert site.run("plan")[1].startswith("1 thing to decide")
    assert "html" not in site.run("plan")[1]


async def test_the_plan_tries_every_value_against_the_tables_as_they_are(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    app.execute(
        "INSERT INTO users VALUES (4, 'e@x', 'angry', 1), (5, printf('%.50c', 'x'), NULL, 1);"
        "INSERT INTO users VALUES (6000000000, 'f@x', NULL, 1);"
        "INSERT INTO posts VALUES (5, 4, NULL, 'by an angry one', 1), (6, 99, NULL, 'by nobody', 1)"
    )
    await execute(database, TARGET)
    config = adopted(tmp_path, database)
    foreseen = {(r.table, key) for r in (await build_plan(config)).risks for key in r.keys}
    assert foreseen == {("users", "4"), ("users", "5"), ("users", "6000000000"), ("posts", "5"), ("posts", "6")}
    assert "trigger" in (await told(config, "note"))["posts."]
    await up(config)
    assert foreseen == {(table, show_key(key)) for table, key, _ in await quarantined(database)}
    assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    app.close()


async def test_the_plan_says_that_a_format_for_a_type_does_not_reach_a_key(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id CHAR(32) NOT NULL PRIMARY KEY, other CHAR(32))")
    app.execute("INSERT INTO t VALUES ('0b5c0e5e00004000800000000000000a', '0b5c0e5e00004000800000000000000b')")
    await execute(database, "CREATE TABLE t(id uuid PRIMARY KEY, other uuid)")
    config = msgspec.structs.replace(adopted(tmp_path, database), formats=Formats(uuid="uuid"))
    (note,) = (r for r in (await build_plan(config)).risks if r.column == "id" and r.level == "note")
    assert 'set `format = "uuid"` in [tables.t.columns.id]' in note.remedy
    advised = {"t": TableOptions(columns={"id": ColumnOptions(format="uuid")})}
    config = msgspec.structs.replace(config, tables=advised)
    assert "t.id" not in await told(config, "note")
    await up(config)
    assert await quarantined(database) == []
    assert await differences(app, database) == []
    app.close()


async def test_rows_that_are_there_already_are_refused_or_saved_and_replaced(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(database, TARGET)
    await execute(
        database,
        "INSERT INTO users (email, mood) VALUES ('seed@x', 'sad'), ('c@x', NULL), ('later@x', NULL), ('b@x', NULL);"
        "INSERT INTO posts VALUES (7, 2, NULL, 'seeded', 3)",
    )
    refusing = adopted(tmp_path, database)
    assert "holds 4 rows already" in (await told(refusing, "blocks"))["users."]
    await take_snapshot(refusing, Silent())
    with pytest.raises(TargetMismatch, match="holds 4 rows already"):
        await create_schema(refusing)
    assert await value(database, "SELECT count(*) FROM users") == 4

    config = adopted(tmp_path, database, existing_rows="replace")
    await up(config)
    assert await differences(app, database) == []
    saved = config.state.dir / "replaced" / "public.users.csv"
    assert "seed@x" in saved.read_text()
    assert "save rows" in {entry.action for entry in trail.read(config.state.dir)}
    # The file can be read back.
    await execute(database, "CREATE TABLE again (LIKE users)")
    connection = await asyncpg.connect(database)
    await connection.copy_to_table("again", source=saved, format="csv", header=True)
    await connection.close()
    assert await value(database, "SELECT count(*) FROM again") == 4
    app.close()


async def test_a_date_may_be_the_key(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE days (day DATE NOT NULL, n INT NOT NULL, v TEXT, PRIMARY KEY (day, n))")
    app.execute("INSERT INTO days VALUES ('2024-02-29', 1, 'a'), ('0001-01-01', 2, 'b'), ('9999-12-31', 3, 'c')")
    await execute(any_database, "CREATE TABLE days (day date, n int, v text CHECK (v <> 'bad'), PRIMARY KEY (day, n))")
    name = urlsplit(any_database).path[1:]
    await execute(any_database, f"ALTER DATABASE {name} SET datestyle = 'German'")
    config = adopted(tmp_path, any_database)
    await up(config)
    assert await differences(app, any_database) == []
    app.execute("UPDATE days SET v = 'bad' WHERE n = 2; DELETE FROM days WHERE n = 1")
    app.execute("UPDATE days SET day = '2024-03-01' WHERE n = 3")
    await up(config)
    assert [show_key(key) for _, key, _ in await quarantined(any_database)] == ["('0001-01-01', 2)"]
    assert await differences(app, any_database) == []
    assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    app.close()


async def test_texts_of_a_fixed_length_may_be_the_key(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE places (code CHAR(3) NOT NULL, n CHAR(1) NOT NULL, v TEXT, PRIMARY KEY (code, n))")
    app.execute("INSERT INTO places VALUES ('ab', 'X', 'a'), ('', 'X', 'b'), ('abc', 'Y', 'c'), ('ab ', 'Z', 'padded')")
    checked = "v text CHECK (v <> 'bad')"
    await execute(any_database, f"CREATE TABLE places (code char(3), n char(1), {checked}, PRIMARY KEY (code, n))")
    config = adopted(tmp_path, any_database)
    await up(config)
    assert [show_key(key) for _, key, _ in await quarantined(any_database)] == ["('ab ', 'Z')"]
    app.execute("UPDATE places SET v = 'bad' WHERE code = ''; DELETE FROM places WHERE code IN ('abc', 'ab ')")
    app.execute("UPDATE places SET code = 'a' WHERE code = 'ab'")
    await up(config)
    assert [show_key(key) for _, key, _ in await quarantined(any_database)] == ["('', 'X')"]
    rows = await fetch(any_database, "SELECT code::text, n::text, v FROM places")
    assert [tuple(row) for row in rows] == [("a", "X", "a")]
    assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    await execute(any_database, "UPDATE places SET v = 'bent'")
    assert (await verify(config, None, True, Silent())).exit_code is ExitCode.DIFFERENCE
    await up(config)
    assert await value(any_database, "SELECT v FROM places") == "a"
    app.close()


# What the plan says of a key under a type that may call two keys equal, and of a column under one that nobody can feed.
UNFIT_KEYS: Final = """
CREATE TABLE seen (at TEXT NOT NULL PRIMARY KEY, v TEXT); INSERT INTO seen VALUES ('2024-02-29 10:00:00', 'a');
CREATE TABLE paid (sum TEXT NOT NULL PRIMARY KEY, v TEXT); INSERT INTO paid VALUES ('12', 'a');
CREATE TABLE bill (id INTEGER PRIMARY KEY, sum TEXT NOT NULL, tip TEXT NOT NULL DEFAULT '1', v TEXT);
INSERT INTO bill VALUES (1, '12', '3', 'a'), (2, '13', '4', 'b');
"""
UNFIT_KEYS_THERE: Final = """
CREATE TABLE seen (at timestamp PRIMARY KEY, v text);
CREATE TABLE paid (sum money PRIMARY KEY, v text);
CREATE TABLE bill (id int PRIMARY KEY, sum money NOT NULL, tip money NOT NULL DEFAULT 1, v text);
"""


def test_the_remedies_for_a_type_that_does_not_fit_work(site: Installation) -> None:
    site.sql(UNFIT_KEYS)
    site.target_sql(UNFIT_KEYS_THERE)
    adopts = f'[target]\ndsn = "{site.dsn}"\nadopt = true\n'
    site.configure(adopts + '[replicate]\nexclude = ["t"]')
    out = " ".join(site.run("plan", "--all")[1].split())
    no_type = "give it another type there, or"
    assert "is of type money, which is not supported in bill.sum, bill.tip, paid.sum" in out
    for remedy in ("leave the table out: add bill", "leave the table out: add paid", "name it in `skip`"):
        assert f"remedy: {no_type} {remedy}" in out
    assert "seen.at: as timestamp without time zone two keys" in out
    assert 'set `format` to "iso utc" or "auto utc"' in out
    # Every one of them is followed, and then nothing blocks.
    site.target_sql("ALTER TABLE bill ALTER sum TYPE numeric USING sum::numeric")
    site.configure(
        adopts
        + '[replicate]\nexclude = ["t", "paid"]\n[tables.bill]\nskip = ["tip"]\n[tables.bill.columns.sum]\n'
        + 'format = "number"\n[tables.seen.columns.at]\nformat = "iso utc"'
    )
    out = " ".join(site.run("plan", "--all")[1].split())
    assert "blocks" not in out
    assert "bill.tip: `skip` leaves 2 values in SQLite: in Postgres tip has its default in every row" in out
    assert out.startswith("1 thing to decide; the rest is ready")


async def test_rows_of_a_table_without_a_primary_key_are_known_by_what_it_declares_unique(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE seen (who TEXT, day INTEGER, v TEXT, UNIQUE (who, day)); CREATE INDEX seen_v ON seen (v)")
    app.execute("INSERT INTO seen VALUES ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'z')")
    await execute(any_database, "CREATE TABLE seen (who text, day int, v text, UNIQUE (who, day))")
    config = adopted(tmp_path, any_database)
    await up(config)
    for sql in (
        "UPDATE seen SET v = 'changed' WHERE day = 1",
        "REPLACE INTO seen VALUES ('a', 2, 'replaced')",
        "UPDATE seen SET who = 'c' WHERE who = 'b'; DELETE FROM seen WHERE who = 'a' AND day = 1",
        "INSERT INTO seen VALUES (NULL, 7, 'p'), (NULL, 7, 'q')",
    ):
        app.execute(sql)
        await up(config)
        assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    rows = await fetch(any_database, "SELECT who, day, v FROM seen ORDER BY 1")
    assert [tuple(row) for row in rows] == [("a", 2, "replaced"), ("c", 1, "changed")]
    held = [show_key(key) for _, key, _ in await quarantined(any_database)]
    assert held == [f"(NULL (rowid {n}), NULL (rowid {n}))" for n in (5, 6)]
    app.close()


@pytest.mark.parametrize("later", ["b", "zz"])
async def test_of_several_unique_keys_one_that_is_never_null_names_the_rows(
    tmp_path: Path, database: str, later: str
) -> None:
    """A migration gives a table a column and a unique index on it: rows from before have NULL there, and no name."""
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE f (u TEXT NOT NULL, n INT NOT NULL, fu TEXT); CREATE UNIQUE INDEX m ON f (u, n)")
    app.execute(f"CREATE UNIQUE INDEX {later} ON f (fu, n); INSERT INTO f VALUES ('x', 1, NULL), ('y', 1, 'Y')")
    await execute(database, "CREATE TABLE f (u text NOT NULL, n int NOT NULL, fu text, UNIQUE (u, n))")
    config = adopted(tmp_path, database)
    assert (await build_plan(config)).exit_code is ExitCode.OK
    await up(config)
    rows = await fetch(database, "SELECT u, n, fu FROM f ORDER BY u")
    assert [tuple(row) for row in rows] == [("x", 1, None), ("y", 1, "Y")]
    app.close()


async def test_a_table_whose_rows_nothing_identifies_but_the_rowid_blocks(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE words (w TEXT); CREATE TABLE few (who TEXT UNIQUE); INSERT INTO few VALUES (NULL), ('a')")
    await execute(database, "CREATE TABLE words (w text); CREATE TABLE few (who text UNIQUE)")
    blocked = await told(adopted(tmp_path, database), "blocks")
    assert blocked.keys() == {"words.", "few."}
    assert all("by rowid only" in text for text in blocked.values())
    app.close()


async def test_one_table_may_be_made_among_adopted_ones(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    app.execute(
        "CREATE TABLE extra (id INTEGER PRIMARY KEY, u INTEGER REFERENCES users); INSERT INTO extra VALUES (1, 1)"
    )
    await execute(database, TARGET)
    config = adopted(tmp_path, database, {"extra": TableOptions(adopt=False)})
    await up(config)
    assert await value(database, "SELECT u FROM extra") == 1
    assert await differences(app, database) == []
    app.close()


async def test_a_column_that_the_application_adds_must_be_added_by_its_makers(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(database, TARGET)
    config = adopted(tmp_path, database)
    await up(config)
    app.execute("ALTER TABLE posts ADD COLUMN lang TEXT; UPDATE posts SET lang = 'en'")
    await up(config)
    waits = await value(database, "SELECT reason FROM cdc.target_table WHERE source_table = 'posts'")
    assert "lacks lang, which the application's own migrations make" in waits
    await execute(database, "ALTER TABLE posts ADD COLUMN lang text")
    await up(config)
    assert await value(database, "SELECT count(*) FROM posts WHERE lang = 'en'") == 4
    app.close()


@pytest.mark.parametrize("renamed", [False, True])
async def test_a_column_that_the_application_drops_has_its_table_wait_until_its_makers_drop_it(
    tmp_path: Path, any_database: str, renamed: bool
) -> None:
    """All other tables go on, a new session knows what is waited for, and what came meanwhile is compared."""
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(any_database, TARGET)
    config = adopted(tmp_path, any_database)
    await up(config)
    statement = f"ALTER TABLE posts {'RENAME title TO heading' if renamed else 'DROP COLUMN title'}"
    app.execute(statement)
    for number in (7, 8):
        app.execute("INSERT INTO posts(author, rank) VALUES (1, ?)", (number,))
        app.execute("INSERT INTO users(email) VALUES (?)", (f"{number}@x",))
        await up(config)
        assert await value(any_database, "SELECT count(*) FROM users WHERE email LIKE '%@x'") == number - 3
        assert await value(any_database, "SELECT count(*) FROM posts") == 4
        waits = await value(any_database, "SELECT reason FROM cdc.target_table WHERE source_table = 'posts'")
        assert 'table "public"."posts" has title still, which the application dropped or renamed in SQLite' in waits
    await execute(any_database, statement)
    await up(config)
    assert await value(any_database, "SELECT count(*) FROM posts") == 6
    assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    app.close()


async def test_a_column_that_somebody_skips_later_has_no_table_wait(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE)
    await execute(database, TARGET)
    config = adopted(tmp_path, database)
    await up(config)
    config.tables["posts"] = TableOptions(skip=["title"])
    app.execute("UPDATE posts SET title = 'not told', rank = rank + 10")
    await up(config)
    rows = await fetch(database, "SELECT DISTINCT title = 'not told', rank > 10 FROM posts")
    assert [tuple(row) for row in rows] == [(False, True)]
    app.close()


async def shape(dsn: str) -> list[tuple[Any, ...]]:
    """Everything about the adopted tables but whether their triggers are enabled."""
    found = await fetch(
        dsn,
        """SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
        UNION ALL SELECT conname::text, conrelid::regclass::text, pg_get_constraintdef(oid), NULL FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT relname::text, obj_description(oid), NULL, NULL FROM pg_class
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3""",
    )
    return [tuple(row) for row in found]


DOMAINS: Final = """
CREATE DOMAIN mail AS varchar(9) CHECK (VALUE LIKE '%@%'); CREATE DOMAIN small AS bigint CHECK (VALUE < 100);
CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN calm AS mood CHECK (VALUE <> 'sad');
CREATE TABLE t (id small PRIMARY KEY, mail mail, mood calm);
"""


async def test_a_value_that_a_domain_refuses_keeps_its_own_row_out(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT, mood TEXT)")
    app.execute("INSERT INTO t VALUES (1, 'a@x', 'glad'), (2, 'nobody', NULL), (3, 'c@x', 'sad'), (200, 'd@x', NULL)")
    await execute(any_database, DOMAINS)
    config = adopted(tmp_path, any_database)
    for sql, there, held in (
        ("SELECT 1", [1], {2, 3, 200}),
        ("INSERT INTO t VALUES (5, 'e@x', NULL), (6, 'none', NULL), (300, NULL, NULL)", [1, 5], {2, 3, 6, 200, 300}),
        ("UPDATE t SET mail = 'b@x', mood = 'glad' WHERE id < 10", [1, 2, 3, 5, 6], {200, 300}),
        ("UPDATE t SET mail = 'lost' WHERE id = 1", [2, 3, 5, 6], {1, 200, 300}),
        ("UPDATE t SET id = id - 190 WHERE id >= 200", [2, 3, 5, 6, 10], {1, 110}),
        ("DELETE FROM t WHERE id IN (2, 110)", [3, 5, 6, 10], {1}),
    ):
        app.execute(sql)
        await up(config)
        assert [row[0] for row in await fetch(any_database, "SELECT id FROM t ORDER BY id")] == there
        assert {int(show_key(key)) for _, key, _ in await quarantined(any_database)} == held
        assert {reason for _, _, reason in await quarantined(any_database)} == {"constraint"}
        assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    app.close()


PARTITIONED: Final = """
CREATE TABLE t (id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
CREATE TABLE lowest PARTITION OF low FOR VALUES FROM (0) TO (5);
CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (20);
CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 'bent'; RETURN NEW; END $$;
CREATE TRIGGER everywhere BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION bend();
CREATE TRIGGER here BEFORE INSERT OR UPDATE ON lowest FOR EACH ROW EXECUTE FUNCTION bend();
"""


async def test_triggers_of_partitions_bend_nothing_and_rows_without_a_partition_wait(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    app.execute("INSERT INTO t VALUES (1, 'a'), (12, 'b'), (100, 'nowhere')")
    await execute(any_database, PARTITIONED)
    config = adopted(tmp_path, any_database)
    assert any("everywhere, here" in risk.text for risk in (await build_plan(config)).risks)
    for sql in ("SELECT 1", "INSERT INTO t VALUES (2, 'c')", "UPDATE t SET id = 13 WHERE id = 2"):
        app.execute(sql)
        await up(config)
        assert (await verify(config, None, False, Silent())).exit_code is ExitCode.OK
    assert await value(any_database, "SELECT count(*) FROM t WHERE v <> 'bent'") == 3
    recorded = await fetch(any_database, "SELECT target_table, trigger_name FROM cdc.disabled_trigger ORDER BY 1")
    assert [tuple(row) for row in recorded] == [("lowest", "here"), ("t", "everywhere")]
    app.close()


RING: Final = """
CREATE TABLE outside (id bigint PRIMARY KEY);
CREATE TABLE a (id bigint PRIMARY KEY, b bigint {null}, outside bigint REFERENCES outside);
CREATE TABLE b (id bigint PRIMARY KEY, a bigint NOT NULL REFERENCES a {wait});
ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
CREATE TABLE hanger (id bigint PRIMARY KEY, a bigint NOT NULL REFERENCES a);
"""


@pytest.mark.parametrize("wait", ["", "DEFERRABLE"])
@pytest.mark.parametrize("null", ["", "NOT NULL"])
async def test_tables_that_refer_to_each_other_by_keys_that_cannot_wait(
    tmp_path: Path, any_database: str, null: str, wait: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(
        f"CREATE TABLE a (id INTEGER PRIMARY KEY, b INT {null} REFERENCES b, outside INT REFERENCES outside);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a INT NOT NULL REFERENCES a);"
        "CREATE TABLE hanger (id INTEGER PRIMARY KEY, a INT NOT NULL REFERENCES a);"
        "CREATE TABLE outside (id INTEGER PRIMARY KEY); INSERT INTO outside VALUES (1);"
        "INSERT INTO a VALUES (1, 1, 1), (2, 2, NULL); INSERT INTO b VALUES (1, 2), (2, 1);"
        "INSERT INTO hanger VALUES (1, 1)"
    )
    await execute(any_database, RING.format(null=null, wait=wait))
    config = adopted(tmp_path, any_database)
    for sql in (
        "SELECT 1",
        "INSERT INTO a VALUES (3, 3, 2); INSERT INTO b VALUES (3, 3); INSERT INTO outside VALUES (2)",
        "UPDATE a SET b = 3 - b WHERE id < 3; INSERT INTO hanger VALUES (2, 3)",
        "DELETE FROM hanger WHERE id = 2; DELETE FROM a WHERE id = 3; DELETE FROM b WHERE id = 3",
        "DELETE FROM hanger; DELETE FROM a; DELETE FROM b; DELETE FROM outside",
    ):
        with app:
            app.execute(sql)
        await up(config)
        assert await quarantined(any_database) == []
        assert await differences(app, any_database) == []
    app.close()
