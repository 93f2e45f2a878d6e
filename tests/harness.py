"""What tests drive replication with: a configuration, one-shot runs, a fast session, the real daemon, an application.

Waiting is always for a condition with a deadline, never for time to pass.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw
import asyncpg
import msgspec
from comparison import differences
from warm_commands import WarmCommand

from cdc.audit.chain import AuditEntry, decode
from cdc.config import Config, ReplicateSection, SourceSection, StateSection, TableOptions, TargetSection
from cdc.config.written import as_toml
from cdc.daemon import service
from cdc.errors import CaptureLost
from cdc.facts.progress import Silent
from cdc.first_copy import create_schema, loader, snapshots
from cdc.observe.daemon_file import FILE
from cdc.observe.daemon_state import Activity
from cdc.postgres.server.endpoint import Endpoint as ReachedTarget
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream.session import Session

DEADLINE_SECONDS = 60.0
# A look often costs a connection: one every few milliseconds takes more from a daemon that starts than it works.
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.1

Rows = list[asyncpg.Record]


def make_config(
    folder: Path,
    database: str | Path,
    dsn: str,
    *,
    schema: str = "public",
    tables: Mapping[str, TableOptions] | None = None,
    **replicate: Any,
) -> Config:
    """A configuration whose state lies in `folder`; the other arguments are keys of `[replicate]`."""
    return Config(
        source=SourceSection(Path(database)),
        target=TargetSection(dsn, schema=schema),
        state=StateSection(folder / "state"),
        replicate=ReplicateSection(**replicate),
        tables=dict(tables or {}),
    )


def adopted(folder: Path, dsn: str, tables: Mapping[str, TableOptions] | None = None, **chosen: Any) -> Config:
    """One for tables that others made, of `app.db` in the folder; `chosen` are keys of `[target]`."""
    config = make_config(folder, folder / "app.db", dsn, tables=tables)
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, adopt=True, **chosen))


# --- the application --------------------------------------------------------------------------------------------------


def application(path: str | Path, *, wal: bool = True) -> apsw.Connection:
    """A connection as an application in this process has it."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    connection.pragma("journal_mode", "wal" if wal else "delete")
    connection.pragma("synchronous", "off")
    return connection


