"""What the daemon knows of itself while it runs: the loop writes it, the watchdog, metrics and health checks read it.

The loop is the only writer, readers are other threads: each attribute is replaced as a whole and never changed in
place, so a reader sees the old or the new value and needs no lock.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cdc.errors import CdcError, SourceError, TargetError
from cdc.facts.changes import AppliedBatch
from cdc.postgres.record.status import TargetFindings


class Activity(StrEnum):
    """What the daemon is doing now; `WAITING` is for a database that cannot be reached, `LOADING` the first copy.

    `PAUSED` is for a person who held it, `RETURNING` for the time after a cutover, when it carries changes to SQLite.
    """

    STARTING = "starting"
    LOADING = "loading"
    STREAMING = "streaming"
    RETURNING = "returning"
    WAITING = "waiting"
    PAUSED = "paused"
    STOPPING = "stopping"


class WaitedFor(StrEnum):
    """The database that the daemon cannot use, by the name that people know it by."""

    SOURCE = "the SQLite file"
    TARGET = "Postgres"


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong although changes flow: its name, by which it ends, what it is in words, and what to do."""

    name: str
    words: str
    remedy: str


def difference_in(table: str) -> str:
    """The name of the alarm that rows of a table are not alike, whoever found that."""
    return f"difference in {table}"


def schema_of(table: str) -> str:
    """The name of the alarm that the target of a table is not as it was made."""
    return f"schema of {table}"


@dataclass(frozen=True, slots=True)
class WaitingBack:
    """Changes of Postgres that SQLite has not, after a cutover; `oldest_at` is since 1970, None where none waits."""

    changes: int
    oldest_at: float | None

    @property
    def lag_seconds(self) -> float:
        """How long the oldest one has been waiting, 0 where none does."""
        return 0.0 if self.oldest_at is None else max(0.0, time.time() - self.oldest_at)


class Listener:
    """Who wants to know what happens. Called in the loop, so nothing in it may take long or raise."""

    def turned(self, daemon_state: "DaemonState") -> None:
        """The daemon does something else now, or an attempt failed."""

    def applied(self, batch: AppliedBatch) -> None:
        """A batch was committed in Postgres."""

    def opened(self) -> None:
        """Both databases were opened and settled."""

    def failed(self, error: Exception) -> None:
        """An attempt ended with an error."""

    def pruned(self, entries: int) -> None:
        """So many entries were taken out of the changelog."""

    def lives(self) -> None:
        """The process runs; told about once a second."""

    def alarmed(self, alarm: Alarm) -> None:
        """Something is wrong that was not before, or is told with other words."""

    def calmed(self, alarm: Alarm) -> None:
        """What was wrong is well again."""


class DaemonState:
    """The signs of life of one daemon. Moments are of the monotonic clock unless said otherwise, None is never."""

    def __init__(self) -> None:
        self._doing = Activity.STARTING
        self.began_at = time.time()  # seconds since 1970
        self.last_beat = time.monotonic()
        self.position: int | None = None  # the changelog entry up to which Postgres has everything
        self.last_batch: AppliedBatch | None = None
        self.applied_at: float | None = None
        self.heartbeat_at: float | None = None
        self.found: TargetFindings | None = None
        self.last_error: str | None = None  # of the attempt that failed last, None once an attempt succeeded
        self.attempts = 0  # that failed since one succeeded
        self.waits_for: WaitedFor | None = None  # what the attempt that failed last could not use
        self.target_reached: bool | None = None  # when it was tried last
        self.stage = "looking what is done already"  # of the first copy
        self.behind_since: float | None = None  # since 1970: when the oldest change was made that is being applied
        self.waiting_back: WaitingBack | None = None  # None while changes flow from SQLite to Postgres
        self.backend: int | None = None  # the process in Postgres that works for the stream
        self.blocked_by: tuple[str, ...] = ()  # who holds a lock that it waits for
        self.alarms: Mapping[str, Alarm] = {}  # by name, while they last
        self.listeners: tuple[Listener, ...] = ()

    @property
    def doing(self) -> Activity:
        """What the daemon is doing now."""
        return self._doing

    @doing.setter
    def doing(self, now: Activity) -> None:
        if now is not self._doing:
            self._doing = now
            self._turned()

    def lives(self) -> None:
        """The process runs, whatever its loop waits for."""
        for listener in self.listeners:
            listener.lives()

    def beat(self) -> None:
        """The loop got something done: a look at the file, a round, a statement, a batch."""
        self.last_beat = time.monotonic()

    def opened(self, position: int, *, returning: bool = False) -> None:
        """Both databases are open and settled, and Postgres has everything up to `position`.

        With `returning` changes flow from Postgres to SQLite.
        """
        self.position = position
        self.waiting_back = WaitingBack(0, None) if returning else None
        self.last_error, self.attempts, self.waits_for, self.target_reached = None, 0, None, True
        self._turn_to(Activity.RETURNING if returning else Activity.STREAMING)
        self.beat()
        for listener in self.listeners:
            listener.opened()

    def failed(self, error: Exception) -> None:
        """An attempt failed; if another one follows, the daemon waits for the side that the error is about."""
        self.waits_for = _side_of(error)
        if self.waits_for is WaitedFor.TARGET:
            self.target_reached = False
        # The message of an error that nobody foresaw may hold row values; its kind cannot.
        self.last_error = error.message if isinstance(error, CdcError) else type(error).__name__
        self.attempts += 1
        self._turn_to(Activity.WAITING)
        self._turned()
        for listener in self.listeners:
            listener.failed(error)

    def paused(self) -> None:
        """Somebody holds the daemon, and it has let go of both databases."""
        self.behind_since, self.last_error, self.attempts, self.waits_for = None, None, 0, None
        self._turn_to(Activity.PAUSED)
        self.beat()

    def _turn_to(self, doing: Activity) -> None:
        if self.doing is not Activity.STOPPING:
            self.doing = doing

    def applied(self, batch: AppliedBatch) -> None:
        """A batch was committed in Postgres."""
        self.last_batch = batch
        self.position = batch.last_seq
        self.applied_at = time.monotonic()
        self.beat()
        for listener in self.listeners:
            listener.applied(batch)

    def heartbeat(self, found: TargetFindings | None = None) -> None:
        """Postgres took a heartbeat, and told what it holds if it was asked."""
        self.heartbeat_at = time.monotonic()
        self.found = found or self.found
        self.beat()

    def pruned(self, entries: int) -> None:
        """So many entries were taken out of the changelog."""
        self.beat()
        for listener in self.listeners:
            listener.pruned(entries)

    def alarm(self, name: str, words: str, remedy: str) -> None:
        """Something is wrong; it lasts until `calm`."""
        alarm = Alarm(name, words, remedy)
        if self.alarms.get(name) == alarm:
            return
        self.alarms = {**self.alarms, name: alarm}
        for listener in self.listeners:
            listener.alarmed(alarm)

    def calm(self, name: str) -> None:
        """It is well again, if it was wrong."""
        alarm = self.alarms.get(name)
        if alarm is None:
            return
        self.alarms = {other: kept for other, kept in self.alarms.items() if other != name}
        for listener in self.listeners:
            listener.calmed(alarm)

    @property
    def silent_seconds(self) -> float:
        """How long ago the loop last got something done."""
        return time.monotonic() - self.last_beat

    def _turned(self) -> None:
        for listener in self.listeners:
            listener.turned(self)


def _side_of(error: Exception) -> WaitedFor | None:
    match error:
        case TargetError():
            return WaitedFor.TARGET
        case SourceError():
            return WaitedFor.SOURCE
        case _:
            return None
