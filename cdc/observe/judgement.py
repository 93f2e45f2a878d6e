"""What is wrong with the replication, the most urgent first, and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.errors import ExitCode
from cdc.facts.phase import Phase
from cdc.facts.side import Writable
from cdc.observe.daemon_state import Activity
from cdc.observe.picture import Picture
from cdc.postgres.record.status import TargetFacts
from cdc.sqlite.changelog.lag import SourceFacts

MOST_NAMED: Final = 5  # tables in one warning
NO_SIGN_SECONDS: Final = 30.0  # a daemon that is well shows that it lives every few seconds

_PUT_BACK: Final = "start the daemon, `cdc run`: it puts capture back and compares every row"
_WRITES_FAIL: Final = (
    "the application's writes fail: the changelog was dropped from the SQLite file, and triggers of capture write to it"
)
_NEXT_STEP: Final = {
    Phase.NEW: "see what would happen with `cdc plan`, then start with `cdc up`",
    Phase.CUTOVER: "nothing: SQLite follows Postgres; `cdc rollback` goes back, and loses nothing",
    Phase.FINALIZED: "take away what is left of this tool in both databases: `cdc cleanup`",
}
_CLEAN: Final = "nothing: the application is on Postgres, and nothing of this tool is left in either database"
_BOTH: Final = "both databases accept writes: what is written to SQLite now does not reach Postgres"
_BOTH_STEP: Final = "stop what writes to SQLite; then see what differs with `cdc verify`"
_GONE: Final = "writes to SQLite are refused for good, and Postgres does not know any more that a cutover was made"
_GONE_STEP: Final = "start the daemon, `cdc run`: it sees which side is written to, or says what to do"
_NOT_FENCED: Final = (
    "the SQLite file is not the one that was fenced at the cutover: it was replaced, restored or emptied"
)
_NOT_FENCED_STEP: Final = "put that file back; Postgres has everything, and goes on meanwhile"
_WRITES_FAIL_STEP: Final = f"{_PUT_BACK}; or take the triggers out: `cdc cleanup --capture-only`"


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that needs an eye: what it is, and the step that helps."""

    what: str
    step: str


