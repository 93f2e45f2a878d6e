"""What each side tells of the replication at one moment, and what follows from it without an opinion."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.facts.phase import Phase
from cdc.facts.side import Side, Writable, writable
from cdc.facts.source_schema import WaitingTable
from cdc.notes import end_note, final_note, pause_note
from cdc.observe.daemon_file import Presence
from cdc.observe.state_folder import StateFolder
from cdc.postgres.record.status import TargetFacts
from cdc.sqlite.changelog.lag import SourceFacts
from cdc.sqlite.fence.fence import FenceState
from cdc.sqlite.snapshot.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond what the operator wants to be warned; None sets no limit."""

    max_lag_seconds: float | None = None
    max_lag_changes: int | None = None
    stale_after_hours: float | None = None


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture at one moment. What cannot be asked is unknown, and None."""

    at: datetime
    source: SourceFacts
    target: TargetFacts
    folder: StateFolder
    presence: Presence | None = None
    snapshot: Manifest | None = None
    limits: Limits = NO_LIMITS
    pause: pause_note.PauseNote | None = None
    waiting: tuple[WaitingTable, ...] = ()
    removed: end_note.EndNote | None = None
    fence: FenceState | None = None  # None where nobody can tell
    final: final_note.FinalNote | None = None

    @property
    def writes(self) -> Writable | None:
        """Who accepts writes now, as both databases show it; None when one of them cannot tell."""
        if self.phase is Phase.FINALIZED:
            return Writable.POSTGRES
        robbed = self.target.gone or (self.target.stream is None and self.switched)
        if self.fence is None or not self.target.reachable or robbed:
            return None
        return writable(sqlite_refuses=self.fence.refuses, postgres_open=self.target.guard.open > 0)

    @property
    def switched(self) -> bool:
        """Whether applications write to Postgres as far as one of both databases knows, so that SQLite follows."""
        kept = self.fence is not None and self.fence.permanent
        return kept or self.phase.active is Side.POSTGRES

    @property
    def phase(self) -> Phase:
        """`new` before anything was set up, then snapshot, schema, load, replicate, cutover; `unknown` to everybody.

        `finalized` by `cdc finalize`, also when nothing is left in either database; `ended` by `cdc cleanup`.
        """
        if self.final:
            return Phase.FINALIZED
        if self.ended_since:
            return Phase.ENDED
        if self.target.stream:
            return self.target.stream.phase
        if self.source.capture_installed:
            return Phase.SNAPSHOT if self.target.reachable else Phase.UNKNOWN
        if self.source.capture_installed is None and (self.snapshot or not self.target.reachable):
            return Phase.UNKNOWN
        return Phase.NEW

    @property
    def ended_since(self) -> str | None:
        """When replication was ended on purpose, None when it was not."""
        stream = self.target.stream
        if stream and stream.ended_at:
            return stream.ended_at.isoformat(timespec="seconds")
        return self.removed.since if self.removed and self.source.capture_installed is False else None

    @property
    def lag_changes(self) -> int | None:
        """Changes that one side has and the other has not, None when one of the two cannot tell.

        After a cutover these are changes of Postgres that SQLite has not; where it follows no more, nobody counts.
        """
        if self.phase is Phase.FINALIZED:
            return None
        if self.phase is Phase.CUTOVER:
            return self.target.guard.entries
        return self.source.pending

    @property
    def lag_seconds(self) -> float | None:
        """How long the oldest such change has been waiting, 0 when there is none, None when unknown."""
        if self.phase is Phase.FINALIZED:
            return None
        if self.phase is Phase.CUTOVER:
            return self.target.guard.oldest_seconds or 0.0
        return self.source.lag_seconds

    @property
    def unacknowledged(self) -> int:
        """Rows in quarantine that no operator has acknowledged."""
        return sum(w.rows - w.acknowledged for w in self.target.quarantine.values())

    @property
    def daemon_runs(self) -> bool | None:
        """Whether a daemon holds the source's lock, or shows itself on this machine; None is unknown."""
        if self.target.reachable and self.target.daemon:
            return True
        return True if self.presence else False if self.target.reachable else None

    @property
    def verification_age(self) -> float | None:
        """How old the last whole comparison is in seconds, None when there was none or it is unknown."""
        checked = self.target.verification
        return max(0.0, (self.at - checked.finished_at).total_seconds()) if checked else None

    @property
    def compared_since(self) -> datetime | None:
        """Every row of every table was compared after this moment, by `cdc verify` or by the daemon; None is unknown.

        A table that was never compared counts from the moment when its replication began.
        """
        whole, oldest = self.target.verification, self.target.oldest
        return max((*([whole.finished_at] if whole else []), *([oldest.since] if oldest else [])), default=None)

    @property
    def compared_age(self) -> float | None:
        """How many seconds ago that is."""
        since = self.compared_since
        return None if since is None else max(0.0, (self.at - since).total_seconds())

    @property
    def silent_seconds(self) -> float | None:
        """How long a daemon that runs has shown no sign of life, here or in Postgres; None when none runs."""
        stream = self.target.stream
        signs = [self.presence.silent_seconds] if self.presence else []
        if stream and stream.heartbeat_age is not None and self.phase in {Phase.REPLICATE, Phase.CUTOVER}:
            signs.append(stream.heartbeat_age)
        return min(signs) if signs and self.daemon_runs else None
