"""Tables that others made, and that cannot be adopted."""

from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


def adopting(site: Installation, table: str) -> None:
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\nexisting_rows = "replace"')
    site.target_sql(table)
    assert site.run("-q", "snapshot")[0] == ExitCode.OK


def test_a_table_that_cannot_take_the_rows(site: Installation) -> None:
    adopting(site, "CREATE TABLE t(id bigint, other int NOT NULL)")
    told = refused(
        site,
        ["schema"],
        "adopted tables cannot take the rows: {listed}",
        ExitCode.CRITICAL,
    )
    for part in ("nothing in Postgres makes (id) unique", "t.v: table t has no column v", "t.other"):
        assert part in told


def test_rows_that_cannot_be_saved_before_they_are_replaced(site: Installation) -> None:
    adopting(site, "CREATE TABLE t(id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (5, 'seeded')")
    assert site.run("-q", "schema")[0] == ExitCode.OK
    (site.folder / ".cdc" / "replaced").write_text("a file in the way")
    refused(site, ["load"], "the rows of {schema}.{name} cannot be saved to {file}: {error}", ExitCode.CRITICAL)


def test_a_helper_key_that_others_need(site: Installation) -> None:
    site.sql("DROP TABLE t; CREATE TABLE log (v TEXT)")
    site.configure("[tables.log]\nhelper_key = true")
    adopting(site, "CREATE TABLE log (v text)")
    site.followed()
    site.target_sql("CREATE VIEW everything AS SELECT * FROM log")
    told = refused(
        site,
        ["cleanup", "--release", str(site.database)],
        "the helper key {column} of {table} is needed by something of others: {words}",
        ExitCode.CRITICAL,
    )
    assert "view everything depends on column _cdc_rowid" in told
    site.target_sql("DROP VIEW everything")
    assert site.run("cleanup", "--release", str(site.database))[0] == ExitCode.OK
