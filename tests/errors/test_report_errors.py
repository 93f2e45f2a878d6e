"""What `cdc report` refuses: to overwrite, to write where it may not, to check what is not there."""

from pathlib import Path

from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


def test_a_report_that_is_there_already(cut_off: Installation, tmp_path: Path) -> None:
    for name in ("kept.html", "kept.json"):
        (tmp_path / name).write_text("signed", encoding="utf-8")
        template = "{taken} is there already, and a report is never overwritten"
        refused(cut_off, ["report", "--out", "kept"], template, ExitCode.USAGE)
        (tmp_path / name).unlink()


def test_a_report_that_cannot_be_put_there(cut_off: Installation, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    call = ["report", "--out", "file/report.html"]
    refused(cut_off, call, "no report can be written to {file}: {error}", ExitCode.USAGE)


def test_a_report_that_is_not_there(cut_off: Installation) -> None:
    refused(cut_off, ["report", "--verify", "none.html"], "the report {file} cannot be read: {error}", ExitCode.USAGE)


def test_to_write_and_to_check_at_once(cut_off: Installation) -> None:
    call = ["report", "--out", "a.html", "--verify", "b.html"]
    refused(cut_off, call, "--out and --verify contradict each other", ExitCode.USAGE)
