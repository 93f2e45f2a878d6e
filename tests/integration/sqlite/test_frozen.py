"""A process of ours that stands still while it locks the application's file is ended, and the application goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import pytest
from comparison import Comparison
from harness import (
    DEADLINE_SECONDS,
    Daemon,
    application,
    make_config,
    open_files,
    up,
    wait_for,
    wait_until_caught_up,
    write_config,
)
from installation import Installation

from cdc.config import Config
from cdc.errors import ExitCode
from cdc.sqlite.connection.deadline import BLOCKING_SECONDS, PULSE_SECONDS, SNAPSHOT_SECONDS, Deadline
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import LiveConnection

SCHEMA: Final = """
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t(v) SELECT 'row ' || i FROM n
"""
PRUNING: Final[dict[str, Any]] = {"prune_entries": 1, "heartbeat_seconds": 0.05}
MODES: Final = pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])


async def stands_still(daemon: Daemon) -> None:
    """Wait until the process is stopped, or was ended since."""

    async def stopped() -> bool:
        return state_of(daemon.process.pid) in ("T", "Z")

    await wait_for(stopped, "the process to stand still")


def children(pid: int) -> list[int]:
    """The processes that a process with one thread started."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()))


def state_of(pid: int) -> str:
    """The state of a child as the kernel tells it."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0]


async def expect_equal(app: apsw.Connection, config: Config, daemon: Daemon) -> None:
    await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
    target = await asyncpg.connect(config.target.dsn)
    try:
        assert await Comparison(app, target).differences() == []
    finally:
        await target.close()


@MODES
@pytest.mark.parametrize("point", ["changes.read", "prune.before_commit"])
async def test_the_application_writes_on_when_the_daemon_freezes_with_a_lock(
    tmp_path: Path, database: str, wal: bool, point: str
) -> None:
    app = application(tmp_path / "app.db", wal=wal)
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database, **PRUNING)
    await up(config)
    app.execute("UPDATE t SET v = 'changed' WHERE id % 3 = 0; DELETE FROM t WHERE id % 5 = 0")
    with Daemon(config, environment={"CDC_FREEZE_AT": point}) as daemon:
        await stands_still(daemon)
        app.execute("INSERT INTO t(v) VALUES ('meanwhile')")  # it waits for a lock for 5 s, as by Python's default
        assert daemon.wait() == -signal.SIGKILL, daemon.words()
        assert app.execute("PRAGMA wal_checkpoint(TRUNCATE)").get in ((0, 0, 0), (0, -1, -1)), "the log begins anew"
    with Daemon(config) as daemon:
        await expect_equal(app, config, daemon)
        assert daemon.terminate() == ExitCode.OK, daemon.words()
    app.close()


COMMANDS: Final = {
    "plan": "read.before_end",
    "snapshot": "read.before_end",
    "verify": "read.before_end:3",
    "pause --release-triggers": "release.before_commit",
}


@pytest.mark.parametrize(("command", "point"), COMMANDS.items())
async def test_the_application_writes_on_when_a_command_freezes_with_a_lock(
    tmp_path: Path, database: str, command: str, point: str
) -> None:
    app = application(tmp_path / "app.db", wal=False)
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    if command != "plan":  # which looks at the last snapshot where there is one
        await up(config)
    with Daemon(config, command.split(), {"CDC_FREEZE_AT": point}) as frozen:
        await stands_still(frozen)
        app.execute("INSERT INTO t(v) VALUES ('meanwhile')")
        assert frozen.wait() == -signal.SIGKILL, f"{point} was not reached:\n{frozen.words()}"
    app.close()


# --- what a terminal and a container add ------------------------------------------------------------------------------

AS_FIRST_PROCESS: Final = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
CDC: Final = str(Path(sys.executable).with_name("cdc"))


def running(config: Config, told: Path, *before: str) -> "subprocess.Popen[bytes]":
    """The daemon in a process group of its own, as a shell makes one for what it can suspend."""
    command = [*before, CDC, "-c", str(write_config(told.with_name("cdc.toml"), config)), "run"]
    with told.open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0)


def test_the_first_process_of_a_container_can_be_ended_as_well(site: Installation) -> None:
    site.sql("PRAGMA journal_mode = delete")
    code, _, words = site.process("snapshot", before=AS_FIRST_PROCESS, environment={"CDC_FREEZE_AT": "read.before_end"})
    assert code == 128 + signal.SIGKILL, words
    assert "deadline" not in words, "it cannot have one as the first process"
    site.sql("INSERT INTO t(v) VALUES ('after')")


async def test_the_first_process_of_a_container_hands_on_what_it_is_told(tmp_path: Path, database: str) -> None:
    application(tmp_path / "app.db").execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    told = tmp_path / "told"
    outside = running(config, told, *AS_FIRST_PROCESS)

    async def starts() -> bool:
        return b"replication starts" in told.read_bytes()

    await wait_for(starts, "the daemon to start")
    os.kill(children(outside.pid)[0], signal.SIGTERM)
    assert outside.wait(DEADLINE_SECONDS) == ExitCode.OK
    assert b"replication ended" in told.read_bytes()


async def test_who_suspends_it_at_a_terminal_is_told_that_it_may_be_killed(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database, idle_close_seconds=0.1)
    await up(config)
    told = tmp_path / "told"
    daemon = running(config, told)

    async def idle() -> bool:
        return b"replication starts" in told.read_bytes() and str(config.source.path) not in open_files(daemon.pid)

    async def stopped() -> bool:
        return state_of(daemon.pid) == "T"

    await wait_for(idle, "the daemon to let the file go")
    daemon.send_signal(signal.SIGTSTP)
    await wait_for(stopped, "the daemon to be suspended")
    assert b"suspended: " in told.read_bytes()
    app.execute("INSERT INTO t(v) VALUES ('meanwhile')")
    daemon.send_signal(signal.SIGCONT)
    await wait_until_caught_up(config, database)
    daemon.terminate()
    assert daemon.wait(DEADLINE_SECONDS) == ExitCode.OK
    app.close()


# --- who is not ended -------------------------------------------------------------------------------------------------

HOLDING: Final = """
import os, signal, sys, time
from pathlib import Path
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import read_transaction

