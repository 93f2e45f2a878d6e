"""What benchmarks share: a scratch folder, an embedded server, a configuration, and memory read from the kernel."""

import contextlib
import resource
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from cdc.config import Config, decode_config
from cdc.postgres import embedded


@dataclass(frozen=True)
class Rig:
    """A scratch folder with one SQLite file's place and one running server."""

    folder: Path
    dsn: str

    @property
    def database(self) -> Path:
        return self.folder / "app.db"

    def config(self, **replicate: object) -> Config:
        return decode_config(
            {
                "source": {"path": str(self.database)},
                "target": {"dsn": self.dsn},
                "state": {"dir": str(self.folder / "state")},
                "replicate": replicate,
            }
        )

    @contextlib.asynccontextmanager
    async def postgres(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    def psql(self, command: str) -> None:
        """Run one psql command, with the bundled psql."""
        program = embedded.bundled_binaries() / "psql"
        subprocess.run([program, "-q", "-v", "ON_ERROR_STOP=1", self.dsn, "-c", command], check=True)


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    """A rig that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-bench-"))
    try:
        with embedded.start(folder / "postgres") as server:
            yield Rig(folder, server.dsn)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def peak_rss_mb() -> float:
    """The largest resident size this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Silent:
    """Progress for nobody."""

    def start(self, what: str, total: int | None) -> None:
        pass

    def advance(self, n: int) -> None:
        pass

    def finish(self) -> None:
        pass
