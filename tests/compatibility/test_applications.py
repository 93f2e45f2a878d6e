"""Schemas that nobody here wrote, filled by the applications that own them while they are replicated.

Each goes into tables made by `cdc schema`, and into tables made by the application's own migrations for Postgres.
"""

from pathlib import Path
from typing import Final

import pytest
from trial import Application, replicate

from cdc.config import Formats
from cdc.postgres.record.verification import EQUAL

APPLICATIONS: Final = (
    Application("optuna", own=("alembic_version", "version_info")),
    Application("jupyterhub", own=("alembic_version",)),
    Application("apscheduler"),
    Application("celery"),
    Application("trac", "sqlite:{path}", "postgres://{user}@/{database}?host={host}&port={port}"),
    Application("django", own=("django_migrations",), formats=Formats(timestamptz="iso utc")),
)


@pytest.mark.slow
@pytest.mark.parametrize("adopt", [False, True], ids=["into tables of ours", "into tables of its own"])
@pytest.mark.parametrize("app", APPLICATIONS, ids=lambda app: app.name)
async def test_an_application_is_replicated_while_it_writes(
    app: Application, adopt: bool, tmp_path: Path, database: str
) -> None:
    report, found = await replicate(app, tmp_path, database, adopt=adopt)
    assert found == []
    assert (report.schema, report.result) == ((), EQUAL)
