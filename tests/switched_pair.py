"""An application that is moved to and fro by the real commands, with a real daemon beside them."""

import asyncio
import itertools
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import apsw
import asyncpg
import msgspec
from comparison import Comparison
from harness import Daemon, application, make_config, up, wait_for, write_config
from warm_commands import WarmCommand

from cdc.config import Config
from cdc.config.cutover import CutoverSection
from cdc.observe.daemon_file import FILE
from cdc.observe.daemon_state import Activity

COMMAND_SECONDS = 60.0
_NUMBERS = itertools.count(1)
STOPPED, ENDED = "T", "Z"  # as /proc has it
_PROBE = "INSERT INTO probe(id, n) VALUES (-1, 0)"  # rolled back
PROBE = "CREATE TABLE probe(id INTEGER PRIMARY KEY, n INTEGER)"


async def set_up(folder: Path, dsn: str, tables: str, *, wal: bool = True, **cutover: float | str) -> Config:
    """A file with these tables, replicated until Postgres has everything."""
    app = application(folder / "app.db", wal=wal)
    app.execute(f"{tables};{PROBE}").fetchall()
    app.close()
    config = make_config(folder, folder / "app.db", dsn, heartbeat_seconds=0.2)
    config = msgspec.structs.replace(config, cutover=CutoverSection(**cutover))  # type: ignore[arg-type]
    await up(config)
    return config


def quiet(_: str) -> None:
    """Nobody looks at the steps."""


class Command:
    """A command in a process of its own; `crash_at` kills it there."""

    def __init__(self, config: Config, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        file = write_config(config.state.dir.parent / "command.toml", config)
        self._log = file.with_name(f"command {next(_NUMBERS)}.log")
        with self._log.open("wb") as log:
            self.process = WarmCommand(
                ["-c", str(file), *arguments], log, environment={"PYTHONFAULTHANDLER": "1", **(environment or {})}
            )

    async def ends(self) -> int:
        """Its exit code, negative for a signal."""
        try:
            return await asyncio.to_thread(self.process.wait, COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # what each thread does is written
            await asyncio.to_thread(self.process.wait)
            raise AssertionError(f"the command did not end:\n{self.words}") from None

    @property
    def words(self) -> str:
        """All that it wrote."""
        return self._log.read_text(encoding="utf-8")

    async def stands_still(self) -> None:
        """Wait until it stopped at the point of `CDC_FREEZE_AT`, or ended before."""

        async def stopped() -> bool:
            return self._state() in {STOPPED, ENDED}

        await wait_for(stopped, "the command to stand still")

    def _state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2][0]

    async def goes_on(self) -> int:
        """Let it go on wherever it stands still, until its end; returns its exit code."""
        ending = asyncio.create_task(self.ends())
        while not ending.done():
            self.process.send_signal(signal.SIGCONT)
            await asyncio.wait([ending], timeout=0.05)
        return await ending


async def run(config: Config, *arguments: str, crash_at: str = "") -> tuple[int, str]:
    """Run a command to its end; returns its exit code and all that it wrote."""
    command = Command(config, *arguments, environment={"CDC_CRASH_AT": crash_at} if crash_at else None)
    code = await command.ends()
    return code, command.words


async def done(config: Config, *arguments: str) -> None:
    """Run a command that must succeed."""
    code, words = await run(config, *arguments)
    assert code == 0, f"{arguments} ended with {code}:\n{words}"


async def accepting(config: Config) -> frozenset[str]:
    """The sides that accept a write now, tried for real and taken back."""
    found = set()
    app = application(config.source.path)
    try:
        with suppress(apsw.ConstraintError):
            app.execute("BEGIN IMMEDIATE")
            app.execute(_PROBE)
            found.add("sqlite")
    finally:
        app.execute("ROLLBACK")
        app.close()
    connection = await asyncpg.connect(config.target.dsn)
    try:
        transaction = connection.transaction()
        await transaction.start()
        with suppress(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute(_PROBE)
            found.add("postgres")
        await transaction.rollback()
    finally:
        await connection.close()
    return frozenset(found)


async def settled(config: Config, daemon: Daemon) -> str:
    """Wait until exactly one side accepts writes and the daemon follows from there; returns which."""
    sides: frozenset[str] = frozenset()

    async def clean() -> bool:
        nonlocal sides
        sides = await accepting(config)
        assert len(sides) < 2, "both accept writes"
        wanted = Activity.STREAMING if sides == {"sqlite"} else Activity.RETURNING
        shown = config.state.dir / FILE
        return bool(sides) and shown.exists() and f'"{wanted}"' in shown.read_text(encoding="utf-8")

    await wait_for(clean, "one side to accept writes, and the other to follow", daemon=daemon)
    return next(iter(sides))


async def wait_until_alike(config: Config, daemon: Daemon) -> None:
    """Wait until both hold the same, told by a reader of its own; nobody may be writing."""
    found: list[str] = []

    async def alike() -> bool:
        nonlocal found
        reader = application(config.source.path)
        target = await asyncpg.connect(config.target.dsn)
        try:
            found = await Comparison(reader, target).differences()
        finally:
            await target.close()
            reader.close()
        return not found

    try:
        await wait_for(alike, "equality", daemon=daemon, seconds=30)
    except AssertionError as error:
        raise AssertionError("\n".join([*found[:10], str(error)[-6000:]])) from None