@dataclass(frozen=True, slots=True)
class Judged(Picture):
    """A picture and what is to be said of it."""

    @property
    def exit_code(self) -> ExitCode:
        """0 fine, 1 warnings, 2 the daemon stopped with an error or cannot go on, 69 a database cannot be reached."""
        if self.unreachable and not self.hurting:
            return ExitCode.UNAVAILABLE
        if self.critical:
            return ExitCode.CRITICAL
        return ExitCode.DIFFERENCE if self.warnings else ExitCode.OK

    @property
    def unreachable(self) -> list[Warned]:
        """The databases that cannot be asked although something was set up, or although the other one answers."""
        if self.final and self.final.cleaned:
            return []  # nothing of ours is in them any more
        sides: list[SourceFacts | TargetFacts] = [self.source]
        if not (self.phase == Phase.NEW and self.target.where == "embedded"):  # it is started by the first step
            sides.append(self.target)
        return [Warned(side.error or "", side.remedy or "") for side in sides if side.error]

    @property
    def hurting(self) -> list[Warned]:
        """What keeps the application from writing: nothing is more urgent."""
        fail = self.source.writes_fail and not self.switched  # where nobody writes, nobody's writes fail
        return [Warned(_WRITES_FAIL, _WRITES_FAIL_STEP)] if fail else []

    @property
    def critical(self) -> list[Warned]:
        """What keeps the replication from going on until a person acts."""
        stream = self.target.stream
        if self.phase is Phase.FINALIZED:
            return []
        if stream is None and self.target.reachable and self.switched:
            return [Warned(_GONE, _GONE_STEP)]
        if stream is None or self.ended_since:
            return self.hurting
        if self.writes is Writable.BOTH:
            return [*self.hurting, Warned(_BOTH, _BOTH_STEP)]
        if stream.stopped_reason:
            return [*self.hurting, Warned(stream.stopped_reason, stream.stopped_remedy or "see `cdc audit`")]
        return self.hurting or self._without_capture()

    def _without_capture(self) -> list[Warned]:
        if self.source.capture_installed is not False:
            return []
        if self.switched:
            return [Warned(_NOT_FENCED, _NOT_FENCED_STEP)]
        if self.source.remains:
            return [Warned("tables of capture were dropped from the SQLite file", _PUT_BACK)]
        return [
            Warned(
                "the SQLite file holds no capture although it is being replicated: it was replaced or restored",
                "put the right file back, or accept the new one with `cdc load --resync`",
            )
        ]

    @property
    def warnings(self) -> list[Warned]:
        """What needs an eye while the replication goes on."""
        if self.phase is Phase.FINALIZED:
            return [*self._half_ended(), *self._low()]
        if self.ended_since:
            return self._low()
        parts = (self._switching, self._silent, self._daemon_warnings, self._data_warnings, self._low, self._late)
        return [warned for part in parts for warned in part()]

    def _half_ended(self) -> list[Warned]:
        if self.final and self.final.complete:
            return []
        what = "the way back was ended, and not all that belongs to it is done"
        return [Warned(what, "have the rest done: `cdc finalize`")]

    def _switching(self) -> list[Warned]:
        """What is not as it is to be while applications write to Postgres, or are about to."""
        found = []
        if self.writes is Writable.NOBODY:
            found.append(
                Warned("nobody accepts writes now", "wait: a switch is under way, or the daemon opens one side")
            )
        if uncarried := self.target.guard.uncarried:
            what = f"rows of Postgres that SQLite cannot hold: {uncarried:,}"
            found.append(Warned(what, "see each with its reason: `cdc rollback --dry-run`"))
        return found

    def _daemon_warnings(self) -> list[Warned]:
        found = []
        if self.pause:
            without = ", without triggers in the file" if self.pause.released else ""
            what = f"replication is paused since {self.pause.since} by {self.pause.by}{without}"
            found.append(Warned(what, "let it go on when the upgrade is done: `cdc resume`"))
        if self.phase in {Phase.REPLICATE, Phase.CUTOVER} and self.daemon_runs is False:
            found.append(Warned("the daemon is not running", "start it: `systemctl start cdc`, or `cdc run`"))
        if self.presence and self.presence.doing == Activity.WAITING and not self.unreachable:
            found.append(Warned(f"the daemon waits: {self.presence.error}", "wait: it tries again by itself"))
        return found

    def _silent(self) -> list[Warned]:
        """A daemon that holds its lock and does nothing: what else is told of it may be long past."""
        silent = self.silent_seconds
        if self.pause or silent is None or silent <= NO_SIGN_SECONDS:
            return []
        what = f"the daemon has shown no sign of life for {silent:,.0f} seconds"
        return [
            Warned(what, "see whether its process is stopped or hangs, and start it again: `systemctl restart cdc`")
        ]

    def _data_warnings(self) -> list[Warned]:
        found = []
        if self.target.gone:
            what = f"what this tool keeps in Postgres is not whole: {self.target.gone}"
            by_itself = "make it whole with `cdc schema`; a daemon that runs does so by itself"
            found.append(Warned(what, "start the daemon, which makes it whole" if self.switched else by_itself))
        found += [
            Warned(f"table {held.source_table} waits: {held.reason}", held.remedy) for held in self.target.waiting
        ]
        if self.unacknowledged:
            what = f"rows in quarantine that nobody acknowledged: {self.unacknowledged:,}"
            found.append(Warned(what, "look at them with `cdc quarantine list`"))
        held = {table.name for table in self.waiting}
        if leftovers := [left for left in self.target.leftovers if left.source_table not in held]:
            left = ", ".join(map(str, leftovers))
            what = f"the application dropped or renamed what Postgres still has: {left}"
            rest = (
                "it stays for as long as SQLite follows" if self.switched else "without --print it saves and drops it"
            )
            found.append(Warned(what, f"see `cdc schema --apply-pending --print`; {rest}"))
        if self.waiting:
            names = _named([table.name for table in self.waiting])
            what = f"tables wait, and are not replicated: {names}: {self.waiting[0].reason}"
            found.append(Warned(what, self.waiting[0].remedy))
        checked, limit = self.target.verification, self.limits.stale_after_hours
        if checked and checked.result != "equal":
            found.append(Warned(f"the last comparison was not equal: {checked.result}", "see `cdc verify`"))
        if differing := self.target.differing:
            names = _named(differing.names)
            found.append(Warned(f"the comparison of {names} was not equal: {differing.result}", "see `cdc verify`"))
        if findings := self.target.schema_findings:
            names = _named(sorted({finding.table for finding in findings}))
            what = f"the schema in Postgres is not as it should be: {names}: {findings[0].words}"
            found.append(Warned(what, "see all of it, with what puts it right: `cdc verify`"))
        if limit and (self.compared_age or 0) > limit * 3600:
            found.append(Warned(f"the last comparison is over {limit:g} hours old", "compare again: `cdc verify`"))
        return found

    def _low(self) -> list[Warned]:
        names = {"state": "the state folder", "source": "the SQLite file"}
        return [
            Warned(f"the disk of {names[disk]} is nearly full", "free space on it, before writes of others fail")
            for disk in self.folder.low
        ]

    def _late(self) -> list[Warned]:
        found = []
        seconds, changes = self.limits.max_lag_seconds, self.limits.max_lag_changes
        if seconds is not None and self.lag_seconds is not None and self.lag_seconds > seconds:
            found.append(Warned(f"the lag is over {seconds:g} seconds", "see whether it shrinks: `cdc status --watch`"))
        if changes is not None and self.lag_changes is not None and self.lag_changes > changes:
            found.append(Warned(f"the lag is over {changes} changes", "see whether it shrinks: `cdc status --watch`"))
        return found

    @property
    def next_step(self) -> str:
        """What to do now, in words."""
        for found in (self.hurting, self.unreachable, self.critical, self.warnings):
            if found:
                return found[0].step
        match self.phase:
            case Phase.NEW | Phase.CUTOVER | Phase.FINALIZED:
                return _CLEAN if self.final and self.final.cleaned else _NEXT_STEP[self.phase]
            case Phase.ENDED:
                return f"nothing: replication was ended on purpose at {self.ended_since}; `cdc up` begins anew"
            case Phase.REPLICATE:
                catching_up = "wait: the daemon is catching up"
                return catching_up if self.lag_changes else "nothing: Postgres follows the application"
            case _ if self.daemon_runs:
                return "wait: the first copy is being made"
            case _:
                return "run `cdc up`: it goes on where the first copy ended"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
