"""A mapping that cannot be changed any more after the first copy: refused, with a way on."""

from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode

FOLLOW = ["run", "--until-idle"]
# What any daemon that begins leaves behind.
CHANGES = ("cdc.", "state/", ".cdc/")


def goes_on(site: Installation) -> bool:
    return site.run("-q", *FOLLOW)[0] == ExitCode.OK


def test_the_type_of_a_key(site: Installation) -> None:
    site.followed()
    site.configure("[tables.t.columns.id]\ntype = 'text'")
    template = "{section}: {keys} cannot be changed once rows were copied: {why}"
    refused(site, FOLLOW, template, ExitCode.CONFIG, changes=CHANGES)
    site.configure("[tables.t.columns.id]")
    assert goes_on(site)


def test_a_type_that_postgres_does_not_know(site: Installation) -> None:
    site.followed()
    site.configure("[tables.t.columns.v]\ntype = 'mood'")
    refused(site, FOLLOW, "{names}: Postgres does not take the type: {error}", ExitCode.CONFIG, changes=CHANGES)
    site.target_sql("CREATE TYPE mood AS ENUM ('a', 'b')")
    assert goes_on(site)


def test_a_view_of_the_operator_reads_the_column(site: Installation) -> None:
    site.followed()
    site.target_sql("CREATE VIEW shown AS SELECT v FROM t; CREATE VIEW more AS SELECT * FROM shown")
    site.configure("[tables.t.columns.v]\ntype = 'bytea'")
    template = "{section}: the column cannot become {wanted}, for views in Postgres read it: {names}"
    told = refused(site, FOLLOW, template, ExitCode.CONFIG, changes=CHANGES)
    assert told.endswith("read it: public.more, public.shown")
    site.target_sql("DROP VIEW shown CASCADE")
    assert goes_on(site)
