"""Another file, or another state of it, where the replicated one was: refused in words, and healed when accepted."""

import asyncio
import re
from pathlib import Path

import apsw
import asyncpg
import pytest
from comparison import Comparison
from harness import Daemon, application, drain, execute, fetch, up, value, wait_for, wait_until_caught_up
from replicated_pair import Pair, replicated

from cdc.config import Config
from cdc.errors import CaptureLost, SourceChanged, SourceError
from cdc.facts.changes import Position
from cdc.mapping.map_tables import map_schema
from cdc.sqlite.changelog import source as changelog_source
from cdc.sqlite.changelog import source_file
from cdc.stream.resync import request_resync

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


async def went_its_own_way(folder: Path, pair: Pair, changes: int) -> None:
    """Overwrite the file in place by a copy that was taken before a change, and changed so many times itself."""
    copy_of(pair.app, folder / "twin.db")
    await pair.write("UPDATE users SET age = 1 WHERE id = 1", "DELETE FROM users WHERE id = 2")
    twin = application(folder / "twin.db", wal=False)
    for number in range(10, 10 + changes):
        twin.execute("INSERT INTO users VALUES (?, ?, 1)", (number, f"twin {number}"))
    copy_into(twin, pair.app)
    twin.close()


@pytest.mark.parametrize("changes", [1, 2, 3], ids=["fewer", "as_many", "more"])
async def test_a_copy_that_went_its_own_way_is_refused_whatever_it_holds(
    tmp_path: Path, database: str, changes: int
) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        await went_its_own_way(tmp_path, pair, changes)
        with pytest.raises(SourceChanged, match="does not hold the entry that was applied last"):
            await pair.replica.sync()
    await refused_then_healed(pair.config, "does not hold the entry that was applied last")
    # The one that was deleted came back with the copy, and waits.
    assert await value(database, "SELECT count(*) FROM users") == 2 + changes
    assert await value(database, "SELECT count(*) FROM cdc.quarantine WHERE reason = 'returned'") == 1


