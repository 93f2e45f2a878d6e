"""What cannot be done while replication is paused, and a pause that does not come about."""

import asyncio

import pytest
from error_assertions import refused
from harness import Daemon, wait_for
from installation import Installation

from cdc.cli import pause
from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.observe import daemon_file


def test_catching_up_while_it_is_paused(site: Installation) -> None:
    site.followed()
    assert site.run("-q", "pause")[0] == ExitCode.OK
    refused(
        site,
        ["run", "--until-idle"],
        "replication is paused since {since} by {by}",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream",),
    )
    assert site.run("-q", "resume")[0] == ExitCode.OK
    site.followed()


def test_a_daemon_that_does_not_come_to_rest(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "WAIT_SECONDS", 0.3)
    site.followed()
    site.sql("INSERT INTO t VALUES (1, 'x')")
    with Daemon(load_config(site.config_file), environment={"CDC_STALL_AT": "sqlite.read"}) as daemon:
        asyncio.run(streaming(site, daemon))
        refused(
            site,
            ["pause"],
            "the daemon (process {pid}) has not come to rest within {wait_seconds} seconds: {doing}",
            ExitCode.UNAVAILABLE,
            changes=(".cdc/paused.json",),
        )


async def streaming(site: Installation, daemon: Daemon) -> None:
    config = load_config(site.config_file)

    async def look() -> bool:
        found = daemon_file.look(config)
        return found is not None and found.doing == "streaming"

    await wait_for(look, "the daemon to stream", daemon=daemon)


def test_a_state_folder_that_takes_no_note(site: Installation) -> None:
    site.followed()
    (site.folder / ".cdc" / "paused.json.partial").mkdir()
    refused(
        site,
        ["pause"],
        "the note {file} that holds the daemon cannot be written or removed: {error}",
        ExitCode.CONFIG,
    )
