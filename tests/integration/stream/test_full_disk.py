"""The application's disk is full: its own writes fail, and the daemon goes on with what it had committed before."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from harness import DEADLINE_SECONDS
from installation import ROOT, Installation

from cdc.config import load_config
from cdc.errors import ExitCode, SourceFull
from cdc.sqlite.changelog import source_file as sqlite

# A file system of its own for what follows, which an ordinary user may have as well.
ON_A_SMALL_DISK = (
    *("unshare", "--mount", "--user", "--map-root-user", "sh", "-c"),
    'mount -t tmpfs -o size=2m tmpfs small && exec "$@"',
    "sh",
)
STORY = """
import atexit, sqlite3, subprocess, sys, time
from pathlib import Path

def cdc(*arguments):
    return [sys.executable, "-m", "cdc", *arguments]

def wait(what):
    until = time.monotonic() + float(sys.argv[1])
    while not what():
        assert daemon.poll() is None, Path("daemon.log").read_text()
        assert time.monotonic() < until, Path("daemon.log").read_text()
        time.sleep(0.02)

application = sqlite3.connect("small/app.db", isolation_level=None)
application.execute("PRAGMA journal_mode = " + sys.argv[2])
application.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
subprocess.run(cdc("-q", "up", "--until-idle"), check=True)
with open("daemon.log", "wb") as log:
    daemon = subprocess.Popen(cdc("--log-json", "run"), stderr=log)
atexit.register(daemon.kill)
application.executemany("INSERT INTO t(v) VALUES (?)", [(n,) for n in range(50)])
try:
    with open("small/rest", "wb", buffering=0) as rest:
        while True:
            rest.write(bytes(4096))
except OSError:
    pass
try:
    while True:
        application.execute("INSERT INTO t(v) VALUES (zeroblob(2000))")
except sqlite3.OperationalError as error:
    assert "full" in str(error), error
wait(lambda: "the changelog is not pruned" in Path("daemon.log").read_text())
Path("small/rest").unlink()
application.execute("INSERT INTO t(v) VALUES ('there is room again')")
wait(lambda: application.execute("SELECT count(*) FROM _cdc_changelog").fetchone()[0] == 1)
daemon.terminate()
assert daemon.wait() == 0
sys.exit(subprocess.run(cdc("-q", "verify")).returncode)
"""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_on_a_full_disk_the_daemon_goes_on_and_prunes_when_there_is_room(
    site: Installation, tmp_path: Path, journal: str
) -> None:
    (site.folder / "small").mkdir()
    site.configure(
        '[source]\npath = "small/app.db"',
        "[replicate]\nheartbeat_seconds = 0.1\nprune_entries = 1\nidle_close_seconds = 60.0",
    )
    story = tmp_path / "story.py"
    story.write_text(STORY)
    done = subprocess.run(
        [*ON_A_SMALL_DISK, sys.executable, str(story), str(DEADLINE_SECONDS), journal],
        capture_output=True,
        text=True,
        cwd=site.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=2 * DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == ExitCode.OK, done.stderr


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_keys_that_find_no_room_are_told_as_that_and_can_be_logged_later(site: Installation, journal: str) -> None:
    site.sql(f"PRAGMA journal_mode = {journal}")
    site.capture()
    config = load_config(site.config_file)
    keys = {"t": [(n,) for n in range(5_000)]}

    def fill(connection: apsw.Connection) -> None:
        connection.pragma("cache_size", 5)  # so that pages are written before the end
        connection.pragma("max_page_count", 1)  # it is as large as it may be

    apsw.connection_hooks.append(fill)
    try:
        with pytest.raises(SourceFull, match="no room left"):
            sqlite.log_again(config, keys)
    finally:
        apsw.connection_hooks.remove(fill)
    assert sqlite.look(config).newest == sqlite.install(config).newest
    assert sqlite.log_again(config, keys) == 5_000
