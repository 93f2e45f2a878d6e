"""One table whose copy in Postgres was dropped, renamed or altered by hand waits alone; its remedy ends in equality."""

import asyncio

import apsw
import asyncpg
import pytest
from comparison import differences
from harness import Daemon, execute, fetch, value, wait_for, wait_until_equal, wait_until_said
from warm_commands import run_warm

from cdc.config import Config
from cdc.errors import ExitCode

SCHEMA = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, v TEXT);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id), v TEXT);
CREATE TABLE other(id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO parent VALUES (1, 1, 'one'), (2, 2, 'two');
INSERT INTO child VALUES (1, 1, 'of one'), (2, 9, 'of nobody');
INSERT INTO other VALUES (1, 'x')
"""
FOREIGN_KEYS = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'child'::regclass"
WAITING = "SELECT source_table FROM cdc.target_table WHERE reason IS NOT NULL"

# What is done by hand, and what puts it right; the command, or SQL.
WAIT = {
    "dropped": ("DROP TABLE parent CASCADE", "cdc schema"),
    "renamed": ("ALTER TABLE parent RENAME TO elsewhere", 'ALTER TABLE "public"."elsewhere" RENAME TO "parent"'),
    "key gone": ("ALTER TABLE parent DROP CONSTRAINT parent_pkey CASCADE", "ALTER TABLE parent ADD PRIMARY KEY (id)"),
    "type": ("ALTER TABLE parent ALTER v TYPE point USING NULL", "ALTER TABLE parent ALTER v TYPE text USING NULL"),
    "demand": (
        "ALTER TABLE parent ADD more int NOT NULL DEFAULT 1; ALTER TABLE parent ALTER more DROP DEFAULT",
        "ALTER TABLE parent DROP more",
    ),
    "rule": ("CREATE RULE keeps AS ON UPDATE TO parent DO INSTEAD NOTHING", "DROP RULE keeps ON parent"),
    "rule for deletes": ("CREATE RULE keeps AS ON DELETE TO parent DO INSTEAD NOTHING", "DROP RULE keeps ON parent"),
}
# What is put right by itself.
HEALED = {
    "column dropped": "ALTER TABLE parent DROP COLUMN v",
    "column retyped": "ALTER TABLE parent ALTER n TYPE text",
    "column widened": "ALTER TABLE parent ALTER n TYPE numeric",
    "constraint added": "ALTER TABLE parent ADD CONSTRAINT few CHECK (n < 1000)",
}


async def command(daemon: Daemon, *words: str) -> tuple[int, str]:
    """Give a command beside the daemon; its exit code and all it wrote."""
    code, out, errors = await asyncio.to_thread(run_warm, ["-c", str(daemon.file), *words])
    return code, out + errors


@pytest.mark.parametrize("what", WAIT)
async def test_a_table_that_cannot_take_its_rows_waits_alone(
    app: apsw.Connection, config: Config, database: str, what: str
) -> None:
    by_hand, remedy = WAIT[what]
    keys = await value(database, FOREIGN_KEYS)
    with Daemon(config) as daemon:
        await execute(database, by_hand)
        app.execute("UPDATE parent SET v = 'first', n = n + 1; INSERT INTO parent VALUES (3, 3, 'three')")
        app.execute("INSERT INTO other VALUES (2, 'y'); INSERT INTO child VALUES (3, NULL, 'free')")

        async def others_go_on() -> bool:
            waits = await fetch(database, WAITING)
            # The child may have lost its foreign key with the parent, and would take its orphans now.
            return bool(waits) and await differences(app, database, ignored=["parent", "child"]) == []

        await wait_for(others_go_on, "the other tables to go on", daemon=daemon)
        app.execute("DELETE FROM parent WHERE id = 2; UPDATE other SET v = 'z'")
        await wait_for(others_go_on, "the other tables to go on", daemon=daemon)
        code, out = await command(daemon, "status")
        assert code == ExitCode.DIFFERENCE, out
        assert "table parent waits: table" in out
        if what in ("dropped", "renamed"):
            assert remedy in out
        if remedy.startswith("cdc "):
            assert (await command(daemon, *remedy.split()[1:]))[0] == ExitCode.OK
        else:
            await execute(database, remedy)

        async def all_is_well() -> bool:
            try:
                waits = await fetch(database, WAITING)
                return not waits and await differences(app, database) == []
            except asyncpg.PostgresError:
                return False

        await wait_for(all_is_well, "equality", daemon=daemon)
        await wait_until_said(daemon, "take up tables")
        if what in ("dropped", "key gone"):

            async def as_before() -> bool:
                return bool(await value(database, FOREIGN_KEYS) == keys)

            await wait_for(as_before, "the foreign key of its child", daemon=daemon)
        assert daemon.terminate() == ExitCode.OK


@pytest.mark.parametrize("what", HEALED)
async def test_what_can_be_put_right_is(app: apsw.Connection, config: Config, database: str, what: str) -> None:
    with Daemon(config) as daemon:
        await execute(database, HEALED[what])
        app.execute("UPDATE parent SET v = 'first', n = n + 1; INSERT INTO parent VALUES (3, 3, 'three')")
        await wait_until_equal(app, database, daemon)
        assert daemon.terminate() == ExitCode.OK
