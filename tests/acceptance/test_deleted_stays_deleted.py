"""What this project began with: whole files that overwrite each other, and scripts that write old rows once more.

Videos are deleted, and everything that once brought them back is done again: an old file is copied over the living
one, each old row is written once more by the application's own SQL, an ingest goes on with a video that is deleted
meanwhile, and a file in which others ingested takes the place of the one in which was deleted. Each while the daemon
follows, hangs, is frozen, or is dead. In the end both databases have the 67 curated records and no ghost.
"""

import shutil
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import pytest
from comparison import differences
from harness import DEADLINE_SECONDS, Daemon, application, fetch, make_config, up, value, wait_for

from cdc.config import Config, SourceSection, TableOptions
from cdc.facts.progress import Silent
from cdc.tombstones import decide
from cdc.tombstones.decide import Wish

SAMPLE: Final = Path(__file__).parents[2] / "examples" / "ytv2" / "ytv2_migration_day.db"
CURATED: Final = "SELECT id FROM content WHERE subcategories_json IS NOT NULL AND indexed_at < '2025-09-18'"
# One duration is no whole number, which is another test's subject; and three videos that somebody will delete.
PREPARED: Final = """
UPDATE content SET duration_seconds = CAST(duration_seconds AS INTEGER) WHERE typeof(duration_seconds) <> 'integer';
DELETE FROM content_summaries WHERE content_id NOT IN (SELECT id FROM content);
INSERT INTO content(id, video_id) VALUES ('yt:ghost-1', 'g1'), ('yt:ghost-2', 'g2'), ('yt:ghost-3', 'g3');
INSERT INTO content_summaries(content_id, summary_text) SELECT id, 'words' FROM content WHERE id LIKE 'yt:ghost-%';
"""
DELETED: Final = """
BEGIN; DELETE FROM content_summaries WHERE content_id LIKE 'yt:ghost-%';
DELETE FROM content WHERE id LIKE 'yt:ghost-%'; COMMIT
"""
GHOSTS: Final = "SELECT count(*) FROM content WHERE id LIKE 'yt:ghost-%'"
ORPHANS: Final = "SELECT count(*) FROM content_summaries WHERE content_id LIKE 'yt:ghost-%'"
TIMES: Final = ["normal", "hanging", "frozen", "killed"]


class Followed:
    """The application's file, a daemon that follows it, and what is done to that daemon."""

    def __init__(self, config: Config, times: str) -> None:
        self.config = config
        self.times = times
        self.daemon = Daemon(config)

    def disturb(self) -> None:
        """From now on the daemon does nothing, in one way or another."""
        match self.times:
            case "frozen":
                self.daemon.process.send_signal(signal.SIGSTOP)
            case "killed":
                self.daemon.kill()
            case "hanging":
                self.daemon.kill()
                self.daemon = Daemon(self.config, environment={"CDC_STALL_AT": "sqlite.read"})

    def go_on(self) -> None:
        """From now on it works as it should."""
        match self.times:
            case "frozen":
                self.daemon.process.send_signal(signal.SIGCONT)
            case "killed":
                self.daemon = Daemon(self.config)
            case "hanging":
                self.daemon.kill()
                self.daemon = Daemon(self.config)

    def end(self) -> None:
        if self.daemon.runs:
            self.daemon.process.send_signal(signal.SIGCONT)
            self.daemon.kill()


async def followed(folder: Path, dsn: str, **replicate: Any) -> Config:
    """The sample with three more videos, and Postgres with all of it."""
    path = folder / "app.db"
    shutil.copy(SAMPLE, path)
    app = application(path)
    app.execute(PREPARED)
    app.close()
    refusing = {name: TableOptions(resurrection="refuse") for name in ("content", "content_summaries")}
    config = make_config(folder, path, dsn, tables=refusing, heartbeat_seconds=0.2, **replicate)
    settings = {field: getattr(config, field) for field in Config.__struct_fields__}
    config = Config(**{**settings, "source": SourceSection(path, on_replaced="resync")})
    await up(config)
    return config


def copied(config: Config, name: str) -> Path:
    """A copy of the file as it is now, as a script makes one."""
    with closing(application(config.source.path)) as app:
        app.pragma("wal_checkpoint(TRUNCATE)")
    return Path(shutil.copy(config.source.path, config.state.dir.parent / name))


def upload(config: Config, file: Path) -> None:
    """Another file takes the place of the living one, as rsync does it."""
    for suffix in ("-wal", "-shm"):
        Path(f"{config.source.path}{suffix}").unlink(missing_ok=True)
    file.replace(config.source.path)


def write(config: Config, sql: str) -> None:
    with closing(application(config.source.path)) as app:
        app.execute(sql)


async def expect_no_ghost(config: Config, followed: Followed) -> None:
    """Both databases have the curated records, and nothing that was deleted."""
    with closing(application(config.source.path)) as app:
        curated = {str(row[0]) for row in app.execute(CURATED)}
        assert (len(curated), app.execute(GHOSTS).get, app.execute(ORPHANS).get) == (67, 0, 0)

        async def equal() -> bool:
            return not await differences(app, config.target.dsn)

        await wait_for(equal, "both to be equal", daemon=followed.daemon)
    assert {row[0] for row in await fetch(config.target.dsn, CURATED)} == curated
    assert await value(config.target.dsn, "SELECT count(*) FROM cdc.quarantine") == 0
    assert (await value(config.target.dsn, GHOSTS), await value(config.target.dsn, ORPHANS)) == (0, 0)


