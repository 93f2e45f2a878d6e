"""A key that is a secret is on no screen and in no log, and a program can still ask for it."""

import json

import pytest
from installation import Installation

from cdc.errors import ExitCode

SECRET = "s3cr3t-of-somebody"
LONG = "a long key of an address " * 3
TABLES = f"""
CREATE TABLE sessions(token TEXT PRIMARY KEY, n INTEGER);
INSERT INTO sessions VALUES ('{SECRET}', 'bad'), ('{SECRET} too', 'bad');
CREATE TABLE pages(address TEXT, part INTEGER, n JSON NOT NULL, PRIMARY KEY (address, part));
INSERT INTO pages VALUES ('{LONG}', 1, x'00')
"""


@pytest.fixture
def held(site: Installation) -> Installation:
    """Rows that Postgres cannot hold, of a table of sessions and of one with long keys."""
    site.sql(TABLES)
    site.configure('[tables.sessions.columns.n]\ntype = "bigint"\n[tables.pages.columns.n]\ntype = "jsonb"')
    return site


def test_the_plan_and_the_list_hide_secrets_and_cut_long_keys(held: Installation) -> None:
    for command in ("plan", "plan --all"):
        _, out, err = held.run(*command.split())
        assert SECRET not in out + err
        assert "***" in out
    assert "('a long key of an address a long key..." in held.run("plan")[1]
    held.followed()
    code, out, err = held.run("quarantine", "list")
    assert code == ExitCode.DIFFERENCE
    assert SECRET not in out + err
    assert "2 rows since" in out
    assert "UTC: ***\n" in out
    assert "('a long key of an address a long key..." in out


def test_programs_get_keys_whole_and_can_use_them(held: Installation) -> None:
    held.followed()
    _, out, _ = held.run("quarantine", "list", "--json")
    keys = {row["shown_key"] for row in json.loads(out)["rows"]}
    assert keys == {f"'{SECRET}'", f"'{SECRET} too'", f"('{LONG}', 1)"}
    for key in sorted(keys):
        _, out, _ = held.run("quarantine", "acknowledge", "--key", key)
        assert out.startswith("1 row acknowledged")
    assert held.run("quarantine", "list")[0] == ExitCode.OK
