"""Spans and addresses in tables that others made: fed from texts and numbers, followed, compared, and taken back."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec
import pytest
from harness import application, drain, execute, fetch, make_config, quarantined, up, value
from installation import Installation

from cdc.config import ColumnOptions, Config, Formats, TableOptions
from cdc.errors import ExitCode
from cdc.facts.progress import Silent
from cdc.facts.row_key import show_key
from cdc.first_copy.preflight import build_plan
from cdc.verify import verify

SOURCE: Final = """
CREATE TABLE run(id INTEGER PRIMARY KEY, total DATETIME NOT NULL, took BIGINT, note TEXT);
CREATE TABLE peer(ip VARCHAR(64) NOT NULL, n TEXT NOT NULL, net TEXT, card TEXT, PRIMARY KEY(ip, n));
INSERT INTO run VALUES (1, '1970-01-01 00:00:12.500000', 90061500000, 'P1M'), (2, '1970-01-03 00:00:00', NULL, 'soon');
INSERT INTO peer VALUES ('192.0.2.1', 'x', '10.0.0.0/8', '08:00:2b:01:02:03'), ('2001:db8::1', 'x', NULL, NULL),
    ('2001:DB8::1', 'x', NULL, NULL);
"""
THERE: Final = """
CREATE TABLE run(id int PRIMARY KEY, total interval NOT NULL DEFAULT '0', took interval, note interval);
CREATE TABLE peer(ip inet NOT NULL, n text NOT NULL, net cidr, card macaddr, PRIMARY KEY(ip, n));
"""
RUN: Final = TableOptions(
    columns={"total": ColumnOptions(format="since 1970"), "took": ColumnOptions(format="microseconds")}
)


def adopting(folder: Path, dsn: str, **tables: TableOptions) -> Config:
    config = make_config(folder, folder / "app.db", dsn, tables=tables)
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, adopt=True))


async def is_equal(config: Config) -> bool:
    return (await verify(config, None, False, Silent())).exit_code is ExitCode.OK


async def test_spans_and_addresses_arrive_and_are_followed(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(any_database, THERE)
    config = adopting(tmp_path, any_database, run=RUN)
    await up(config)
    assert sorted(show_key(key) for _, key, _ in await quarantined(any_database)) == ["('2001:DB8::1', 'x')", "2"]
    told = "total = interval '12.5 s' AND took = interval '1 day 01:01:01.5' AND note = interval '1 month'"
    assert await fetch(any_database, f"SELECT 1 FROM run WHERE id = 1 AND {told} AND extract(month FROM note) = 1")
    assert await is_equal(config)

    # A few rows go directly, many are staged; a corrected row arrives, and what is gone goes.
    app.execute("UPDATE run SET note = '3 days, 0:00:01', took = -1000000 WHERE id = 2")
    app.execute("UPDATE peer SET card = '08:00:2b:01:02:04', net = '::/0' WHERE ip = '192.0.2.1'")
    app.execute("DELETE FROM peer WHERE ip LIKE '2001:%'")
    await drain(config)
    assert await quarantined(any_database) == []
    assert await value(any_database, "SELECT took::text FROM run WHERE id = 2") == "-1 days +23:59:59"
    many = "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 1499) "
    app.execute(f"{many} INSERT INTO peer SELECT printf('10.1.%d.%d', n / 250, n % 250), 'y', NULL, NULL FROM c")
    app.execute(f"{many} INSERT INTO run SELECT n + 10, '1970-01-01 00:00:00', n * 1000, NULL FROM c")
    await drain(config)
    app.execute("UPDATE peer SET ip = '10.9.0.1' WHERE ip = '10.1.0.1'")
    app.execute("DELETE FROM peer WHERE ip = '10.1.0.2'")
    await drain(config)
    assert await value(any_database, "SELECT count(*) FROM peer WHERE n = 'y'") == 1499
    assert await is_equal(config)

    # Postgres calls a month and thirty days equal; the comparison does not.
    await execute(any_database, "UPDATE run SET note = interval '30 days' WHERE id = 1")
    assert not await is_equal(config)
    await execute(
        any_database, "UPDATE run SET note = interval '1 month' WHERE id = 1; UPDATE peer SET net = '1.0.0.0/8'"
    )
    assert not await is_equal(config)
    app.close()


async def test_addresses_in_any_notation_are_keys_by_a_crosswalk(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SOURCE).fetchall()
    await execute(any_database, THERE)
    columns = {"ip": ColumnOptions(format="address"), "net": ColumnOptions(format="address")}
    config = adopting(tmp_path, any_database, peer=TableOptions(columns=columns), run=RUN)
    config = msgspec.structs.replace(config, formats=Formats(macaddr="address"))
    await up(config)
    app.execute("UPDATE peer SET card = '0800.2B01.0203' WHERE ip = '192.0.2.1'")
    await drain(config)
    # Two keys of SQLite are one address: the other one waits until it is free.
    (held,) = [key for table, key, _ in await quarantined(any_database) if table == "peer"]
    assert await is_equal(config)
    other = "2001:DB8::1" if "db8" in show_key(held) else "2001:db8::1"
    app.execute(f"DELETE FROM peer WHERE ip = '{other}'")
    await drain(config)
    assert [table for table, _, _ in await quarantined(any_database)] == ["run"]
    assert await value(any_database, "SELECT count(*) FROM peer WHERE ip = inet '2001:db8::1'") == 1
    assert await is_equal(config)
    app.close()


EMPTIES: Final = (
    *("int NOT NULL DEFAULT -1", "text NOT NULL DEFAULT 'it''s'", "boolean NOT NULL DEFAULT false", "real DEFAULT 0.1"),
    *("timestamptz DEFAULT '2000-01-01 01:00+01'", "numeric(6, 2) DEFAULT 0.5", "jsonb NOT NULL DEFAULT '{}'"),
    *(
        "char(3) NOT NULL DEFAULT 'ab'",
        "interval DEFAULT '1 day'",
        "bytea DEFAULT '\\x00'",
        "date DEFAULT '2000-02-29'",
    ),
)


async def test_an_empty_text_lets_the_default_of_its_column_stand(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    names = [f"c{n}" for n in range(len(EMPTIES))]
    app.execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {', '.join(names)})").fetchall()
    blank = f"SELECT {', '.join(['n', *['chr'] * len(names)])} FROM c"
    rows = "WITH RECURSIVE c(n, chr) AS (SELECT 1, '' UNION ALL SELECT n + 1, '' FROM c WHERE n < {}) INSERT INTO t "
    app.execute(rows.format(3) + blank)
    made = ", ".join(f"{name} {type_}" for name, type_ in zip(names, EMPTIES, strict=True))
    await execute(any_database, f"CREATE TABLE t(id int PRIMARY KEY, {made}); CREATE TABLE alike(LIKE t INCLUDING ALL)")
    chosen = TableOptions(columns={name: ColumnOptions(empty="default") for name in names})
    config = adopting(tmp_path, any_database, t=chosen)
    await up(config)
    app.execute("INSERT INTO t(id, c0, c1) VALUES (5000, 7, '')")
    app.execute("DELETE FROM t WHERE id = 5000")
    app.execute("UPDATE t SET c0 = 7, c1 = 'told' WHERE id = 2")
    await drain(config)
    app.execute(rows.format(1500).replace("SELECT 1,", "SELECT 10,") + blank)
    await drain(config)
    assert await quarantined(any_database) == []
    await execute(any_database, "INSERT INTO alike SELECT id FROM t")  # as Postgres itself makes them
    different = await fetch(any_database, "SELECT id, c0, c1 FROM (TABLE t EXCEPT TABLE alike) AS d")
    assert [tuple(row) for row in different] == [(2, 7, "told")]
    assert await is_equal(config)
    await execute(any_database, "UPDATE t SET c7 = 'abc' WHERE id = 1")
    assert not await is_equal(config)
    app.close()


@pytest.mark.parametrize("default", ["DEFAULT now()::text", "DEFAULT (1 + 1)::text", ""])
async def test_a_default_that_may_be_another_one_each_time_is_not_taken(
    tmp_path: Path, database: str, default: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)").fetchall()
    app.close()
    await execute(database, f"CREATE TABLE t(id int PRIMARY KEY, v text {default})")
    chosen = TableOptions(columns={"v": ColumnOptions(empty="default")})
    (risk,) = (r for r in (await build_plan(adopting(tmp_path, database, t=chosen))).risks if r.level == "blocks")
    assert "has no default that is the same for every row" in risk.text


async def test_what_an_interval_of_some_parts_would_drop_is_not_given_to_it(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '1 day 02:03:04')").fetchall()
    app.close()
    await execute(database, "CREATE TABLE t(id int PRIMARY KEY, v interval hour to minute)")
    (risk,) = (r for r in (await build_plan(adopting(tmp_path, database))).risks if r.level == "blocks")
    assert "v is of type interval hour to minute, which is not supported" in risk.text


def test_spans_and_addresses_come_back_as_the_application_writes_them(site: Installation) -> None:
    site.sql(SOURCE + "DELETE FROM run WHERE id = 2; DELETE FROM peer WHERE ip = '2001:DB8::1'")
    site.target_sql(THERE)
    site.configure(
        f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[replicate]\nexclude = ["t"]\n'
        '[tables.run.columns.total]\nformat = "since 1970"\n[tables.run.columns.took]\nformat = "microseconds"'
    )
    config = site.switched()
    site.target_sql(
        "INSERT INTO run VALUES (7, '2 days 00:00:01.25', '00:00:00.5', '2 mons 3 days');"
        "UPDATE run SET took = '1 day' WHERE id = 1; UPDATE peer SET card = NULL WHERE ip = '192.0.2.1';"
        "INSERT INTO peer VALUES ('2001:db8::2', 'z', '2001:db8::/32', '08-00-2b-01-02-05');"
        "INSERT INTO peer(ip, n) VALUES ('10.0.0.1/8', 'z');"
        "DELETE FROM peer WHERE ip = '2001:db8::1'"
    )
    asyncio.run(drain(config))
    app = application(site.database)
    assert app.execute("SELECT * FROM run ORDER BY id").fetchall() == [
        (1, "1970-01-01 00:00:12.500000", 86_400_000_000, "P1M"),
        (7, "1970-01-03 00:00:01.250000", 500_000, "P2M3D"),
    ]
    assert app.execute("SELECT * FROM peer ORDER BY ip").fetchall() == [
        ("10.0.0.1/8", "z", None, None),
        ("192.0.2.1", "x", "10.0.0.0/8", None),
        ("2001:db8::2", "z", "2001:db8::/32", "08:00:2b:01:02:05"),
    ]
    app.close()
    assert site.run("verify")[0] == ExitCode.OK


async def test_arrays_are_fed_from_json_and_from_texts_of_postgres(tmp_path: Path, any_database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, tags TEXT, n TEXT);"
        """INSERT INTO t VALUES (1, '["a", "b c"]', '{1,NULL}'), (2, '[]', NULL), (3, '[["a"]]', '{}')"""
    ).fetchall()
    await execute(any_database, "CREATE TABLE t(id int PRIMARY KEY, tags varchar(5)[] NOT NULL, n int[])")
    config = adopting(tmp_path, any_database)
    await up(config)
    assert [show_key(key) for _, key, _ in await quarantined(any_database)] == ["3"]
    assert await fetch(any_database, "SELECT 1 FROM t WHERE id = 1 AND tags = '{a,b c}' AND n = '{1,NULL}'")
    assert await is_equal(config)
    # A batch of a few rows, and one of many: an array of arrays would fall apart, so both are staged.
    app.execute("""UPDATE t SET tags = '["x"]', n = '[3, 4]' WHERE id > 1""")
    app.execute("UPDATE t SET tags = '{too long}' WHERE id = 1")
    await drain(config)
    assert [show_key(key) for _, key, _ in await quarantined(any_database)] == ["1"]
    assert await value(any_database, "SELECT count(*) FROM t WHERE tags = '{x}' AND n = '{3,4}'") == 2
    many = "WITH RECURSIVE c(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM c WHERE i < 1200) "
    app.execute(f"{many} INSERT INTO t SELECT i, json_array('a' || i), json_array(i, NULL) FROM c")
    app.execute("DELETE FROM t WHERE id = 2")
    await drain(config)
    assert await value(any_database, "SELECT count(*) FROM t WHERE tags[1] = 'a' || id AND n[1] = id") == 1191
    assert await is_equal(config)
    await execute(any_database, "UPDATE t SET n = '[0:1]={3,4}' WHERE id = 3")  # the same elements, elsewhere
    assert not await is_equal(config)
    app.close()


def test_arrays_come_back_in_the_form_of_the_application(site: Installation) -> None:
    site.sql("CREATE TABLE w(id INTEGER PRIMARY KEY, tags TEXT, n TEXT)")
    site.sql("""INSERT INTO w VALUES (1, '["a", "b"]', '{1,2}'), (2, '["é"]', '{3}')""")
    site.target_sql("CREATE TABLE w(id int PRIMARY KEY, tags text[], n int[])")
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[replicate]\nexclude = ["t"]')
    config = site.switched()
    site.target_sql("INSERT INTO w VALUES (3, '{x,NULL,\"y, z\"}', '{4,NULL}'); UPDATE w SET n = '{}' WHERE id = 2")
    asyncio.run(drain(config))
    app = application(site.database)
    assert app.execute("SELECT * FROM w ORDER BY id").fetchall() == [
        (1, '["a", "b"]', "{1,2}"),
        (2, '["é"]', "{}"),
        (3, '["x", null, "y, z"]', "{4,NULL}"),
    ]
    app.close()
    assert site.run("verify")[0] == ExitCode.OK