connection = open_source(Path(sys.argv[1]))
connection.deadline.reading_seconds = 1.0
"""
TAKES_LONG: Final = """
with read_transaction(connection):
    connection.execute("SELECT * FROM t").fetchall()
    while connection.deadline.pulses < int(sys.argv[2]):
        time.sleep(0.01)
print("done")
"""
FREEZES_WITHOUT: Final = """
with read_transaction(connection):
    connection.execute("SELECT * FROM t").fetchall()
os.kill(os.getpid(), signal.SIGSTOP)
print("done")
"""
FREEZES_WITH: Final = """
with read_transaction(connection):
    connection.execute("SELECT * FROM t").fetchall()
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    application(tmp_path / "app.db").execute(SCHEMA)
    return tmp_path / "app.db"


@contextmanager
def started(story: str, file: Path, *more: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds, or held, a lock on the file; killed at the end if it is still there."""
    command = [sys.executable, "-c", HOLDING + story, str(file), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_may_be_held_for_long_by_a_process_that_lives(file: Path) -> None:
    enough = 3 * int(BLOCKING_SECONDS / PULSE_SECONDS)
    with started(TAKES_LONG, file, str(enough)) as process:
        assert process.communicate(timeout=DEADLINE_SECONDS)[0] == "done\n"
    assert process.returncode == 0


def test_a_process_that_freezes_without_a_lock_is_left_alone(file: Path) -> None:
    with started(FREEZES_WITHOUT, file) as without, started(FREEZES_WITH, file) as with_one:
        assert os.WIFSTOPPED(os.waitpid(without.pid, os.WUNTRACED)[1])
        # The deadline of this one is later than any that the other one had.
        assert with_one.wait(DEADLINE_SECONDS) == -signal.SIGKILL
        without.send_signal(signal.SIGCONT)
        assert without.communicate(timeout=DEADLINE_SECONDS)[0] == "done\n"


def test_a_reader_of_a_file_in_wal_mode_has_longer_than_who_keeps_others_out(tmp_path: Path) -> None:
    for wal, seconds in ((True, SNAPSHOT_SECONDS), (False, BLOCKING_SECONDS)):
        path = tmp_path / f"{wal}.db"
        application(path, wal=wal).execute(SCHEMA)
        connection = open_source(path)
        assert isinstance(connection, LiveConnection)
        assert connection.deadline.reading_seconds == seconds
        connection.close()


# --- no lock without a deadline ---------------------------------------------------------------------------------------


class Witness:
    """Sees every statement on the application's file, and every end of a deadline."""

    def __init__(self) -> None:
        self.statements = 0
        self.unguarded: list[str] = []
        self.left_locked: list[str] = []
        self._of: dict[int, LiveConnection] = {}

    def opened(self, connection: apsw.Connection) -> None:
        if isinstance(connection, LiveConnection):
            self._of[id(connection.deadline)] = connection
            connection.exec_trace = self._runs

    def _runs(self, cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        self.statements += 1
        connection = cursor.connection
        if isinstance(connection, LiveConnection) and not connection.deadline.is_set:
            self.unguarded.append(sql)
        return True

    def released(self, deadline: Deadline) -> None:
        connection = self._of.get(id(deadline))
        try:
            if connection is not None and connection.txn_state() != apsw.SQLITE_TXN_NONE:
                self.left_locked.append(str(connection))
        except apsw.ConnectionClosedError:
            pass


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    seen, leave = Witness(), Deadline.__exit__

    def leave_and_look(self: Deadline, *error: object) -> None:
        leave(self, *error)
        if not self.is_set:
            seen.released(self)

    monkeypatch.setattr(Deadline, "__exit__", leave_and_look)
    apsw.connection_hooks.append(seen.opened)
    yield seen
    apsw.connection_hooks.remove(seen.opened)


DONE_WITH_A_FILE: Final = (
    *("plan", "up --until-idle", "status", "verify", "snapshot", "quarantine retry", "schema", "load --resync"),
    *("run --until-idle", "pause --release-triggers", "status", "resume", "up --until-idle", "cleanup --capture-only"),
)


@MODES
def test_every_lock_has_a_deadline_and_none_outlives_it(site: Installation, witness: Witness, wal: bool) -> None:
    site.sql("DROP TABLE t")
    application(site.database, wal=wal).execute(SCHEMA)
    site.sql("CREATE VIEW w AS SELECT count(*) AS n FROM t")
    for command in DONE_WITH_A_FILE:
        before = witness.statements
        code, out, err = site.run(*command.split())
        assert code in (ExitCode.OK, ExitCode.DIFFERENCE), f"{command}: {out}{err}"
        assert witness.statements > before or command == "resume", f"{command} did not open the file"
        site.sql("INSERT INTO t(v) VALUES ('more'); DELETE FROM t WHERE id % 7 = 0")
    assert (witness.unguarded, witness.left_locked) == ([], [])
