"""A SQLite file that is not there, cannot be read, is none, or is not the one that was followed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from error_assertions import refused, said
from harness import Daemon, wait_until_caught_up
from installation import Installation, Outcome

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.sqlite.connection import file as sqlite_connection

MANY_ROWS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i, -i FROM n
"""
FROM_SNAPSHOT = (["plan"], ["snapshot"])


def refused_as_unavailable(site: Installation, template: str, *commands: list[str], **how: object) -> None:
    for command in commands or FROM_SNAPSHOT:
        refused(site, command, template, ExitCode.UNAVAILABLE, **how)  # type: ignore[arg-type]


# File systems of its own for a process, which an ordinary user may have as well.
ON_A_FULL_DISK = (
    *("unshare", "--mount", "--user", "--map-root-user", "sh", "-c"),
    'mount -t tmpfs -o size=300k tmpfs small && cp app.db small && { cat /dev/zero > small/rest; exec "$@"; }',
    "sh",
)

# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(cut_off: Installation) -> None:
    cut_off.database.unlink()
    refused_as_unavailable(cut_off, "SQLite file {path} does not exist")


def test_a_link_that_leads_nowhere(cut_off: Installation) -> None:
    cut_off.database.unlink()
    cut_off.database.symlink_to("gone.db")
    refused_as_unavailable(cut_off, "SQLite file {path} does not exist")


def test_a_folder_in_place_of_the_file(cut_off: Installation) -> None:
    cut_off.database.unlink()
    cut_off.database.mkdir()
    refused_as_unavailable(cut_off, "SQLite file {path} is a folder")


def test_a_pipe_in_place_of_the_file_is_not_waited_for(cut_off: Installation) -> None:
    cut_off.database.unlink()
    os.mkfifo(cut_off.database)
    template = "SQLite file {path} is a pipe, a socket or a device"
    refused_as_unavailable(cut_off, template, run=cut_off.process)
    cut_off.config_file.unlink()
    refused_as_unavailable(cut_off, template, ["init", "app.db"], run=cut_off.process)


def test_a_device_in_place_of_the_file(cut_off: Installation) -> None:
    cut_off.configure('[source]\npath = "/dev/zero"')
    refused_as_unavailable(cut_off, "SQLite file {path} is a pipe, a socket or a device")


def test_a_file_below_a_folder_that_may_not_be_entered(cut_off: Installation) -> None:
    hidden = cut_off.folder / "hidden"
    hidden.mkdir()
    cut_off.database.rename(hidden / "app.db")
    cut_off.configure('[source]\npath = "hidden/app.db"')
    hidden.chmod(0o000)
    try:
        refused(
            cut_off,
            ["plan"],
            "SQLite file {path} cannot be reached: {error}",
            ExitCode.UNAVAILABLE,
            run=cut_off.bound,
        )
    finally:
        hidden.chmod(0o700)


def test_a_file_that_may_only_be_read(cut_off: Installation) -> None:
    cut_off.database.chmod(0o444)
    refused_as_unavailable(cut_off, "SQLite file {path} is read-only for this user", ["snapshot"], run=cut_off.bound)


def test_a_folder_in_which_nothing_may_be_written(cut_off: Installation) -> None:
    """SQLite makes its journal beside the file."""
    cut_off.configure('[source]\npath = "data/app.db"')
    (cut_off.folder / "data").mkdir()
    cut_off.database.rename(cut_off.folder / "data" / "app.db")
    (cut_off.folder / "data").chmod(0o555)
    try:
        refused(
            cut_off,
            ["snapshot"],
            "{what}: the SQLite file cannot be opened or used: {error}",
            ExitCode.UNAVAILABLE,
            run=cut_off.bound,
            changes=(".cdc",),
        )
    finally:
        (cut_off.folder / "data").chmod(0o755)


def test_a_file_on_a_full_disk(cut_off: Installation) -> None:
    cut_off.configure('[source]\npath = "small/app.db"')
    (cut_off.folder / "small").mkdir()

    def on_a_full_disk(*arguments: str) -> Outcome:
        code, out, err = cut_off.process(*arguments, before=ON_A_FULL_DISK)
        return code, out, err.removeprefix("cat: write error: No space left on device\n")

    refused(
        cut_off,
        ["snapshot"],
        "{what}: there is no room left on the disk",
        ExitCode.UNAVAILABLE,
        run=on_a_full_disk,
        changes=(".cdc",),
    )


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, whatever its name says\n" * 100, os.urandom(8192)],
    ids=["text", "encrypted"],
)
def test_a_file_that_is_no_database(cut_off: Installation, content: bytes) -> None:
    cut_off.database.write_bytes(content)
    refused_as_unavailable(cut_off, "{what} is not a SQLite database, or is encrypted")


