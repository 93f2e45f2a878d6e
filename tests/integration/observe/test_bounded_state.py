"""The state folder does not grow for ever: snapshots and the server's log are bounded, and nothing needed goes."""

from pathlib import Path

import pytest
from harness import execute
from installation import Installation

from cdc.audit import trail
from cdc.cli import main
from cdc.errors import ExitCode
from cdc.postgres.server import embedded, server_log


def snapshots(site: Installation) -> list[str]:
    return sorted(path.name for path in (site.folder / ".cdc" / "snapshots").iterdir() if path.is_dir())


def taken(site: Installation) -> str:
    """Take one more; returns its name."""
    before = set(snapshots(site)) if (site.folder / ".cdc" / "snapshots").exists() else set()
    code, _, err = site.run("-q", "snapshot")
    assert code == ExitCode.OK, err
    (made,) = set(snapshots(site)) - before
    return made


def test_only_the_newest_snapshots_are_kept_and_the_one_that_the_copy_began_with(site: Installation) -> None:
    site.configure("[snapshot]\nkeep = 2")
    first = taken(site)
    site.followed()
    others = [taken(site) for _ in range(4)]
    assert snapshots(site) == [first, *others[-2:]]
    removed = [e.details["snapshot"] for e in trail.read(site.folder / ".cdc") if e.action == "remove snapshot"]
    assert removed == others[:2]


def test_nothing_is_removed_while_postgres_cannot_say_what_it_needs(cut_off: Installation) -> None:
    cut_off.configure("[snapshot]\nkeep = 1")
    made = [taken(cut_off) for _ in range(3)]
    assert snapshots(cut_off) == made


def test_all_are_kept_when_that_is_asked_for(site: Installation) -> None:
    site.configure("[snapshot]\nkeep = 0")
    made = [taken(site) for _ in range(7)]
    assert snapshots(site) == made


def test_a_snapshot_that_fails_its_checks_removes_none(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    site.configure("[snapshot]\nkeep = 1")
    made = taken(site)
    site.configure("[snapshot]\nkeep = 1\nmax_writer_pause_seconds = 0")
    assert site.run("-q", "snapshot")[0] == ExitCode.CRITICAL
    assert snapshots(site) == [made]


def test_what_is_removed_is_told(site: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    site.configure("[snapshot]\nkeep = 1")
    first = taken(site)
    assert main(["-q", "snapshot"]) == ExitCode.OK
    assert f"removed    {first}" in capsys.readouterr().out


async def test_the_log_of_a_running_server_is_put_aside_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_log, "_LONGEST", 500)
    log = tmp_path / "server.log"
    with embedded.start(tmp_path, settings={"fsync": "off", "log_statement": "all"}) as server:
        for words in ("the first words", "and more of them"):
            await execute(server.dsn, f"SELECT '{words}', '{'x' * 500}'")
        server_log.bound_log(tmp_path)
        assert log.read_bytes() == b""
        await execute(server.dsn, "SELECT 'the words after'")
        assert "the first words" in log.with_name("server.log.1").read_text()
        assert log.read_text().startswith("20"), "written at the beginning, not behind a hole"
        assert "the words after" in log.read_text()
        server_log.bound_log(tmp_path)
        assert "the words after" in log.read_text(), "short enough to stay"