async def test_a_copy_with_as_many_changes_is_seen_by_every_kind_of_read(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        looked = await asyncio.to_thread(source_file.look, pair.config)
        await went_its_own_way(tmp_path, pair, 2)
        seq, entry = (await fetch(database, "SELECT seq, entry FROM cdc.stream"))[0]
        at = Position(seq, entry)
        now = await asyncio.to_thread(source_file.look, pair.config)
        assert now.newest is not None
        assert now.newest.seq == seq
        maps = {m.source.name: m for m in map_schema(looked.schema, pair.config)}
        source = changelog_source.Source(pair.config, now, maps, at)
        assert await source.has_news(at)
        for read in (
            lambda: source.read(at),
            lambda: source.read_keys({"users": [(1,)]}, at),
            lambda: source.read_page("users", None),
            source.high_water,
            source.check,
        ):
            with pytest.raises(CaptureLost):
                await read()
        source.close()


async def test_pruning_writes_no_page_of_the_old_file_into_a_copy_with_as_many_commits(
    tmp_path: Path, database: str
) -> None:
    """Its change counter is that of the file which it was written over, so cached pages pass for its own.

    Pruning then put the entry that was applied last into the copy, which so passed for the file that was followed.
    """
    async with replicated(tmp_path, database, USERS, PEOPLE, wal=False) as pair:
        await pair.write(*[f"UPDATE users SET age = {n} WHERE id = 3" for n in range(20)])
        file, twin = pair.config.source.path, tmp_path / "twin.db"
        twin.write_bytes(file.read_bytes())
        await pair.write("UPDATE users SET age = 1 WHERE id = 1")
        seq, entry = (await fetch(database, "SELECT seq, entry FROM cdc.stream"))[0]
        at = Position(seq, entry)
        look = await asyncio.to_thread(source_file.look, pair.config)
        source = changelog_source.Source(
            pair.config, look, {m.source.name: m for m in map_schema(look.schema, pair.config)}, at
        )
        await source.read(at)
        other = application(twin, wal=False)
        other.execute("UPDATE users SET age = 2 WHERE id = 2").fetchall()
        other.close()
        with file.open("r+b") as overwritten:
            overwritten.write(twin.read_bytes())
        with pytest.raises(CaptureLost):
            await source.prune(seq, at)
        source.close()
        assert file.read_bytes() == twin.read_bytes()


async def test_an_emptied_changelog_in_another_file_is_refused(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        copy_of(pair.app, tmp_path / "copy.db")
    copy = application(tmp_path / "copy.db", wal=False)
    copy.execute("UPDATE users SET age = 77")
    copy.execute("DELETE FROM _cdc_changelog")
    copy.close()
    move_over(tmp_path)
    await refused_then_healed(pair.config, "is empty: somebody deleted its entries")


async def test_a_file_with_the_capture_of_another_one_is_refused(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        copy_of(pair.app, tmp_path / "copy.db")
    copy = application(tmp_path / "copy.db", wal=False)
    copy.execute("UPDATE _cdc_state SET source_id = 'of another'")
    copy.execute("INSERT INTO users VALUES (8, 'eve', 1)")
    copy.close()
    move_over(tmp_path)
    with pytest.raises(SourceChanged, match="carries the capture of another file"):
        await up(pair.config)
    await refused_then_healed(pair.config, "carries the capture of another file")


async def test_a_postgres_that_is_behind_what_was_pruned_is_blamed_itself(tmp_path: Path, database: str) -> None:
    """As when it was restored from a backup that is older than the oldest entry kept."""
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        older = (await fetch(database, "SELECT seq, entry FROM cdc.stream"))[0]
        await pair.write("UPDATE users SET age = 1")
        await pair.write("DELETE FROM users WHERE id = 1")
        pair.app.execute("DELETE FROM _cdc_changelog WHERE seq < (SELECT max(seq) FROM _cdc_changelog)")
    await execute(
        database,
        f"UPDATE cdc.stream SET seq = {older['seq']}, entry = '{older['entry']}';"
        "INSERT INTO users VALUES (1, 'ann', 30); UPDATE users SET age = 30",
    )
    await refused_then_healed(
        pair.config, "^Postgres is behind: .*restored from an older backup, or is another database"
    )


async def test_why_the_daemon_ended_is_told_also_when_the_changelog_is_gone(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        copy_of(pair.app, tmp_path / "copy.db")
    copy = application(tmp_path / "copy.db", wal=False)
    copy.execute("DELETE FROM _cdc_changelog")
    copy.close()
    move_over(tmp_path)
    with pytest.raises(SourceChanged):
        await drain(pair.config)
    assert "is empty" in await value(database, "SELECT stopped_reason FROM cdc.stream")


async def test_capture_of_another_format_is_replaced_as_the_remedy_says(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, USERS, PEOPLE) as pair:
        await pair.write("UPDATE users SET age = 5")
        pair.app.execute("UPDATE _cdc_state SET format = 99")
    with pytest.raises(SourceError, match="format 99") as refused:
        await drain(pair.config)
    assert re.findall("`(.*?)`", refused.value.remedy) == ["cdc cleanup --capture-only", "cdc load --resync"]
    assert source_file.remove_capture(pair.config)
    await request_resync(pair.config)
    await drain(pair.config)
    assert await value(database, "SELECT count(*) FROM users WHERE age = 5") == 3


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


def copy_of(source: apsw.Connection, path: Path) -> None:
    """A copy of a database in a file of its own."""
    copy = application(path, wal=False)
    copy_into(source, copy)
    copy.close()


def move_over(folder: Path) -> None:
    """Move the copy over the application's file, as after a restore."""
    for left in ("app.db-wal", "app.db-shm"):
        (folder / left).unlink(missing_ok=True)
    (folder / "copy.db").rename(folder / "app.db")


def copy_into(source: apsw.Connection, target: apsw.Connection) -> None:
    """Overwrite a database in place, as sqlite3's `.restore` does: the file stays the same one."""
    with target.backup("main", source, "main") as backup:
        backup.step()
