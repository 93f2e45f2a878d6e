"""Commands after a cutover: each works in the direction of now, or is refused; and how both ends are left at last."""

import asyncio
import json
import shutil
from typing import Any

import pytest
from harness import drain, execute, value
from installation import Installation

from cdc.config import Config
from cdc.cutover import run
from cdc.errors import ExitCode
from cdc.facts.phase import Phase
from cdc.facts.progress import Silent
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.past_fence import opened_past_fence


def compared(site: Installation, *arguments: str) -> tuple[int, dict[str, Any]]:
    """What `cdc verify` finds of table `t`."""
    code, out, _ = site.run("verify", "--json", *arguments)
    told = json.loads(out)
    return code, {**told["tables"][0], "leads": told["leads"], "repaired": told["repaired"]}


def counts(found: dict[str, Any]) -> dict[str, int]:
    names = ("matched", "different", "missing", "extra", "pending", "uncarried")
    return {name: found[name] for name in names if found[name]}


def past_fence(config: Config, sql: str) -> None:
    """Write to the file as no application can."""
    with opened_past_fence(config) as connection:
        connection.execute(sql)


def rolled_back(config: Config) -> None:
    asyncio.run(run.rollback(config, lambda _: None, Silent()))


def test_rows_are_compared_with_those_of_postgres(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    config = site.switched()
    assert compared(site)[0] == ExitCode.OK
    assert counts(compared(site)[1]) == {"matched": 3}

    # No daemon runs: these are on their way for as long as nobody carries them.
    site.target_sql("INSERT INTO t VALUES (4, 'four'); UPDATE t SET v = 'new' WHERE id = 2; DELETE FROM t WHERE id = 3")
    code, found = compared(site)
    assert (code, found["leads"], counts(found)) == (ExitCode.OK, "postgres", {"matched": 1, "pending": 3})

    past_fence(config, "UPDATE t SET v = 'other' WHERE id = 1; INSERT INTO t VALUES (9, 'nine')")
    code, found = compared(site)
    assert (code, counts(found)) == (
        ExitCode.DIFFERENCE,
        {"different": 1, "missing": 1, "pending": 3},
    )
    assert found["columns"] == {"1": ["v"]}

    asyncio.run(drain(config))
    code, found = compared(site)
    assert (code, counts(found)) == (ExitCode.DIFFERENCE, {"matched": 2, "different": 1, "missing": 1})
    out = site.run("verify")[1]
    assert "only in SQLite: 9" in out
    assert "2 rows differ in SQLite" in out
    site.target_sql("UPDATE t SET v = v WHERE id = 1; INSERT INTO t VALUES (9, ''); DELETE FROM t WHERE id = 9")
    asyncio.run(drain(config))
    assert counts(compared(site)[1]) == {"matched": 3}
    past_fence(config, "DELETE FROM t WHERE id = 4")
    assert "only in Postgres: 4" in site.run("verify")[1]


def test_a_row_that_an_application_makes_in_the_place_of_a_held_one_is_held_no_longer(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one'), (5, CAST(x'ff' AS TEXT))")
    config = site.switched()
    site.target_sql("INSERT INTO t VALUES (5, 'five')")
    asyncio.run(drain(config))
    assert counts(compared(site)[1]) == {"matched": 2}
    assert asyncio.run(value(site.dsn, "SELECT count(*) FROM cdc.quarantine")) == 0
    rolled_back(config)


def test_rows_that_sqlite_cannot_hold_are_counted_by_themselves(site: Installation) -> None:
    site.sql("CREATE TABLE w(id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 10)); INSERT INTO w VALUES (1, 1), (2, 2)")
    config = site.switched()
    site.target_sql(
        "DO $$ BEGIN EXECUTE (SELECT string_agg(format('ALTER TABLE w DROP CONSTRAINT %I', conname), ';') "
        "FROM pg_constraint WHERE conrelid = 'w'::regclass AND contype = 'c'); END $$;"
        "UPDATE w SET n = 99 WHERE id = 2"
    )
    asyncio.run(drain(config))
    assert counts(compared(site, "--table", "w")[1]) == {"matched": 1, "uncarried": 1}
    assert "not carried" in site.run("verify", "--table", "w")[1]


def test_what_is_lost_of_the_schema_cdc_is_made_again_and_nothing_goes_to_postgres(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one')")
    config = site.switched()
    for lost in ("stream", "outbox", "uncarried", "switch", "mapping", "quarantine", "sighting"):
        site.target_sql(f"UPDATE t SET v = '{lost}'; DROP TABLE cdc.{lost}")
        asyncio.run(drain(config))
        assert asyncio.run(value(site.dsn, "SELECT v FROM t")) == lost
        assert asyncio.run(value(site.dsn, "SELECT phase FROM cdc.stream")) == Phase.CUTOVER
        assert counts(compared(site)[1]) == {"matched": 1}, lost
    assert asyncio.run(value(site.dsn, "SELECT resync FROM cdc.stream")) == ["t"]  # and none that nobody can name
    site.target_sql("ALTER TABLE cdc.stream DROP COLUMN seq; UPDATE t SET v = 'last'")
    asyncio.run(drain(config))
    assert counts(compared(site)[1]) == {"matched": 1}
    rolled_back(config)
    assert site.status()["writes"] == "SQLite"


@pytest.mark.parametrize("replaced_by", ["a snapshot", "another file", "nothing"])
def test_another_file_in_the_place_of_the_fenced_one_changes_nothing(site: Installation, replaced_by: str) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one')")
    config = site.switched()
    site.target_sql("UPDATE t SET v = 'new'")
    kept = shutil.copyfile(site.database, site.folder / "kept.db")
    for file in site.folder.glob("app.db*"):
        file.unlink()
    if replaced_by == "a snapshot":
        snapshot = next(file.parent for file in (site.folder / ".cdc" / "snapshots").rglob("manifest.json"))
        code, _, err = site.run("-q", "restore", str(snapshot), "--to", str(site.database))
        assert code == ExitCode.OK, err
    elif replaced_by == "another file":
        site.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'old')")
    for command in (["up", "--until-idle", "--yes"], ["load", "--resync", "--yes"], ["run", "--until-idle"]):
        assert site.run("-q", *command)[0] != ExitCode.OK
    told = site.status()
    assert "resync" not in told["next_step"]
    assert asyncio.run(value(site.dsn, "SELECT v FROM t")) == "new"
    assert asyncio.run(value(site.dsn, "SELECT phase FROM cdc.stream")) == Phase.CUTOVER

    kept.replace(site.database)
    asyncio.run(drain(config))
    assert counts(compared(site)[1]) == {"matched": 1}


def test_another_configuration_is_taken_up_unless_it_leaves_tables_out(site: Installation) -> None:
    site.sql("CREATE TABLE u(id INTEGER PRIMARY KEY)")
    site.switched()
    site.configure("[replicate]", "poll_seconds = 0.5")
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.run("-q", "up", "--until-idle")[0] == ExitCode.OK
    site.configure("[replicate]", 'exclude = ["u"]')
    code, _, err = site.run("-q", "run", "--until-idle")
    assert (code, "at the cutover, or are gone: u" in err) == (ExitCode.CRITICAL, True)


def test_status_advises_nothing_that_is_refused(site: Installation) -> None:
    site.switched()
    told = site.status()
    assert (told["phase"], told["writes"], told["warnings"]) == ("cutover", "Postgres", ["the daemon is not running"])
    site.target_sql("DROP TABLE cdc.audit")
    told = site.status()
    assert told["next_step"].startswith("start ")
    site.target_sql("DROP SCHEMA cdc CASCADE")
    told = site.status()
    assert told["exit_code"] == ExitCode.CRITICAL
    assert told["next_step"].startswith("start the daemon")


def test_after_cleanup_both_schemas_are_as_if_nothing_had_been(site: Installation) -> None:
    site.sql("CREATE TABLE u(id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    site.followed()
    before = {name: text for name, text in site.picture().items() if not name.startswith((".cdc", "rows of cdc."))}
    config = site.prepared()
    assert fence.look(config).whole
    assert site.run("-q", "cleanup", "--capture-only")[0] == ExitCode.OK
    after = {name: text for name, text in site.picture().items() if not name.startswith((".cdc", "rows of cdc."))}
    left = {name for name in before.keys() ^ after.keys() if not name.startswith("app.db")}
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    assert (left, {name for name in changed if not name.startswith("app.db")}) == (set(), set())
    assert not [name for name in after if "_cdc_" in name]


def test_tables_that_are_released_can_be_fed_by_another_file_though_a_cutover_was_prepared(site: Installation) -> None:
    site.prepared()
    assert site.run("-q", "cleanup", "--release", str(site.database))[0] == ExitCode.OK
    assert asyncio.run(value(site.dsn, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cdc\\_%'")) == 0
    asyncio.run(execute(site.dsn, "INSERT INTO t VALUES (1, 'theirs')"))
