"""A unit that could not work, or that systemd would not read as it is meant, is not printed."""

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


@pytest.mark.parametrize("name", ["a b", "../cdc", "", "ein-dienst-für-alle"])
def test_a_name_that_no_unit_can_have(cut_off: Installation, name: str) -> None:
    refused(cut_off, ["unit", "--name", name], "a unit cannot be named {name}", ExitCode.USAGE)


def test_a_user_that_does_not_exist(cut_off: Installation) -> None:
    refused(
        cut_off, ["unit", "--user", "nobody-of-this-name"], "there is no user {user} on this machine", ExitCode.USAGE
    )


def test_a_path_that_no_unit_can_hold(cut_off: Installation) -> None:
    cut_off.configure('[state]\ndir = "two\\nlines"')
    refused(cut_off, ["unit"], "a unit cannot name {text}: it holds a control character", ExitCode.USAGE)
