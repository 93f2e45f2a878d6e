"""A table or column that the application makes later waits alone until its own migration makes it in Postgres."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from comparison import differences
from harness import Daemon, adopted, application, execute, fetch, up, value, wait_for, wait_until_said, write_config
from warm_commands import run_warm

from cdc.config import Config, TableOptions
from cdc.errors import ExitCode

LATER = "CREATE TABLE later (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO later VALUES (1, 'x'), (2, 'y')"
MIGRATION = "CREATE TABLE later (id bigint PRIMARY KEY, v text)"
WAITING = "SELECT source_table FROM cdc.target_table WHERE reason IS NOT NULL"


@pytest.fixture
def app(tmp_path: Path) -> apsw.Connection:
    connection = application(tmp_path / "app.db")
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT); INSERT INTO a VALUES (1, 'x')")
    return connection


@pytest.fixture
async def config(tmp_path: Path, app: apsw.Connection, any_database: str) -> Config:
    """A table that is adopted and followed."""
    await execute(any_database, "CREATE TABLE a (id bigint PRIMARY KEY, t text)")
    chosen = adopted(tmp_path, any_database)
    await up(chosen)
    return chosen


async def waits_alone(app: apsw.Connection, config: Config, daemon: Daemon, table: str = "later") -> str:
    """Once the table waits and the others go on; returns what the status says."""
    dsn = config.target.dsn
    app.execute("INSERT INTO a (t) VALUES ('goes on')")

    async def others_go_on() -> bool:
        waits = [row["source_table"] for row in await fetch(dsn, WAITING)]
        return waits == [table] and (table == "a" or await differences(app, dsn, ignored=[table]) == [])

    await wait_for(others_go_on, "the table to wait alone", daemon=daemon)
    code, out, _ = await asyncio.to_thread(run_warm, ["-c", str(daemon.file), "status"])
    assert code == ExitCode.DIFFERENCE, out
    return " ".join(out.split())


async def until_equal(app: apsw.Connection, config: Config, daemon: Daemon, *, ignored: tuple[str, ...] = ()) -> None:
    async def all_is_well() -> bool:
        dsn = config.target.dsn
        return not await fetch(dsn, WAITING) and await differences(app, dsn, ignored=ignored) == []

    await wait_for(all_is_well, "equality", daemon=daemon)


def reload(daemon: Daemon, config: Config, **options: Any) -> None:
    write_config(daemon.file, msgspec.structs.replace(config, **options))
    daemon.process.send_signal(signal.SIGHUP)


async def test_the_applications_migration_is_all_that_it_waits_for(app: apsw.Connection, config: Config) -> None:
    with Daemon(config) as daemon:
        app.execute(LATER)
        told = await waits_alone(app, config, daemon)
        assert 'table "public"."later" is not there, and the application\'s own migrations make it' in told
        assert "run them in Postgres, and the daemon takes it up by itself" in told
        app.execute("DELETE FROM later WHERE id = 1; UPDATE later SET v = 'z'; INSERT INTO later VALUES (3, 'w')")
        await execute(config.target.dsn, MIGRATION)
        await until_equal(app, config, daemon)
        app.execute("INSERT INTO later VALUES (4, 'live')")
        await until_equal(app, config, daemon)
        assert daemon.terminate() == ExitCode.OK


async def test_it_is_made_as_a_table_of_ours_where_that_is_wanted(app: apsw.Connection, config: Config) -> None:
    with Daemon(config) as daemon:
        app.execute(LATER)
        assert "set `adopt = false` in [tables.later]" in await waits_alone(app, config, daemon)
        reload(daemon, config, tables={"later": TableOptions(adopt=False)})
        await until_equal(app, config, daemon)
        app.execute("INSERT INTO later VALUES (4, 'live')")
        await until_equal(app, config, daemon)
        assert daemon.terminate() == ExitCode.OK


async def test_it_is_left_out_where_that_is_wanted(app: apsw.Connection, config: Config) -> None:
    with Daemon(config) as daemon:
        app.execute(LATER)
        assert 'leave it out with `exclude = ["later"]`' in await waits_alone(app, config, daemon)
        reload(daemon, config, replicate=msgspec.structs.replace(config.replicate, exclude=["later"]))
        await wait_until_said(daemon, "the configuration was read again")
        app.execute("INSERT INTO a (t) VALUES ('once more')")
        await until_equal(app, config, daemon, ignored=("later",))
        assert daemon.terminate() == ExitCode.OK


async def test_a_table_that_the_application_drops_again_is_not_missed(app: apsw.Connection, config: Config) -> None:
    with Daemon(config) as daemon:
        app.execute(LATER)
        await waits_alone(app, config, daemon)
        app.execute("DROP TABLE later")
        app.execute("INSERT INTO a (t) VALUES ('once more')")
        await until_equal(app, config, daemon)
        assert daemon.terminate() == ExitCode.OK


async def test_rows_that_a_migration_left_are_not_replaced_unasked(app: apsw.Connection, config: Config) -> None:
    dsn = config.target.dsn
    with Daemon(config) as daemon:
        app.execute(LATER)
        await waits_alone(app, config, daemon)
        await execute(dsn, f"BEGIN; {MIGRATION}; INSERT INTO later VALUES (9, 'of the migration'); COMMIT")
        await wait_until_said(daemon, "holds rows already")
        told = await waits_alone(app, config, daemon)
        assert 'table "public"."later" holds rows already' in told
        code, out, errors = await asyncio.to_thread(run_warm, ["-c", str(daemon.file), "schema"])
        assert code == ExitCode.OK, out + errors  # which claims nothing that is not ours yet
        assert await value(dsn, "SELECT string_agg(v, ',') FROM later") == "of the migration"
        assert daemon.terminate() == ExitCode.OK
    await up(config)
    assert await value(dsn, "SELECT string_agg(v, ',') FROM later") == "of the migration"
    with Daemon(config) as daemon:
        await execute(dsn, "DELETE FROM later")
        await until_equal(app, config, daemon)
        assert daemon.terminate() == ExitCode.OK


async def test_where_they_may_be_replaced_they_are_saved_first(app: apsw.Connection, config: Config) -> None:
    dsn = config.target.dsn
    config = msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, existing_rows="replace"))
    app.execute(LATER)
    await up(config)
    await execute(dsn, f"BEGIN; {MIGRATION}; INSERT INTO later VALUES (1, 'x'), (9, 'of the migration'); COMMIT")
    await up(config)
    assert await differences(app, dsn) == []
    saved = "".join(file.read_text() for file in (config.state.dir / "replaced").iterdir())
    assert "9,of the migration" in saved


async def test_a_column_that_is_added_later_waits_for_the_migration_with_its_table(
    app: apsw.Connection, config: Config
) -> None:
    with Daemon(config) as daemon:
        app.execute("ALTER TABLE a ADD COLUMN more TEXT; UPDATE a SET more = 'm'")
        told = await waits_alone(app, config, daemon, "a")
        assert 'table "public"."a" lacks more, which the application\'s own migrations make' in told
        app.execute("CREATE TABLE b (id INTEGER PRIMARY KEY)")  # what waits stops nothing
        app.execute("DELETE FROM a WHERE id = 1")
        await execute(config.target.dsn, "ALTER TABLE a ADD more text; CREATE TABLE b (id bigint PRIMARY KEY)")
        await until_equal(app, config, daemon)
        assert daemon.terminate() == ExitCode.OK


async def test_a_column_that_is_added_later_can_be_left_out(app: apsw.Connection, config: Config) -> None:
    with Daemon(config) as daemon:
        app.execute("ALTER TABLE a ADD COLUMN more TEXT")
        assert 'or add "more" to `skip` of [tables.a]' in await waits_alone(app, config, daemon, "a")
        reload(daemon, config, tables={"a": TableOptions(skip=["more"])})

        async def as_many() -> bool:
            count = await value(config.target.dsn, "SELECT count(*) FROM a")
            return bool(count == app.execute("SELECT count(*) FROM a").fetchall()[0][0])

        await wait_for(as_many, "its other columns", daemon=daemon)
        assert daemon.terminate() == ExitCode.OK
