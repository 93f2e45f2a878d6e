"""The end of a move on purpose: the way back is ended with proven copies, and then both databases are as without us."""

import asyncio
import re
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from conftest import fresh_database
from harness import application, execute, make_config, up, value
from switched_pair import accepting, quiet, run, set_up

from cdc.audit import trail
from cdc.config import Config, CutoverSection, SourceSection, TargetSection
from cdc.cutover import prepare
from cdc.cutover import run as switch
from cdc.ending import cleanup, remains
from cdc.ending.finalize import finalize
from cdc.ending.survey import FinalWish
from cdc.errors import ExitCode
from cdc.facts.phase import Phase
from cdc.facts.progress import Silent
from cdc.first_copy.create_schema import render_schema
from cdc.observe.status import Status, gather
from cdc.postgres.connection.open import connect
from cdc.postgres.ddl.scratch_schema import ScratchSchema
from cdc.postgres.server.dump import DumpPrograms, find_programs
from cdc.postgres.server.embedded import EmbeddedServer
from cdc.postgres.server.endpoint import reached
from cdc.sqlite.snapshot.restore import restore
from cdc.sqlite.snapshot.snapshot import open_snapshot
from cdc.stream import end

TABLES = """
CREATE TABLE channel(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, nick TEXT);
CREATE TABLE video(id TEXT PRIMARY KEY, channel INTEGER REFERENCES channel(id), title TEXT);
CREATE UNIQUE INDEX channel_nick ON channel(nick COLLATE NOCASE);
CREATE INDEX video_title ON video(title);
CREATE VIEW titled AS SELECT id, title FROM video WHERE title IS NOT NULL;
CREATE TRIGGER of_the_application AFTER DELETE ON channel BEGIN DELETE FROM video WHERE channel = OLD.id; END;
INSERT INTO channel(name, nick) VALUES ('one', 'I'), ('two', NULL);
INSERT INTO video VALUES ('a', 1, 'A'), ('b', 2, 'B');
"""
MIGRATION = "ALTER TABLE video ADD COLUMN seen INTEGER; CREATE INDEX video_seen ON video(seen)"
WRITES = "INSERT INTO video(id, channel, title) VALUES ('c', 2, 'C'); UPDATE channel SET nick = 'II' WHERE id = 2"
PROGRAM_SECONDS = 60


