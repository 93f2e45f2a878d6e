"""Wrong calls and a wrong configuration are refused with the key, the reason and the remedy."""

from refusals import refused
from sites import Site

from cdc.errors import ExitCode


def test_options_that_contradict_each_other(cut_off: Site) -> None:
    refused(cut_off, ["-v", "status"], "--verbose and --quiet contradict each other", ExitCode.USAGE)


def test_a_configuration_that_is_not_there(cut_off: Site) -> None:
    refused(cut_off, ["-c", "no.toml", "status"], "configuration file {path} does not exist", ExitCode.CONFIG)
