"""What benchmarks run on: a scratch folder, a server, and the real command as a process."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from loguru import logger

from benchmarks.process import Process
from cdc.config import Config, decode_config
from cdc.daemon import service
from cdc.facts.progress import Silent
from cdc.postgres.connection.open import Connection
from cdc.postgres.server import embedded
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream.session import Session


@dataclass(frozen=True)
class Rig:
    """A scratch folder with one SQLite file's place, and one running server."""

    folder: Path
    dsn: str

    @property
    def database(self) -> Path:
        return self.folder / "app.db"

    def config(self, dsn: str | None = None) -> Config:
        """The configuration that an operator would begin with; another way to the server may be given."""
        return decode_config(self._sections(dsn))

    def _sections(self, dsn: str | None = None) -> dict[str, dict[str, str]]:
        state = str(self.folder / "state")
        return {"source": {"path": str(self.database)}, "target": {"dsn": dsn or self.dsn}, "state": {"dir": state}}

    async def up(self) -> None:
        """Everything up to lag zero, in this process."""
        await service.up(self.config(), until_idle=True, progress=Silent())

    @contextlib.asynccontextmanager
    async def postgres(self) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """What the daemon's loop works with, in this process."""
        session = await Session.open(self.config(), Endpoint(self.config()), Watch(self.database))
        try:
            yield session
        finally:
            await session.close()

    def psql(self, *commands: str) -> None:
        """Run commands with the bundled psql."""
        program = str(embedded.bundled_binaries() / "psql")
        arguments = [part for command in commands for part in ("-c", command)]
        subprocess.run([program, "-qXAt", "-v", "ON_ERROR_STOP=1", self.dsn, *arguments], check=True)

    @contextlib.asynccontextmanager
    async def daemon(self, *, events: bool = True) -> AsyncIterator[Process]:
        """The daemon as a process of its own that follows the file already, with or without file events."""
        async with self.postgres() as connection:
            began = await connection.fetchval("SELECT clock_timestamp()")
            with self.command("run", program="cdc" if events else "benchmarks.without_events") as process:
                while not await connection.fetchval("SELECT bool_or(heartbeat_at > $1) FROM cdc.stream", began):
                    process.check()
                    await asyncio.sleep(0.02)
                yield process

    @contextlib.contextmanager
    def command(self, *arguments: str, program: str = "cdc") -> Iterator[Process]:
        """The real `cdc` as a process of its own, asked to end when the block does."""
        file = self.folder / "cdc.toml"
        lines = [f"[{n}]\n{k} = {json.dumps(v)}" for n, keys in self._sections().items() for k, v in keys.items()]
        file.write_text("\n".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", program, "-q", "-c", str(file), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield Process(process)
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    """A rig that is gone afterwards."""
    logger.disable("cdc")
    folder = Path(tempfile.mkdtemp(prefix="cdc-bench-"))
    try:
        with embedded.start(folder / "postgres") as server:
            yield Rig(folder, server.dsn)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
