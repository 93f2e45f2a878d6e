"""Another file, or another state of it, where the replicated one was: refused in words, and healed when accepted."""

from pathlib import Path

import apsw
import asyncpg
import pytest
from comparison import Comparison
from harness import Daemon, application, drain, value, wait_for, wait_until_caught_up
from pairs import replicated

from cdc.bootstrap import request_resync
from cdc.config import Config
from cdc.errors import SourceChanged

USERS = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER)"
PEOPLE = "INSERT INTO users VALUES (1, 'ann', 30), (2, 'bob', 40), (3, 'cy', 50)"


async def refused_then_healed(config: Config, words: str) -> None:
    """The file is refused in words with the remedy; accepted on purpose, it is compared as a whole and goes on."""
    for _ in range(2):  # a refusal changes nothing, so the second start says the same
        with pytest.raises(SourceChanged, match=words) as refused:
            await drain(config)
        assert "--resync" in refused.value.remedy
    await request_resync(config)
    await drain(config)
    reader = application(config.source.path)
    connection = await asyncpg.connect(config.target.dsn)
    assert await Comparison(reader, connection).differences() == []
    await connection.close()
    reader.close()


async def test_a_file_moved_into_place_without_capture_is_refused(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        pass
    other = application(tmp_path / "other.db")
    other.execute(USERS)
    other.execute("INSERT INTO users VALUES (7, 'new', 1), (1, 'ann', 31)")
    other.close()
    for left in ("app.db-wal", "app.db-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    (tmp_path / "other.db").rename(tmp_path / "app.db")
    await refused_then_healed(pair.config, "carries no capture any more")
    assert await value(database, "SELECT count(*) FROM users") == 2


async def test_an_older_backup_written_over_the_file_is_refused(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        backup = application(tmp_path / "backup.db", wal=False)
        copy_into(pair.app, backup)
        await pair.write("UPDATE users SET age = 1")
        await pair.write("INSERT INTO users VALUES (8, 'late', 1)")
        copy_into(backup, pair.app)
        with pytest.raises(SourceChanged, match="does not hold the entry that was applied last"):
            await pair.replica.sync()
        backup.close()
    await refused_then_healed(pair.config, "does not hold the entry that was applied last")
    assert await value(database, "SELECT count(*) FROM users") == 3


async def test_an_older_backup_that_went_on_its_own_way_is_refused(tmp_path: Path, database: str) -> None:
    """The changelog has an entry of that number again, but it is another one."""
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        backup = application(tmp_path / "backup.db", wal=False)
        copy_into(pair.app, backup)
        await pair.write("UPDATE users SET age = 1")
        copy_into(backup, pair.app)
        pair.app.execute("UPDATE users SET age = 2")
        pair.app.execute("UPDATE users SET age = 3")
        backup.close()
    await refused_then_healed(pair.config, "does not hold the entry that was applied last")


async def test_an_emptied_changelog_is_refused(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        pair.app.execute("UPDATE users SET age = 77")
        pair.app.execute("DELETE FROM _cdc_changelog")
    await refused_then_healed(pair.config, "the changelog in the SQLite file is empty")


async def test_a_file_overwritten_without_capture_is_refused(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        other = apsw.Connection(":memory:")
        other.execute(USERS)
        other.execute("INSERT INTO users VALUES (2, 'bob', 41)")
        copy_into(other, pair.app)
        with pytest.raises(SourceChanged, match="carries no capture any more"):
            await pair.replica.sync()
    await refused_then_healed(pair.config, "carries no capture any more")
    assert await value(database, "SELECT id FROM users") == 2


async def test_a_running_daemon_ends_with_words_when_a_file_is_moved_over_its_own(
    tmp_path: Path, database: str
) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        copy = application(tmp_path / "copy.db", wal=False)
        copy_into(pair.app, copy)
        copy.close()
        pair.app.close()
    with Daemon(pair.config) as daemon:
        await wait_until_caught_up(pair.config, database, daemon=daemon)

        async def connected() -> bool:
            return bool(await value(database, "SELECT owner IS NOT NULL FROM cdc.stream"))

        await wait_for(connected, "the daemon's first heartbeat", daemon=daemon)
        (tmp_path / "copy.db").rename(tmp_path / "app.db")
        other = application(tmp_path / "app.db")
        other.execute("UPDATE users SET age = 5")
        other.close()
        assert daemon.wait() == 2
    assert "another file was moved over" in daemon.words()
    stopped = await value(database, "SELECT stopped_reason FROM cdc.stream")
    assert "another file was moved over" in stopped


def copy_into(source: apsw.Connection, target: apsw.Connection) -> None:
    """Overwrite a database in place, as sqlite3's `.restore` does: the file stays the same one."""
    with target.backup("main", source, "main") as backup:
        backup.step()
