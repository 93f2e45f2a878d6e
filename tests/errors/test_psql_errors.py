"""`cdc psql` where there is no client, or no server."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from error_assertions import refused
from installation import Installation, Outcome

from cdc.errors import ExitCode


def with_programs_of(site: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Commands that find no other programs than those of a folder."""

    def run(*arguments: str) -> Outcome:
        with monkeypatch.context() as only:
            only.setenv("PATH", str(folder))
            return site.run(*arguments)

    return run


def test_a_machine_without_psql(site: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = with_programs_of(site, tmp_path / "nothing", monkeypatch)
    refused(site, ["psql"], "psql is not installed here", ExitCode.UNAVAILABLE, run=run)


def test_an_embedded_server_that_was_never_made(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    site.run("init", "app.db", "--force")
    program = shutil.which("true")
    assert program is not None
    (site.folder / "bin").mkdir()
    (site.folder / "bin" / "psql").symlink_to(program)
    run = with_programs_of(site, site.folder / "bin", monkeypatch)
    refused(site, ["psql"], "there is no embedded Postgres yet", ExitCode.UNAVAILABLE, run=run)


def test_the_address_of_a_server_that_does_not_run(site: Installation) -> None:
    site.run("init", "app.db", "--force")
    template = "the embedded Postgres does not run, and has no address until it does"
    refused(site, ["psql", "--print"], template, ExitCode.UNAVAILABLE)
