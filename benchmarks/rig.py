"""What benchmarks run on: a scratch folder, a server, the real command as a process, and numbers from the kernel."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from loguru import logger

from cdc import service
from cdc.cli.progress import Silent
from cdc.config import Config, decode_config
from cdc.postgres import embedded
from cdc.postgres.connection import Connection

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Rig:
    """A scratch folder with one SQLite file's place, and one running server."""

    folder: Path
    dsn: str

    @property
    def database(self) -> Path:
        return self.folder / "app.db"

    def config(self) -> Config:
        """The configuration that an operator would begin with."""
        return decode_config(self._sections())

    def _sections(self) -> dict[str, dict[str, str]]:
        state = str(self.folder / "state")
        return {"source": {"path": str(self.database)}, "target": {"dsn": self.dsn}, "state": {"dir": state}}

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

    def psql(self, *commands: str) -> None:
        """Run commands with the bundled psql."""
        program = str(embedded.bundled_binaries() / "psql")
        arguments = [part for command in commands for part in ("-c", command)]
        subprocess.run([program, "-qXAt", "-v", "ON_ERROR_STOP=1", self.dsn, *arguments], check=True)

    @contextlib.asynccontextmanager
    async def daemon(self) -> AsyncIterator["Process"]:
        """The daemon as a process of its own that follows the file already."""
        async with self.postgres() as connection:
            began = await connection.fetchval("SELECT clock_timestamp()")
            with self.command("run") as process:
                while not await connection.fetchval("SELECT bool_or(heartbeat_at > $1) FROM cdc.stream", began):
                    process.check()
                    await asyncio.sleep(0.02)
                yield process

    @contextlib.contextmanager
    def command(self, *arguments: str) -> Iterator["Process"]:
        """The real `cdc` as a process of its own, asked to end when the block does."""
        file = self.folder / "cdc.toml"
        lines = [f"[{n}]\n{k} = {json.dumps(v)}" for n, keys in self._sections().items() for k, v in keys.items()]
        file.write_text("\n".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", "cdc", "-q", "-c", str(file), *arguments]
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


class Process:
    """A running command and what the kernel counts for it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def peak_until_end(self) -> float:
        """Wait for its end; returns the largest resident size that was seen, in MB. Raises when it failed."""
        peak = 0.0
        while self._process.poll() is None:
            peak = max(peak, peak_rss_mb(self._process.pid))
            time.sleep(0.02)
        self.check()
        return peak

    def check(self) -> None:
        """Raises when it failed."""
        if self._process.poll():
            raise SystemExit(f"the command ended with code {self._process.returncode}")

    def rss_mb(self) -> float:
        """The resident size now."""
        return _status(self._process.pid, "VmRSS")

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its threads."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_SECOND


def peak_rss_mb(pid: int | str = "self") -> float:
    """The largest resident size of a program since it began, in MB; 0 when it has just ended.

    Not getrusage: that inherits the peak of the process which started this one.
    """
    return _status(pid, "VmHWM")


def _status(pid: int | str, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)
