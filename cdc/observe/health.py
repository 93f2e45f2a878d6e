"""Whether the replication is well, in one word and a reason: what `/healthz` answers."""

from dataclasses import dataclass
from typing import Any, Final

from cdc.log import redact
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.sqlite.changelog.lag import SourceFacts

SILENT_SECONDS: Final = 60.0  # longer than the longest wait between two attempts

_NOT_YET: Final = {
    Activity.STARTING: "it is starting",
    Activity.LOADING: "the first copy is being made",
    Activity.STOPPING: "it is stopping",
}


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict; `reason` is None when all is well. Lag and silence are in seconds, None is unknown."""

    state: Activity
    reason: str | None
    lag_seconds: float | None
    silent_seconds: float

    @property
    def healthy(self) -> bool:
        """Whether changes flow, or wait because somebody holds them."""
        return self.reason is None

    def to_json(self) -> dict[str, Any]:
        """The verdict as the page shows it."""
        return {
            "healthy": self.healthy,
            "state": self.state.value,
            "reason": self.reason,
            "lag_seconds": self.lag_seconds,
            "silent_seconds": round(self.silent_seconds, 1),
        }


def judge(daemon_state: DaemonState, source: SourceFacts, max_lag_seconds: float | None) -> Health:
    """The verdict of now. Nothing in it waits for the loop, so it also tells of a loop that is stuck."""
    lag = (daemon_state.waiting_back or source).lag_seconds
    reason = _reason(daemon_state, lag, max_lag_seconds)
    return Health(daemon_state.doing, reason, lag, daemon_state.silent_seconds)


def _reason(daemon_state: DaemonState, lag: float | None, max_lag_seconds: float | None) -> str | None:
    if daemon_state.doing is Activity.WAITING:
        reason = redact(daemon_state.last_error or "no reason is known")
        return f"it waits for {daemon_state.waits_for or 'a database'}: {reason}"
    if daemon_state.doing in _NOT_YET:
        return _NOT_YET[daemon_state.doing]
    if daemon_state.silent_seconds > SILENT_SECONDS:
        return f"the loop has been silent for {daemon_state.silent_seconds:.0f} seconds"
    if daemon_state.doing is Activity.PAUSED:
        return None  # somebody wants it so
    if max_lag_seconds is not None and lag is not None and lag > max_lag_seconds:
        return f"the lag of {lag:.0f} seconds is over the limit of {max_lag_seconds:g}"
    return None
