"""Whatever is taken from the schema `cdc`, replication makes it again, compares what it cannot know, and goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import asyncpg
import pytest
from comparison import differences
from harness import Daemon, Live, execute, live, load, quarantined, value, wait_for, wait_until_equal, wait_until_said
from installation import Installation

from cdc.config import Config
from cdc.errors import AlreadyRunning, CdcError, ExitCode, TargetStateLost
from cdc.facts.phase import Phase
from cdc.postgres.record import own_schema
from cdc.postgres.record.own_schema import SchemaPart
from cdc.postgres.record.record import Record
from cdc.retry import is_transient
from cdc.sql_names import qualified, quote

pytestmark = pytest.mark.every_postgres

SCHEMA = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, n INTEGER, at TIMESTAMP, misc);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id));
INSERT INTO parent VALUES (1, 1, '2024-01-01', 'x'), (2, 'no number', '2024-01-02', 2), (3, 3, NULL, x'00');
INSERT INTO child VALUES (1, 1), (2, 77)
"""
ATTEMPTS = 5
TABLES = sorted({part.table for part in own_schema.expected()})
ALL_OF_IT = {
    "the schema": "DROP SCHEMA cdc CASCADE",
    "the row": "DELETE FROM cdc.stream",
    "the decisions": "DELETE FROM cdc.mapping",
    "the position": "UPDATE cdc.stream SET seq = NULL",
}


@pytest.fixture
async def session(config: Config) -> AsyncIterator[Live]:
    async with live(config) as opened:
        yield opened


async def follow(session: Live) -> None:
    """Sync as the daemon does, which tries again with everything read anew."""
    for _ in range(ATTEMPTS):
        try:
            return await session.sync()
        except CdcError as error:
            if not is_transient(error):
                raise
            await session.close()
    raise AssertionError("it never went on")


def write(app: apsw.Connection, number: int) -> None:
    """Changes of every kind, one of which would be lost by whoever goes on where the changelog ends."""
    app.execute("INSERT INTO parent VALUES (?, ?, '2024-02-03', ?)", (number, number, f"m{number}"))
    app.execute("UPDATE parent SET n = n + 1 WHERE id = 1; DELETE FROM parent WHERE id = ?", (number - 1,))


def dropping(part: SchemaPart) -> str:
    table = qualified("cdc", part.table)
    if part.kind == "index":
        return f"DROP INDEX cdc.{quote(part.name)}"
    if part.kind == "column":
        return f"ALTER TABLE {table} DROP COLUMN {quote(part.name)} CASCADE"
    return f"""DO $$ DECLARE name text; BEGIN
        SELECT conname INTO name FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('p', 'u') AND
            '{part.name}' = (SELECT string_agg(attname, ', ' ORDER BY k.o)
            FROM unnest(conkey) WITH ORDINALITY AS k(n, o) JOIN pg_attribute ON attrelid = conrelid AND attnum = k.n);
        EXECUTE 'ALTER TABLE {table} DROP CONSTRAINT ' || quote_ident(name); END $$"""


async def test_what_the_script_makes_is_what_is_looked_for(any_database: str, tmp_path: Path) -> None:
    """On every Postgres there is: the parts that are read off the script are those of the catalogue, and no others."""
    connection = await asyncpg.connect(any_database)
    await connection.execute(own_schema._SCRIPT)
    there = {SchemaPart(*record) for record in await connection.fetch(own_schema.SQL["present"])}
    keys = {part for part in there if part.kind == "index" and part not in own_schema.expected()}
    assert there - keys == own_schema.expected().keys()
    assert all(part.name.endswith(("_pkey", "_key")) for part in keys)
    await connection.close()


@pytest.mark.parametrize("table", TABLES)
async def test_any_part_of_a_table_is_made_again(
    app: apsw.Connection, config: Config, session: Live, database: str, table: str
) -> None:
    await follow(session)
    held = await quarantined(database)
    number = 100
    for part in sorted(part for part in own_schema.expected() if part.table == table):
        await execute(database, dropping(part))
        write(app, number := number + 1)
        await follow(session)
        await session.close()  # as after the heartbeat that finds something missing
        app.execute("INSERT INTO child VALUES (?, 1)", (number,))
        await follow(session)
        assert await differences(app, database) == [], part
        assert await quarantined(database) == held, part
        connection = await asyncpg.connect(database)
        assert await own_schema.missing(connection) == frozenset(), part
        await connection.close()


