"""Unique keys serve an application that writes to Postgres, and replication again after a way back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from harness import execute, fetch, recorded, wait_for
from replicated_pair import Pair, replicated

from cdc.errors import TargetHindered
from cdc.facts.progress import Silent
from cdc.facts.table_map import TableMap
from cdc.mapping.map_tables import map_schema
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.ddl import immediate_keys
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.sqlite.schema.read import read_schema
from cdc.verify import verify

LONG: Final = "a_name_as_long_as_postgres_keeps_one_and_no_longer_than_that_63"
SCHEMA: Final = f"""
CREATE TABLE person (id INTEGER PRIMARY KEY, mail TEXT UNIQUE, nick TEXT COLLATE NOCASE UNIQUE, badge INTEGER,
    org INTEGER, code TEXT UNIQUE, UNIQUE (org, badge));
CREATE UNIQUE INDEX person_badge ON person (badge) WHERE org IS NULL;
CREATE UNIQUE INDEX {LONG} ON person (badge, lower(mail)) WHERE org > 7;
CREATE TABLE "Odd ""Name" (word TEXT PRIMARY KEY COLLATE NOCASE, "it's" REAL NOT NULL UNIQUE);
CREATE TABLE child (id INTEGER PRIMARY KEY, of TEXT REFERENCES person (code));
INSERT INTO person VALUES (1, 'a@x', 'Ann', 5, NULL, 'a'), (2, 'b@x', 'Bob', 6, NULL, 'b'), (3, 'c@x', 'Cy', 5, 8, 'c');
INSERT INTO "Odd ""Name" VALUES ('one', 1.5), ('Two', 2.5);
INSERT INTO child VALUES (1, 'a');
"""
KEYS: Final = [
    'Odd "Name_expression_key of Odd "Name',
    'Odd "Name_it\'s_key of Odd "Name',
    f"{LONG} of person",
    "person_badge of person",
    "person_expression_key of person",
    "person_mail_key of person",
    "person_org_badge_key of person",
]
# How an application finds its row by each of them.
UPSERTS: Final = (
    "INSERT INTO person (mail) VALUES ('a@x') ON CONFLICT (mail) DO UPDATE SET mail = EXCLUDED.mail",
    """INSERT INTO person (nick) VALUES ('ANN') ON CONFLICT (lower(nick COLLATE "C")) DO NOTHING""",
    "INSERT INTO person (badge) VALUES (5) ON CONFLICT (badge) WHERE org IS NULL DO NOTHING",
    "INSERT INTO person (org, badge) VALUES (8, 5) ON CONFLICT (badge, org) DO NOTHING",
    """INSERT INTO person (org, badge, mail) VALUES (8, 5, 'C@x')
    ON CONFLICT (badge, lower(mail COLLATE "C")) WHERE org > 7 DO NOTHING""",
    """INSERT INTO "Odd ""Name" VALUES ('ONE', 1.5) ON CONFLICT (lower(word COLLATE "C")) DO NOTHING""",
    """INSERT INTO "Odd ""Name" VALUES ('x', 1.5) ON CONFLICT ("it's") DO NOTHING""",
    """INSERT INTO "Odd ""Name" VALUES ('two', 9) ON CONFLICT DO NOTHING""",
    "INSERT INTO person (mail, code) VALUES ('b@x', 'b') ON CONFLICT DO NOTHING",
)
UNIQUE: Final = ("Odd \"Name_it's_key", "person_mail_key", "person_org_badge_key")
# Values that change owners within one transaction, by each kind of key.
SWAP: Final = (
    "CREATE TEMP TABLE old AS SELECT * FROM person WHERE id < 3",
    "UPDATE person SET mail = id, nick = id, badge = -id WHERE id < 3",
    "UPDATE person SET (mail, nick, badge) = (SELECT mail, nick, badge FROM old WHERE id = 3 - person.id) WHERE id < 3",
    "DROP TABLE old",
    """UPDATE "Odd ""Name" SET "it's" = 9 - "it's" WHERE word = 'one'""",
    """UPDATE "Odd ""Name" SET "it's" = 4 - "it's" WHERE word = 'Two'""",
    """UPDATE "Odd ""Name" SET "it's" = "it's" - 5 WHERE word = 'one'""",
)


def maps_of(pair: Pair) -> list[TableMap]:
    return list(map_schema(read_schema(pair.app, pair.config), pair.config))


@asynccontextmanager
async def keys_of(pair: Pair) -> AsyncIterator[tuple[Connection, ApplicationKeys, list[TableMap]]]:
    connection = await connect(pair.dsn, purpose="test")
    try:
        yield connection, ApplicationKeys(connection, "public"), maps_of(pair)
    finally:
        await connection.close()


async def definitions(pair: Pair) -> list[tuple[Any, ...]]:
    """Every constraint and index of the targets as Postgres writes it, with its comment."""
    return await pair.rows(
        """SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), condeferrable,
            condeferred, convalidated, obj_description(oid, 'pg_constraint')
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid),
            indimmediate, indisvalid, indisready, obj_description(indexrelid, 'pg_class')
        FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relnamespace = 'public'::regnamespace
        ORDER BY 1, 2, 3"""
    )


async def answers(connection: Connection, sql: str) -> str:
    """What Postgres answers to a statement of an application; nothing of it stays."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        return str(await connection.execute(sql))
    except asyncpg.PostgresError as error:
        return str(error)
    finally:
        await attempt.rollback()


