"""An adopted table that has no key in SQLite gets a column to find its rows by, where that is wanted, until the end."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Final

import pytest
from harness import Daemon, value, wait_for
from installation import Installation

from cdc.config import load_config
from cdc.cutover import run as switch
from cdc.errors import ExitCode
from cdc.facts.progress import Silent

SOURCE: Final = "DROP TABLE t; CREATE TABLE log (t TEXT, n INT); INSERT INTO log VALUES ('x', 1), ('x', 1), ('y', 2)"
TARGET: Final = "CREATE TABLE log (t text, n bigint); INSERT INTO log VALUES ('of nobody', 0)"
ADOPT: Final = "existing_rows = 'replace'\nadopt = true"
COLUMNS: Final = """
SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'log'::regclass AND attnum > 0 AND NOT attisdropped
"""
ROWS: Final = "SELECT string_agg(t || n, ',' ORDER BY t, n) FROM log"


@pytest.fixture
def keyless(
    tmp_path: Path, any_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Installation:
    """A table without any key, in both databases; nothing of it is configured."""
    monkeypatch.chdir(tmp_path)
    site = Installation(tmp_path, any_database, capsys)
    site.sql(SOURCE)
    site.target_sql(TARGET)
    site.configure(f'[target]\ndsn = "{site.dsn}"\n{ADOPT}')
    return site


@pytest.fixture
def helped(keyless: Installation) -> Installation:
    """The same with the helper key."""
    keyless.configure("[tables.log]\nhelper_key = true")
    return keyless


def asked(site: Installation, sql: str) -> object:
    return asyncio.run(value(site.dsn, sql))


def test_the_plan_says_which_line_to_write_and_what_comes_of_it(keyless: Installation) -> None:
    code, out, _ = keyless.run("plan")
    assert code == ExitCode.CRITICAL
    written = re.search(r"(\[tables\.log\])\s+(helper_key = true)  # a column _cdc_rowid is added there", out)
    assert written, out
    keyless.configure(f"{written[1]}\n{written[2]}")
    code, out, _ = keyless.run("plan", "--all")
    assert code == ExitCode.OK, out
    assert "a column _cdc_rowid is added to it there: `SELECT *` has it too" in " ".join(out.split())
    assert asked(keyless, COLUMNS) == "t,n"  # a plan changes nothing


def test_rows_are_found_by_it_and_the_end_of_replication_takes_it_away(helped: Installation) -> None:
    helped.followed()
    assert asked(helped, ROWS) == "x1,x1,y2"
    helped.sql("DELETE FROM log WHERE rowid = 1; UPDATE log SET n = 5 WHERE rowid = 2; INSERT INTO log VALUES ('z', 9)")
    helped.followed()
    assert asked(helped, ROWS) == "x5,y2,z9"
    assert helped.run("-q", "verify")[0] == ExitCode.OK
    code, out, err = helped.run("cleanup", "--capture-only")
    assert code == ExitCode.OK, err
    assert "dropped in Postgres: _cdc_rowid of log" in out
    assert asked(helped, COLUMNS) == "t,n"
    assert asked(helped, ROWS) == "x5,y2,z9"


def test_what_begins_anew_adds_it_again_and_compares_every_row(helped: Installation) -> None:
    helped.followed()
    assert helped.run("cleanup", "--capture-only")[0] == ExitCode.OK
    helped.sql("INSERT INTO log VALUES ('z', 9); DELETE FROM log WHERE rowid = 1")
    code, _, err = helped.run("-q", "up", "--until-idle", "--yes")
    assert code == ExitCode.OK, err
    assert asked(helped, ROWS) == "x1,y2,z9"
    assert helped.run("-q", "verify")[0] == ExitCode.OK


def test_after_a_cutover_the_application_needs_not_know_of_it_and_its_rows_can_go_back(helped: Installation) -> None:
    config = helped.switched()
    helped.target_sql("INSERT INTO log VALUES ('by position', 7); INSERT INTO log (t) VALUES ('by name')")
    helped.target_sql("UPDATE log SET n = 8 WHERE t = 'y'; DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log)")
    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    assert helped.run("-q", "verify")[0] == ExitCode.OK
    assert asked(helped, "SELECT string_agg(coalesce(n, 0) || t, ',' ORDER BY t) FROM log") == (
        "0by name,7by position,1x,8y"
    )


def test_the_last_cleanup_takes_it_away(helped: Installation) -> None:
    helped.configure("[cutover]\nfinalize_after_hours = 0.0")
    helped.switched()
    code, out, err = helped.run("-q", "finalize", "--yes", "--without-dump")
    assert code == ExitCode.OK, out + err
    code, out, _ = helped.run("cleanup", "--dry-run")
    assert "column _cdc_rowid of log, the helper key" in out
    code, out, err = helped.run("cleanup", "--yes")
    assert code == ExitCode.OK, out + err
    assert asked(helped, COLUMNS) == "t,n"


def test_a_column_that_somebody_else_made_is_left_alone(keyless: Installation) -> None:
    keyless.target_sql("ALTER TABLE log ADD _cdc_rowid bigint UNIQUE")
    keyless.configure("[tables.log]\nhelper_key = true")
    keyless.followed()
    assert keyless.run("cleanup", "--capture-only")[0] == ExitCode.OK
    assert asked(keyless, COLUMNS) == "t,n,_cdc_rowid"


def test_numbers_that_a_lost_one_gets_anew_are_not_believed(helped: Installation) -> None:
    """Postgres numbers the rows as they lie there, which says nothing of SQLite's rowids."""
    helped.sql("UPDATE log SET rowid = rowid + 1000")
    helped.followed()
    helped.target_sql("ALTER TABLE log DROP _cdc_rowid")
    helped.sql("UPDATE log SET n = 77 WHERE rowid = 1003")
    helped.followed()
    assert asked(helped, ROWS) == "x1,x1,y77"
    assert asked(helped, "SELECT _cdc_rowid FROM log WHERE n = 77") == 1003