class Writer:
    """An application in a process of its own, with the SQLite that Python brings; one statement at a time."""

    def __init__(self, path: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *statements: str) -> list[str]:
        """Run statements; returns for each one "" or the words of its error."""
        return [self._ask(sql) for sql in statements]

    def _ask(self, sql: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(sql) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the writer's process ended"
        return str(json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=DEADLINE_SECONDS)


_WRITER = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
for line in sys.stdin:
    try:
        connection.execute(json.loads(line)).fetchall()
        answer = ""
    except sqlite3.Error as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
connection.close()
"""


# --- Postgres ---------------------------------------------------------------------------------------------------------


async def fetch(dsn: str, sql: str, *arguments: object) -> Rows:
    """The rows of one query over a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()


async def value(dsn: str, sql: str, *arguments: object) -> Any:
    """The first value of one query."""
    rows = await fetch(dsn, sql, *arguments)
    return rows[0][0] if rows else None


async def execute(dsn: str, sql: str) -> None:
    """Run a script over a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def quarantined(dsn: str) -> list[tuple[str, str, str]]:
    """Source table, encoded key and reason of everything in quarantine."""
    rows = await fetch(dsn, "SELECT source_table, key, reason FROM cdc.quarantine ORDER BY 1, 2")
    return [(row[0], row[1], row[2]) for row in rows]


# --- replication in this process --------------------------------------------------------------------------------------


async def recorded(dsn: str, *actions: str) -> list[AuditEntry]:
    """What the audit trail in Postgres has of these actions, in order."""
    rows = await fetch(dsn, "SELECT entry FROM cdc.audit ORDER BY n")
    entries = [entry for row in rows if (entry := decode(row["entry"]))]
    return [entry for entry in entries if entry.action in actions]


async def up(config: Config) -> None:
    """Everything that is not done yet, until Postgres has everything."""
    await service.up(config, until_idle=True, progress=Silent())


async def followed(folder: Path, database: str, tables: str, **replicate: Any) -> Config:
    """The configuration of an application of these tables, in `folder`, that Postgres has everything of."""
    app = application(folder / "app.db")
    app.execute(tables).fetchall()
    app.close()
    config = make_config(folder, folder / "app.db", database, **replicate)
    await up(config)
    return config


async def load(config: Config) -> None:
    """Snapshot, schema and first copy, without replication after it: what `up` does before it follows."""
    await snapshots.take_snapshot(config, Silent())
    await create_schema.create_schema(config)
    await loader.load(config, Silent())


async def drain(config: Config) -> None:
    """Replicate until Postgres has everything."""
    await service.run(config, until_idle=True)


class Live:
    """Replication that stays open: `sync` costs little, so a test can sync thousands of times."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session: Session | None = None

    async def sync(self) -> None:
        """Move Postgres to the newest state; a changed schema is settled by opening anew, as the daemon does."""
        while True:
            try:
                session = self._session = self._session or await self._open()
                while not session.finish_due and await session.drain():
                    pass
                if not session.finish_due:
                    return
            except CaptureLost:
                pass
            await self.close()

    async def step(self) -> None:
        """One batch, whatever the application does meanwhile."""
        session = self._session = self._session or await self._open()
        assert await session.drain()

    async def close(self) -> None:
        """Let go of both ends."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _open(self) -> Session:
        return await Session.open(self._config, ReachedTarget(self._config), Watch(self._config.source.path))


@asynccontextmanager
async def live(config: Config) -> AsyncIterator[Live]:
    """An open session on a source that was loaded before, closed at the end."""
    opened = Live(config)
    try:
        yield opened
    finally:
        await opened.close()


# --- the daemon as a process ------------------------------------------------------------------------------------------


class Daemon:
    """The real command in a process of its own; killed at the end of the block if it still runs.

    `environment` is added to the clean one, for instance `CDC_CRASH_AT`. What it writes goes to `log`.
    """

    def __init__(
        self,
        config: Config,
        command: Sequence[str] = ("run",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = config.state.dir.parent
        self.file = write_config(self.folder / "cdc.toml", config)
        self.log = self.folder / "daemon.log"
        with self.log.open("ab") as log:
            self.process = WarmCommand(
                ["-c", str(self.file), *command],
                log,
                environment={"PYTHONFAULTHANDLER": "1", **(environment or {})},
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """Ask it to end, as systemd does; returns its exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for its end; returns its exit code, negative for a signal. Raises with its log after the deadline."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # what each thread does is written to the log, see `__init__`
            self.process.wait()
            raise AssertionError(f"the daemon did not end:\n{self.words()}") from None

    def words(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.runs:
            self.kill()


def write_config(file: Path, config: Config) -> Path:
    """The configuration as a file that `cdc -c` reads."""
    file.write_text(as_toml(config), encoding="utf-8")
    return file


async def wait_for(
    condition: Callable[[], Awaitable[object]],
    what: str,
    *,
    daemon: Daemon | None = None,
    seconds: float = DEADLINE_SECONDS,
) -> None:
    """Wait until the condition holds; fails in words after the deadline, or at once when the daemon is gone."""
    deadline = asyncio.get_running_loop().time() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while not await condition():
        told = f":\n{daemon.words()}" if daemon else ""
        assert daemon is None or daemon.runs, f"the daemon ended before {what}{told}"
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds:.0f} s for: {what}{told}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


async def wait_until_equal(
    app: apsw.Connection, dsn: str, daemon: Daemon | None = None, *, ignored: Iterable[str] = ()
) -> None:
    """Wait until Postgres holds what SQLite does, but for `ignored` tables; also while tables come and go there."""

    async def equal() -> bool:
        try:
            return await differences(app, dsn, ignored=ignored) == []
        except asyncpg.PostgresError:
            return False

    await wait_for(equal, "equality", daemon=daemon)


async def wait_until_said(daemon: Daemon, words: str) -> None:
    """Wait until the daemon wrote these words to its log."""

    async def said() -> bool:
        return words in daemon.words()

    await wait_for(said, f"the daemon to say {words!r}", daemon=daemon)


async def wait_until_follows(config: Config, daemon: Daemon) -> None:
    """Wait until the daemon got going: what it meets while it opens both ends is another thing."""

    async def follows() -> bool:
        shown = config.state.dir / FILE
        return shown.exists() and f'"{Activity.STREAMING}"' in shown.read_text(encoding="utf-8")

    await wait_for(follows, "the daemon to follow", daemon=daemon)


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process refer to."""
    paths = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since they were listed
            paths.append(str(descriptor.readlink()))
    return paths


async def wait_until_caught_up(config: Config, dsn: str, *, daemon: Daemon | None = None) -> None:
    """Wait until Postgres holds everything that is committed in SQLite when this is called."""
    newest = newest_entry(config.source.path)
    connection = await asyncpg.connect(dsn)

    async def caught_up() -> bool:
        nonlocal newest
        newest = newest or newest_entry(config.source.path)
        if newest is None or await connection.fetchval("SELECT to_regclass('cdc.stream')") is None:
            return False
        there = "SELECT seq >= $2 AND resync = '{}' AND phase = 'replicate' FROM cdc.stream WHERE source_id = $1"
        return bool(await connection.fetchval(there, *newest))

    try:
        await wait_for(caught_up, f"everything to be applied up to {newest}", daemon=daemon)
    finally:
        await connection.close()


def newest_entry(path: Path) -> tuple[str, int] | None:
    """The source's id and the number of its newest changelog entry, None when the file carries no capture yet."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5000)
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = '_cdc_state'").get == 0:
            return None
        row = connection.execute("SELECT source_id, (SELECT max(seq) FROM _cdc_changelog) FROM _cdc_state").get
    finally:
        connection.close()
    return str(row[0]), int(row[1])
