"""Calls that make no sense, and `cdc init` with a file, a target or a place that cannot be used."""

import json
import os

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode

EXISTS = "configuration file {file} exists already"


# --- options ----------------------------------------------------------------------------------------------------------


def test_options_that_contradict_each_other(cut_off: Installation) -> None:
    refused(cut_off, ["-v", "status"], "--verbose and --quiet contradict each other", ExitCode.USAGE)
    code, out, err = cut_off.run("status", "--watch", "--json")
    assert (code, err) == (ExitCode.USAGE, "")
    assert json.loads(out)["error"] == "--watch and --json contradict each other"


def test_watching_without_a_terminal(cut_off: Installation) -> None:
    refused(cut_off, ["status", "--watch"], "--watch needs a terminal", ExitCode.USAGE, with_json=False)


def test_cleanup_that_does_not_say_of_what(cut_off: Installation) -> None:
    template = "--capture-only and --release each go with no other option"
    refused(cut_off, ["cleanup", "--capture-only", "--dry-run"], template, ExitCode.USAGE)


def test_a_key_that_is_not_in_quarantine(site: Installation) -> None:
    site.followed()
    refused(site, ["quarantine", "acknowledge", "--key", "6"], "no row in quarantine has that key", ExitCode.USAGE)


def test_a_table_that_there_is_not_is_answered_with_the_nearest_one(site: Installation) -> None:
    site.followed()
    template = "there is no table {table}, and no row of such a table in quarantine"
    for command in ("list", "retry", "acknowledge"):
        refused(site, ["quarantine", command, "--table", "tt"], template, ExitCode.USAGE)
    assert "did you mean `t`?" in site.run("quarantine", "list", "--table", "tt")[2]


@pytest.mark.parametrize(
    ("given", "meant"),
    [(["stauts"], "'status'"), (["quarantine", "lst"], "'list'"), (["status", "--jsno"], "--json")],
)
def test_a_misspelt_command_or_option_is_answered_with_the_nearest_one(
    cut_off: Installation, given: list[str], meant: str
) -> None:
    code, out, err = cut_off.run(*given)
    assert (code, out) == (ExitCode.USAGE, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["error", "remedy"]
    assert meant in err


# --- init -------------------------------------------------------------------------------------------------------------


def test_init_replaces_no_configuration(cut_off: Installation) -> None:
    refused(cut_off, ["init", "app.db"], "configuration file {file} exists already", ExitCode.USAGE)


@pytest.mark.parametrize("target", ["localhost", "mysql://h/d", "postgresql://[/d", "postgresql://u:p@ss/word@h/d"])
def test_init_with_a_target_that_is_no_address(cut_off: Installation, target: str) -> None:
    command = ["-c", "new.toml", "init", "app.db", "--target", target]
    refused(
        cut_off,
        command,
        "--target is neither `embedded` nor the address of a Postgres database",
        ExitCode.USAGE,
    )


def test_init_with_a_path_that_toml_cannot_hold(cut_off: Installation) -> None:
    name = os.fsdecode(b"app-\xff.db")
    cut_off.database.rename(cut_off.folder / name)
    refused(
        cut_off,
        ["-c", "new.toml", "init", name],
        "the path of the SQLite file is not valid UTF-8",
        ExitCode.USAGE,
    )


def test_init_where_nothing_may_be_written(cut_off: Installation) -> None:
    place = cut_off.folder / "etc"
    place.mkdir(mode=0o500)
    told = refused(
        cut_off,
        ["-c", "etc/cdc.toml", "init", "app.db"],
        "configuration file {file} cannot be written: {error}",
        ExitCode.CONFIG,
        run=cut_off.bound,
    )
    assert "Permission denied" in told


def test_init_beside_a_file_in_place_of_a_folder(cut_off: Installation) -> None:
    (cut_off.folder / "etc").write_text("a file")
    refused(
        cut_off,
        ["-c", "etc/cdc.toml", "init", "app.db"],
        "configuration file {file} cannot be written: {error}",
        ExitCode.CONFIG,
    )


@pytest.mark.parametrize("options", [[], ["--target", "embedded"], ["--target", "postgresql://h/d", "--bare"]])
def test_init_that_is_to_adopt_tables_of_nowhere(cut_off: Installation, options: list[str]) -> None:
    refused(
        cut_off,
        ["-c", "new.toml", "init", "app.db", "--adopt", *options],
        "--adopt looks at tables that are in Postgres already, and needs to know where",
        ExitCode.USAGE,
    )


def test_init_that_is_to_adopt_tables_that_nobody_made(site: Installation) -> None:
    command = ["-c", "new.toml", "init", "app.db", "--target", site.dsn, "--adopt"]
    refused(
        site,
        command,
        "schema {schema} of Postgres has no table of the SQLite file that could be adopted",
        ExitCode.CRITICAL,
    )
    site.target_sql("CREATE TABLE t(id int PRIMARY KEY, v text)")
    assert site.run(*command)[0] == ExitCode.OK


# --- demo -------------------------------------------------------------------------------------------------------------


def test_a_demo_in_a_folder_that_holds_something(cut_off: Installation) -> None:
    refused(cut_off, ["demo", "--keep", "."], "{keep} exists and is not an empty folder", ExitCode.USAGE)


def test_a_demo_where_nothing_may_be_written(cut_off: Installation) -> None:
    cut_off.folder.chmod(0o500)
    refused(cut_off, ["demo", "--keep", "new"], "{place} cannot be written: {error}", ExitCode.USAGE, run=cut_off.bound)
    cut_off.folder.chmod(0o700)
