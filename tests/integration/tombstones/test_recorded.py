"""Which keys get a tombstone, what is written in it, and how it ends."""

from pathlib import Path

import asyncpg
import pytest
from comparison import differences
from harness import Daemon, application, drain, execute, fetch, followed, live, recorded, wait_for

from cdc.config import Config, TableOptions, TombstonesSection
from cdc.facts.row_key import show_key

TABLES = """
CREATE TABLE t(id TEXT PRIMARY KEY, once TEXT UNIQUE, v);
INSERT INTO t VALUES ('a', 'one', 1), ('b', 'two', 2), ('c', 'three', 3), ('d', 'four', 4);
CREATE TABLE child(id INTEGER PRIMARY KEY, t TEXT REFERENCES t(id) ON DELETE CASCADE);
INSERT INTO child VALUES (1, 'a'), (2, 'a'), (3, 'b');
CREATE TABLE keyless(v); INSERT INTO keyless VALUES (1), (2);
"""


async def stones(dsn: str, *, returned: bool = False) -> list[str]:
    """Table, key and cause of the tombstones that stand, or of those whose key came back."""
    sql = "SELECT source_table, key, cause FROM cdc.tombstone WHERE (returned_at IS NOT NULL) = $1 ORDER BY 1, 2"
    return [f"{r[0]} {show_key(r[1])} {r[2]}" for r in await fetch(dsn, sql, returned)]


