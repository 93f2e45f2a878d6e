"""The application's own tables under the names that this tool needs."""

from refusals import refused
from sites import Site

from cdc.errors import ExitCode


def test_a_table_whose_name_begins_as_ours(site: Site) -> None:
    site.sql("CREATE TABLE _cdc_notes(id INTEGER PRIMARY KEY)")
    for command in (["plan"], ["snapshot"]):
        refused(
            site,
            command,
            "{name} in the SQLite file has a name that begins as those of this tool's own tables do",
            ExitCode.CRITICAL,
        )


def test_a_table_of_the_application_under_the_very_name_of_ours(site: Site) -> None:
    site.sql(
        "CREATE TABLE _cdc_changelog(id INTEGER PRIMARY KEY, what TEXT); INSERT INTO _cdc_changelog VALUES (1, 'x')"
    )
    for command in (["plan"], ["snapshot"]):
        refused(
            site,
            command,
            "{name} in the SQLite file is not the table that this tool makes under that name",
            ExitCode.CRITICAL,
        )
