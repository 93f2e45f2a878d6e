"""Commands against real databases that are away, new, broken or stopped: what is printed and how they exit."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any
from urllib.parse import quote as quote_url

import pytest
from installation import ROOT, Installation

from cdc.audit import trail
from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.facts.changes import Reason, Rejection
from cdc.facts.row_key import encode_key
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.record.quarantine import Held
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.open import open_source

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

# --- before anything was set up ---------------------------------------------------------------------------------------


def test_before_anything_was_set_up_the_status_is_new_and_names_the_first_step(site: Installation) -> None:
    told = site.status()
    assert told["phase"] == "new"
    assert told["exit_code"] == ExitCode.OK
    assert "cdc up" in told["next_step"]
    assert told["source"]["capture_installed"] is False
    assert told["target"]["reachable"]


def test_the_status_of_an_embedded_target_starts_no_server(site: Installation) -> None:
    assert site.run("init", "app.db", "--force")[0] == ExitCode.OK
    assert site.status()["exit_code"] == ExitCode.OK
    assert not (site.folder / ".cdc").exists()


def test_reading_commands_answer_before_anything_was_set_up(site: Installation) -> None:
    assert site.run("quarantine", "list") == (ExitCode.OK, "the quarantine is empty\n", "")
    assert json.loads(site.run("quarantine", "list", "--json")[1]) == {"rows": [], "causes": []}
    assert json.loads(site.run("audit", "--json")[1])["entries"] == []
    assert site.run("audit", "--postgres")[:2] == (ExitCode.OK, "nothing was done yet\n")


def test_acknowledging_in_an_embedded_server_that_was_never_made_makes_none(site: Installation) -> None:
    assert site.run("init", "app.db", "--force")[0] == ExitCode.OK
    assert site.run("quarantine", "acknowledge")[:2] == (ExitCode.OK, "0 rows acknowledged\n")
    assert not (site.folder / ".cdc" / "postgres").exists()


def test_watching_needs_a_terminal(site: Installation) -> None:
    code, out, err = site.run("status", "--watch")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "cdc status --json" in err


# --- a database that is away ------------------------------------------------------------------------------------------


def test_a_postgres_that_is_away_leaves_the_half_of_the_status_that_is_known(cut_off: Installation) -> None:
    cut_off.capture()
    told = cut_off.status()
    assert told["exit_code"] == ExitCode.UNAVAILABLE
    assert told["phase"] == "unknown"
    assert told["source"]["newest_seq"] is not None
    assert "127.0.0.1:1/app" in told["target"]["error"]
    assert told["next_step"]


def test_nobody_knows_the_phase_while_both_databases_are_away(cut_off: Installation) -> None:
    cut_off.database.unlink()
    told = cut_off.status()
    assert told["exit_code"] == ExitCode.UNAVAILABLE
    assert told["phase"] == "unknown"
    assert len(told["warnings"]) == 2


def test_who_may_not_read_the_state_folder_gets_an_answer(site: Installation) -> None:
    """As a user who asks for the status of a service does."""
    site.configure('[state]\ndir = "hidden/cdc"')
    site.replicating()
    hidden = site.folder / "hidden"
    hidden.mkdir(exist_ok=True)
    hidden.chmod(0o000)
    try:
        code, out, err = site.bound("status", "--json")
        assert (code, err) == (ExitCode.DIFFERENCE, "")
        told = json.loads(out)
        assert (told["phase"], told["paused"]) == ("replicate", None)
        assert told["state"]["free_bytes"]["state"] > 0
        assert site.bound("plan")[0] == ExitCode.OK
    finally:
        hidden.chmod(0o700)


def test_a_file_that_is_away_leaves_the_other_half(site: Installation) -> None:
    site.replicating()
    (site.folder / "app.db").rename(site.folder / "moved.db")
    told = site.status()
    assert told["exit_code"] == ExitCode.UNAVAILABLE
    assert told["phase"] == "replicate"
    assert told["lag"] == {"changes": None, "seconds": None}
    assert "does not exist" in told["source"]["error"]


def test_a_file_that_is_no_database_is_told_as_such(site: Installation) -> None:
    (site.folder / "app.db").write_bytes(b"no database, but long enough to have a header" * 50)
    told = site.status()
    assert told["exit_code"] == ExitCode.UNAVAILABLE
    assert "not a SQLite database" in told["source"]["error"]


@pytest.mark.parametrize("command", [["quarantine", "list"], ["quarantine", "acknowledge"], ["audit", "--postgres"]])
def test_a_command_that_needs_postgres_exits_69_with_two_lines(cut_off: Installation, command: list[str]) -> None:
    code, out, err = cut_off.run(*command)
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "remedy"]


def test_a_password_never_shows(cut_off: Installation) -> None:
    dsn = f"postgresql://u:{quote_url('tops3cret')}@127.0.0.1:1/app"
    assert cut_off.run("init", "app.db", "--force", "--target", dsn)[0] == ExitCode.OK
    for command in (
        ["status"],
        ["status", "--json"],
        ["quarantine", "acknowledge"],
        ["--debug", "audit", "--postgres"],
    ):
        code, out, err = cut_off.run(*command)
        assert code == ExitCode.UNAVAILABLE
        assert "tops3cret" not in out + err
    assert "tops3cret" not in (cut_off.folder / ".cdc" / trail.FILE).read_text()


# --- replicating ------------------------------------------------------------------------------------------------------


def test_changes_that_wait_are_counted_and_their_age_is_told(site: Installation) -> None:
    site.replicating()
    before = site.status()["lag"]["changes"]
    site.sql("INSERT INTO t(v) VALUES (1), (2), (3)")
    told = site.status()
    assert told["lag"]["changes"] == before + 3
    assert told["lag"]["seconds"] >= 0
    assert told["daemon"] == {"running": False, "owner": None}
    assert told["exit_code"] == ExitCode.DIFFERENCE
    assert "the daemon is not running" in told["warnings"]


def test_a_lag_beyond_the_given_limit_is_a_warning(site: Installation) -> None:
    site.replicating()
    site.sql("INSERT INTO t(v) VALUES (1), (2), (3)")
    assert any("over 2 changes" in w for w in site.status("--max-lag-changes", "2")["warnings"])
    assert not any("lag" in w for w in site.status("--max-lag-changes", "100000")["warnings"])


def test_the_daemon_runs_for_as_long_as_it_holds_the_lock(site: Installation) -> None:
    source_id = site.replicating()
    told: dict[str, Any] = {}

    async def work(connection: Connection) -> None:
        await lock_source(connection, source_id)
        told.update(await asyncio.to_thread(site.status))

    site.postgres(work)
    assert told["daemon"]["running"] is True
    assert told["daemon"]["owner"].startswith("cdc test")
    assert told["exit_code"] == ExitCode.OK
    assert site.status()["daemon"]["running"] is False


def test_a_daemon_that_stopped_with_an_error_is_critical_and_its_remedy_is_the_next_step(site: Installation) -> None:
    source_id = site.replicating()
    site.postgres(lambda connection: Record(connection, source_id).stream.stopped("a table is gone", "bring it back"))
    told = site.status()
    assert told["exit_code"] == ExitCode.CRITICAL
    assert told["stopped"] == {"reason": "a table is gone", "remedy": "bring it back"}
    assert told["next_step"] == "bring it back"
    code, out, _ = site.run("status")
    assert code == ExitCode.CRITICAL
    assert "! a table is gone" in out


def test_a_file_that_lost_its_capture_is_critical(site: Installation) -> None:
    site.replicating()
    source_file.remove_capture(load_config(site.config_file))
    told = site.status()
    assert told["exit_code"] == ExitCode.CRITICAL
    assert "--resync" in told["next_step"]


def test_cleanup_leaves_no_trace_of_ours(site: Installation) -> None:
    site.capture()
    assert site.run("cleanup", "--capture-only")[0] == ExitCode.OK
    connection = open_source(site.folder / "app.db")
    names = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    connection.close()
    assert names == [("t",)]
    assert site.run("cleanup", "--capture-only")[1] == "there was no capture to remove\n"


# --- quarantine and audit ---------------------------------------------------------------------------------------------


def held(site: Installation, source_id: str, *keys: int | str) -> None:
    rejection = Rejection("v", Reason.VALUE, "text in a bigint column", "correct it")

    async def work(connection: Connection) -> None:
        await QuarantineWriter(Record(connection, source_id)).put(
            "t", [Held(encode_key([key]), rejection) for key in keys]
        )

    site.postgres(work)


def test_rows_in_quarantine_are_listed_with_reason_and_remedy(site: Installation) -> None:
    held(site, site.replicating(), 5, "yt:a")
    code, out, _ = site.run("quarantine", "list")
    assert code == ExitCode.DIFFERENCE
    for word in ("'yt:a'", "text in a bigint column", "correct it"):
        assert word in out
    assert site.status()["quarantine"] == {"total": 2, "acknowledged": 0, "by_reason": {"value": 2}}
    assert json.loads(site.run("quarantine", "list", "--json", "--table", "u")[1]) == {"rows": [], "causes": []}


def test_an_acknowledged_row_stays_but_no_longer_warns(site: Installation) -> None:
    held(site, site.replicating(), 5, "yt:a")
    assert site.run("quarantine", "acknowledge", "--key", "'yt:a'")[:2] == (ExitCode.OK, "1 row acknowledged\n")
    assert site.run("quarantine", "list")[0] == ExitCode.DIFFERENCE
    assert site.run("quarantine", "acknowledge")[0] == ExitCode.OK
    assert site.run("quarantine", "list")[0] == ExitCode.OK
    assert not any("quarantine" in w for w in site.status()["warnings"])
    row = json.loads(site.run("quarantine", "list", "--json")[1])["rows"][0]
    assert "@" in row["acknowledged_by"]


def test_a_key_that_is_not_there_cannot_be_acknowledged(site: Installation) -> None:
    held(site, site.replicating(), 5)
    code, _, err = site.run("quarantine", "acknowledge", "--key", "6")
    assert code == ExitCode.USAGE
    assert "cdc quarantine list" in err


def test_a_retry_logs_the_keys_again(site: Installation) -> None:
    held(site, site.replicating(), 5)
    before = site.status()["source"]["newest_seq"]
    code, out, _ = site.run("quarantine", "retry")
    assert code == ExitCode.OK
    assert out.startswith("1 row will be tried again")
    assert site.status()["source"]["newest_seq"] == before + 1


# --- the daemon as a process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [["-m", "cdc"], [str(ROOT / "daemon.py")]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_told_to_end_says_so_and_exits_0(
    site: Installation, program: list[str], number: signal.Signals
) -> None:
    assert site.run("up", "--until-idle")[0] == ExitCode.OK
    command = [sys.executable, *program, "--log-json", *(["run"] if program[0] == "-m" else [])]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=site.folder, env=ENVIRONMENT) as daemon:
        assert daemon.stderr is not None
        first = json.loads(daemon.stderr.readline())
        daemon.send_signal(number)
        last = [json.loads(line) for line in daemon.stderr]
    assert first["message"] == "replication starts"
    assert last[-1]["message"] == "replication ended"
    assert daemon.returncode == ExitCode.OK
    actions = [(e.action, e.result) for e in trail.read(site.folder / ".cdc") if e.copy_of is None]
    assert [a for a in actions if a[0] in {"up", "run"}] == [
        *[("up", "started"), ("up", "done"), ("run", "started"), ("run", "done")]
    ]
    assert [a for a, _ in actions if a in {"snapshot", "schema", "load"}] == ["snapshot", "schema", "load"]
    assert site.status()["stopped"]["reason"] is None


def test_a_daemon_that_cannot_begin_exits_with_two_lines_and_no_trace(site: Installation) -> None:
    command = [sys.executable, "-m", "cdc", "-c", "missing.toml", "run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=site.folder, env=ENVIRONMENT, check=False)
    assert done.returncode == ExitCode.CONFIG
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "remedy"]


def test_a_reader_that_has_seen_enough_is_no_error(site: Installation) -> None:
    for number in range(2_000):
        trail.record(site.folder / ".cdc", f"step {number}", "done")
    command = [sys.executable, "-m", "cdc", "audit", "--limit", "2000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=site.folder, env=ENVIRONMENT
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.readline()
        reader.stdout.close()
        assert reader.stderr.read() == b""
    assert reader.returncode == ExitCode.OK


# --- restore ----------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_no_snapshot_cannot_be_restored(site: Installation) -> None:
    code, _, err = site.run("restore", str(site.folder), "--to", "back.db")
    assert code == ExitCode.CRITICAL
    assert "is not a complete snapshot" in err
    assert not (site.folder / "back.db").exists()