def schema_in(file: Path) -> list[tuple[Any, ...]]:
    with closing(application(file)) as connection:
        return sorted(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"), key=repr)


def rows_in(file: Path) -> list[tuple[Any, ...]]:
    with closing(application(file)) as connection:
        videos = connection.execute("SELECT * FROM video ORDER BY id").fetchall()
        return [*videos, *connection.execute("SELECT * FROM channel ORDER BY id")]


async def status_of(config: Config) -> Status:
    async with reached(config) as endpoint:
        return await gather(config, endpoint)


async def programs(dsn: str) -> DumpPrograms:
    found = await find_programs(int(await value(dsn, "SHOW server_version_num")) // 10_000)
    assert found is not None
    return found


def called(programs: DumpPrograms, program: str, *arguments: str) -> str:
    command = [str(programs.folder / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def schema_of(dsn: str) -> str:
    """All of a database but for its rows, without the key by which each dump is told from others."""
    dumped = called(await programs(dsn), "pg_dump", "--schema-only", f"--dbname={dsn}")
    return re.sub(r"^\\(un)?restrict .*$", "", dumped, flags=re.MULTILINE)


async def as_printed(config: Config, dsn: str) -> str:
    """What `cdc schema --print` makes, without comments of ours, and with keys as an application wants them."""
    script = "\n".join(line for line in (await render_schema(config)).splitlines() if not line.startswith("COMMENT ON"))
    script = re.sub(r"(UNIQUE \([^)]*\)) DEFERRABLE INITIALLY IMMEDIATE", r"\1", script)
    script = re.sub(
        r"ALTER TABLE (\S+) ADD CONSTRAINT (\S+) EXCLUDE USING btree \((.*) WITH =\) DEFERRABLE INITIALLY IMMEDIATE",
        r"CREATE UNIQUE INDEX \2 ON \1 (\3)",
        script,
    )
    assert "EXCLUDE" not in script
    await execute(dsn, script)
    return await schema_of(dsn)


async def switched(config: Config) -> None:
    await prepare.prepare(config, Silent())
    await switch.cutover(config, quiet)


async def test_killed_anywhere_the_end_leaves_both_databases_as_without_us(
    tmp_path: Path, database: str, server: EmbeddedServer
) -> None:
    config = await set_up(tmp_path, database, TABLES, finalize_after_hours=0.0)
    with closing(application(config.source.path)) as app:
        app.execute(MIGRATION).fetchall()
    await up(config)
    without_us = tmp_path / "without_us.db"
    with closing(application(without_us)) as app:
        app.execute(TABLES).fetchall()
        app.execute("CREATE TABLE probe(id INTEGER PRIMARY KEY, n INTEGER)").fetchall()
        app.execute(MIGRATION).fetchall()
        app.execute(WRITES).fetchall()
    await switched(config)
    await execute(database, WRITES)

    # Before the end: the way back is open as before. After it: given again, the command goes on.
    for crash_at, phase in (("switch.step_done:4", Phase.CUTOVER), ("switch.step_done:5", Phase.FINALIZED)):
        code, words = await run(config, "finalize", "--yes", crash_at=crash_at)
        assert code == -9, words
        assert await value(database, "SELECT phase FROM cdc.stream") == phase
    assert (await status_of(config)).next_step == "have the rest done: `cdc finalize`"
    await execute(database, "UPDATE video SET title = 'later' WHERE id = 'a'")
    code, words = await run(config, "finalize", "--yes", crash_at="switch.step_done:1")
    assert code == -9, words
    note = (await finalize(config, FinalWish(), quiet, Silent())).note
    assert note.complete
    assert await accepting(config) == {"postgres"}

    restored = tmp_path / "restored.db"
    restore(open_snapshot(config.state.dir / "snapshots" / note.snapshot), restored)
    assert schema_in(restored) == schema_in(without_us)
    assert rows_in(restored) == rows_in(without_us)
    assert note.dump is not None
    with fresh_database(server) as other:
        dump = str(config.state.dir / note.dump.file)
        called(await programs(database), "pg_restore", "--exit-on-error", "--schema=public", f"--dbname={other}", dump)
        assert await value(other, "SELECT title FROM video WHERE id = 'a'") == "later"
        assert await value(other, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0

    for crash_at in ("cleanup.after_sqlite", "cleanup.before_schema", "cleanup.after_postgres"):
        code, words = await run(config, "cleanup", "--yes", crash_at=crash_at)
        assert code == -9, words
        assert (await status_of(config)).next_step.startswith("take away what is left")
    code, words = await run(config, "cleanup", "--yes")
    assert code == 0, words
    assert schema_in(config.source.path) == schema_in(without_us)
    assert rows_in(config.source.path) == rows_in(without_us)
    with fresh_database(server) as other:
        printed = msgspec.structs.replace(config, source=SourceSection(without_us))
        assert await schema_of(database) == await as_printed(printed, other)

    status = await status_of(config)
    assert (status.phase, status.exit_code, status.warnings) == ("finalized", ExitCode.OK, [])
    assert status.next_step.startswith("nothing")
    assert trail.check(config.state.dir).whole
    code, words = await run(config, "up")
    assert (code, "move" in words) == (2, True)
    assert not (await remains.look(config, keep_fence=False)).postgres


ADOPTED = """
CREATE TABLE channel(id bigint PRIMARY KEY, name text NOT NULL, nick text, seen_at timestamptz DEFAULT now(),
    CONSTRAINT named UNIQUE (name));
CREATE TABLE video(id text PRIMARY KEY, channel bigint REFERENCES channel(id), title text COLLATE "C" DEFAULT '-');
CREATE TABLE probe(id bigint PRIMARY KEY, n bigint);
COMMENT ON TABLE video IS 'of the application';
ALTER TABLE video ALTER COLUMN title SET STATISTICS 200, REPLICA IDENTITY FULL, SET (fillfactor = 80);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON channel FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER always BEFORE INSERT ON video FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER never BEFORE INSERT ON video FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE video ENABLE ALWAYS TRIGGER always, DISABLE TRIGGER never;
"""


async def adopted(folder: Path, dsn: str) -> tuple[Config, str]:
    """Replicated into tables that an application made, and the schema of these before anything was done to them."""
    await execute(dsn, ADOPTED)
    before = await schema_of(dsn)
    with closing(application(folder / "app.db")) as app:
        app.execute(TABLES).fetchall()
        app.execute("CREATE TABLE probe(id INTEGER PRIMARY KEY, n INTEGER)").fetchall()
    config = make_config(folder, folder / "app.db", dsn)
    config = msgspec.structs.replace(
        config,
        target=TargetSection(dsn, adopt=True),
        cutover=CutoverSection(finalize_after_hours=0.0),
        replicate=msgspec.structs.replace(config.replicate, heartbeat_seconds=0.2),
    )
    await up(config)
    return config, before


async def writes_without_a_pause(dsn: str) -> None:
    """An application that is refused nothing, and of whose row there is another version at any moment."""
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            await connection.execute("UPDATE probe SET n = n + 1")
    finally:
        connection.terminate()


async def a_rehearsal_was_killed(dsn: str) -> None:
    """Its schema and what is known of its copy are still there."""
    connection = await connect(dsn, purpose="test")
    source_id = await connection.fetchval("SELECT source_id FROM cdc.stream")
    await ScratchSchema(connection, "cdc_rehearsal_0123").make(source_id)
    await connection.execute(
        """CREATE TABLE cdc_rehearsal_0123.video(id text);
        INSERT INTO cdc.stream(source_id, source_path, target_schema) VALUES ('copy', '/copy.db', 'cdc_rehearsal_0123');
        INSERT INTO cdc.owned_table(source_id, target_schema, target_table)
        VALUES ('copy', 'cdc_rehearsal_0123', 'video')"""
    )
    await connection.close()


async def cleaned(config: Config, *, keep_fence: bool = False) -> None:
    assert await cleanup.clean(config, await remains.look(config, keep_fence=keep_fence), keep_fence=keep_fence) == []


async def test_adopted_tables_are_as_they_were_and_the_file_may_stay_fenced(tmp_path: Path, database: str) -> None:
    config, before = await adopted(tmp_path, database)
    assert await schema_of(database) != before
    await switched(config)
    await execute(database, "INSERT INTO probe VALUES (1, 0)")
    writer = asyncio.create_task(writes_without_a_pause(database))
    note = (await finalize(config, FinalWish(without_dump=True), quiet, Silent())).note
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    assert note.rows == 5
    await a_rehearsal_was_killed(database)
    await cleaned(config, keep_fence=True)
    assert await schema_of(database) == before
    assert (await remains.look(config, keep_fence=True)).nothing
    assert await accepting(config) == {"postgres"}
    assert (await status_of(config)).exit_code == ExitCode.OK
    await cleaned(config)
    assert await accepting(config) == {"postgres", "sqlite"}


async def test_where_replication_ended_before_a_cutover_postgres_is_cleaned_too(tmp_path: Path, database: str) -> None:
    config, before = await adopted(tmp_path, database)
    await end.end(config)
    other = "INSERT INTO cdc.stream(source_id, source_path, target_schema) VALUES ('other', '/srv/other.db', 'other')"
    await execute(database, other)
    assert (await remains.look(config, keep_fence=False)).sqlite == ()
    await cleaned(config)
    assert await value(database, "SELECT string_agg(source_id, ', ') FROM cdc.stream") == "other"
    assert await value(database, "SELECT count(*) FROM cdc.owned_table") == 0
    await execute(database, "DELETE FROM cdc.stream; CREATE VIEW cdc.own AS SELECT 1")
    left = await remains.look(config, keep_fence=False)
    assert await cleanup.clean(config, left, keep_fence=False) == ["view cdc.own"]
    await execute(database, "DROP SCHEMA cdc CASCADE")
    assert await schema_of(database) == before
    assert (await status_of(config)).phase == "ended"