@pytest.mark.parametrize(
    ("statement", "buried"),
    [
        ("DELETE FROM t WHERE id = 'd'", ["t 'd' application"]),
        (
            "PRAGMA foreign_keys = ON; DELETE FROM t WHERE id = 'a'",
            ["child 1 application", "child 2 application", "t 'a' application"],
        ),
        ("INSERT OR REPLACE INTO t VALUES ('new', 'four', 5)", ["t 'd' application"]),
        ("UPDATE t SET id = 'moved' WHERE id = 'd'", ["t 'd' application"]),
        ("INSERT INTO t VALUES ('short', 'life', 0); DELETE FROM t WHERE id = 'short'", ["t 'short' application"]),
        ("INSERT OR IGNORE INTO t VALUES ('never', 'one', 0)", []),
        ("INSERT OR REPLACE INTO t VALUES ('a', 'one', 9)", []),
        ("DELETE FROM t WHERE id = 'd'; INSERT INTO t VALUES ('d', 'four', 9)", []),
        ("DELETE FROM keyless WHERE v = 1", []),
        ("BEGIN; DELETE FROM t; ROLLBACK", []),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_what_left_gets_one_and_what_never_was_gets_none(
    tmp_path: Path, database: str, statement: str, buried: list[str]
) -> None:
    config = await followed(tmp_path, database, TABLES)
    app = application(tmp_path / "app.db")
    app.execute(statement)
    await drain(config)
    assert await stones(database) == buried
    assert await differences(app, database) == []
    app.close()


async def test_many_at_once_have_the_time_that_the_changelog_has(tmp_path: Path, any_database: str) -> None:
    config = await followed(tmp_path, any_database, TABLES, round_entries=300)
    app = application(tmp_path / "app.db")
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT 'k' || i, i, i FROM n"
    app.execute(f"INSERT INTO t {many}")
    async with live(config) as session:
        await session.sync()
        app.execute("DELETE FROM t WHERE id LIKE 'k%'; INSERT INTO t VALUES ('k7', '7', 7)")
        row = app.execute("SELECT min(at), max(at) FROM _cdc_changelog WHERE op = 'D'").fetchall()[0]
        first, last = (float(str(moment)) for moment in row)
        await session.sync()
    rows = await fetch(
        any_database, "SELECT extract(julian FROM deleted_at AT TIME ZONE 'UTC+12')::float8 FROM cdc.tombstone"
    )
    assert len(rows) == 1999
    assert all(first - 1e-6 <= row[0] <= last + 1e-6 for row in rows)
    assert await differences(app, any_database) == []
    app.close()


async def test_one_that_is_inserted_again_is_applied_and_told(tmp_path: Path, any_database: str) -> None:
    config = await followed(tmp_path, any_database, TABLES)
    app = application(tmp_path / "app.db")
    for rows in (1, 2):  # directly, and by a stage, which children need
        app.execute("PRAGMA foreign_keys = ON; DELETE FROM t WHERE id = 'a'")
        await drain(config)
        app.execute(f"INSERT INTO t VALUES ('a', 'one', {rows})")
        if rows == 2:
            app.execute("PRAGMA foreign_keys = OFF; INSERT INTO child VALUES (1, 'a'), (99, 'missing')")
        await drain(config)
        assert await differences(app, any_database) == []
    assert await stones(any_database, returned=True) == ["child 1 application", "t 'a' application"]
    assert await stones(any_database) == ["child 2 application"]
    told = [entry.details for entry in await recorded(any_database, "return from the dead")]
    assert [(d["table"], d["rows"]) for d in told] == [("t", 1), ("t", 1), ("child", 1)]
    batches = [entry.details["tables"] for entry in await recorded(any_database, "batch")]
    assert sum(tables.get("t", {}).get("returned", 0) for tables in batches) == 2  # type: ignore[union-attr, misc]
    app.execute("DELETE FROM t WHERE id = 'a'")
    await drain(config)
    assert "t 'a' application" in await stones(any_database)
    app.close()


async def test_where_it_is_allowed_nothing_is_told(tmp_path: Path, database: str) -> None:
    config = await followed(tmp_path, database, TABLES)
    allowed = with_options(config, TableOptions(resurrection="allow"))
    app = application(tmp_path / "app.db")
    app.execute("DELETE FROM t WHERE id = 'd'")
    await drain(allowed)
    app.execute("INSERT INTO t VALUES ('d', 'four', 1)")
    await drain(allowed)
    assert await stones(database, returned=True) == ["t 'd' application"]
    assert await recorded(database, "return from the dead") == []
    app.close()


def with_options(config: Config, options: TableOptions) -> Config:
    return Config(**{**{f: getattr(config, f) for f in config.__struct_fields__}, "tables": {"t": options}})


async def test_with_no_days_none_is_written(tmp_path: Path, database: str) -> None:
    config = await followed(tmp_path, database, TABLES)
    none = Config(
        **{**{f: getattr(config, f) for f in config.__struct_fields__}, "tombstones": TombstonesSection(days=0)}
    )
    app = application(tmp_path / "app.db")
    app.execute("DELETE FROM t WHERE id = 'd'")
    await drain(none)
    app.execute("PRAGMA foreign_keys = ON; DELETE FROM t")
    await drain(none)
    assert await stones(database) == []
    app.close()


async def test_they_expire_and_the_daemon_takes_them_away(tmp_path: Path, database: str) -> None:
    config = await followed(tmp_path, database, TABLES, heartbeat_seconds=0.1)
    app = application(tmp_path / "app.db")
    app.execute("DELETE FROM t WHERE id IN ('c', 'd')")
    await drain(config)
    await execute(
        database, "UPDATE cdc.tombstone SET deleted_at = now() - interval '31 days' WHERE key IN ('tc', 'td')"
    )
    app.execute("INSERT INTO t VALUES ('c', 'three', 1)")
    await drain(config)
    assert await stones(database, returned=True) == []
    await execute(database, "UPDATE cdc.tombstone SET waits = true WHERE key = 'tc'")

    async def pruned() -> bool:
        return await stones(database) == ["t 'c' application"]

    with Daemon(config) as daemon:
        await wait_for(pruned, "the tombstones to be pruned", daemon=daemon)
    app.close()


async def test_a_tombstone_is_of_the_batch_that_deletes(tmp_path: Path, database: str) -> None:
    config = await followed(tmp_path, database, TABLES)
    app = application(tmp_path / "app.db")
    app.execute("DELETE FROM t WHERE id = 'd'")
    with Daemon(config, ("run", "--until-idle"), {"CDC_CRASH_AT": "apply.before_commit"}) as daemon:
        daemon.wait()
    assert await stones(database) == []
    await drain(config)
    assert await stones(database) == ["t 'd' application"]
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT deleted_at <= applied_at FROM cdc.tombstone")
    await connection.close()
    app.close()


async def test_keys_of_every_kind_are_known_again(tmp_path: Path, database: str) -> None:
    config = await followed(
        tmp_path,
        database,
        "CREATE TABLE k(a TEXT, b TEXT COLLATE NOCASE, PRIMARY KEY (a, b)) WITHOUT ROWID;"
        "CREATE TABLE r(x REAL PRIMARY KEY); CREATE TABLE w(id INTEGER PRIMARY KEY, v);"
        "CREATE TABLE b(x BLOB PRIMARY KEY)",
    )
    app = application(tmp_path / "app.db")
    rows = (
        "INSERT INTO r VALUES (0.1), (1e300); INSERT INTO w VALUES (1, 'a'), (-9223372036854775808, 'b');"
        "INSERT INTO b VALUES (x'00ff'), (x''); INSERT INTO k VALUES ('a' || char(31) || 'b', 'x'), ('a', 'Ab')"
    )
    app.execute(rows)
    await drain(config)
    app.execute("DELETE FROM r; DELETE FROM w; DELETE FROM b; DELETE FROM k")
    await drain(config)
    standing = await stones(database)
    assert len(standing) == 8
    app.execute(rows)
    await drain(config)
    assert await stones(database) == []
    assert await stones(database, returned=True) == standing
    app.close()