@pytest.mark.parametrize("point", ["helper_key.added_first", "helper_key.added"])
def test_whoever_is_killed_beside_it_leaves_nothing_undone(helped: Installation, point: str) -> None:
    if point == "helper_key.added":
        helped.followed()
        helped.target_sql("ALTER TABLE log DROP _cdc_rowid; INSERT INTO log VALUES ('stray', 1)")
        helped.sql("UPDATE log SET n = 77 WHERE rowid = 3")
    code, _, err = helped.process("up", "--until-idle", environment={"CDC_CRASH_AT": point})
    assert code == -signal.SIGKILL, err
    helped.followed()
    assert asked(helped, "SELECT count(*) FROM log") == 3
    assert helped.run("-q", "verify")[0] == ExitCode.OK
    assert helped.run("cleanup", "--capture-only")[0] == ExitCode.OK
    assert asked(helped, COLUMNS) == "t,n"


def test_a_table_that_comes_later_waits_until_that_is_wanted(site: Installation) -> None:
    site.target_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text)")
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[tables.t.columns.v]\ntype = "text"')
    site.followed()
    site.sql("CREATE TABLE late (v TEXT); INSERT INTO late VALUES ('a')")
    site.target_sql("CREATE TABLE late (v text)")
    config = load_config(site.config_file)

    async def told(daemon: Daemon) -> None:
        reason = "SELECT remedy FROM cdc.target_table WHERE reason LIKE '%no column for the rowid%'"

        async def waits() -> bool:
            return "helper_key = true" in str(await value(site.dsn, reason))

        await wait_for(waits, "the table to wait", daemon=daemon)
        beats = "SELECT owner IS NOT NULL FROM cdc.stream"
        await wait_for(lambda: value(site.dsn, beats), "the first heartbeat", daemon=daemon)
        text = daemon.file.read_text().replace("[tables.t]", "[tables.late]\nhelper_key = true\n\n[tables.t]")
        daemon.file.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)

        async def is_there() -> bool:
            return bool(await value(site.dsn, "SELECT count(*) = 1 FROM late"))

        await wait_for(is_there, "its row", daemon=daemon)

    with Daemon(config) as daemon:
        asyncio.run(told(daemon))
        assert daemon.terminate() == ExitCode.OK
