"""What `cdc audit` refuses."""

from error_assertions import refused
from installation import Installation

from cdc.audit.trail import FILE
from cdc.errors import ExitCode


def test_more_breaks_than_anybody_can_know_are_not_accepted(cut_off: Installation) -> None:
    folder = cut_off.folder / ".cdc"
    folder.mkdir()
    (folder / FILE).write_text("no entry\n" * 1_001)
    refused(
        cut_off,
        ["audit", "--accept"],
        "the audit trail has more than {breaks} breaks, which nobody can know each by itself",
        ExitCode.USAGE,
    )
