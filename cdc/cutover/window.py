"""The time in which nobody accepts writes: measured, and bounded from its first moment."""

import time

from cdc.errors import SwitchTooSlow


class RefusedWindow:
    """Begins with the fence on one side and ends when the other side is open; `limit_seconds` bounds it."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._began: float | None = None
        self._ended: float | None = None

    def begin(self) -> None:
        """Writes are refused from about now on: called just before they are."""
        self._began, self._ended = time.monotonic(), None

    def end(self) -> None:
        """Writes are accepted again."""
        if self._began is not None and self._ended is None:
            self._ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long writes were refused, so far or in all."""
        if self._began is None:
            return 0.0
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    @property
    def left_seconds(self) -> float:
        """How long writes may be refused still."""
        return self.limit_seconds - self.seconds

    def require(self, what: str) -> None:
        """Raise `SwitchTooSlow` when the time is over before `what` is done."""
        if self.left_seconds <= 0:
            raise SwitchTooSlow(
                f"writes were refused for {self.limit_seconds:g} s, and {what} is not done",
                remedy="try again at a quieter time, or allow more with `max_refused_seconds` in [cutover]",
            )
