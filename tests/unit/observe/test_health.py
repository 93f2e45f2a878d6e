"""What `/healthz` answers in each state of the daemon."""

import time
from pathlib import Path

import pytest

from cdc.errors import SourceError, TargetError
from cdc.observe.daemon_state import Activity, DaemonState, WaitingBack
from cdc.observe.health import SILENT_SECONDS, Health, judge
from cdc.sqlite.changelog.lag import SourceFacts


def verdict(
    state: DaemonState, *, lag: float | None = 0.0, limit: float | None = None, silent: float | None = None
) -> Health:
    if silent is not None:
        state.last_beat = time.monotonic() - silent
    pending = 0 if lag == 0 else None if lag is None else 1
    return judge(state, SourceFacts(Path("app.db"), pending=pending, oldest_pending_seconds=lag), limit)


def doing(activity: Activity) -> DaemonState:
    state = DaemonState()
    state.doing = activity
    return state


def test_a_daemon_that_streams_is_well() -> None:
    assert verdict(doing(Activity.STREAMING)).healthy


@pytest.mark.parametrize("activity", [Activity.STARTING, Activity.LOADING, Activity.STOPPING])
def test_one_that_does_not_stream_yet_or_any_more_is_not_well(activity: Activity) -> None:
    health = verdict(doing(activity))
    assert not health.healthy
    assert health.to_json()["state"] == activity.value


def test_one_that_waits_names_the_side_it_waits_for_and_hides_passwords() -> None:
    state = doing(Activity.STREAMING)
    state.failed(TargetError("cannot reach postgresql://bot:secret@db/app", remedy="start it"))
    reason = verdict(state).reason or ""
    assert reason.startswith("it waits for Postgres: cannot reach")
    assert "secret" not in reason
    state.failed(SourceError("the file is locked", remedy="wait"))
    assert verdict(state).reason == "it waits for the SQLite file: the file is locked"


def test_an_error_that_nobody_foresaw_is_named_by_its_kind_for_its_words_may_hold_values() -> None:
    state = doing(Activity.STREAMING)
    state.failed(ValueError("row ('a secret',)"))
    assert verdict(state).reason == "it waits for a database: ValueError"


def test_a_lag_is_told_only_beyond_the_limit_that_somebody_set() -> None:
    state = doing(Activity.STREAMING)
    assert verdict(state, lag=1e9).healthy
    assert verdict(state, lag=5.0, limit=5).healthy
    assert verdict(state, lag=5.5, limit=5).reason == "the lag of 6 seconds is over the limit of 5"


def test_after_a_cutover_the_lag_is_that_of_what_goes_back() -> None:
    state = doing(Activity.RETURNING)
    state.waiting_back = WaitingBack(3, time.time() - 100)
    assert verdict(state, limit=60).reason == "the lag of 100 seconds is over the limit of 60"
    state.waiting_back = WaitingBack(0, None)
    assert verdict(state, lag=1000, limit=60).lag_seconds == 0


def test_a_lag_that_is_unknown_is_no_reason_to_wake_anybody() -> None:
    assert verdict(doing(Activity.STREAMING), lag=None, limit=1).healthy


def test_a_person_who_holds_the_daemon_knows_that_the_lag_grows() -> None:
    state = doing(Activity.STREAMING)
    state.paused()
    assert verdict(state, lag=1e9, limit=1).healthy


@pytest.mark.parametrize("activity", [Activity.STREAMING, Activity.PAUSED])
def test_a_loop_that_is_stuck_is_told_even_while_it_is_held(activity: Activity) -> None:
    assert verdict(doing(activity), silent=SILENT_SECONDS - 5).healthy
    reason = verdict(doing(activity), silent=SILENT_SECONDS + 5).reason or ""
    assert reason.startswith("the loop has been silent for 65")
