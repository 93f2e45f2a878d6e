"""Unique keys serve an application that writes to Postgres, and replication again after a way back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from harness import execute
from replicated_pair import Pair, replicated

from cdc.facts.progress import Silent
from cdc.facts.table_map import TableMap
from cdc.mapping.map_tables import map_schema
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.sqlite.schema.read import read_schema
from cdc.verify import verify

LONG: Final = "a_name_as_long_as_postgres_keeps_one_and_no_longer_than_that_63"
SCHEMA: Final = f"""
CREATE TABLE person (id INTEGER PRIMARY KEY, mail TEXT UNIQUE, nick TEXT COLLATE NOCASE UNIQUE, badge INTEGER, org INTEGER,
    code TEXT UNIQUE, UNIQUE (org, badge));
CREATE UNIQUE INDEX person_badge ON person (badge) WHERE org IS NULL;
CREATE UNIQUE INDEX {LONG} ON person (badge, lower(mail)) WHERE org > 7;
CREATE TABLE "Odd ""Name" (word TEXT PRIMARY KEY COLLATE NOCASE, "it's" REAL UNIQUE);
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
    "INSERT INTO person (org, badge, mail) VALUES (8, 5, 'C@x') "
    "ON CONFLICT (badge, lower(mail)) WHERE org > 7 DO NOTHING",
    """INSERT INTO "Odd ""Name" VALUES ('ONE', 1.5) ON CONFLICT (lower(word COLLATE "C")) DO NOTHING""",
    """INSERT INTO "Odd ""Name" VALUES ('x', 1.5) ON CONFLICT ("it's") DO NOTHING""",
    """INSERT INTO "Odd ""Name" VALUES ('two', 9) ON CONFLICT DO NOTHING""",
    "INSERT INTO person (mail, code) VALUES ('b@x', 'b') ON CONFLICT DO NOTHING",
)
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
    """Every constraint and index of the targets as Postgres writes it, with its comments."""
    return await pair.rows(
        """SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), condeferrable,
            condeferred, convalidated, obj_description(oid, 'pg_constraint')
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid),
            indimmediate, indisvalid, indisready, obj_description(indexrelid, 'pg_class')
        FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relnamespace = 'public'::regnamespace
        ORDER BY 1, 2, 3"""
    )


async def upsert(connection: Connection, sql: str) -> str:
    """What Postgres answers to it; nothing stays of it."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        return await connection.execute(sql)
    except asyncpg.PostgresError as error:
        return str(error)
    finally:
        await attempt.rollback()


async def schema_findings(pair: Pair) -> list[object]:
    report = await verify(pair.config, None, False, Silent())
    return [*report.schema, *report.notes]


async def test_keys_serve_an_application_and_replication_again_after_the_way_back(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, SCHEMA) as pair, keys_of(pair) as (connection, keys, maps):
        await execute(pair.dsn, "COMMENT ON CONSTRAINT person_mail_key ON person IS 'its'' own'")
        before = await definitions(pair)
        assert await keys.deferrable(maps) == await keys.unready(maps) == KEYS
        for sql in UPSERTS:
            assert "ON CONFLICT" in await upsert(connection, sql)

        await keys.prepare(maps, Silent())
        assert await keys.unready(maps) == []
        assert await schema_findings(pair) == []
        await pair.write(*SWAP)
        print(await pair.held())
        assert (await pair.differences(), await pair.held()) == ([], {})
