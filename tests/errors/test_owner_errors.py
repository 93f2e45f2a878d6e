"""Tables that another file feeds, copies of a file, resyncs that replace much, and replication that was ended."""

import asyncio
import shutil
from pathlib import Path

import pytest
from error_assertions import refused, said
from harness import Daemon, value, wait_for
from installation import Installation

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.sqlite.changelog import source_file


@pytest.fixture
def other(
    site: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Installation:
    """Another source into the same tables, which `site` feeds."""
    site.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    site.followed()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    return Installation(tmp_path / "other", site.dsn, capsys)


def lose_capture(site: Installation) -> None:
    source_file.remove_capture(load_config(site.config_file))


@pytest.mark.parametrize("command", [["up", "--until-idle"], ["run"], ["load", "--resync"]])
def test_tables_that_another_file_feeds(other: Installation, command: list[str]) -> None:
    told = "another file feeds these tables in Postgres: {owner}, since {since}: {tables}"
    refused(other, command, told, ExitCode.CRITICAL)


def test_tables_that_were_filled_from_the_file_before(site: Installation) -> None:
    """Another one with capture of its own was moved into its place."""
    site.followed()
    lose_capture(site)
    site.capture()
    assert site.run("snapshot")[0] == ExitCode.OK
    refused(
        site,
        ["schema"],
        "what was replicated from {owner} before is still in Postgres since {since}: {tables}",
        ExitCode.CRITICAL,
    )
    assert site.run("load", "--resync")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK


def test_a_copy_of_a_file_that_is_replicated(site: Installation, other: Installation) -> None:
    shutil.copyfile(site.database, other.database)
    refused(
        other,
        ["run"],
        "{path} is a copy of {registered}, which is what Postgres follows: both carry the same id",
        ExitCode.CRITICAL,
    )


def test_a_resync_that_would_replace_much(site: Installation) -> None:
    ones = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
    site.sql(f"{ones} INSERT INTO t SELECT i, 'x' FROM n")
    site.followed()
    lose_capture(site)
    site.sql("DELETE FROM t")
    refused(site, ["load", "--resync"], "much of what Postgres holds would be replaced: {words}", ExitCode.CRITICAL)


def test_going_on_where_replication_was_ended(site: Installation) -> None:
    site.followed()
    assert site.run("cleanup", "--capture-only")[0] == ExitCode.OK
    ended = "replication of {path} was ended on purpose by `cdc cleanup` at {at}"
    refused(site, ["run"], ended, ExitCode.CRITICAL)
    refused(site, ["verify"], ended, ExitCode.CRITICAL)
    site.target_sql("INSERT INTO t VALUES (1, 'newer')")
    refused(
        site,
        ["up", "--until-idle"],
        "replication was ended on purpose, and Postgres holds something else by now, which may be newer: {words}",
        ExitCode.CRITICAL,
    )


def test_ending_beside_a_daemon(site: Installation) -> None:
    site.followed()
    with Daemon(load_config(site.config_file)) as daemon:
        running = "SELECT owner IS NOT NULL FROM cdc.stream"
        asyncio.run(wait_for(lambda: value(site.dsn, running), "the first heartbeat", daemon=daemon))
        code, _, err = site.run("-q", "cleanup", "--capture-only")
        assert code == ExitCode.CRITICAL
        said(err, "a daemon replicates {path} now: process {pid} of this machine", ExitCode.CRITICAL)


def test_releasing_the_tables_of_nobody(site: Installation) -> None:
    site.followed()
    refused(
        site,
        ["cleanup", "--release", "/nowhere.db"],
        "nothing was ever replicated from {path} into schema {schema}",
        ExitCode.USAGE,
    )


def test_a_note_that_cannot_be_written(site: Installation) -> None:
    site.followed()
    (site.folder / ".cdc" / "ended.json").mkdir()
    refused(
        site,
        ["cleanup", "--capture-only"],
        "the note {config} that replication has ended cannot be written: {error}",
        ExitCode.CONFIG,
    )


def test_rows_that_cannot_be_saved_before_a_resync_replaces_them(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.followed()
    lose_capture(site)
    site.sql("DELETE FROM t")
    assert site.run("load", "--resync")[0] == ExitCode.OK
    (site.folder / ".cdc" / "replaced").write_text("a file in the way")
    refused(
        site,
        ["run", "--until-idle"],
        "rows of {schema}.{name} that would be replaced cannot be saved to {file}: {error}",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream", "rows of cdc.sighting"),
    )


def test_rows_that_cannot_be_saved_before_a_repair(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.followed()
    site.target_sql("UPDATE t SET v = '7'")
    (site.folder / ".cdc" / "repaired").write_text("a file in the way")
    refused(
        site,
        ["verify", "--repair"],
        "rows of {schema}.{name} that a repair would change cannot be saved to {file}: {error}",
        ExitCode.CRITICAL,
    )


@pytest.mark.parametrize("phase", ["schema", "of a newer version"])
def test_a_source_whose_phase_somebody_changed(site: Installation, phase: str) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.followed()
    site.target_sql(f"UPDATE cdc.stream SET phase = '{phase}'")
    told = "cdc.stream has this source in a phase that {phase} cannot follow: somebody, or a newer version, changed it"
    refused(site, ["run"], told, ExitCode.CRITICAL)
    assert site.run("load", "--resync")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.status()["phase"] == "replicate"
