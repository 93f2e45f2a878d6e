"""The comparison in the background leaves the machine to a stream that is behind, for a minute at a time."""

import time

import pytest

from cdc.config import Config
from cdc.facts.changes import AppliedBatch
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.server.endpoint import Endpoint
from cdc.verify.rolling import BEHIND_SECONDS, LOOK_SECONDS, RollingVerifier
from cdc.verify.rolling_choice import PUT_OFF_SECONDS

MOMENT = 1000.0


def watched(monkeypatch: pytest.MonkeyPatch, state: DaemonState) -> tuple[RollingVerifier, list[float]]:
    clock = [MOMENT]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def nobody() -> Config:
        raise AssertionError("nothing is to be compared")

    return RollingVerifier(nobody, Endpoint.__new__(Endpoint), state), clock


def batch(lag_seconds: float | None) -> AppliedBatch:
    return AppliedBatch(0, 1, 1, {}, 0.1, lag_seconds)


def test_while_old_changes_are_being_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    state = DaemonState()
    verifier, clock = watched(monkeypatch, state)
    assert not verifier._gives_way()
    state.behind_since = time.time() - BEHIND_SECONDS - 5
    assert verifier._gives_way()
    clock[0] += PUT_OFF_SECONDS
    assert [verifier._gives_way() for _ in range(3)] == [False, True, True], "one slice a minute, however long it lasts"
    state.behind_since = None
    assert not verifier._gives_way()


def test_between_batches_that_were_late(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, clock = watched(monkeypatch, DaemonState())
    verifier.applied(batch(BEHIND_SECONDS + 1))
    assert verifier._gives_way()
    clock[0] += 2 * LOOK_SECONDS
    assert not verifier._gives_way()
    verifier.applied(batch(BEHIND_SECONDS - 1))
    verifier.applied(batch(None))
    assert not verifier._gives_way()
