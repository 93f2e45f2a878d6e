"""Schemas that nobody here wrote, filled by the applications that own them while they are replicated.

Each goes into tables made by `cdc schema`, and into tables made by the application's own migrations for Postgres.
"""

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
import pytest
from comparison import differences
from harness import Daemon, application, make_config, quarantined, up, wait_until_caught_up

from cdc.config import ColumnOptions, Config, TableOptions

SCRIPTS: Final = Path(__file__).with_name("applications")
ROUNDS: Final = 2  # of writing while the daemon follows


@dataclass(frozen=True)
class Application:
    """One application; `own` are tables that each database keeps for itself, such as the list of migrations.

    `in_utc` are columns, by table, whose texts are time stamps in UTC without saying so.
    """

    name: str
    sqlite: str = "sqlite:///{path}"
    postgres: str = "postgresql+psycopg2://{user}@/{database}?host={host}&port={port}"
    own: tuple[str, ...] = ()
    in_utc: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def run(self, step: str, url: str) -> None:
        """Let the application do something to a database in a process of its own."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, str(SCRIPTS / f"{self.name}_app.py"), step, url]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    def postgres_url(self, dsn: str) -> str:
        parts, given = urlsplit(dsn), parse_qs(urlsplit(dsn).query)
        return self.postgres.format(
            user=parts.username, database=parts.path[1:], host=given["host"][0], port=given["port"][0]
        )


APPLICATIONS: Final = (
    Application("optuna", own=("alembic_version", "version_info")),
    Application("jupyterhub", own=("alembic_version",)),
    Application("apscheduler"),
    Application("celery"),
    Application("trac", "sqlite:{path}", "postgres://{user}@/{database}?host={host}&port={port}"),
    Application(
        "django",
        own=("django_migrations",),
        in_utc={
            "auth_user": ("last_login", "date_joined"),
            "django_session": ("expire_date",),
            "django_admin_log": ("action_time",),
        },
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("adopt", [False, True], ids=["into tables of ours", "into tables of its own"])
@pytest.mark.parametrize("app", APPLICATIONS, ids=lambda app: app.name)
async def test_an_application_is_replicated_while_it_writes(
    app: Application, adopt: bool, tmp_path: Path, database: str
) -> None:
    file = tmp_path / "app.db"
    url = app.sqlite.format(path=file)
    await asyncio.to_thread(app.run, "migrate", url)
    await asyncio.to_thread(app.run, "write", url)
    if adopt:
        await asyncio.to_thread(app.run, "migrate", app.postgres_url(database))
    config = configured(app, tmp_path, database, adopt=adopt)
    await up(config)
    with Daemon(config) as daemon:
        for _ in range(ROUNDS):
            await asyncio.to_thread(app.run, "write", url)
        await wait_until_caught_up(config, database, daemon=daemon)
    assert await quarantined(database) == []
    source = application(file, wal=False)
    assert await differences(source, database, ignored=app.own if adopt else ()) == []
    source.close()


def configured(app: Application, folder: Path, dsn: str, *, adopt: bool) -> Config:
    said = {
        table: TableOptions(columns={c: ColumnOptions(expression=f"{c} || '+00:00'") for c in columns})
        for table, columns in app.in_utc.items()
    }
    own = list(app.own) if adopt else []
    config = make_config(folder, folder / "app.db", dsn, tables=said if adopt else None, exclude=own)
    target = msgspec.structs.replace(config.target, adopt=adopt, existing_rows="replace")
    return msgspec.structs.replace(config, target=target)
