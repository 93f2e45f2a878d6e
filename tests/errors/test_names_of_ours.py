"""The application's own tables under the names that this tool needs."""

from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


def test_a_file_of_which_no_table_can_be_replicated_as_it_is(site: Installation) -> None:
    site.sql("DROP TABLE t; CREATE TABLE _cdc_notes(id INTEGER PRIMARY KEY)")
    refused(
        site,
        ["snapshot"],
        "no table of {path} can be replicated as it is: {names}: {reason}",
        ExitCode.CRITICAL,
    )
    code, out, _ = site.run("plan")
    assert code == ExitCode.CRITICAL
    assert "_cdc_notes: its name begins as those of this tool's own tables do" in out
    site.sql("ALTER TABLE _cdc_notes RENAME TO notes")
    assert site.run("plan")[0] == ExitCode.OK


def test_a_table_of_the_application_under_the_very_name_of_ours(site: Installation) -> None:
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