@pytest.mark.parametrize("registered", [False, True])
async def test_a_stream_that_is_taken_while_it_begins_is_lost_and_not_out_of_turn(
    config: Config, session: Live, database: str, registered: bool
) -> None:
    """A daemon that is told so makes it again; one that is told of a wrong phase would end.

    Another command may have registered the source again by then, and not come to its position yet.
    """
    await follow(session)
    await session.close()
    connection = await asyncpg.connect(database)
    try:
        record = Record(connection, str(await connection.fetchval("SELECT source_id FROM cdc.stream")))
        await connection.execute(ALL_OF_IT["the row"])
        if registered:
            await record.stream.register(str(config.source.path), "public")
        with pytest.raises(TargetStateLost, match=r"the position of this source .* was deleted or is void"):
            await record.stream.enter(Phase.REPLICATE)
    finally:
        await connection.close()


async def test_a_daemon_that_runs_goes_on_whatever_is_dropped(
    app: apsw.Connection, config: Config, database: str
) -> None:
    held = await quarantined(database)
    drops = ALL_OF_IT | {table: f"DROP TABLE cdc.{table}" for table in TABLES}

    with Daemon(config) as daemon:

        async def whole() -> bool:
            try:
                if not await entire(database):
                    return False
                return await differences(app, database) == [] and await quarantined(database) == held
            except asyncpg.PostgresError:
                return False

        number = 1000
        await wait_for(whole, "the beginning", daemon=daemon)
        for what, sql in drops.items():
            await execute(database, sql)
            app.execute("INSERT INTO child VALUES (?, 1)", (number := number + 1,))
            await wait_for(whole, f"equality without {what}", daemon=daemon)
        assert daemon.terminate() == ExitCode.OK
    assert "Traceback" not in daemon.words()


async def entire(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        if await own_schema.missing(connection):
            return False
        return bool(
            await connection.fetchval("SELECT seq IS NOT NULL FROM cdc.stream JOIN cdc.mapping USING (source_id)")
        )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("command", "what"), [*(("schema", what) for what in (*ALL_OF_IT, *TABLES)), ("up", "the row")]
)
def test_what_is_gone_is_made_again_while_no_daemon_runs(site: Installation, command: str, what: str) -> None:
    """And changes that were made meanwhile, some of them before the loss, arrive."""
    site.sql(SCHEMA)
    site.followed()
    site.sql("UPDATE parent SET n = 5 WHERE id = 1; DELETE FROM parent WHERE id = 3")
    site.target_sql(ALL_OF_IT.get(what) or f"DROP TABLE cdc.{what}")
    site.sql("INSERT INTO parent VALUES (4, 4, '2024-05-05', 4)")
    code, out, err = site.run("status")
    assert "Traceback" not in out + err
    if command == "schema":
        assert site.run("-q", "schema")[0] == ExitCode.OK
    site.followed()
    code, out, err = site.run("verify", "--json")
    assert code in (ExitCode.OK, ExitCode.DIFFERENCE), out + err
    connection = apsw.Connection(str(site.database))
    assert asyncio.run(differences(connection, site.dsn)) == []
    connection.close()


async def test_a_database_that_was_emptied_is_waited_for(app: apsw.Connection, config: Config, database: str) -> None:
    """Nothing in it says that it is the right one: a person does, by `cdc up`, and the daemon goes on by itself."""
    with Daemon(config) as daemon:
        await wait_for(lambda: value(database, "SELECT owner FROM cdc.stream"), "the daemon", daemon=daemon)
        await execute(database, "DROP SCHEMA cdc CASCADE; DROP TABLE parent, child CASCADE")
        await wait_until_said(daemon, "never loaded")
        app.execute("INSERT INTO child VALUES (5, 1)")
        await load_beside(config)

        await wait_until_equal(app, database, daemon)


async def load_beside(config: Config) -> None:
    """Snapshot, schema and load; for as long as the daemon tries once more, it has the lock."""

    async def done() -> bool:
        try:
            await load(config)
        except AlreadyRunning:
            return False
        return True

    await wait_for(done, "the load")
