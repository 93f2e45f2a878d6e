"""Cutovers and rollbacks that cannot be made, and commands that are refused after one.

Where a switch has to fail in its midst, its step is given as the program gives it, with no command around it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from error_assertions import logged, refused
from installation import Installation
from msgspec.structs import replace

from cdc.config import Config, load_config
from cdc.cutover import prepare, reads, run
from cdc.cutover.scene import require_active
from cdc.cutover.watch import require_checks
from cdc.cutover.window import RefusedWindow
from cdc.errors import CdcError, ExitCode, SourceBusy
from cdc.facts.changes import Position
from cdc.facts.phase import Phase
from cdc.facts.progress import Silent
from cdc.facts.side import Side
from cdc.notes import switch_hold
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog import source_file
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.fence import RaisedFence
from cdc.sqlite.fence.past_fence import opened_past_fence
from cdc.stream.session import Session
from cdc.verify.compare_recent import RecentComparison

GIVEN_UP = "the switch to {to} was given up at {step}, and everything is as before: {message}"

NOTES_NOTHING = """
    DO $do$ BEGIN EXECUTE format(
        'CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN NULL; END $body$',
        (SELECT tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = 'u'::regclass AND tgname = 'cdc_outbox_insert')
    ); END $do$
"""


def quiet(_: str) -> None:
    """Nobody looks at the steps."""


def refused_in(step: Coroutine[Any, Any, Any], *templates: str) -> CdcError:
    """Take a step that is refused with the error of the first template; that of the next one is the reason."""
    with pytest.raises(CdcError) as told:
        asyncio.run(step)
    error: BaseException | None = told.value
    for template in templates:
        assert isinstance(error, CdcError), error
        logged({"error": error.message, "remedy": error.remedy}, template)
        error = error.__cause__
    return told.value


def cutover(config: Config) -> Coroutine[Any, Any, Any]:
    return run.cutover(config, quiet)


def rollback(config: Config) -> Coroutine[Any, Any, Any]:
    return run.rollback(config, quiet, Silent())


def past_fence(config: Config, sql: str) -> None:
    """Write to the file as no application can."""
    with opened_past_fence(config) as connection:
        connection.execute(sql)


def past_guard(site: Installation, sql: str) -> None:
    """Write to Postgres as no application can before a cutover."""
    off, on = (f"ALTER TABLE t {how} TRIGGER cdc_fence" for how in ("DISABLE", "ENABLE ALWAYS"))
    site.target_sql(f"{off}; {sql}; {on}")


# --- after a cutover --------------------------------------------------------------------------------------------------


def test_what_would_write_over_postgres_or_tear_the_switch_apart(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one')")
    config = site.switched()
    for command in (
        ["load"],
        ["load", "--resync", "--yes"],
        ["schema"],
        ["schema", "--apply-pending"],
        ["verify", "--repair", "--yes"],
        ["quarantine", "retry"],
        ["cleanup", "--capture-only"],
        ["cleanup", "--release", str(site.database)],
        ["pause", "--release-triggers"],
        ["cutover", "--prepare"],
        ["shadow", "sql", "--explore", "1"],
    ):
        refused(
            site,
            command,
            "applications write to Postgres since the cutover, and {path} follows",
            ExitCode.CRITICAL,
        )
    assert fence.look(config).permanent


def test_what_is_not_as_it_was_at_the_cutover(site: Installation) -> None:
    def refused_to_run(template: str, *changes: str) -> None:
        refused(site, ["run", "--until-idle"], template, ExitCode.CRITICAL, changes=changes)

    config = site.switched()
    site.sql("CREATE TABLE late(id INTEGER PRIMARY KEY)")
    refused_to_run("these tables are not mapped as they were at the cutover, or are gone: {other}")
    site.sql("DROP TABLE late")
    past_fence(config, "INSERT INTO _cdc_changelog(tid, op, k1) VALUES (1, 'I', 9)")
    refused_to_run("{path} is not the file that was fenced at the cutover, or was written to since")
    past_fence(config, "DELETE FROM _cdc_changelog WHERE k1 = 9")
    fence.lift(config)
    refused_to_run("writes to {path} are not refused, though applications write to Postgres since the cutover")
    past_fence(config, "UPDATE _cdc_state SET fenced = 'never'")
    site.target_sql("DROP SCHEMA cdc CASCADE")
    refused_to_run(
        "writes to {path} are refused for good, and nothing in Postgres says that it is written to: "
        "what this tool kept there is gone",
    )


# --- before one -------------------------------------------------------------------------------------------------------


def test_two_ways_at_once(cut_off: Installation) -> None:
    template = "--prepare goes with no other option of `cdc cutover`"
    refused(cut_off, ["cutover", "--dry-run", "--prepare"], template, ExitCode.USAGE)


def test_nothing_to_watch(cut_off: Installation) -> None:
    async def watched() -> None:
        require_checks(load_config(cut_off.config_file))

    refused_in(watched(), "there is nothing to watch: no check of reads is configured")


def test_nothing_to_open(site: Installation) -> None:
    site.followed()
    template = "writes to {path} are not refused, so there is nothing to open"
    refused(site, ["rollback", "--emergency", "--yes"], template, ExitCode.CRITICAL)
    config = load_config(site.config_file)

    async def carried() -> None:
        with opened_past_fence(config) as connection:
            fence.require_raised(connection, config)

    refused_in(carried(), "{path} accepts writes, so that nothing may be carried into it")


def test_a_table_that_could_not_come_back(site: Installation) -> None:
    site.followed()
    site.target_sql("ALTER TABLE t SET UNLOGGED")
    refused(site, ["cutover", "--prepare"], "tables could not come back from Postgres: {lost}", ExitCode.CRITICAL)


def test_a_key_that_may_be_null_could_not_come_back_until_it_may_not(site: Installation) -> None:
    site.configure("[target]", f'dsn = "{site.dsn}"', "adopt = true")
    site.target_sql("CREATE TABLE t(id bigint UNIQUE, v text)")
    _, told, _ = site.run("plan", "--all")
    statement = 'ALTER TABLE "public"."t" ALTER COLUMN "id" SET NOT NULL;'
    assert statement in " ".join(told.split())
    site.followed()
    refused(site, ["cutover", "--prepare"], "tables could not come back from Postgres: {lost}", ExitCode.CRITICAL)
    site.target_sql(statement)
    site.prepared()


def test_rows_that_are_not_alike_are_not_prepared(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one')")
    config = site.prepared()
    past_guard(site, "UPDATE t SET v = 'other'")
    refused_in(prepare.prepare(config, Silent()), "both databases are not alike: {result}, {differences} differences")


def test_a_cutover_that_was_not_prepared(site: Installation) -> None:
    site.followed()
    refused_in(cutover(load_config(site.config_file)), "nothing is prepared for a cutover")


def test_two_switches_at_a_time(site: Installation) -> None:
    config = load_config(site.config_file)
    with switch_hold.held(config):
        refused_in(cutover(config), "another command switches between the databases now")


# --- in the midst of a cutover ----------------------------------------------------------------------------------------


def test_what_is_found_out_while_it_is_made(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fence.raise_for

    async def set_back(_: Session) -> None:
        """As if somebody did so at this very moment."""

    def written_behind(config: Config, seconds: float) -> RaisedFence:
        site.sql("UPDATE t SET v = v WHERE id = 1")
        raised = real(config, seconds)
        past_fence(config, "INSERT INTO _cdc_changelog(tid, op, k1) VALUES (1, 'I', 9)")
        return raised

    def written_after(config: Config, seconds: float) -> RaisedFence:
        raised = real(config, seconds)
        past_fence(config, "INSERT INTO _cdc_changelog(tid, op, k1) VALUES (1, 'I', 9)")
        return raised

    site.sql(
        "INSERT INTO t VALUES (1, 'one'), (70, 'seventy'); CREATE TABLE u(id INTEGER PRIMARY KEY, n TEXT NOT NULL)"
    )
    config = site.prepared()
    site.target_sql("SELECT setval(pg_get_serial_sequence('t', 'id'), 1)")
    with monkeypatch.context() as patched:
        patched.setattr(Session, "move_sequences", set_back)
        refused_in(cutover(config), GIVEN_UP, "sequences are behind their tables: {behind}")
    past_fence(config, "UPDATE t SET v = v || ' unseen'")
    template = "rows that were not changed do not come back from Postgres as they are: {names}"
    refused_in(cutover(config), GIVEN_UP, template)
    past_fence(config, "UPDATE t SET v = replace(v, ' unseen', '')")
    # A table without a row is probed as well: by one that is made for it.
    site.target_sql("ALTER TABLE cdc.outbox ADD CONSTRAINT no_u CHECK (target <> 'u')")
    with pytest.raises(CdcError, match=r"given up at probe the way back.*no_u"):
        asyncio.run(cutover(config))
    site.target_sql(f"ALTER TABLE cdc.outbox DROP CONSTRAINT no_u; {NOTES_NOTHING}")
    refused_in(cutover(config), GIVEN_UP, template)
    for written in (written_behind, written_after):
        with monkeypatch.context() as patched:
            patched.setattr(fence, "raise_for", written)
            template = "the changelog went on beyond its end at {seq}, although SQLite refused writes"
            refused_in(cutover(config), GIVEN_UP, template)
    past_guard(site, "UPDATE t SET v = 'other' WHERE id = 1")
    refused_in(cutover(config), GIVEN_UP, "rows are not alike in both databases: {differing}")
    assert not fence.look(config).refuses


def test_an_application_that_does_not_follow(site: Installation) -> None:
    site.configure(
        *("[[cutover.checks]]", 'name = "health"', 'url = "http://127.0.0.1:1/"', "within_seconds = 0.1"),
        *('sqlite = { side = "sqlite" }', 'postgres = { side = "postgres" }'),
    )
    config = site.prepared()
    refused_in(
        cutover(config),
        "the switch to {to} was given up at {step}, and everything is as before: {message}",
        "the application is not where it was told to be: {words}",
    )


def test_reads_that_the_application_does_not_take_along(site: Installation) -> None:
    site.configure(
        *("[[cutover.flags]]", 'kind = "file"', 'path = "flag.json"'),
        *("[[cutover.checks]]", 'name = "health"', 'url = "http://127.0.0.1:1/"', "within_seconds = 0.1"),
        'postgres = { side = "postgres" }',
    )
    template = "reads are where they were, for the application did not go to {side} as it was told: {words}"
    refused_in(reads.move_reads(load_config(site.config_file), Side.POSTGRES), template)


def test_a_schema_that_changes_in_the_midst(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    site.configure("[cutover]", "tries = 1")
    config, real = site.prepared(), fence.keep

    def kept_and_altered(config: Config, end: Position) -> None:
        real(config, end)
        site.sql("CREATE TABLE late(id INTEGER PRIMARY KEY)")

    monkeypatch.setattr(fence, "keep", kept_and_altered)
    refused_in(cutover(config), GIVEN_UP, "the application changed its schema in the midst of the switch")


def test_a_window_that_is_over(cut_off: Installation) -> None:
    window = RefusedWindow(0)
    window.begin()

    async def late() -> None:
        window.require("the comparison")

    refused_in(late(), "writes were refused for {limit_seconds} s, and {what} is not done")


def test_the_side_that_does_not_count_stays_closed(cut_off: Installation) -> None:
    async def opened() -> None:
        require_active(Phase.CUTOVER, Side.SQLITE)

    refused_in(opened(), "{other} is the side that is written to, so {side} stays closed")


def test_a_table_that_goes_while_it_is_compared(site: Installation) -> None:
    site.followed()
    config = load_config(site.config_file)
    look = source_file.look(config)
    assert look.capture is not None
    assert look.newest is not None
    source_id, newest = look.capture.source_id, look.newest

    async def compared(connection: Connection) -> None:
        record = Record(connection, source_id)
        maps = tuple((await current_tables(record, config, look.schema)).fed)
        await connection.execute("DROP TABLE t")
        await RecentComparison.open(record, config, look, maps, newest)

    with pytest.raises(CdcError) as told:
        site.postgres(compared)
    logged(
        {"error": told.value.message, "remedy": told.value.remedy},
        "tables do not exist in Postgres any more: {gone}",
    )


# --- in the midst of a rollback ---------------------------------------------------------------------------------------


def test_what_keeps_the_file_closed(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fence.lift

    def locked(_: Config) -> None:
        raise SourceBusy("the file is locked", remedy="wait")

    first = iter([True])

    def lifted_and_failed(config: Config) -> None:
        real(config)
        if next(first, False):
            site.sql("INSERT INTO t VALUES (7, 'here')")
            raise SourceBusy("the file is locked", remedy="wait")

    site.sql("INSERT INTO t VALUES (1, 'one')")
    config = site.switched()
    site.target_sql("INSERT INTO cdc.outbox (source_id, target) SELECT source_id, 'gone' FROM cdc.stream")
    refused_in(rollback(config), GIVEN_UP, "{waiting} changes in Postgres cannot be carried back")
    site.target_sql("DELETE FROM cdc.outbox")
    past_fence(config, "UPDATE t SET v = 'other'")
    template = "rows are not alike in SQLite, where Postgres is written to: {differing}"
    refused_in(rollback(config), GIVEN_UP, template)
    past_fence(config, "UPDATE t SET v = 'one'")
    once = replace(config, cutover=replace(config.cutover, tries=1))
    with monkeypatch.context() as patched:
        patched.setattr(fence, "lift", locked)
        refused_in(rollback(once), GIVEN_UP)  # and is as before, for it was never lifted
    monkeypatch.setattr(fence, "lift", lifted_and_failed)
    template = "the switch to {to} was given up at {step}, and could not be undone: {message}; not undone: {unsettled}"
    told = refused_in(rollback(config), template)
    stays = "SQLite accepts writes already, so Postgres stays closed"
    assert f"leave Postgres: {stays}" in told.message
    told_at_once = "applications wrote to SQLite already, so it stays open"
    assert f"lift the fence: {told_at_once}" in told.message


def test_what_sqlite_cannot_hold_or_would_lack(site: Installation) -> None:
    site.sql("CREATE TABLE f(id INTEGER PRIMARY KEY, r REAL)")
    config = site.switched()
    site.target_sql("INSERT INTO f VALUES (5, 'NaN')")
    refused(site, ["rollback", "--emergency"], "SQLite would lack {missing}", ExitCode.USAGE)
    refused_in(rollback(config), GIVEN_UP, "rows of Postgres cannot be held by SQLite, such as {rows}")
