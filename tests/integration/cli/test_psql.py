"""What `cdc up` says at the end of its first copy, and where it sends whoever wants to look at the data."""

import shutil

import pytest
from installation import Installation

from cdc.errors import ExitCode

DATA = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, n INTEGER);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id));
INSERT INTO parent VALUES (1, 1), (2, 2), (3, 'no number');
INSERT INTO child VALUES (1, 1), (2, 2), (3, 3), (4, 99);
"""


def test_the_first_copy_ends_with_a_sentence_that_counts_what_is_left_out(site: Installation) -> None:
    site.sql(DATA)
    code, out, _ = site.run("up", "--until-idle")
    assert code == ExitCode.OK
    assert out == (
        "the first copy is done: 4 rows in Postgres, 3 rows held in quarantine by 2 causes: `cdc quarantine list`; "
        "look with `cdc psql`\n"
    )
    assert site.run("up", "--until-idle")[1] == ""


def test_tables_that_are_filled_afterwards_are_told(site: Installation) -> None:
    site.target_sql("CREATE TABLE t(id bigint PRIMARY KEY, v text)")
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true')
    _, out, _ = site.run("up", "--until-idle")
    assert "0 rows in Postgres, none held back; 1 table being filled now: `cdc status`" in out


def test_a_log_for_programs_has_the_same_counts(site: Installation) -> None:
    site.sql(DATA)
    _, out, err = site.run("--log-json", "up", "--until-idle")
    assert out == ""
    (line,) = [line for line in err.splitlines() if "the first copy is done" in line]
    for counted in ('"rows": 4', '"quarantined": 3', '"causes": 2'):
        assert counted in line


def test_the_address_is_printed_without_its_password(cut_off: Installation) -> None:
    cut_off.configure('[target]\ndsn = "postgresql://u:tops3cret@db.lan:5433/app?sslmode=require"')
    assert cut_off.run("psql", "--print")[:2] == (ExitCode.OK, "postgresql://u@db.lan:5433/app?sslmode=require\n")


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
def test_psql_opens_the_target_and_takes_options(site: Installation) -> None:
    site.followed()
    assert site.process("psql", "--", "-XAtc", "SELECT count(*) FROM cdc.stream")[:2] == (0, "1\n")
    assert site.process("psql", "--", "-Xc", "SELECT nothing")[0] == 1