async def until(followed: Followed, sql: str, wanted: int) -> None:
    async def so_many() -> bool:
        return bool(await value(followed.config.target.dsn, sql) == wanted)

    await wait_for(so_many, sql, daemon=followed.daemon)


WAITING: Final = "SELECT count(*) FROM cdc.quarantine WHERE reason = 'returned'"


@pytest.mark.parametrize("times", TIMES)
async def test_an_old_file_is_copied_over_the_living_one(tmp_path: Path, database: str, times: str) -> None:
    config = await followed(tmp_path, database)
    old = copied(config, "old.db")
    running = Followed(config, times)
    try:
        write(config, DELETED)
        await until(running, GHOSTS, 0)
        running.disturb()
        upload(config, old)
        running.go_on()
        await until(running, WAITING, 6)
        assert await value(database, GHOSTS) == 0
        await decide.refuse(config, Wish(), Silent())
        await until(running, "SELECT count(*) FROM cdc.quarantine", 0)
        await expect_no_ghost(config, running)
    finally:
        running.end()


@pytest.mark.parametrize("times", TIMES)
async def test_every_old_row_is_written_once_more(tmp_path: Path, database: str, times: str) -> None:
    config = await followed(tmp_path, database)
    old = copied(config, "old.db")
    running = Followed(config, times)
    try:
        running.disturb()
        write(config, DELETED)
        refused = replay(config, old)
        running.go_on()
        assert refused == {"content": 3, "content_summaries": 3}
        await expect_no_ghost(config, running)
    finally:
        running.end()


def replay(config: Config, old: Path) -> dict[str, int]:
    """Every row of an old file, put in by the application's own SQL; returns how many of each table were refused."""
    refused: dict[str, int] = {}
    with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(config.source.path, timeout=10)) as target:
        for table in ("content", "content_summaries"):
            for row in source.execute(f"SELECT * FROM {table}").fetchall():
                marks = ", ".join("?" for _ in row)
                try:
                    with target:
                        target.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)
                except sqlite3.IntegrityError as error:
                    if "was deleted and is not taken in again" not in str(error):
                        raise
                    refused[table] = refused.get(table, 0) + 1
    return refused


@pytest.mark.parametrize("times", TIMES)
async def test_a_video_is_deleted_while_its_ingest_goes_on(tmp_path: Path, database: str, times: str) -> None:
    config = await followed(tmp_path, database)
    running = Followed(config, times)
    try:
        write(config, DELETED)
        running.disturb()
        with closing(application(config.source.path)) as ingest:
            ingest.execute("BEGIN IMMEDIATE; INSERT INTO content(id, title) VALUES ('yt:ghost-9', 'half of it')")
            deletion = threading.Thread(target=write, args=(config, "DELETE FROM content WHERE id = 'yt:ghost-9'"))
            deletion.start()  # it waits for the transaction that is open
            ingest.execute("COMMIT")
            deletion.join(DEADLINE_SECONDS)
            for late in (
                "INSERT INTO content_summaries(content_id, summary_text) VALUES ('yt:ghost-9', 'the other half')",
                "INSERT OR REPLACE INTO content(id, title) VALUES ('yt:ghost-9', 'all of it')",
                "INSERT INTO content(id, title) VALUES ('yt:ghost-9', 'x') ON CONFLICT(id) DO UPDATE SET title = 'x'",
            ):
                with pytest.raises(apsw.ConstraintError, match="was deleted and is not taken in again"):
                    ingest.execute(late)
        running.go_on()
        await expect_no_ghost(config, running)
    finally:
        running.end()


@pytest.mark.parametrize("times", TIMES)
async def test_one_file_loses_videos_while_another_gets_new_ones(tmp_path: Path, database: str, times: str) -> None:
    config = await followed(tmp_path, database)
    other = copied(config, "other.db")
    running = Followed(config, times)
    try:
        write(config, DELETED)
        await until(running, GHOSTS, 0)
        with closing(application(other, wal=False)) as elsewhere:
            elsewhere.execute("INSERT INTO content(id, title) VALUES ('yt:new-1', 'n'), ('yt:new-2', 'n')")
            elsewhere.execute("INSERT INTO content_summaries(content_id, summary_text) VALUES ('yt:new-1', 'words')")
            elsewhere.execute("UPDATE content SET title = 'touched' WHERE id = 'yt:ghost-1'")
        running.disturb()
        upload(config, other)
        running.go_on()
        await until(running, WAITING, 6)
        await decide.refuse(config, Wish(), Silent())
        await until(running, "SELECT count(*) FROM cdc.quarantine", 0)
        await expect_no_ghost(config, running)
        assert await value(database, "SELECT count(*) FROM content WHERE id LIKE 'yt:new-%'") == 2
    finally:
        running.end()
