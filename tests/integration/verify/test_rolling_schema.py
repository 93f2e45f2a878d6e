"""What somebody alters of a target while the daemon runs is told, and its end; what the application alters is not."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness import Daemon, application, execute, followed, recorded, value, wait_for, wait_until_caught_up
from warm_commands import run_warm

from cdc.config import Config, VerifySection
from cdc.errors import ExitCode

TABLES = """
CREATE TABLE owner(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES owner(id), name TEXT,
    price INTEGER CHECK (price > 0));
CREATE INDEX item_name ON item(name);
INSERT INTO owner VALUES (1, 'a');
INSERT INTO item VALUES (1, 1, 'x', 5);
"""
FOUND, OVER = "find an altered schema", "end of an altered schema"
EAGER = VerifySection(rolling_share=1.0, rolling_hours=0.5 / 3600)  # it is looked twice a second


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    made = await followed(tmp_path, database, TABLES, heartbeat_seconds=0.2)
    return msgspec.structs.replace(made, verify=EAGER)


def status(daemon: Daemon) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run_warm(["-c", str(daemon.file), "status", "--json"])[1])
    return told


async def wait_until_recorded(config: Config, action: str, times: int, daemon: Daemon) -> None:
    async def is_recorded() -> bool:
        return len(await recorded(config.target.dsn, action)) >= times

    await wait_for(is_recorded, f"the trail to have {action!r} {times} times", daemon=daemon)


async def test_an_index_dropped_by_hand_is_told_and_its_end_too_by_a_new_daemon(config: Config) -> None:
    with Daemon(config) as daemon:
        await execute(config.target.dsn, "DROP INDEX item_name")
        await wait_until_recorded(config, FOUND, 1, daemon)
        told = await asyncio.to_thread(status, daemon)
        assert told["exit_code"] == ExitCode.DIFFERENCE
        (finding,) = told["verification"]["schema"]
        assert (finding["table"], finding["kind"], finding["name"]) == ("item", "index", "item_name")
        assert "the schema in Postgres is not as it should be" in daemon.words()
        daemon.kill()
    with Daemon(config) as daemon:
        await execute(config.target.dsn, "CREATE INDEX item_name ON item (name NULLS FIRST)")
        await wait_until_recorded(config, OVER, 1, daemon)
        assert (await asyncio.to_thread(status, daemon))["exit_code"] == ExitCode.OK
    assert len(await recorded(config.target.dsn, FOUND)) == 1


MIGRATIONS = (
    "CREATE INDEX item_price ON item(price)",
    "CREATE UNIQUE INDEX item_both ON item(name, id)",
    "ALTER TABLE item ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",
    "DROP INDEX item_name; CREATE INDEX item_name ON item(name DESC, price)",
    "CREATE TABLE tag(id INTEGER PRIMARY KEY, item INTEGER REFERENCES item(id) ON DELETE CASCADE, word TEXT UNIQUE)",
    "CREATE VIEW names AS SELECT id, name FROM item",
    """DROP VIEW names;
    CREATE TABLE item_new(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES owner(id) ON DELETE SET NULL,
        name TEXT NOT NULL DEFAULT 'n', price INTEGER CHECK (price > -5), note TEXT);
    INSERT INTO item_new SELECT * FROM item; DROP TABLE item; ALTER TABLE item_new RENAME TO item;
    CREATE INDEX item_name ON item(name); CREATE VIEW names AS SELECT id, name FROM item""",
    "DROP INDEX item_name",
    "ALTER TABLE owner RENAME COLUMN name TO called",
    "DROP TABLE tag",
    "VACUUM",
)


async def test_an_application_that_migrates_under_load_raises_no_alarm(config: Config) -> None:
    """Each change is looked at as it is followed: the look that comes then would tell of anything left behind."""
    app = application(config.source.path)
    with Daemon(config) as daemon:
        for number, migration in enumerate(MIGRATIONS):
            inside = () if migration == "VACUUM" else ("BEGIN", "COMMIT")
            for sql in (*inside[:1], migration, *inside[1:]):
                app.execute(sql).fetchall()
            for key in range(200):
                app.execute(
                    "INSERT INTO item(id, owner, name, price) VALUES (?, 1, ?, 3)",
                    (number * 1000 + key + 10, f"n{number} {key}"),
                )
            await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
            now = await value(config.target.dsn, "SELECT now()::text")
            compared = f"SELECT max(since) > '{now}'::timestamptz + interval '1 second' FROM cdc.verified_table"
            await wait_for(partial(is_true, config, compared), "a look that began since", daemon=daemon)
        assert "not as it should be" not in daemon.words()
        # That it would have been told: the same by hand.
        await execute(config.target.dsn, "ALTER TABLE item DROP CONSTRAINT item_owner_fkey")
        await wait_until_recorded(config, FOUND, 1, daemon)
    (entry,) = await recorded(config.target.dsn, FOUND)
    assert "foreign key item_owner_fkey" in str(entry.details)
    app.close()


async def is_true(config: Config, sql: str) -> bool:
    return bool(await value(config.target.dsn, sql))
