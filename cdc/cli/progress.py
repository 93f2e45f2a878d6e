"""How far long work is: a moving bar for people, a plain line every few seconds for files and pipes."""

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from cdc.facts.progress import Progress, Silent

LINE_SECONDS: Final = 5.0
MEASURED_SECONDS: Final = 0.5  # a rate over less than this is noise


def chosen_progress(*, quiet: bool) -> Progress:
    """The progress that suits where stderr goes; stdout stays free for what the command answers."""
    if quiet:
        return Silent()
    if sys.stderr.isatty():
        return BarProgress(Console(stderr=True, markup=False, emoji=False))
    return LineProgress(sys.stderr, time.monotonic)


def rate_text(done: float, seconds: float) -> str:
    """Units a second for people: `12,300/s`; nothing when it is too early to tell, or one takes longer than that."""
    return f"{done / seconds:,.0f}/s" if seconds >= MEASURED_SECONDS and done >= seconds else ""


class BarProgress:
    """One bar a piece of work: how much, how fast, how long still."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[told]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=False,
        )
        self._task: TaskID | None = None
        self._since = 0.0
        self._done = 0
        self._total: int | None = None

    def start(self, what: str, total: int | None) -> None:
        """Show a bar for `what`."""
        self._since, self._done, self._total = time.monotonic(), 0, total
        self._task = self._bars.add_task(what, total=total, told="")
        self._bars.start()

    def advance(self, n: int) -> None:
        """Move the bar by `n`."""
        if self._task is None:
            return
        self._done += n
        told = amount_text(self._done, self._total, time.monotonic() - self._since)
        self._bars.update(self._task, advance=n, told=told)

    def finish(self) -> None:
        """Leave the finished bar on the screen."""
        if self._task is None:
            return
        self._bars.update(self._task, total=self._total or self._done, completed=self._total or self._done)
        self._bars.stop()
        self._bars.remove_task(self._task)
        self._task = None


class LineProgress:
    """A line when work begins, at most one every `LINE_SECONDS` while it goes on, and one when it is done."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._since = 0.0
        self._told = 0.0

    def start(self, what: str, total: int | None) -> None:
        """Tell that `what` begins."""
        self._what, self._total, self._done = what, total, 0
        self._since = self._told = self._clock()
        self._say("started" if total is None else f"started, {total:,} to do")

    def advance(self, n: int) -> None:
        """Tell how far it is, if the last line is old enough."""
        self._done += n
        now = self._clock()
        if now - self._told >= LINE_SECONDS:
            self._told = now
            self._say(amount_text(self._done, self._total, now - self._since) + self._left(now))

    def finish(self) -> None:
        """Tell that it is done, how much it was and how fast."""
        seconds = self._clock() - self._since
        amount = f"{self._done:,} in " if self._done else "in "
        self._say(f"done, {amount}{seconds:.1f} s {rate_text(self._done, seconds) if self._done else ''}".rstrip())

    def _left(self, now: float) -> str:
        if not self._total or not self._done:
            return ""
        left = (self._total - self._done) * (now - self._since) / self._done
        return f", about {max(left, 0):.0f} s left"

    def _say(self, text: str) -> None:
        self._stream.write(f"{self._what}: {text}\n")
        self._stream.flush()


def amount_text(done: int, total: int | None, seconds: float) -> str:
    """How much of how much, and how fast: `1,000 of 5,000, 500/s`."""
    amount = f"{done:,}" if total is None else f"{done:,} of {total:,}"
    rate = rate_text(done, seconds)
    return f"{amount}, {rate}" if rate else amount
