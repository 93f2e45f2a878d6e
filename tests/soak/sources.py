"""The sources of a soak: files with their writers and their daemon, and what must be true of them at any moment."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import asyncpg
from comparison import Comparison
from counts import Counts
from harness import Daemon, make_config, value, wait_for, write_config

from cdc.config import Config
from cdc.errors import ExitCode
from cdc.facts.changes import Position
from cdc.sqlite.changelog import positions

CLIENT: Final = Path(__file__).with_name("wild_client.py")
SEALED: Final = ("item", "part", "unseen", "named")
ANSWER_SECONDS: Final = 120.0
COMMAND_ATTEMPTS: Final = 5  # while databases are struck
# Of who writes beside the application, well below its own 5 s: VACUUM and a checkpoint wait for readers to end with the
# lock in hand that every writer needs, and a reader may hold a snapshot for longer than that.
MEDDLING_SECONDS: Final = 3.0
BACKLOGS: Final = (100, 1_000, 4_000)  # entries that wait to be applied before an application writes slowly


@dataclass(frozen=True)
class Kind:
    """What a source is like. Two of one schema have tables of different names."""

    name: str
    schema: str
    wal: bool
    writers: int
    pauses: tuple[float, ...]
    sqlite: str = ""  # the application's library: a module's name, or the path of a shared library; Python's without


class Writers:
    """The applications of one file, in processes of their own."""

    def __init__(self, kind: Kind, file: Path, random: Random, counts: Counts) -> None:
        self._kind = kind
        self._counts = counts
        self._told: dict[int, dict[str, Any]] = {}
        self._processes = [self._start(file, random) for _ in range(kind.writers)]

    def _start(self, file: Path, random: Random) -> "subprocess.Popen[str]":
        pause, backlog = random.choice(self._kind.pauses), random.choice(BACKLOGS)
        return client(self._kind, file, random.getrandbits(32), str(pause), str(backlog), stdin=subprocess.PIPE)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody writes during the block."""
        for process in self._processes:
            self._say(process, "hold")
        for process in self._processes:
            self._hear(process)
        yield
        for process in self._processes:
            self._say(process, "go")

    def end(self) -> None:
        """Let them end, and count what they did."""
        for process in self._processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes:
            self._hear(process)
            process.wait(ANSWER_SECONDS)

    def kill(self) -> None:
        """End those that still run."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _say(self, process: "subprocess.Popen[str]", order: str) -> None:
        assert process.stdin is not None
        process.stdin.write(order + "\n")
        process.stdin.flush()

    def _hear(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a writer of {self._kind.name} ended with code {process.wait()}")
        told = json.loads(line)
        self._counts.wrote(told, self._told.get(process.pid))
        self._told[process.pid] = told


def client(kind: Kind, file: Path, seed: int, *more: str, stdin: int) -> "subprocess.Popen[str]":
    """Start one application, with the library that its kind wants."""
    environment = dict(os.environ)
    if kind.sqlite.endswith(".py") or "/" not in kind.sqlite:
        environment |= {"CDC_SQLITE": kind.sqlite or "sqlite3"}
    else:
        environment |= {"LD_PRELOAD": kind.sqlite, "LD_LIBRARY_PATH": str(Path(kind.sqlite).parent)}
    command = [sys.executable, str(CLIENT), str(file), str(seed), f"{kind.name}_", *more]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment)


@contextmanager
def opened(
    file: Path, *, busy_seconds: float = 30.0, flags: int = apsw.SQLITE_OPEN_READWRITE
) -> Iterator[apsw.Connection]:
    """A connection of this process, always by the same library.

    Locks of a file belong to a process: whichever library closes the file first takes away those of any other
    (https://www.sqlite.org/howtocorrupt.html, section 2.2.1).
    """
    connection = apsw.Connection(str(file), flags=flags)
    try:
        connection.set_busy_timeout(int(busy_seconds * 1000))
        yield connection
    finally:
        connection.close()


@dataclass
class Source:
    """One file of an application with its daemon."""

    kind: Kind
    folder: Path
    dsn: str
    random: Random
    counts: Counts
    seen: dict[str, int] = field(default_factory=dict)  # the newest version of each table that a reader saw
    daemon: Daemon | None = None
    writers: Writers | None = None
    hands: asyncio.Lock = field(default_factory=asyncio.Lock)  # one at a time starts and stops the daemon

    @property
    def file(self) -> Path:
        """The application's file."""
        return self.folder / "app.db"

    def found(self) -> None:
        """Make the file."""
        self.folder.mkdir()
        with sqlite3.connect(self.file) as made:
            made.execute(f"PRAGMA journal_mode = {'wal' if self.kind.wal else 'delete'}")
        made.close()
        founder = client(self.kind, self.file, self.random.getrandbits(32), "0", "0", "found", stdin=subprocess.DEVNULL)
        told, _ = founder.communicate(timeout=ANSWER_SECONDS)
        if founder.returncode:
            raise RuntimeError(f"the founder of {self.kind.name} failed: {told}")

    def config(self) -> Config:
        """A configuration with rounds of another size each time; entries are pruned as soon as they may be."""
        entries = self.random.choice((1, 5, 20, 50, 50, 1_000))
        return make_config(
            self.folder,
            self.file,
            self.dsn,
            schema=self.kind.schema,
            round_entries=entries,
            round_entries_journal=entries,
            prune_entries=self.random.choice((1, 100, 10_000)),
            heartbeat_seconds=self.random.choice((0.05, 1.0)),
        )

    def configure(self) -> None:
        """Write a configuration for commands."""
        write_config(self.folder / "cdc.toml", self.config())

    def start(self) -> None:
        """Start a daemon, where none runs: a strike and whoever restarts what ended may both be about to."""
        if self.daemon is None or not self.daemon.runs:
            self.daemon = Daemon(self.config(), ("--quiet", "run"))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon, frozen or not, and wait for its end."""
        daemon, self.daemon = self.daemon, None  # at once: whoever watches must not take this for an end by itself
        if daemon is not None and daemon.runs:
            daemon.process.send_signal(signal.SIGCONT)
            daemon.process.send_signal(how)
            daemon.wait()

    def start_writers(self) -> None:
        """Let the application go on."""
        applied = Path(f"{self.file}.applied")
        applied.write_text(applied.read_text() if applied.exists() else "0")
        self.writers = Writers(self.kind, self.file, self.random, self.counts)

    def end_writers(self) -> None:
        """Let the application end by itself."""
        writers, self.writers = self.writers, None
        if writers is not None:
            writers.end()

    def write(self, sql: str, values: tuple[object, ...] = ()) -> None:
        """What somebody does to the file beside the application; given up where a writer leaves no room."""
        with suppress(apsw.BusyError, apsw.LockedError), opened(self.file, busy_seconds=MEDDLING_SECONDS) as file:
            file.execute(sql, values).fetchall()

    def resync(self) -> None:
        """Have every row compared, by the command that messages name."""
        self.command("load", "--resync", "--yes")

    def _newest(self) -> tuple[str, Position]:
        """Which source the file says it is, and its newest entry."""
        with opened(self.file, flags=apsw.SQLITE_OPEN_READONLY) as reader, reader:
            newest = positions.newest(reader)
            source_id = reader.execute("SELECT source_id FROM _cdc_state").get
        assert newest is not None
        return str(source_id), newest

    async def caught_up(self) -> None:
        """Wait until everything that is committed when this is called was applied.

        The entry counts, not its number alone: a file that was overwritten may have another one of that number.
        """
        source_id, newest = self._newest()
        there = (
            "SELECT (seq > $2 OR (seq = $2 AND entry = $3)) AND resync = '{}' AND phase = 'replicate' "
            "FROM cdc.stream WHERE source_id = $1"
        )

        async def applied() -> bool:
            try:
                return bool(await value(self.dsn, there, source_id, newest.seq, newest.entry))
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return False

        try:
            await wait_for(applied, f"everything of {self.kind.name} to be applied", seconds=ANSWER_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; {await self._standing(newest)}") from None

    async def _standing(self, newest: Position) -> str:
        """What there is to see of a daemon that does not get on; it writes what each of its threads does."""
        row = "SELECT (s, now() - heartbeat_at)::text FROM cdc.stream AS s WHERE source_path = $1"
        activity = (
            "SELECT json_agg((pid, state, wait_event, left(query, 60), now() - state_change))::text "
            "FROM pg_stat_activity WHERE application_name LIKE 'cdc daemon%'"
        )
        words = [f"newest {newest}"]
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            words += [str(await value(self.dsn, row, str(self.file))), str(await value(self.dsn, activity))]
        if self.daemon is not None and self.daemon.runs:
            words.append(_process_state(self.daemon.process.pid))
            self.daemon.process.send_signal(signal.SIGCONT)
            self.daemon.process.send_signal(signal.SIGABRT)
            await asyncio.sleep(2)
            words.append(self.daemon.words()[-8_000:])
        return "; ".join(words)

    def command(self, *arguments: str) -> int:
        """Run a command of ours with the configuration of this source; only a comparison may find something.

        One that met a strike says that a database could not be used, and is given again, as an operator would.
        """
        program = str(Path(sys.executable).with_name("cdc"))
        command = [program, "-c", str(self.folder / "cdc.toml"), *arguments]
        for _ in range(COMMAND_ATTEMPTS):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)
            except subprocess.TimeoutExpired:
                self.counts.differ(f"{self.kind.name}: {' '.join(arguments)} did not end")
                return -1
            if done.returncode != ExitCode.UNAVAILABLE:
                break
        if done.returncode and arguments != ("verify",):
            words = f"{done.stdout}{done.stderr}".strip()
            self.counts.differ(f"{self.kind.name}: {' '.join(arguments)}: {done.returncode}: {words}")
        return done.returncode

    async def show_applied(self, connection: Any) -> None:
        """Let the writers know how far the daemon is."""
        seq = await connection.fetchval("SELECT seq FROM cdc.stream WHERE source_path = $1", str(self.file))
        partial = self.folder / "applied.partial"
        partial.write_text(str(seq))
        partial.replace(f"{self.file}.applied")

    async def look(self, connection: Any) -> list[str]:
        """One snapshot of Postgres: whether each table holds what the ledger beside it says, and is not older."""
        found = []
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for name in SEALED:
                found += await self._look_at(connection, name)
        self.counts.snapshots += 1
        return found

    async def _look_at(self, connection: Any, name: str) -> list[str]:
        schema, prefix = self.kind.schema, self.kind.name
        n, many, size = await connection.fetchrow(
            f'SELECT n, many, size FROM "{schema}"."{prefix}_ledger" WHERE name = $1', name
        )
        rows, sum_ = await connection.fetchrow(
            f'SELECT count(*), coalesce(sum(size), 0)::bigint FROM "{schema}"."{prefix}_{name}"'
        )
        held = await connection.fetchval(
            "SELECT count(*) FROM cdc.quarantine WHERE source_table = $1", f"{prefix}_{name}"
        )
        before = self.seen.get(name, 0)
        self.seen[name] = n
        found = []
        if (many, size) != (rows, sum_) and not held:
            found.append(f"{prefix}_{name}: version {n} has {many} rows of {size}, Postgres {rows} of {sum_}")
        if n < before:
            found.append(f"{prefix}_{name}: version {n} was read after version {before}")
        return found

    async def differences(self) -> list[str]:
        """What the independent reader finds; nobody may write meanwhile."""
        target = await asyncpg.connect(self.dsn)
        try:
            # The daemon prunes meanwhile, and in journal mode that locks readers out for a while.
            with opened(self.file, flags=apsw.SQLITE_OPEN_READONLY) as reader:
                self.counts.comparisons += 1
                return await Comparison(reader, target, self.kind.schema).differences()
        finally:
            await target.close()


def _process_state(pid: int) -> str:
    """Whether it runs, sleeps or was stopped, as the kernel says it."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("State"))
