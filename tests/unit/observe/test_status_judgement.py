"""What `cdc status` says, and in which order, when several things are wrong at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from cdc.errors import ExitCode
from cdc.facts.leftover import Leftover
from cdc.facts.phase import Phase
from cdc.facts.side import Writable
from cdc.facts.source_schema import WaitingTable
from cdc.notes.end_note import EndNote
from cdc.notes.final_note import FinalNote
from cdc.notes.pause_note import PauseNote
from cdc.observe.daemon_file import Presence
from cdc.observe.judgement import MOST_NAMED
from cdc.observe.picture import Limits
from cdc.observe.state_folder import LOW_BYTES, StateFolder
from cdc.observe.status import Status
from cdc.postgres.record.status import HeldRows, StreamFacts, TargetFacts
from cdc.postgres.record.verification import Verification
from cdc.sqlite.changelog.lag import SourceFacts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STREAM = StreamFacts("id", "app.db", Phase.REPLICATE, 5, "s1", 5, NOW, 1.0, "bot", None, None)
SOURCE = SourceFacts(Path("app.db"), reachable=True, capture_installed=True, pending=0, writes_fail=False)
TARGET = TargetFacts("db/app", reachable=True, stream=STREAM, daemon="bot on host")
WELL = Status(NOW, SOURCE, TARGET, StateFolder(Path("state"), {}, {"state": LOW_BYTES}))


def source(status: Status, **facts: Any) -> Status:
    return replace(status, source=replace(status.source, **facts))


def target(status: Status, **facts: Any) -> Status:
    return replace(status, target=replace(status.target, **facts))


def stream(status: Status, **facts: Any) -> Status:
    return target(status, stream=replace(STREAM, **facts))


def away(status: Status) -> Status:
    gone = TargetFacts("db/app", error="Postgres cannot be reached", remedy="start Postgres")
    return replace(status, target=gone)


def stopped(status: Status) -> Status:
    return stream(status, stopped_reason="another file", stopped_remedy="put it back")


def failing_writes(status: Status) -> Status:
    return source(status, writes_fail=True)


def paused(status: Status) -> Status:
    return replace(status, pause=PauseNote("yesterday", "ana"))


def words(status: Status) -> list[str]:
    return [warned.what for warned in status.warnings]


def verified(result: str, hours_ago: float = 0) -> Verification:
    at = NOW - timedelta(hours=hours_ago)
    counts = dict.fromkeys(("tables", "matched", "different", "missing", "extra", "pending", "quarantined"), 0)
    return Verification(at, at, 5, **counts, repaired=0, complete=True, result=result, names=("t",))


def test_a_replication_that_is_well_leaves_nothing_to_do() -> None:
    assert (WELL.exit_code, WELL.warnings) == (ExitCode.OK, [])
    assert WELL.next_step == "nothing: Postgres follows the application"
    assert source(WELL, pending=1).next_step == "wait: the daemon is catching up"


# --- in which phase ---------------------------------------------------------------------------------------------------


def before_anything() -> Status:
    fresh = replace(WELL, source=SourceFacts(Path("app.db"), reachable=True, capture_installed=False))
    return target(fresh, stream=None, daemon=None)


def test_without_capture_and_without_a_stream_nothing_has_begun() -> None:
    assert before_anything().phase == "new"
    assert "cdc up" in before_anything().next_step


def test_capture_without_a_stream_is_a_snapshot_only_if_postgres_says_so() -> None:
    begun = source(before_anything(), capture_installed=True)
    assert begun.phase == "snapshot"
    assert away(begun).phase == "unknown"


def test_what_was_ended_on_purpose_needs_nobody() -> None:
    ended = stopped(stream(WELL, ended_at=NOW))
    ended = stream(ended, ended_at=NOW, stopped_reason="another file")
    assert (ended.phase, ended.exit_code) == ("ended", ExitCode.OK)


def test_a_note_that_it_was_ended_counts_only_while_capture_is_gone() -> None:
    noted = replace(before_anything(), removed=EndNote("app.db", "yesterday", "ana"))
    assert noted.phase == "ended"
    assert source(noted, capture_installed=True).phase == "snapshot"


def test_a_move_that_ended_says_what_is_left_to_do_and_never_to_begin_anew() -> None:
    note = FinalNote("app.db", "id", "public", "yesterday", "ana", "s1", "", 5, without_dump=True)
    half = replace(stopped(stream(WELL, phase=Phase.FINALIZED)), final=note)
    assert (half.phase, half.exit_code, half.lag_changes) == ("finalized", ExitCode.DIFFERENCE, None)
    assert "cdc finalize" in half.next_step
    whole = replace(half, final=replace_struct(note, guards_removed=True))
    assert (whole.writes, whole.exit_code) == (Writable.POSTGRES, ExitCode.OK)
    assert "cdc cleanup" in whole.next_step
    clean = replace(away(before_anything()), final=replace_struct(note, guards_removed=True, cleaned="now"))
    assert (clean.phase, clean.exit_code, clean.warnings) == ("finalized", ExitCode.OK, [])
    assert clean.next_step.startswith("nothing")


# --- what is worse ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "step"),
    [
        (failing_writes, ExitCode.CRITICAL, "start the daemon"),
        (away, ExitCode.UNAVAILABLE, "start Postgres"),
        (stopped, ExitCode.CRITICAL, "put it back"),
        (paused, ExitCode.DIFFERENCE, "let it go on"),
    ],
)
def test_each_of_them_alone(change: Callable[[Status], Status], code: ExitCode, step: str) -> None:
    status = change(WELL)
    assert status.exit_code == code
    assert status.next_step.startswith(step)


def test_writes_that_fail_come_before_a_database_that_is_away() -> None:
    both = failing_writes(away(WELL))
    assert both.exit_code == ExitCode.CRITICAL
    assert both.next_step.startswith("start the daemon")


def test_a_database_that_is_away_comes_before_warnings() -> None:
    assert away(paused(WELL)).exit_code == ExitCode.UNAVAILABLE
    assert away(paused(WELL)).next_step == "start Postgres"


def test_an_embedded_server_that_was_never_started_is_not_away() -> None:
    fresh = target(before_anything(), where="embedded", reachable=False, error="it does not run", remedy="start it")
    assert fresh.unreachable == []
    assert [w.what for w in target(fresh, where="db/app").unreachable] == ["it does not run"]


def test_a_file_without_capture_was_replaced_unless_something_of_it_is_left() -> None:
    bare = source(WELL, capture_installed=False)
    assert "replaced or restored" in bare.critical[0].what
    assert bare.exit_code == ExitCode.CRITICAL
    assert "tables of capture were dropped" in source(bare, remains=True).critical[0].what
    assert source(bare, capture_installed=None).critical == []  # nobody could look


# --- the daemon -------------------------------------------------------------------------------------------------------


def test_a_daemon_lives_if_either_sign_of_it_is_fresh() -> None:
    presence = Presence(1, "app.db", "streaming", "today", None, 0, silent_seconds=1.0)
    old = stream(WELL, heartbeat_age=31.0)
    assert words(old) == ["the daemon has shown no sign of life for 31 seconds"]
    assert words(replace(old, presence=presence)) == []
    assert words(replace(old, presence=replace(presence, silent_seconds=40.0))) != []
    assert words(stream(WELL, heartbeat_age=30.0)) == []


def test_a_daemon_that_is_held_gives_no_sign_and_need_not() -> None:
    assert words(paused(stream(WELL, heartbeat_age=999.0))) == ["replication is paused since yesterday by ana"]


def test_a_daemon_that_does_not_run_is_told_once_the_first_copy_is_made() -> None:
    gone = target(WELL, daemon=None)
    assert words(gone) == ["the daemon is not running"]
    assert stream(gone, phase="load").warnings == []
    assert stream(gone, phase="load").next_step.startswith("run `cdc up`")
    assert stream(WELL, phase="load").next_step == "wait: the first copy is being made"


def test_whether_a_daemon_runs_is_unknown_while_nobody_can_be_asked() -> None:
    assert away(WELL).daemon_runs is None


# --- the data ---------------------------------------------------------------------------------------------------------


def test_rows_in_quarantine_are_told_until_somebody_knows_of_them() -> None:
    held = target(WELL, quarantine={"value": HeldRows(3, 1), "orphan": HeldRows(2, 2)})
    assert words(held) == ["rows in quarantine that nobody acknowledged: 2"]
    assert target(WELL, quarantine={"value": HeldRows(3, 3)}).exit_code == ExitCode.OK


def test_what_is_left_of_a_table_that_waits_is_told_by_its_waiting_alone() -> None:
    leftover = Leftover("t", "t", "old", NOW, {}, ())
    left = target(WELL, leftovers=(leftover,))
    assert words(left) == ["the application dropped or renamed what Postgres still has: t.old"]
    waiting = replace(left, waiting=(WaitingTable("t", "its name is empty", "rename it"),))
    assert words(waiting) == ["tables wait, and are not replicated: t: its name is empty"]


def test_many_tables_that_wait_make_one_short_line() -> None:
    waiting = tuple(WaitingTable(f"t{n}", "why", "what helps") for n in range(MOST_NAMED + 2))
    assert words(replace(WELL, waiting=waiting))[0].endswith("t0, t1, t2, t3, t4 and 2 more: why")


def test_a_comparison_is_told_when_it_was_not_equal_or_is_too_old() -> None:
    assert words(target(WELL, verification=verified("equal"))) == []
    assert words(target(WELL, verification=verified("different"))) == ["the last comparison was not equal: different"]
    aged = replace(target(WELL, verification=verified("equal", hours_ago=25)), limits=Limits(stale_after_hours=24))
    assert words(aged) == ["the last comparison is over 24 hours old"]
    assert words(replace(WELL, limits=Limits(stale_after_hours=24))) == []  # none was made yet: nobody is late


def test_a_lag_is_late_beyond_the_limit_and_never_when_it_is_unknown() -> None:
    limits = Limits(max_lag_seconds=5, max_lag_changes=10)
    late = replace(source(WELL, pending=11, oldest_pending_seconds=6.0), limits=limits)
    assert words(late) == ["the lag is over 5 seconds", "the lag is over 10 changes"]
    assert words(source(late, pending=10, oldest_pending_seconds=5.0)) == []
    assert words(source(late, pending=None, oldest_pending_seconds=None)) == []


def test_a_disk_without_room_is_told_even_after_the_end() -> None:
    full = replace(stream(WELL, ended_at=NOW), folder=StateFolder(Path("s"), {}, {"source": LOW_BYTES - 1}))
    assert words(full) == ["the disk of the SQLite file is nearly full"]
