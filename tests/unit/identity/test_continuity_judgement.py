"""Whether this is the file that was followed: what makes it surely the same, and where a person has to say."""

from dataclasses import replace
from pathlib import Path

import pytest

from cdc.errors import SourceChanged
from cdc.facts.changes import Position, Traces
from cdc.facts.source_schema import SourceSchema
from cdc.identity.continuity import LOST_SECONDS, RememberedFile, judge
from cdc.postgres.record.sightings import Sighting
from cdc.sqlite.capture.schema_signature import Signature
from cdc.sqlite.capture.triggers import Capture
from cdc.sqlite.changelog.position_check import NOTHING, Standing
from cdc.sqlite.changelog.source_file import Look

LAST, EARLIER = Position(50, "the last"), Position(40, "an earlier one")
TRACES = Traces("inode 7", "yesterday", "log 1", frames=9)
OTHER_FILE = replace(TRACES, inode="inode 8")
SHORTER_LOG = replace(TRACES, frames=5)
BOOT, NEXT_BOOT = "boot 1", "boot 2"

LOOK = Look(SourceSchema(()), Capture("id", {}), (), Signature(1, b""), "wal", LAST, 1, remains=True, traces=TRACES)
# It has the entry at the position, and all that came after.
WHOLE = Standing(31, 60, begun=False, held=frozenset((LAST, EARLIER)), taken=False, unbroken=True)
# It ends before the position, at an entry that it was given earlier.
OLDER = replace(WHOLE, newest=40, held=frozenset((EARLIER,)))


def known(*, lost_for: float = 1.0, traces: Traces = TRACES) -> RememberedFile:
    """What Postgres remembers: the last position was seen `lost_for` seconds before the last sign of life."""
    seen = Sighting(LAST, BOOT, traces, lost_for), Sighting(EARLIER, BOOT, traces, lost_for + 60)
    return RememberedFile(Path("app.db"), LAST, seen)


def refused(words: str, standing: Standing, look: Look = LOOK, remembered: RememberedFile | None = None) -> None:
    with pytest.raises(SourceChanged, match=words) as error:
        judge(look, standing, remembered or known(), BOOT)
    assert error.value.remedy


def test_a_changelog_that_has_the_entry_at_the_position_goes_on() -> None:
    assert judge(LOOK, WHOLE, known(), BOOT) == ""
    assert judge(replace(LOOK, traces=OTHER_FILE), WHOLE, known(), BOOT) == ""  # moved, or copied and moved back


def test_entries_that_are_missing_after_it_are_made_up_for_by_a_comparison() -> None:
    assert "entries were deleted" in judge(LOOK, replace(WHOLE, unbroken=False), known(), BOOT)


# --- the changelog is empty, or gone ----------------------------------------------------------------------------------


def test_an_empty_changelog_is_filled_again_only_in_the_file_that_was_followed() -> None:
    assert judge(LOOK, NOTHING, known(), BOOT) == "the changelog was emptied or dropped"
    refused("is empty", NOTHING, replace(LOOK, traces=OTHER_FILE))
    refused("is empty", NOTHING, remembered=replace(known(), seen=()))  # nobody knows which file it was


def test_a_file_without_capture_is_the_same_only_if_something_of_capture_is_left_in_it() -> None:
    assert judge(replace(LOOK, capture=None), WHOLE, known(), BOOT) == "the changelog was emptied or dropped"
    refused("carries no capture any more", WHOLE, replace(LOOK, capture=None, remains=False))


def test_a_changelog_that_was_emptied_and_written_to_since_begins_with_an_entry_that_is_not_ours() -> None:
    anew = Standing(1, 3, begun=False, held=frozenset(), taken=False, unbroken=True)
    assert judge(LOOK, anew, known(), BOOT) == "the changelog was emptied, and written to since"
    refused("number 50", anew, replace(LOOK, traces=OTHER_FILE))


def test_a_changelog_that_was_begun_anew_behind_the_position_is_ours() -> None:
    begun = Standing(51, 60, begun=True, held=frozenset(), taken=False, unbroken=True)
    assert judge(LOOK, begun, known(), BOOT) == "the changelog had to be begun anew"


# --- which side is older ----------------------------------------------------------------------------------------------


def test_a_changelog_that_begins_after_the_position_shows_that_postgres_is_the_older_one() -> None:
    pruned = Standing(51, 60, begun=False, held=frozenset(), taken=False, unbroken=True)
    refused("Postgres is behind", pruned)


def test_another_entry_of_the_same_number_is_a_copy_that_went_its_own_way() -> None:
    refused("went its own way", replace(WHOLE, held=frozenset((EARLIER,)), taken=True))


# --- a power cut, or a backup -----------------------------------------------------------------------------------------


def judged(look: Look, remembered: RememberedFile, boot: str) -> bool:
    """Whether an older state of the file is taken for what a power cut left."""
    try:
        return judge(look, OLDER, remembered, boot) == "SQLite lost its last commits, in a power cut for instance"
    except SourceChanged:
        return False


def test_a_file_that_lost_its_end_is_the_same_if_the_machine_started_anew_or_its_log_was_cut() -> None:
    assert judged(LOOK, known(), NEXT_BOOT)
    assert judged(replace(LOOK, traces=SHORTER_LOG), known(), BOOT)
    assert not judged(LOOK, known(), BOOT)  # the machine ran on, and nothing was cut: somebody put it there


def test_it_is_another_file_if_its_inode_is() -> None:
    assert not judged(replace(LOOK, traces=OTHER_FILE), known(), NEXT_BOOT)


def test_a_power_cut_takes_no_more_than_the_last_minutes() -> None:
    assert judged(LOOK, known(lost_for=LOST_SECONDS), NEXT_BOOT)
    assert not judged(LOOK, known(lost_for=LOST_SECONDS + 1), NEXT_BOOT)


def test_nothing_of_what_was_seen_is_left_so_nothing_shows_that_it_is_the_same() -> None:
    strange = replace(OLDER, held=frozenset())
    refused("number 50", strange, remembered=known())
    with pytest.raises(SourceChanged):
        judge(LOOK, strange, known(), NEXT_BOOT)


@pytest.mark.parametrize("boot", ["", BOOT])
def test_a_start_of_the_machine_that_is_unknown_is_no_new_one(boot: str) -> None:
    assert not judged(LOOK, known(), boot)


def test_a_log_is_cut_only_under_a_main_file_that_nobody_touched() -> None:
    touched = replace(SHORTER_LOG, changed_at="today")
    assert not judged(replace(LOOK, traces=touched), known(), BOOT)
    without = replace(TRACES, log="", frames=0)
    assert judged(replace(LOOK, traces=without), known(), BOOT)  # the log is gone
    assert not judged(replace(LOOK, traces=without), known(traces=without), BOOT)  # there was none to lose
