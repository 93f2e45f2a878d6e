"""Postgres cannot do it now: whatever it says, the daemon tells it, tries again, and goes on by itself afterwards."""

import asyncio
from collections.abc import AsyncIterator

import apsw
import asyncpg
import pytest
from harness import Daemon, wait_for, wait_until_equal, wait_until_follows, wait_until_said
from poolers import pooler

from cdc.config import Config
from cdc.errors import ExitCode, TargetRefused, TargetUnavailable
from cdc.postgres.connection import open as connections
from cdc.postgres.server.embedded import EmbeddedServer
from cdc.retry import SETTLE_ATTEMPTS, is_transient
from cdc.stream.loop import FIRST_ATTEMPTS

# The server says what a table of the test tells it, in the middle of a batch, as if it came from its inside.
OBSTACLE = """
CREATE TABLE obstacle (code text);
CREATE SEQUENCE met;
CREATE FUNCTION no_obstacle(text) RETURNS boolean LANGUAGE plpgsql SET search_path = public AS $$
DECLARE found text := (SELECT code FROM obstacle);
BEGIN
    IF found IS NOT NULL THEN
        PERFORM nextval('met');  -- which no rollback takes back
        RAISE EXCEPTION 'obstacle %', found USING ERRCODE = found;
    END IF;
    RETURN true;
END $$;
ALTER TABLE t ADD CONSTRAINT free CHECK (no_obstacle(v)) NOT VALID
"""
CODES = [
    *("57014", "57P01", "57P03", "57P05", "25006", "25P03", "25P04", "40001", "40P01", "53100", "53200", "53300"),
    *("54001", "55000", "55006", "55P03", "58030", "08006", "XX001", "42501", "26000", "42P05"),
]
# For who looks on, in a database with other settings.
USUAL = (
    "datestyle=ISO&timezone=UTC&bytea_output=hex&search_path=public&standard_conforming_strings=on&statement_timeout=0"
    "&default_transaction_isolation=read%20committed&extra_float_digits=1&idle_in_transaction_session_timeout=0"
)
SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, b BLOB, at TIMESTAMP);
INSERT INTO t VALUES (1, 'one', x'00ff', '2024-02-03 04:05:06'), (2, 'two', NULL, NULL)
"""
# One of each answer by which nobody has to decide anything: however long it lasts.
LASTING = ["53100", "57P03", "42501", "26000"]
ONCE = ["0A000", "42P01", "42703", "XX000", "P0001"]  # tried a few times: what is there may have been altered


@pytest.fixture
async def beside(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    with Daemon(config) as started:
        await wait_until_follows(config, started)
        yield started


async def wait_until_met(beside: asyncpg.Connection, times: int, daemon: Daemon) -> None:
    """Wait until the daemon met the obstacle so many times."""
    met = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM met"

    async def tried() -> bool:
        return bool(await beside.fetchval(met) >= times)

    await wait_for(tried, f"{times} attempts", daemon=daemon)


async def test_an_obstacle_is_waited_for(
    app: apsw.Connection, daemon: Daemon, beside: asyncpg.Connection, database: str
) -> None:
    await wait_until_equal(app, database, daemon)
    await beside.execute(OBSTACLE)
    for number, code in enumerate([*CODES, *ONCE]):
        await beside.execute("INSERT INTO obstacle VALUES ($1)", code)
        app.execute("UPDATE t SET v = ?", (f"after {code}",))
        await wait_until_met(beside, 1, daemon)
        await beside.execute("DELETE FROM obstacle; ALTER SEQUENCE met RESTART")
        app.execute("INSERT INTO t(v) VALUES (?)", (str(number),))
        await wait_until_equal(app, database, daemon)
    assert daemon.terminate() == ExitCode.OK
    assert "waiting to retry" in daemon.words()
    assert "Traceback" not in daemon.words()


@pytest.mark.parametrize("code", LASTING)
async def test_an_obstacle_is_waited_for_longer_than_what_never_fits(
    app: apsw.Connection, daemon: Daemon, beside: asyncpg.Connection, database: str, code: str
) -> None:
    await wait_until_equal(app, database, daemon)
    await beside.execute(f"{OBSTACLE}; INSERT INTO obstacle VALUES ('{code}')")
    app.execute("UPDATE t SET v = 'new' WHERE id = 1")
    await wait_until_met(beside, SETTLE_ATTEMPTS + 1, daemon)
    await beside.execute("DELETE FROM obstacle")
    await wait_until_equal(app, database, daemon)
    assert daemon.terminate() == ExitCode.OK


async def test_a_daemon_that_meets_an_obstacle_with_its_first_batch_waits_as_well(
    app: apsw.Connection, config: Config, beside: asyncpg.Connection, database: str
) -> None:
    await beside.execute(f"{OBSTACLE}; INSERT INTO obstacle VALUES ('53100')")
    app.execute("UPDATE t SET v = 'new' WHERE id = 1")
    with Daemon(config) as daemon:
        await wait_until_met(beside, FIRST_ATTEMPTS + 1, daemon)
        await beside.execute("DELETE FROM obstacle")
        await wait_until_equal(app, database, daemon)
        assert daemon.terminate() == ExitCode.OK


async def test_what_never_fits_ends_the_daemon_for_a_person(
    app: apsw.Connection, config: Config, beside: asyncpg.Connection
) -> None:
    await beside.execute(OBSTACLE)
    await beside.execute("INSERT INTO obstacle VALUES ('XX000')")
    with Daemon(config) as daemon:
        app.execute("UPDATE t SET v = 'new' WHERE id = 1")
        code = await asyncio.to_thread(daemon.wait)
        assert code == ExitCode.CRITICAL
        assert "obstacle XX000" in daemon.words()
    assert await beside.fetchval("SELECT last_value FROM met") == SETTLE_ATTEMPTS, "one attempt meets it once"


async def test_a_cancelled_statement_is_done_again(
    app: apsw.Connection, daemon: Daemon, beside: asyncpg.Connection, database: str
) -> None:
    await wait_until_equal(app, database, daemon)
    blocker = await asyncpg.connect(database)
    await blocker.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    app.execute("UPDATE t SET v = 'new'")
    cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    async def cancelled() -> bool:
        return bool(await beside.fetchval(f"{cancel} AND datname = current_database()"))

    await wait_for(cancelled, "a statement to cancel", daemon=daemon)
    await wait_until_said(daemon, "canceling statement")
    await blocker.close()
    await wait_until_equal(app, database, daemon)


async def test_the_victim_of_a_deadlock_tries_again(
    app: apsw.Connection, daemon: Daemon, beside: asyncpg.Connection, database: str
) -> None:
    await wait_until_equal(app, database, daemon)
    await beside.execute("SET deadlock_timeout = '1h'; BEGIN; SELECT FROM t WHERE id = 2 FOR UPDATE")
    other = await asyncpg.connect(database)
    app.execute("UPDATE t SET v = 'new'")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    async def waits() -> bool:
        return bool(await other.fetchval(waiting))

    await wait_for(waits, "the daemon to wait for a row", daemon=daemon)
    await beside.execute("SELECT FROM t WHERE id = 1 FOR UPDATE")
    await beside.execute("COMMIT")
    await wait_until_said(daemon, "deadlock detected")
    await wait_until_equal(app, database, daemon)
    await other.close()


async def test_settings_that_change_while_it_runs_change_nothing(
    app: apsw.Connection, daemon: Daemon, beside: asyncpg.Connection, database: str
) -> None:
    """Among them the one that lets a database be read only, until it may be written again."""
    await wait_until_equal(app, database, daemon)
    name = await beside.fetchval("SELECT quote_ident(current_database())")
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'cdc daemon%'"
    for setting in (
        *(
            "datestyle = 'German, DMY'",
            "timezone = 'Asia/Kathmandu'",
            "bytea_output = 'escape'",
            "search_path = nowhere",
        ),
        *(
            "standard_conforming_strings = off",
            "default_transaction_isolation = 'serializable'",
            "extra_float_digits = 0",
        ),
        *("statement_timeout = 1", "idle_in_transaction_session_timeout = 1", "default_transaction_read_only = on"),
    ):
        await beside.execute(f"ALTER DATABASE {name} SET {setting}")
    await beside.execute(f"{cut} AND datname = current_database()")
    app.execute("INSERT INTO t VALUES (3, 'back\\slash', x'5c00', '1999-02-03 04:05:06.5')")
    await wait_until_said(daemon, "read-only transaction")
    await beside.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await wait_until_equal(app, f"{database}&{USUAL}", daemon)
    assert daemon.terminate() == ExitCode.OK


async def test_a_pooler_in_transaction_mode_is_refused_with_what_to_do(database: str, server: EmbeddedServer) -> None:
    name = database.partition("@/")[2].partition("?")[0]
    async with pooler(f"{server.socket}/.s.PGSQL.5432", "postgres", name) as between:
        dsn = f"postgresql://postgres@127.0.0.1:{between.port}/{name}"
        with pytest.raises(TargetRefused, match="pooler that gives each transaction another session") as refused:
            await connections.connect(dsn, purpose="daemon")
    assert "session mode" in refused.value.remedy


async def test_a_name_that_is_not_known_any_more_is_looked_up_again() -> None:
    with pytest.raises(TargetUnavailable) as gone:
        await connections.connect("postgresql://postgres@nowhere.invalid/db", purpose="daemon")
    assert is_transient(gone.value)
