"""One application, replicated while it writes, and what both databases hold afterwards."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from comparison import differences
from harness import Daemon, application, make_config, quarantined, up, wait_until_caught_up

from cdc import verify
from cdc.config import Config, Formats, TableOptions
from cdc.facts.progress import Silent
from cdc.verify.report import VerifyReport

SCRIPTS: Final = Path(__file__).with_name("applications")
STEP_SECONDS: Final = 900  # Wagtail's migrations take minutes
ROUNDS: Final = 2  # of writing while the daemon follows


@dataclass(frozen=True)
class Application:
    """One application, and what the configuration has to say about it when its own tables are adopted.

    `own` are tables that each database keeps for itself, such as the list of migrations. `search` are the names of
    tables of SQLite's own full-text search, which are left out everywhere.
    """

    name: str
    sqlite: str = "sqlite:///{path}"
    postgres: str = "postgresql+psycopg2://{user}@/{database}?host={host}&port={port}"
    own: tuple[str, ...] = ()
    formats: Formats = field(default_factory=Formats)
    tables: Mapping[str, TableOptions] = field(default_factory=dict)
    search: tuple[str, ...] = ()

    def run(self, step: str, url: str) -> None:
        """Let the application do something to a database in a process of its own."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, str(SCRIPTS / f"{self.name}_app.py"), step, url]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=STEP_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr

    def postgres_url(self, dsn: str) -> str:
        """A database as the application's own URLs name it."""
        parts, given = urlsplit(dsn), parse_qs(urlsplit(dsn).query)
        return self.postgres.format(
            user=parts.username, database=parts.path[1:], host=given["host"][0], port=given["port"][0]
        )


async def replicate(app: Application, folder: Path, dsn: str, *, adopt: bool) -> tuple[VerifyReport, list[str]]:
    """Write, copy, and write on while the daemon follows; returns what `cdc verify` and another comparison found."""
    url = app.sqlite.format(path=folder / "app.db")
    await asyncio.to_thread(app.run, "migrate", url)
    await asyncio.to_thread(app.run, "write", url)
    if adopt:
        await asyncio.to_thread(app.run, "migrate", app.postgres_url(dsn))
    config = configured(app, folder, dsn, adopt=adopt)
    await up(config)
    with Daemon(config) as daemon:
        for _ in range(ROUNDS):
            await asyncio.to_thread(app.run, "write", url)
        await wait_until_caught_up(config, dsn, daemon=daemon)
    report = await verify.verify(config, None, False, Silent())
    waiting = [f"{table} {key} waits in quarantine as {reason}" for table, key, reason in await quarantined(dsn)]
    source = application(folder / "app.db", wal=False)
    ignored = (*app.search, *(app.own if adopt else ()))
    found = await differences(source, dsn, ignored=ignored)
    source.close()
    return report, waiting + found


def configured(app: Application, folder: Path, dsn: str, *, adopt: bool) -> Config:
    """The shortest configuration for it."""
    config = make_config(folder, folder / "app.db", dsn, exclude=list(app.own) if adopt else [])
    if not adopt:
        return config
    return msgspec.structs.replace(
        config,
        target=msgspec.structs.replace(config.target, adopt=True, existing_rows="replace"),
        formats=app.formats,
        tables=dict(app.tables),
    )
