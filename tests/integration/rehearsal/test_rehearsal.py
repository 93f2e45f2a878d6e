"""A rehearsal beside a production that goes on: it ends well, and nothing of production or of the copy tells of it."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
from harness import Daemon, application, execute, fetch, make_config, up, value, wait_for, wait_until_follows
from switched_pair import Command

from cdc.config import Config, TableOptions
from cdc.cutover import survey
from cdc.facts.progress import Silent
from cdc.facts.side import Side
from cdc.rehearsal.kills import Kill
from cdc.rehearsal.run import rehearse

TABLES = """
CREATE TABLE channel(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, about TEXT);
CREATE TABLE video(id TEXT PRIMARY KEY, channel INTEGER REFERENCES channel(id), title TEXT, seen TIMESTAMP);
CREATE TABLE tag(a TEXT NOT NULL, b INTEGER NOT NULL, n INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO channel(name) VALUES ('one'), ('two');
INSERT INTO video VALUES ('a', 1, 'A', '2024-01-02 03:04:05'), ('b', 2, 'B', 'no date'), ('c', NULL, NULL, NULL);
INSERT INTO tag VALUES ('x', 1, 1), ('x', 2, 2);
"""
# Made by the application's own migrations, with all that must not lead from the copy back here.
ADOPTED = """
CREATE TABLE elsewhere(id integer PRIMARY KEY); INSERT INTO elsewhere VALUES (1);
CREATE TABLE channel(id serial PRIMARY KEY, name text NOT NULL UNIQUE, about text,
    home integer NOT NULL DEFAULT 1 REFERENCES elsewhere);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.elsewhere SELECT max(id) + 1 FROM public.elsewhere; RETURN NEW; END $$;
CREATE TRIGGER touch AFTER INSERT OR UPDATE ON channel FOR EACH ROW EXECUTE FUNCTION touch();
"""
KILLS = (Kill(Side.POSTGRES, 12, "done"), Kill(Side.SQLITE, 8, "done"))
# What changes by itself while a daemon follows.
MOVING = {"stream", "sighting", "audit", "rehearsal", "verified_table"}


async def test_nothing_of_production_is_touched_and_nothing_of_the_copy_is_left(tmp_path: Path, database: str) -> None:
    config = await production(tmp_path, database)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await execute(database, "UPDATE cdc.quarantine SET acknowledged_at = now()")
        with writing(config.source.path):
            before = await picture(config)
            await killed_in_its_midst(config)
            assert await value(database, "SELECT count(DISTINCT source_id) FROM cdc.stream") == 2
            report = await rehearse(config, 1, Silent(), KILLS)
            assert await picture(config) == before
        assert daemon.runs
    assert (report.problems, report.refusals) == ([], [])
    assert [(kill.number, kill.side) for kill in report.kills] == [(12, "postgres"), (8, "sqlite")]
    assert report.account.rows[Side.SQLITE]
    assert report.account.rows[Side.POSTGRES]
    assert report.comparisons == len(KILLS) + 1
    assert [len(step.taken) for step in report.steps] == [1] * 28
    assert "trigger touch of channel in Postgres" in report.left_out
    assert "the foreign key channel_home_fkey of channel, which leads to public.elsewhere" in report.left_out
    await remembered(config)


async def production(folder: Path, dsn: str) -> Config:
    app = application(folder / "app.db")
    app.execute(TABLES).fetchall()
    app.close()
    await execute(dsn, ADOPTED)
    tables = {"channel": TableOptions(adopt=True)}
    config = make_config(folder, folder / "app.db", dsn, tables=tables, heartbeat_seconds=0.2)
    config = msgspec.structs.replace(config, verify=msgspec.structs.replace(config.verify, rolling_share=0.0))
    await up(config)
    return config


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """The application goes on, in a table that is not looked at."""
    stop = threading.Event()

    def write() -> None:
        app = application(path)
        while not stop.wait(0.01):
            app.execute("UPDATE video SET title = hex(randomblob(4)) WHERE id = 'a'").fetchall()
        app.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def killed_in_its_midst(config: Config) -> None:
    """A rehearsal that dies once its copy is followed; its daemon lives on."""
    command = Command(config, "rehearse")

    async def follows() -> bool:
        loaded = "SELECT count(*) FROM cdc.stream WHERE target_schema LIKE 'cdc_rehearsal_%' AND seq IS NOT NULL"
        return bool(await value(config.target.dsn, loaded))

    await wait_for(follows, "the copy to be followed")
    command.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(command.process.wait)


async def picture(config: Config) -> dict[str, Any]:
    """All that production has on both sides, but for what it writes itself."""
    reader = apsw.Connection(str(config.source.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found: dict[str, Any] = {"schema of SQLite": reader.execute("SELECT * FROM sqlite_schema").fetchall()}
        for table in ("channel", "tag", "_cdc_state", "_cdc_table"):
            found[table] = reader.execute(f"SELECT * FROM {table}").fetchall()
    finally:
        reader.close()
    found["others"] = reader_rows(config)
    dsn = config.target.dsn
    found["schemas"] = await fetch(
        dsn, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1"
    )
    found["objects"] = await fetch(dsn, _OBJECTS)
    found["functions"] = await fetch(dsn, "SELECT proname, prosrc FROM pg_proc WHERE oid >= 16384 ORDER BY 1, 2")
    found["sequences"] = await fetch(
        dsn, "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
    )
    for name in await tables(dsn, "public"):
        if name != "video":
            found[f"rows of {name}"] = await rows(dsn, f"public.{name}")
    for name in await tables(dsn, "cdc"):
        found[f"cdc.{name}"] = len(await rows(dsn, f"cdc.{name}")) if name == "stream" else None
        if name not in MOVING:
            found[f"cdc.{name}"] = await rows(dsn, f"cdc.{name}")
    return found


_OBJECTS = """
SELECT c.oid::regclass::text, c.relkind::text, c.relfilenode, obj_description(c.oid, 'pg_class'),
    ARRAY(SELECT tgname || tgenabled::text FROM pg_trigger WHERE tgrelid = c.oid ORDER BY 1) AS triggers,
    ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid ORDER BY 1) AS constraints
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1
"""


def reader_rows(config: Config) -> list[Any]:
    reader = apsw.Connection(str(config.source.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return reader.execute("SELECT * FROM video WHERE id <> 'a' ORDER BY id").fetchall()
    finally:
        reader.close()


async def tables(dsn: str, schema: str) -> list[str]:
    found = await fetch(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", schema)
    return [row[0] for row in found]


async def rows(dsn: str, table: str) -> list[str]:
    return [row[0] for row in await fetch(dsn, f"SELECT t::text FROM {table} AS t ORDER BY 1")]


async def remembered(config: Config) -> None:
    """The plan knows of it, until the application changes its schema."""
    assert not list((config.state.dir / "rehearsal").glob("*/"))
    plan = await survey.cutover_plan(config)
    (gate,) = (gate for gate in plan.gates if gate.name == "rehearsed")
    assert (gate.passed, gate.now) == (True, "passed, 0.0 h ago")
    assert plan.usual_in == "rehearsals"
    assert plan.usual_milliseconds.keys() == {step.name for step in plan.steps}
    app = application(config.source.path)
    app.execute("CREATE TABLE more(id INTEGER PRIMARY KEY)").fetchall()
    app.close()
    plan = await survey.cutover_plan(config)
    (gate,) = (gate for gate in plan.gates if gate.name == "rehearsed")
    assert (gate.passed, gate.now) == (False, "passed, 0.0 h ago, of another schema")
