"""Phases in a wrong order or over something that is not ours, and comparisons that cannot be made."""

from pathlib import Path

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode
from cdc.sqlite.capture import trigger_sql, triggers


def taken(site: Installation) -> None:
    assert site.run("-q", "snapshot")[0] == ExitCode.OK


def prepared(site: Installation) -> None:
    taken(site)
    assert site.run("-q", "schema")[0] == ExitCode.OK


# --- schema and load --------------------------------------------------------------------------------------------------


def test_a_table_of_somebody_else_under_the_name_that_is_needed(site: Installation) -> None:
    site.target_sql("CREATE TABLE t(id int, other text)")
    taken(site)
    refused(site, ["schema"], "these tables would be created but exist already: {taken}", ExitCode.CRITICAL)


def test_an_index_of_somebody_else_under_the_name_that_is_needed(site: Installation) -> None:
    site.sql("CREATE INDEX by_v ON t(v)")
    prepared(site)
    site.target_sql("CREATE TABLE other(a int); CREATE INDEX by_v ON other(a)")
    refused(
        site,
        ["load"],
        "the name {object} that {kind} of {table} needs is taken in schema {schema}",
        ExitCode.CRITICAL,
        changes=("rows of public.t", "rows of t", "rows of cdc.loaded"),
    )


def test_a_load_before_its_schema(site: Installation) -> None:
    taken(site)
    refused(site, ["load"], "the tables in Postgres do not exist yet", ExitCode.CRITICAL)


def test_a_table_that_somebody_dropped_before_the_load(site: Installation) -> None:
    prepared(site)
    site.target_sql("DROP TABLE t")
    refused(site, ["load"], "table {target} is missing in Postgres", ExitCode.CRITICAL)


def test_rows_that_somebody_put_into_a_table_before_the_load(site: Installation) -> None:
    prepared(site)
    site.target_sql("INSERT INTO t VALUES (5, 'theirs')")
    refused(
        site,
        ["load"],
        "table {schema}.{name} in Postgres has rows that this tool did not load",
        ExitCode.CRITICAL,
    )


def test_rows_in_postgres_that_break_a_constraint_which_is_yet_to_be_made(site: Installation) -> None:
    site.sql("CREATE TABLE u(id INTEGER PRIMARY KEY, up INTEGER REFERENCES t); INSERT INTO u VALUES (1, 99)")
    prepared(site)
    site.target_sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER keep BEFORE DELETE ON u FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    refused(
        site,
        ["load"],
        "{kind} {object} on {table} cannot be made: {error}",
        ExitCode.CRITICAL,
        changes=(
            *("rows of t", "rows of u", "rows of cdc.loaded"),
            *("column public.u_up_idx.up", "index public.u_up_idx", "relation public.u_up_idx"),
        ),
    )


def test_a_column_whose_type_somebody_changed(site: Installation) -> None:
    for command in ("snapshot", "schema"):
        assert site.run("-q", command)[0] == ExitCode.OK
    site.target_sql("ALTER TABLE t ALTER v TYPE point USING NULL")
    refused(site, ["load"], "table {schema}.{name} cannot take the rows of {name}: {problems}", ExitCode.CRITICAL)


def test_a_target_that_is_not_there(site: Installation) -> None:
    site.followed()
    site.configure("[tables.t]", 'target = "elsewhere"')
    refused(site, ["run", "--until-idle"], "tables are missing in Postgres: {chosen}", ExitCode.CRITICAL)
    assert site.run("-q", "schema")[0] == ExitCode.OK
    site.followed()
    assert site.run("verify", "--json")[0] == ExitCode.OK


def test_a_trigger_that_would_not_run_is_not_left_in_the_file(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would fail the application's own writes is refused, whatever the reason."""
    real = trigger_sql.trigger_sql

    def broken(tid: int, table: object) -> dict[str, str]:
        return {name: sql.replace("_cdc_changelog", "_cdc_nothing") for name, sql in real(tid, table).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(triggers, "trigger_sql", broken)
    refused(
        site,
        ["snapshot"],
        "table {name} cannot be captured: a trigger on it would not run: {reason}",
        ExitCode.CRITICAL,
    )


# --- comparing --------------------------------------------------------------------------------------------------------


def test_a_comparison_of_a_table_that_is_not_replicated(site: Installation) -> None:
    site.followed()
    refused(site, ["verify", "--table", "nothing"], "table {name} is not replicated", ExitCode.USAGE)


# --- the audit file ---------------------------------------------------------------------------------------------------


def test_a_state_folder_in_which_nothing_may_be_written(cut_off: Installation) -> None:
    (cut_off.folder / ".cdc").mkdir(mode=0o500)
    refused(
        cut_off,
        ["cleanup", "--capture-only"],
        "the audit file {state_dir} cannot be written: {error}",
        ExitCode.CONFIG,
        run=cut_off.bound,
    )


def test_an_audit_file_that_may_not_be_read(cut_off: Installation) -> None:
    assert cut_off.run("cleanup", "--capture-only")[0] == ExitCode.OK
    for file in Path(cut_off.folder / ".cdc").glob("audit*"):
        file.chmod(0o000)
    refused(
        cut_off,
        ["audit"],
        "the audit file {state_dir} cannot be read: {error}",
        ExitCode.CONFIG,
        run=cut_off.bound,
    )
