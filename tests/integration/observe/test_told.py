"""What status, verify and the quarantine say is true: nothing is left out of a success, and silence is told."""

import os
import signal
import time

import pytest
from harness import DEADLINE_SECONDS, Daemon
from installation import Installation

from cdc.config import load_config
from cdc.observe import judgement

HELD = "INSERT INTO p VALUES (1, 'plain text'); INSERT INTO c VALUES (1, 1)"
PARENTS = "CREATE TABLE p(id INTEGER PRIMARY KEY, n BIGINT)"
FAMILY = f"{PARENTS}; CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id))"


def replicated(site: Installation) -> Installation:
    assert site.run("up", "--until-idle")[0] == 0
    return site


def told(site: Installation) -> list[str]:
    return [*site.status()["warnings"]]


def test_a_daemon_without_a_sign_of_life_is_told_first(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "NO_SIGN_SECONDS", 1.0)
    site.configure("[replicate]\nheartbeat_seconds = 0.2")
    replicated(site)
    with Daemon(load_config(site.config_file)) as daemon:
        while site.status()["activity"]["doing"] != "streaming":
            assert daemon.runs, daemon.words()
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not (told(site) and told(site)[0].startswith("the daemon has shown no sign of life")):
                assert time.monotonic() < deadline, told(site)
            code, out, _ = site.run("status")
            assert (code, out.splitlines()[0][:36]) == (1, "! the daemon has shown no sign of li")
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        while any("sign of life" in line for line in told(site)):
            assert time.monotonic() < deadline, told(site)


def test_a_comparison_counts_the_rows_and_columns_that_postgres_does_not_hold(site: Installation) -> None:
    site.sql(FAMILY)
    site.configure("[tables.t]\nskip = ['v']")
    replicated(site)
    code, out, _ = site.run("verify")
    assert (code, "both databases hold the same" in out, "t.v" in out) == (0, False, True)
    site.sql(HELD)
    replicated(site)
    code, out, _ = site.run("verify")
    assert (code, "2 rows are not in Postgres" in out, "both databases hold the same" in out) == (0, True, False)


def test_a_child_whose_parent_is_held_is_not_told_to_be_deleted(site: Installation) -> None:
    site.sql(FAMILY)
    site.sql(HELD)
    replicated(site)
    _, out, _ = site.run("quarantine", "list", "--json")
    assert "orphan" in out
    assert "delete" not in out
    assert "does not exist" not in out
    site.sql("UPDATE p SET n = 5")  # the remedy: see to the parent
    replicated(site)
    assert site.status()["quarantine"]["total"] == 0


def test_keys_in_quarantine_that_are_no_rows_of_sqlite_are_found_and_the_remedy_ends_it(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a')")
    replicated(site)
    site.target_sql(
        "INSERT INTO cdc.quarantine (source_id, source_table, key, key_digest, reason, detail, remedy) "
        "SELECT source_id, 't', 'i7', sha256(convert_to('i7', 'UTF8')), 'value', '', '' FROM cdc.stream"
    )
    code, out, _ = site.run("verify")
    assert (code, "cdc quarantine retry" in out) == (2, True)
    assert site.run("quarantine", "retry")[0] == 0
    replicated(site)
    assert site.run("verify")[0] == 0
    assert site.status()["quarantine"]["total"] == 0


def test_a_comparison_of_one_table_that_differs_is_told_until_it_was_found_equal(site: Installation) -> None:
    site.sql("CREATE TABLE u(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1, 'a')")
    replicated(site)
    assert site.run("verify")[0] == 0
    site.target_sql("UPDATE t SET v = '''b'''")
    assert site.run("verify", "--table", "t", "--repair")[0] == 1
    assert site.status()["verification"]["differing"] == ["t"]
    assert any("comparison of t was not equal" in line for line in told(site))
    replicated(site)
    assert site.run("verify", "--table", "t")[0] == 0
    assert site.status()["verification"]["differing"] == []


def test_the_size_of_the_changelog_is_told_while_postgres_is_away(site: Installation) -> None:
    replicated(site)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
    site.sql(f"{numbers} INSERT INTO t SELECT i, i FROM n")
    site.configure('[target]\ndsn = "postgresql://nobody@127.0.0.1:1/app"')
    code, out, _ = site.run("status")
    assert (code, "5,001 entries in the SQLite file" in out) == (69, True), out
