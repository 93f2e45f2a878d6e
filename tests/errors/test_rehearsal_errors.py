"""Rehearsals that cannot be made leave nothing behind: beside another one, and of a copy that cannot be followed."""

import fcntl

from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


def test_another_rehearsal_is_under_way(site: Installation) -> None:
    site.followed()
    folder = site.folder / ".cdc" / "rehearsal"
    folder.mkdir()
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(site, ["rehearse"], "another rehearsal is under way", ExitCode.UNAVAILABLE)


def test_a_copy_that_cannot_be_followed(site: Installation) -> None:
    site.followed()
    site.configure("[tables.t.columns.v]", 'type = "unheard_of"')
    told = refused(
        site,
        ["rehearse"],
        "the rehearsal cannot go on with its copy: {why}",
        ExitCode.CRITICAL,
        with_json=False,
    )
    assert "unheard_of" in told