def test_a_file_without_any_table(cut_off: Installation) -> None:
    """An empty file is an empty database to SQLite: an application that has not begun yet."""
    cut_off.database.write_bytes(b"")
    refused_as_unavailable(cut_off, "SQLite file {path} has no table to replicate")


def test_a_file_whose_schema_is_damaged(cut_off: Installation) -> None:
    cut_off.sql(MANY_ROWS)
    content = bytearray(cut_off.database.read_bytes())
    content[100:200] = b"\xff" * 100
    cut_off.database.write_bytes(bytes(content))
    refused_as_unavailable(cut_off, "{what}: the SQLite file is damaged: {error}")


def test_a_table_whose_pages_are_damaged_is_found_by_the_check_of_the_copy(cut_off: Installation) -> None:
    cut_off.sql("CREATE INDEX by_v ON t(v)")
    cut_off.sql(MANY_ROWS)
    connection = apsw.Connection(str(cut_off.database))
    connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX by_v ON t(id)' WHERE name = 'by_v'")
    connection.close()
    refused(
        cut_off,
        ["snapshot"],
        "the copy of {source} does not pass integrity_check: {integrity}",
        ExitCode.CRITICAL,
    )


def test_a_file_on_the_disk_of_another_machine(cut_off: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = cut_off.folder / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {cut_off.folder} rw - nfs4 nas:/data rw\n")
    monkeypatch.setattr(sqlite_connection, "_MOUNTINFO", mounts)
    refused_as_unavailable(
        cut_off,
        "SQLite file {path} is on a network file system ({kind} at {point}): locks and WAL do not work reliably there, "
        "so changes could be lost",
        ["snapshot"],
    )


def test_a_file_that_stays_locked(cut_off: Installation) -> None:
    cut_off.configure('[source]\npath = "app.db"\nbusy_timeout_seconds = 0.1')
    with Locker(cut_off.database):
        refused(
            cut_off,
            ["snapshot"],
            "{what} is locked by another connection: {error}",
            ExitCode.UNAVAILABLE,
            changes=(".cdc",),
        )


class Locker:
    """Another program that holds a file for itself."""

    def __init__(self, file: Path) -> None:
        program = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
            "c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def __enter__(self) -> "Locker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)


def test_a_question_that_sqlite_does_not_understand(site: Installation) -> None:
    site.followed()
    site.configure('[[verify.expect]]\nname = "nonsense"\nsql = "SELECT nothing FROM t"\nanswer = 1')
    refused(site, ["verify"], "{what}: SQLite refuses: {error}", ExitCode.CRITICAL)


# --- the file that was followed ---------------------------------------------------------------------------------------


def test_a_file_that_was_overwritten(site: Installation) -> None:
    site.followed()
    site.database.unlink()
    site.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    refused(
        site,
        ["run", "--until-idle"],
        "{path} carries no capture any more: it was overwritten, replaced or restored",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream",),
    )
    refused(
        site,
        ["verify"],
        "{path} carries no capture, so it cannot be said which state of it Postgres should show",
        ExitCode.CRITICAL,
    )


def test_a_file_that_was_never_set_up(site: Installation) -> None:
    refused(site, ["run", "--until-idle"], "{path} is not set up for replication", ExitCode.CRITICAL)
    refused(site, ["quarantine", "retry"], "{path} is not set up for replication", ExitCode.CRITICAL)


def test_a_file_that_was_never_loaded(site: Installation) -> None:
    assert site.run("-q", "snapshot")[0] == ExitCode.OK
    for command in (["run", "--until-idle"], ["verify"], ["load", "--resync"]):
        refused(site, command, "this source was never loaded into Postgres", ExitCode.CRITICAL)


def test_a_backup_that_was_put_in_place_of_the_file(site: Installation) -> None:
    site.followed()
    backup = site.folder / "backup"
    shutil.copy(site.database, backup)
    site.sql("INSERT INTO t(v) VALUES (1), (2)")
    site.followed()
    shutil.copy(backup, site.database)
    restored = (
        "the changelog of {path} does not hold the entry that was applied last (number {seq}): the file was restored "
        "from a backup, replaced, or its changelog was edited"
    )
    refused(site, ["run", "--until-idle"], restored, ExitCode.CRITICAL, changes=("rows of cdc.stream",))
    refused(site, ["verify"], restored, ExitCode.CRITICAL)