async def schema_findings(pair: Pair) -> list[object]:
    report = await verify(pair.config, None, False, Silent())
    return [*report.schema, *report.notes]


async def swap(pair: Pair) -> None:
    """Values change owners in SQLite, and Postgres follows."""
    await pair.write(*SWAP)
    assert (await pair.differences(), await pair.held()) == ([], {})


async def test_keys_serve_an_application_and_replication_again_after_the_way_back(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, SCHEMA) as pair, keys_of(pair) as (connection, keys, maps):
        await execute(pair.dsn, "COMMENT ON CONSTRAINT person_mail_key ON person IS 'its'' own'")
        before = await definitions(pair)
        assert await keys.deferrable(maps) == await keys.unready(maps) == KEYS
        for sql in UPSERTS:
            assert "ON CONFLICT" in await answers(connection, sql)

        await keys.prepare(maps, Silent())
        assert (await keys.deferrable(maps), await keys.unready(maps)) == (KEYS, [])
        await swap(pair)
        assert await schema_findings(pair) == []
        async with connection.transaction():
            assert await keys.make_immediate(maps) == []

        for sql in UPSERTS:
            assert (await answers(connection, sql)).startswith("INSERT 0 ")
        refer = "CREATE TABLE theirs (mail text REFERENCES person (mail), nick text)"
        assert await answers(connection, refer) == "CREATE TABLE"
        assert "person_badge" in await answers(connection, "INSERT INTO person (badge) VALUES (5)")
        assert await schema_findings(pair) == []
        assert await keys.deferrable(maps) == []
        # Of an exclusion constraint there is no twin.
        assert await keys.unready(maps) == [name for name in KEYS if name.split(" of ")[0] in UNIQUE]

        await keys.prepare(maps, Silent())
        assert await keys.unready(maps) == []
        assert await schema_findings(pair) == []
        await pair.replica.close()
        async with connection.transaction():
            assert await keys.make_deferrable(maps) == []
        assert await definitions(pair) == before
        await keys.prepare(maps, Silent())
        await keys.forget([mapped.target for mapped in maps])
        assert await definitions(pair) == before
        await swap(pair)
        # For a moment of the first swap: a twin refused what its key would have let wait.
        assert sorted(str(entry.details["table"]) for entry in await recorded(pair.dsn, "quarantine")) == [
            "child",
            "person",
        ]


