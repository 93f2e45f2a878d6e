"""A circuit breaker: a side that keeps failing is left alone for a while, then asked once to see whether it is back."""

import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """`HALF_OPEN` while one probe is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `failures` in a row and lets one probe through every `pause_seconds`.

    `on_change` is told each new state.
    """

    def __init__(
        self,
        failures: int,
        pause_seconds: float,
        on_change: Callable[[BreakerState], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._pause = pause_seconds
        self._on_change = on_change
        self._clock = clock
        self._failed = 0
        self._probe_at = 0.0
        self.state = BreakerState.CLOSED

    def allows(self) -> bool:
        """Whether to ask now; who is allowed to says afterwards how it went, by `succeeded` or `failed`."""
        if self.state is BreakerState.CLOSED:
            return True
        # A probe whose end nobody told is given up like one that failed.
        if self._clock() < self._probe_at:
            return False
        self._probe_at = self._clock() + self._pause
        self._become(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """An answer came, whatever is in it."""
        self._failed = 0
        self._become(BreakerState.CLOSED)

    def failed(self) -> None:
        """None came, or not in time."""
        self._failed += 1
        if self.state is BreakerState.HALF_OPEN or self._failed >= self._most:
            self._probe_at = self._clock() + self._pause
            self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        if state is not self.state:
            self.state = state
            self._on_change(state)
