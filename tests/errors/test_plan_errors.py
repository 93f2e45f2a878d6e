"""`cdc plan --apply` with numbers, files and sections that it cannot serve."""

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


@pytest.fixture
def planned(cut_off: Installation) -> Installation:
    cut_off.sql("CREATE TABLE u(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO u VALUES (1, 'x')")
    return cut_off


def test_numbers_without_lines(planned: Installation) -> None:
    template = "--apply names {name}, and the plan has no lines of that number"
    refused(planned, ["plan", "--apply", "7"], template, ExitCode.USAGE)
    assert "there are lines for 1" in planned.run("plan", "--apply", "7")[2]


def test_no_numbers_and_nobody_to_ask(planned: Installation) -> None:
    template = "--apply was given without numbers, and there is no terminal to ask on"
    refused(planned, ["plan", "--apply"], template, ExitCode.USAGE, with_json=False)


def test_all_where_every_choice_loses_something(planned: Installation) -> None:
    planned.configure('[tables.u.columns.n]\ntype = "bigint"')
    template = "there is nothing that `--apply all` could write without changing a value"
    refused(planned, ["plan", "--apply", "all"], template, ExitCode.USAGE)
    planned.run("plan", "--apply", "1")
    assert 'on_invalid = "null"' in planned.config_file.read_text()


def test_a_section_that_has_no_room_for_a_line(planned: Installation) -> None:
    planned.configure("[tables.u]\ncolumns = { n = { target = 'm' } }")
    refused(planned, ["plan", "--apply", "1"], "{path} cannot take `{lines}`: {reason}", ExitCode.CONFIG)
    assert not planned.config_file.with_name("cdc.toml.old").exists()


def test_a_folder_where_nothing_can_be_written(planned: Installation) -> None:
    template = "nothing can be added to the configuration file {path}: {error}"
    planned.folder.chmod(0o555)
    try:
        refused(planned, ["plan", "--apply", "1"], template, ExitCode.CONFIG, run=planned.bound)
    finally:
        planned.folder.chmod(0o755)