async def test_nobody_waits_for_twins_and_what_ends_halfway_changes_no_key(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicated(tmp_path, database, SCHEMA) as pair, keys_of(pair) as (connection, keys, maps):
        before = await definitions(pair)
        reader = await asyncpg.connect(database)
        old = reader.transaction(isolation="repeatable_read")
        await old.start()
        await reader.execute("SELECT FROM child")

        async def waits() -> bool:
            phase = "SELECT FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'"
            return bool(await fetch(database, phase))

        # Until the old reader ends, a twin is as good as built, and refuses values that are there twice.
        building = asyncio.create_task(keys.prepare(maps, Silent()))
        await wait_for(waits, "a twin to wait for the reader")
        await swap(pair)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        assert await keys.unready(maps) == KEYS
        assert len(await definitions(pair)) == len(before) + 1
        await swap(pair)
        building = asyncio.create_task(keys.prepare(maps, Silent()))
        await wait_for(waits, "a twin to wait for the reader")
        await swap(pair)
        # As the victim of a deadlock ends, with a daemon that gives keys their other form at that moment.
        await execute(database, f"SELECT pg_cancel_backend({connection.get_server_pid()})")
        await old.rollback()
        await building
        assert await keys.unready(maps) == []

        prepared = await definitions(pair)
        async with keys_of(pair) as (lost, theirs, _):
            await lost.execute("BEGIN")
            await theirs.make_immediate(maps)
            assert await theirs.deferrable(maps) == []
            await execute(database, f"SELECT pg_terminate_backend({lost.get_server_pid()})")
        assert await definitions(pair) == prepared
        await swap(pair)

        monkeypatch.setattr(immediate_keys, "LOCK_SECONDS", 0.01)
        async with reader.transaction():
            await reader.execute("SELECT FROM person")
            with pytest.raises(TargetHindered, match="lock timeout"):
                async with connection.transaction():
                    await keys.make_immediate(maps)
        await reader.close()
        assert await definitions(pair) == prepared
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '7s'")
            await keys.make_immediate(maps)
            assert await connection.fetchval("SHOW lock_timeout") == "7s"
        assert await keys.deferrable(maps) == []


async def test_what_others_made_or_hung_on_a_key_stays(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, SCHEMA) as pair, keys_of(pair) as (connection, keys, maps):
        before = await definitions(pair)
        assert await keys.deferrable([replace(m, adopted=True) for m in maps]) == []
        await execute(
            database,
            """ALTER TABLE person ADD CONSTRAINT theirs UNIQUE (id, mail) DEFERRABLE INITIALLY DEFERRED;
            ALTER TABLE child ADD EXCLUDE USING gist (int8range(id, id, '[]') WITH &&) DEFERRABLE""",
        )
        with_theirs = await definitions(pair)
        assert await keys.deferrable(maps) == KEYS
        # Without twins it is the same, and only takes longer.
        async with connection.transaction():
            await keys.make_immediate(maps)
        assert await keys.deferrable(maps) == []
        await execute(
            database,
            """ALTER TABLE "Odd ""Name" REPLICA IDENTITY USING INDEX "Odd ""Name_it's_key";
            CREATE TABLE referring (mail text REFERENCES person (mail))""",
        )
        held = ['Odd "Name_it\'s_key of Odd "Name', "person_mail_key of person"]
        assert await keys.unready(maps) == ["person_org_badge_key of person"]
        async with connection.transaction():
            assert await keys.make_deferrable(maps) == held
        assert await keys.deferrable(maps) == [name for name in KEYS if name not in held]
        report = await verify(pair.config, None, False, Silent())
        assert report.schema == ()

        await execute(database, 'ALTER TABLE "Odd ""Name" REPLICA IDENTITY DEFAULT; DROP TABLE referring')
        async with connection.transaction():
            assert await keys.make_deferrable(maps) == []
        assert await definitions(pair) == with_theirs
        assert set(before) < set(with_theirs)

        await keys.prepare(maps, Silent())
        another = "ADD CONSTRAINT person_org_badge_key UNIQUE (org) INCLUDE (badge) DEFERRABLE"
        await execute(database, f"ALTER TABLE person DROP CONSTRAINT person_org_badge_key, {another}")
        assert await keys.unready(maps) == ["person_org_badge_key of person"]
        async with connection.transaction():
            await keys.make_immediate(maps)
        assert "UNIQUE (org) INCLUDE (badge)" in [row[3] for row in await definitions(pair)]
        await keys.prepare(maps, Silent())
        await keys.forget([mapped.target for mapped in maps])
        comments = {row[-1] for row in await definitions(pair)}
        assert comments == {None}
        assert await keys.make_deferrable(maps) == await keys.deferrable(maps) == []


async def test_a_twin_goes_with_a_key_that_the_application_has_no_longer(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, SCHEMA) as pair, keys_of(pair) as (_, keys, maps):
        await keys.prepare(maps, Silent())
        await pair.write(
            f"DROP INDEX {LONG}; DROP INDEX person_badge; CREATE UNIQUE INDEX person_badge ON person (org)"
        )
        await pair.write("INSERT INTO person (badge, mail, org) VALUES (5, 'C@x', 9), (5, 'd@x', NULL)")
        assert (await pair.differences(), await pair.held()) == ([], {})
        assert await keys.unready(maps_of(pair)) == ["person_badge of person"]
        assert await schema_findings(pair) == []
