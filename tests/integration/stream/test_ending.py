"""Replication that was ended on purpose is told as such: nothing calls it a fault, and nothing goes on by itself."""

import asyncio
from pathlib import Path

import pytest
from harness import Daemon, value, wait_for
from installation import CLOSED_PORT, Installation

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.sqlite.changelog import source_file


@pytest.fixture
def ended(site: Installation) -> Installation:
    """A source that was followed and ended."""
    site.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    site.followed()
    assert site.run("cleanup", "--capture-only")[:2] == (ExitCode.OK, "capture is removed\n")
    return site


def test_nobody_calls_it_a_fault_and_what_is_the_case_is_told(ended: Installation) -> None:
    told = ended.status()
    assert (told["phase"], told["exit_code"], told["warnings"]) == ("ended", ExitCode.OK, [])
    assert "ended on purpose" in told["next_step"]
    for command in (["run"], ["run", "--until-idle"], ["verify"], ["schema"], ["load"], ["status"]):
        _, out, err = ended.run("-q", *command)
        assert "resync" not in out + err, command
        assert "ended on purpose" in out + err, command
        assert "`cdc up`" in out + err, command


def test_up_begins_anew_where_nothing_differs(ended: Installation) -> None:
    """The remedy that is printed, to its end."""
    code, _, err = ended.run("-q", "up", "--until-idle")
    assert code == ExitCode.OK, err
    ended.sql("INSERT INTO t VALUES (3, 'c')")
    assert ended.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert ended.status()["phase"] == "replicate"
    assert asyncio.run(value(ended.dsn, "SELECT count(*) FROM t")) == 3
    assert ended.run("-q", "verify")[0] == ExitCode.OK


def test_up_replaces_nothing_that_was_written_since_until_yes_is_said(ended: Installation) -> None:
    """Postgres may be what the application writes to by now, and a service starts with the machine."""
    ended.target_sql("UPDATE t SET v = 'newer' WHERE id = 1; INSERT INTO t VALUES (7, 'only here')")
    before = ended.picture()
    code, _, err = ended.run("-q", "up", "--until-idle")
    assert code == ExitCode.CRITICAL
    assert "t (1 rows to delete, 1 to change, 0 to add, of 3)" in err
    assert ended.picture() == before
    assert ended.status()["phase"] == "ended"
    assert ended.run("-q", "up", "--until-idle", "--yes")[0] == ExitCode.OK
    assert asyncio.run(value(ended.dsn, "SELECT string_agg(v, ',' ORDER BY id) FROM t")) == "a,b"
    kept = "".join(file.read_text() for file in (ended.folder / ".cdc" / "replaced").iterdir())
    assert "1,newer" in kept
    assert "7,only here" in kept


def test_it_is_refused_beside_a_running_daemon(site: Installation) -> None:
    site.followed()
    config = load_config(site.config_file)
    with Daemon(config) as daemon:
        running = "SELECT owner IS NOT NULL FROM cdc.stream"
        asyncio.run(wait_for(lambda: value(site.dsn, running), "the first heartbeat", daemon=daemon))
        code, _, err = site.run("cleanup", "--capture-only")
        assert code == ExitCode.CRITICAL
        assert f"process {daemon.process.pid} of this machine" in err
        # Another state folder shows no daemon, but Postgres knows of it.
        site.config_file.write_text(site.config_file.read_text().replace("/.cdc", "/elsewhere"))
        code, _, err = site.run("cleanup", "--capture-only")
        assert (code, "another daemon replicates this source" in err) == (ExitCode.CRITICAL, True), err
        assert daemon.terminate() == 0
    assert site.run("cleanup", "--capture-only")[1] == "capture is removed\n"


def test_while_postgres_is_away_capture_goes_and_postgres_is_told_later(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.followed()
    good = site.config_file.read_text()
    site.configure("[target]", f'dsn = "{CLOSED_PORT}"')
    code, out, _ = site.run("cleanup", "--capture-only")
    assert code == ExitCode.OK
    assert "capture is removed" in out
    assert "give the command again" in out
    site.config_file.write_text(good)
    told = site.status()
    assert (told["phase"], "resync" in told["next_step"]) == ("ended", False)
    assert asyncio.run(value(site.dsn, "SELECT ended_at FROM cdc.stream")) is None
    assert site.run("cleanup", "--capture-only")[1] == "there was no capture to remove\n"
    assert asyncio.run(value(site.dsn, "SELECT ended_at FROM cdc.stream")) is not None
    assert site.run("-q", "up", "--until-idle")[0] == ExitCode.OK


def test_a_file_that_loses_capture_after_that_is_a_fault_again(ended: Installation) -> None:
    assert ended.run("-q", "up", "--until-idle")[0] == ExitCode.OK
    source_file.remove_capture(load_config(ended.config_file))
    told = ended.status()
    assert told["exit_code"] == ExitCode.CRITICAL
    assert "--resync" in told["next_step"]


def test_there_is_nothing_to_end_where_nothing_was_set_up(site: Installation) -> None:
    assert site.run("cleanup", "--capture-only")[1] == "there was no capture to remove\n"
    assert site.status()["phase"] == "new"
    assert not Path(site.folder / ".cdc" / "ended.json").exists()
