"""Whether the replication is well, in one word and a reason: what `/healthz` answers."""

from dataclasses import dataclass
from typing import Any, Final

from cdc.log import redact
from cdc.sqlite.lag import SourceFacts
from cdc.vitals import Doing, Vitals

SILENT_SECONDS: Final = 60.0  # longer than the longest wait between two attempts

_NOT_YET: Final = {
    Doing.STARTING: "it is starting",
    Doing.LOADING: "the first copy is being made",
    Doing.STOPPING: "it is stopping",
}


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict; `reason` is None when all is well. Lag and silence are in seconds, None is unknown."""

    state: Doing
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


def judge(vitals: Vitals, source: SourceFacts, max_lag_seconds: float | None) -> Health:
    """The verdict of now. Nothing in it waits for the loop, so it also tells of a loop that is stuck."""
    lag = source.lag_seconds
    reason = _reason(vitals, lag, max_lag_seconds)
    return Health(vitals.doing, reason, lag, vitals.silent_seconds)


def _reason(vitals: Vitals, lag: float | None, max_lag_seconds: float | None) -> str | None:
    if vitals.doing is Doing.WAITING:
        return f"it waits for {vitals.waits_for or 'a database'}: {redact(vitals.last_error or 'no reason is known')}"
    if vitals.doing in _NOT_YET:
        return _NOT_YET[vitals.doing]
    if vitals.silent_seconds > SILENT_SECONDS:
        return f"the loop has been silent for {vitals.silent_seconds:.0f} seconds"
    if vitals.doing is Doing.PAUSED:
        return None  # somebody wants it so
    if max_lag_seconds is not None and lag is not None and lag > max_lag_seconds:
        return f"the lag of {lag:.0f} seconds is over the limit of {max_lag_seconds:g}"
    return None