def test_a_copy_that_was_put_in_place_and_went_its_own_way(site: Installation) -> None:
    site.followed()
    copy = site.folder / "copy"
    shutil.copy(site.database, copy)
    site.sql("INSERT INTO t(v) VALUES (1), (2)")
    site.followed()
    shutil.copy(copy, site.database)
    site.sql("INSERT INTO t(v) VALUES (3), (4)")
    refused(
        site,
        ["run", "--until-idle"],
        "the changelog of {path} does not hold the entry that was applied last, but another one of its number ({seq}): "
        "the file was overwritten by a copy that went its own way",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream",),
    )


def test_a_file_with_the_capture_of_another_one(site: Installation) -> None:
    site.followed()
    site.sql("UPDATE _cdc_state SET source_id = 'of another'")
    for command in ("run", "up"):
        refused(
            site,
            [command, "--until-idle"],
            "{path} carries the capture of another file than the one that was replicated from here: it was "
            "overwritten, replaced or restored",
            ExitCode.CRITICAL,
            changes=("rows of cdc.stream",),
        )


def test_a_postgres_that_is_behind(site: Installation) -> None:
    site.followed()
    site.sql("INSERT INTO t(v) VALUES (1), (2)")
    site.followed()
    site.sql("DELETE FROM _cdc_changelog WHERE seq < (SELECT max(seq) FROM _cdc_changelog)")
    site.target_sql("UPDATE cdc.stream SET seq = 1")
    behind = (
        "Postgres is behind: it has the changes up to number {seq}, and the changelog of {path} begins with number "
        "{oldest}, for what came before was applied: Postgres was restored from an older backup, or is another "
        "database"
    )
    refused(site, ["run", "--until-idle"], behind, ExitCode.CRITICAL, changes=("rows of cdc.stream",))
    refused(site, ["verify"], behind, ExitCode.CRITICAL)


def test_an_emptied_changelog_in_another_file(site: Installation) -> None:
    site.followed()
    copy = site.folder / "copy"
    shutil.copy(site.database, copy)
    site.database.unlink()
    shutil.copy(copy, site.database)
    site.sql("DELETE FROM _cdc_changelog")
    site.target_sql("UPDATE cdc.sighting SET inode = 'of the one before'")
    emptied = "the changelog of {path} is empty: somebody deleted its entries, also those that were not applied"
    refused(site, ["run", "--until-idle"], emptied, ExitCode.CRITICAL, changes=("rows of cdc.stream",))
    refused(site, ["verify"], emptied, ExitCode.CRITICAL)


def test_capture_of_a_later_version(site: Installation) -> None:
    site.followed()
    site.sql("UPDATE _cdc_state SET format = 99")
    refused(
        site,
        ["run", "--until-idle"],
        "the SQLite file carries change capture of format {row}, this version knows format {format}",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream",),
    )


@pytest.mark.parametrize("moved", [True, False], ids=["another file in its place", "gone"])
async def test_a_file_that_is_exchanged_under_a_running_daemon(site: Installation, moved: bool) -> None:
    other = site.folder / "other.db"
    shutil.copy(site.database, other)
    site.sql("INSERT INTO t(v) VALUES (0)")
    assert site.process("-q", "up", "--until-idle")[0] == ExitCode.OK
    config = load_config(site.config_file)
    with Daemon(config, ("--log-json", "run")) as daemon:
        site.sql("INSERT INTO t(v) VALUES (1)")
        await wait_until_caught_up(config, site.dsn, daemon=daemon)
        if moved:
            other.rename(site.database)
            code = daemon.wait()
            said(daemon.words(), "another file was moved over {path}", ExitCode.CRITICAL)
        else:
            site.database.rename(site.folder / "elsewhere")
            code = daemon.wait()
            said(daemon.words(), "the SQLite file {path} is gone", ExitCode.CRITICAL)
        assert code == ExitCode.CRITICAL


# --- the schema moved on ----------------------------------------------------------------------------------------------


def adopting(site: Installation) -> Installation:
    """A site whose tables in Postgres were made by others."""
    site.configure("[target]", f'dsn = "{site.dsn}"', "adopt = true")
    site.target_sql("CREATE TABLE t(id bigint PRIMARY KEY, v text); CREATE TABLE u(id bigint PRIMARY KEY)")
    site.sql("CREATE TABLE u(id INTEGER PRIMARY KEY)")
    site.followed()
    return site


def test_an_adopted_table_that_the_application_dropped(site: Installation) -> None:
    adopting(site)
    site.sql("DROP TABLE u")
    refused(
        site,
        ["run", "--until-idle"],
        "replicated tables are no longer in the SQLite file, or were renamed: {adopted}",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream",),
    )
