"""What `cdc demo` plays on: a folder with the sample data, the application and the daemon as processes of their own.

Nothing here is a shortcut: the daemon is `cdc run`, and the application is a program that knows nothing of it.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cdc.config import Config, load_config
from cdc.errors import CdcError, TargetError, UsageError
from cdc.postgres.connection.open import Connection
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.counts import Headway, count_rows, has_row, headway
from cdc.resources import folder
from cdc.sqlite.changelog import source_file as sqlite

TABLES: Final = ("content", "content_summaries", "summary_variants")
BOT, DASHBOARD = "bot", "dashboard"  # two processes of the application
PATIENCE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.02
END_SECONDS: Final = 10.0

_FILES: Final = ("cdc.toml", "ytv2_migration_day.db", "queries.toml", "port.toml")
_SCHEMAS: Final = "schemas"


@dataclass(frozen=True, slots=True)
class BothSides:
    """Rows by table on both sides, and how far the stream is."""

    sqlite: Mapping[str, int]
    postgres: Mapping[str, int]
    headway: Headway


@contextmanager
def stage_folder(keep: Path | None) -> Iterator[Path]:
    """A folder with copies of the sample data and its configuration; gone afterwards unless it is to be kept.

    Raises `UsageError` when the folder to keep exists and has something in it.
    """
    with tempfile.TemporaryDirectory(prefix="cdc-demo-") as temporary:
        place = Path(temporary) if keep is None else keep
        if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise UsageError(f"{keep} exists and is not an empty folder", remedy="name a new folder")
        try:
            place.mkdir(parents=True, exist_ok=True)
            for name in _FILES:
                shutil.copyfile(folder("ytv2") / name, place / name)
            shutil.copytree(folder("ytv2") / _SCHEMAS, place / _SCHEMAS)
        except OSError as error:
            raise UsageError(f"{place} cannot be written: {error.strerror}", remedy="name another folder") from None
        yield place


class Stage:
    """One demo: its configuration, the application, the daemon, and a connection that looks at Postgres."""

    def __init__(self, place: Path) -> None:
        self.folder = place.resolve()
        self.config_file = self.folder / "cdc.toml"
        self.config: Config = load_config(self.config_file)
        self._processes: dict[str, Process] = {}
        self._daemon: Process | None = None
        self._connection: Connection

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The application is there and Postgres runs until the end of the block; then nothing is left running."""
        async with connected(self.config, "demo") as self._connection:
            try:
                for name in (BOT, DASHBOARD):
                    program = str(folder("ytv2") / "application.py")
                    self._processes[name] = await asyncio.create_subprocess_exec(
                        sys.executable, program, str(self.config.source.path), stdin=PIPE, stdout=PIPE
                    )
                yield
            finally:
                for process in (*self._processes.values(), self._daemon):
                    await _end(process)

    async def ask(self, command: str, *arguments: object, of: str = BOT) -> Any:
        """Have a part of the application do something; its answer. See `examples/ytv2/application.py`."""
        process = self._processes[of]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")
        answer = await process.stdout.readline()
        if not answer:
            raise CdcError("the application of the demo ended by itself", remedy="see its message above")
        return json.loads(answer)

    async def start_daemon(self) -> None:
        """Start `cdc run`; what it logs goes to `daemon.log` in the folder."""
        with (self.folder / "daemon.log").open("ab") as log:
            command = (sys.executable, "-m", "cdc", "-c", str(self.config_file), "run")
            self._daemon = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=log, stderr=log)

    async def stop_daemon(self) -> int:
        """End the daemon as systemd would; its exit code."""
        return await _end(self._daemon)

    async def call(self, *arguments: str) -> int:
        """Run `cdc` in the folder of this stage, as an operator would in another terminal; its exit code."""
        command = (sys.executable, "-m", "cdc", "-q", "-c", str(self.config_file), *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, cwd=self.folder)
        try:
            return await process.wait()
        finally:
            await _end(process)

    async def headway(self) -> Headway:
        """How far the stream is."""
        return await headway(self._connection, str(self.config.source.path))

    async def shows(self, content: str) -> bool:
        """Whether Postgres has a content."""
        return await has_row(self._connection, self.config.target.schema, "content", "id", content)

    async def settled(self) -> None:
        """Wait until Postgres has everything that SQLite has now; raises when the daemon does not get there."""
        look = await asyncio.to_thread(sqlite.look, self.config)
        newest = look.newest.seq if look.newest else 0
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while (await self.headway()).seq < newest:
            if asyncio.get_running_loop().time() > deadline or _ended(self._daemon):
                raise TargetError(
                    "the daemon of the demo does not get on", remedy=f"see {self.folder}/daemon.log, with --keep FOLDER"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def moment(self) -> BothSides:
        """What both sides show now."""
        here = await self.ask("counts", of=DASHBOARD)
        there = await count_rows(self._connection, self.config.target.schema, TABLES)
        return BothSides(here, there, await self.headway())


def _ended(process: Process | None) -> bool:
    return process is None or process.returncode is not None


async def _end(process: Process | None) -> int:
    """Ask a process to end, and end it when it does not; its exit code."""
    if process is None:
        return 0
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
    return process.returncode or 0
