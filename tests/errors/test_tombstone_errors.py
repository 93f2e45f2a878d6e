"""Rows that came back, a file that is not taken up by itself, and decisions that cannot be carried out."""

import shutil
from pathlib import Path

from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode

TABLES = "CREATE TABLE child(id INTEGER PRIMARY KEY, t INTEGER REFERENCES t(id))"
MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150) INSERT INTO t SELECT i, i FROM n"


def overwritten(site: Installation, *, setting: str = "", deleted: str = "DELETE FROM t WHERE id = 1") -> None:
    """A file of before a deletion was copied over the one that is followed."""
    site.configure(*([setting] if setting else []))
    site.sql(f"{TABLES}; {MANY}")
    site.followed()
    shutil.copy(site.database, site.folder / "old.db")
    site.sql(deleted)
    site.followed()
    for name in ("-wal", "-shm"):
        Path(f"{site.database}{name}").unlink(missing_ok=True)
    shutil.copy(site.folder / "old.db", site.database)


def test_a_file_with_which_too_much_comes_back_is_not_taken_up_by_itself(site: Installation) -> None:
    overwritten(
        site, setting='[source]\npath = "app.db"\non_replaced = "resync"', deleted="DELETE FROM t WHERE id > 20"
    )
    line = refused(
        site,
        ["run", "--until-idle"],
        "the file is not taken up by itself, for too much would be replaced or come back: {words}; it was seen "
        "because {message}",
        ExitCode.CRITICAL,
        changes=("rows of cdc.stream",),
    )
    assert "t (0 rows to delete, 0 to change, 130 to add, 130 of these deleted before, of 20)" in line
    assert site.run("-q", "load", "--resync", "--yes")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.status()["tombstones"]["waiting"] == 130


def test_a_key_that_has_no_tombstone(site: Installation) -> None:
    site.followed()
    for command in ("accept", "refuse"):
        refused(
            site,
            ["tombstones", command, "--table", "t", "--key", "7"],
            "no key like that has a tombstone, or waits under one",
            ExitCode.USAGE,
        )


def test_nobody_says_which_rows_are_meant(site: Installation) -> None:
    site.followed()
    for command in (["accept"], ["accept", "--all", "--table", "t"], ["refuse"]):
        refused(site, ["tombstones", *command], "it is not said which rows are meant", ExitCode.USAGE)


def test_options_of_the_list_before_a_decision(site: Installation) -> None:
    site.followed()
    refused(
        site,
        ["tombstones", "--table", "t", "accept", "--all"],
        "options of `cdc tombstones` stand before a command",
        ExitCode.USAGE,
        with_json=False,
    )


def test_a_refused_row_that_others_refer_to(site: Installation) -> None:
    overwritten(site)
    site.sql("INSERT INTO child VALUES (1, 1)")
    assert site.run("-q", "load", "--resync")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    refused(
        site,
        ["tombstones", "refuse", "--all", "--yes"],
        "rows that were refused cannot be deleted in {path}, for others refer to them or its triggers forbid it: "
        "{error}",
        ExitCode.CRITICAL,
        changes=(".cdc/snapshots",),
    )
    assert site.run("-q", "tombstones", "accept", "--all")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.run("-q", "verify")[0] == ExitCode.OK
    assert site.status()["quarantine"]["total"] == 0


def test_without_a_terminal_nothing_is_deleted_unasked(site: Installation) -> None:
    overwritten(site)
    assert site.run("-q", "load", "--resync")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    refused(
        site,
        ["tombstones", "refuse", "--all"],
        "{what} has to be confirmed, and there is no terminal to ask on",
        ExitCode.USAGE,
    )
