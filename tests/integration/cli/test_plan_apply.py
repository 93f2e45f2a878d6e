"""What the plan offers is written into the configuration, and the next plan has it no longer."""

import json

import pytest
from installation import Installation

from cdc.errors import ExitCode

DATA = """
CREATE TABLE u(id INTEGER PRIMARY KEY, n INTEGER, name TEXT);
INSERT INTO u VALUES (1, 1, 'a'), (2, 2.5, 'b'), (3, 3, 'c' || char(0));
INSERT INTO t VALUES (1, 'a');
"""


@pytest.fixture
def planned(cut_off: Installation) -> Installation:
    cut_off.sql(DATA)
    return cut_off


def numbers(site: Installation) -> dict[str, int]:
    """The number of each cause by the column that it is about."""
    causes = json.loads(site.run("plan", "--json")[1])["causes"]
    return {cause["places"][0]["column"]: number for number, cause in enumerate(causes, 1)}


def test_what_is_chosen_is_written_and_the_file_as_it_was_stays_beside_it(planned: Installation) -> None:
    before = planned.config_file.read_text()
    found = numbers(planned)
    code, out, _ = planned.run("plan", "--apply", f"{found['n']}, {found['name']}c")
    written = planned.config_file.read_text()
    assert written.startswith(before)
    assert '[tables.u.columns.n]\ntype = "numeric"' in written
    assert '[tables.u.columns.name]\non_invalid = "replace"' in written
    assert planned.config_file.with_name("cdc.toml.old").read_text() == before
    assert out.startswith("wrote 2 sections to cdc.toml; what it was is in cdc.toml.old\n\nREADY: 2 tables, 4 rows")
    assert code == ExitCode.OK


def test_all_writes_what_changes_no_value_and_each_time_the_old_file_is_kept(planned: Installation) -> None:
    planned.run("plan", "--apply", "all")
    assert numbers(planned) == {"name": 1}, "SQL literals would be an answer that the application has to read"
    planned.run("plan", "--apply", "1c")
    assert numbers(planned) == {}
    assert planned.run("plan")[1].startswith("READY: 2 tables, 4 rows")
    assert planned.config_file.with_name("cdc.toml.old1").exists()


def test_with_json_the_answer_is_the_plan_afterwards(planned: Installation) -> None:
    assert json.loads(planned.run("plan", "--json")[1])["counts"]["causes"] == 2
    _, out, _ = planned.run("plan", "--apply", "all", "--json")
    assert json.loads(out)["counts"]["causes"] == 1


def test_a_file_that_only_its_owner_may_read_stays_so(planned: Installation) -> None:
    planned.config_file.chmod(0o600)
    planned.run("plan", "--apply", "all")
    for name in ("cdc.toml", "cdc.toml.old"):
        assert planned.config_file.with_name(name).stat().st_mode & 0o777 == 0o600


def test_lines_that_are_written_while_the_file_is_followed_free_the_rows_by_themselves(site: Installation) -> None:
    site.sql(DATA)
    site.sql("CREATE TABLE c(id INTEGER PRIMARY KEY, u INTEGER REFERENCES u(id)); INSERT INTO c VALUES (1, 2), (2, 3)")
    site.followed()
    held = json.loads(site.run("quarantine", "list", "--json")[1])
    assert sorted((cause["rows"], cause["followers"]) for cause in held["causes"]) == [(1, 1), (1, 1)]
    found = numbers(site)
    _, out, _ = site.run("plan", "--apply", f"{found['n']},{found['name']}c")
    assert "the next start or reload of the daemon applies this" in out
    assert "next: start the daemon, or reload it" in out
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.run("quarantine", "list")[1] == "the quarantine is empty\n"
    assert site.run("-q", "verify")[1].splitlines()[-1].startswith("both databases hold the same")
