"""The triggers of adopted tables: disabled while rows are replicated, told as such, and given back at every end."""

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest
from harness import value
from installation import Installation

from cdc.cutover import run as switch
from cdc.errors import ExitCode
from cdc.facts.progress import Silent

TABLE: Final = """
CREATE TABLE t (id bigint, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE high PARTITION OF t FOR VALUES FROM (100) TO (200);
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := upper(NEW.v); RETURN NEW; END $$;
CREATE TRIGGER loud BEFORE INSERT ON low FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TRIGGER quiet BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TRIGGER off BEFORE UPDATE ON low FOR EACH ROW EXECUTE FUNCTION loud();
ALTER TABLE low ENABLE ALWAYS TRIGGER loud;
ALTER TABLE low DISABLE TRIGGER off
"""
FIRING: Final = """
SELECT string_agg(format('%s of %s: %s', tgname, tgrelid::regclass, tgenabled), ', '
    ORDER BY tgname, tgrelid::regclass::text)
FROM pg_trigger WHERE NOT tgisinternal AND tgname IN ('loud', 'quiet', 'off')
"""
AS_MADE: Final = "loud of low: A, off of low: D, quiet of high: O, quiet of low: O, quiet of t: O"
SILENT: Final = ["loud of low", "quiet of t"]


@pytest.fixture
def adopting(
    tmp_path: Path, any_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Installation:
    """A table whose triggers, one of them a partition's own, are disabled by now."""
    monkeypatch.chdir(tmp_path)
    site = Installation(tmp_path, any_database, capsys)
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.target_sql(TABLE)
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[tables.t.columns.v]\ntype = "text"')
    site.followed()
    return site


def firing(site: Installation) -> str:
    return str(asyncio.run(value(site.dsn, FIRING)))


def test_they_are_told_while_they_are_disabled(adopting: Installation) -> None:
    assert firing(adopting) == AS_MADE.replace(": A", ": D").replace(": O", ": D")
    assert adopting.status()["disabled_triggers"] == SILENT
    assert "triggers    disabled for replication: loud of low, quiet of t" in adopting.run("status")[1]
    (told,) = (
        risk["text"] for risk in json.loads(adopting.run("plan", "--json")[1])["risks"] if "trigger" in risk["text"]
    )
    assert told == "its triggers are disabled now, while rows are replicated: loud of low, quiet of t"


@pytest.mark.parametrize("command", [["--capture-only"], ["--release"]])
def test_the_end_of_replication_gives_them_back(adopting: Installation, command: list[str]) -> None:
    arguments = [*command, str(adopting.database)] if command == ["--release"] else command
    code, out, err = adopting.run("cleanup", *arguments)
    assert code == ExitCode.OK, err
    assert "triggers of Postgres that fire again: loud of low, quiet of t" in out
    assert firing(adopting) == AS_MADE
    assert adopting.status()["disabled_triggers"] == []
    adopting.target_sql("INSERT INTO t VALUES (2, 'by the application')")
    assert asyncio.run(value(adopting.dsn, "SELECT v FROM t WHERE id = 2")) == "BY THE APPLICATION"


def test_what_begins_anew_disables_them_again(adopting: Installation) -> None:
    assert adopting.run("cleanup", "--capture-only")[0] == ExitCode.OK
    assert adopting.run("-q", "up", "--until-idle", "--yes")[0] == ExitCode.OK
    assert adopting.status()["disabled_triggers"] == SILENT
    assert adopting.run("cleanup", "--capture-only")[0] == ExitCode.OK
    assert firing(adopting) == AS_MADE


def test_a_cutover_gives_them_back_and_a_way_back_disables_them(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'a')")
    site.target_sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text);"
        "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION loud()"
    )
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[tables.t.columns.v]\ntype = "text"')
    config = site.switched()
    assert (firing(site), site.status()["disabled_triggers"]) == ("loud of t: O", [])
    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    assert (firing(site), site.status()["disabled_triggers"]) == ("loud of t: D", ["loud of t"])
