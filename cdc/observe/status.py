"""One picture of the replication: how far it is, what waits, what is wrong, and what to do next.

It is put together from what each side can tell now, so it also works while the daemon is down, while one of the
databases cannot be reached, and before anything was set up.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from cdc.config import Config
from cdc.errors import CdcError, ExitCode
from cdc.facts.phase import Phase
from cdc.facts.side import Side, Writable, writable
from cdc.facts.source_schema import WaitingTable
from cdc.notes import end_note, pause_note
from cdc.observe import daemon_file, state_folder
from cdc.observe.daemon_file import Presence
from cdc.observe.daemon_state import Activity
from cdc.observe.state_folder import StateFolder
from cdc.postgres.record.status import TargetFacts, read_target
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.changelog.lag import PATIENCE_SECONDS, SourceFacts, read_source
from cdc.sqlite.changelog.source_file import waiting
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.fence import FenceState
from cdc.sqlite.snapshot.manifest import Manifest
from cdc.sqlite.snapshot.snapshot import latest

MOST_NAMED: Final = 5  # tables in one warning
NO_SIGN_SECONDS: Final = 30.0  # a daemon that is well shows that it lives every few seconds

_PUT_BACK: Final = "start the daemon, `cdc run`: it puts capture back and compares every row"
_WRITES_FAIL: Final = (
    "the application's writes fail: the changelog was dropped from the SQLite file, and triggers of capture write to it"
)
_NEXT_STEP: Final = {
    Phase.NEW: "see what would happen with `cdc plan`, then start with `cdc up`",
    Phase.CUTOVER: "nothing: SQLite follows Postgres; `cdc rollback` goes back, and loses nothing",
}
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
class Limits:
    """Beyond what the operator wants to be warned; None sets no limit."""

    max_lag_seconds: float | None = None
    max_lag_changes: int | None = None
    stale_after_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that needs an eye: what it is, and the step that helps."""

    what: str
    step: str


@dataclass(frozen=True, slots=True)
class Status:
    """The picture at one moment; see docs/cli.md for the JSON form."""

    at: datetime
    source: SourceFacts
    target: TargetFacts
    folder: StateFolder
    presence: Presence | None = None
    snapshot: Manifest | None = None
    limits: Limits = Limits()
    pause: pause_note.PauseNote | None = None
    waiting: tuple[WaitingTable, ...] = ()
    removed: end_note.EndNote | None = None
    fence: FenceState | None = None  # None where nobody can tell

    @property
    def writes(self) -> Writable | None:
        """Who accepts writes now, as both databases show it; None when one of them cannot tell."""
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
        """`new` before anything was set up, then snapshot, schema, load, replicate; `ended` by `cdc cleanup`.

        `unknown` when nobody can tell.
        """
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

        After a cutover these are changes of Postgres that SQLite has not.
        """
        if self.phase is Phase.CUTOVER:
            return self.target.guard.entries
        return self.source.pending

    @property
    def lag_seconds(self) -> float | None:
        """How long the oldest such change has been waiting, 0 when there is none, None when unknown."""
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
        if self.ended_since:
            return self._low()
        parts = (self._switching, self._silent, self._daemon_warnings, self._data_warnings, self._low, self._late)
        return [warned for part in parts for warned in part()]

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

    @property
    def silent_seconds(self) -> float | None:
        """How long a daemon that runs has shown no sign of life, here or in Postgres; None when none runs."""
        stream = self.target.stream
        signs = [self.presence.silent_seconds] if self.presence else []
        if stream and stream.heartbeat_age is not None and self.phase in {Phase.REPLICATE, Phase.CUTOVER}:
            signs.append(stream.heartbeat_age)
        return min(signs) if signs and self.daemon_runs else None

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
            case Phase.NEW | Phase.CUTOVER:
                return _NEXT_STEP[self.phase]
            case Phase.ENDED:
                return f"nothing: replication was ended on purpose at {self.ended_since}; `cdc up` begins anew"
            case Phase.REPLICATE:
                catching_up = "wait: the daemon is catching up"
                return catching_up if self.lag_changes else "nothing: Postgres follows the application"
            case _ if self.daemon_runs:
                return "wait: the first copy is being made"
            case _:
                return "run `cdc up`: it goes on where the first copy ended"

    def to_json(self) -> dict[str, Any]:
        """The picture as one stable object; an unknown value is null."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "phase": self.phase,
            "exit_code": int(self.exit_code),
            "next_step": self.next_step,
            "warnings": [w.what for w in (*self.unreachable, *self.critical, *self.warnings)],
            "source": self._source_json(),
            "writes": self.writes,
            "lag": {"changes": self.lag_changes, "seconds": self.lag_seconds},
            "uncarried": self.target.guard.uncarried if self.target.reachable else None,
            **self._target_json(),
            "activity": self._activity_json(),
            "paused": msgspec.to_builtins(self.pause),
            "state": {
                "dir": str(self.folder.path),
                "bytes": dict(self.folder.parts),
                "free_bytes": dict(self.folder.free),
            },
        }

    def _activity_json(self) -> dict[str, Any]:
        shown = self.presence
        return {
            "doing": shown.doing if shown else None,
            "since": shown.since if shown else None,
            "error": shown.error if shown else None,
            "attempts": shown.attempts if shown else None,
        }

    def _source_json(self) -> dict[str, Any]:
        source = {k: v for k, v in asdict(self.source).items() if k != "remedy"}
        return {**source, "path": str(self.source.path)}

    def _target_json(self) -> dict[str, Any]:
        target, stream = self.target, self.target.stream
        waiting = target.quarantine
        applied = stream.applied_at if stream else None
        checked = target.verification
        return {
            "target": {"where": target.where, "reachable": target.reachable, "error": target.error},
            "position": {"seq": stream.seq if stream else None},
            "changes_applied": stream.changes if stream else None,
            "last_apply": applied.isoformat() if applied else None,
            "heartbeat_age_seconds": stream.heartbeat_age if stream else None,
            "daemon": {"running": self.daemon_runs, "owner": target.daemon},
            "quarantine": {
                "total": sum(w.rows for w in waiting.values()) if target.reachable else None,
                "acknowledged": sum(w.acknowledged for w in waiting.values()) if target.reachable else None,
                "by_reason": {reason: w.rows for reason, w in waiting.items()},
            },
            "pending": [
                {
                    "table": left.source_table,
                    "target": left.target,
                    "column": left.column,
                    "since": left.noticed_at.isoformat(),
                    "dropped": list(left.dropped),
                }
                for left in target.leftovers
            ],
            "waiting": [asdict(table) for table in self.waiting],
            "snapshot": {
                "id": self.snapshot.id if self.snapshot else None,
                "taken_at": self.snapshot.taken_at if self.snapshot else None,
            },
            "verification": {
                "result": checked.result if checked else None,
                "finished_at": checked.finished_at.isoformat() if checked else None,
                "age_seconds": self.verification_age,
                "compared_since": self.compared_since.isoformat() if self.compared_since else None,
                "compared_age_seconds": self.compared_age,
                "oldest_table": target.oldest.table if target.oldest else None,
                "differing": list(target.differing.names) if target.differing else [],
                "schema": [finding.to_json() for finding in target.schema_findings],
            },
            "shadow": {
                "endpoints": target.shadow.endpoints if target.shadow else 0,
                "differing": target.shadow.differing if target.shadow else 0,
                "clean_since": _iso(target.shadow.clean_since if target.shadow else None),
                "last_at": _iso(target.shadow.last_at if target.shadow else None),
            },
            "stopped": {
                "reason": stream.stopped_reason if stream else None,
                "remedy": stream.stopped_remedy if stream else None,
            },
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


async def gather(config: Config, target: Endpoint, limits: Limits = Limits()) -> Status:
    """The picture of now. Never raises for a database that cannot be reached: the picture then says so.

    Each of the two is asked for a few seconds at most.
    """
    shown = daemon_file.look(config)
    source = await asyncio.to_thread(read_source, config.source)
    told = await read_target(config, target, source.source_id, daemon_runs=shown is not None)
    if source.capture_installed and told.stream and told.stream.seq is not None:
        source = await asyncio.to_thread(read_source, config.source, told.stream.seq)
    newest = latest(config.state.dir / "snapshots", config.source.path)
    return Status(
        at=datetime.now(UTC),
        source=source,
        target=told,
        folder=await asyncio.to_thread(state_folder.measure, config),
        presence=shown,
        snapshot=newest.manifest if newest else None,
        limits=limits,
        pause=await asyncio.to_thread(pause_note.read, config),
        waiting=await asyncio.to_thread(_waiting, config) if source.capture_installed else (),
        removed=await asyncio.to_thread(end_note.read, config),
        fence=await asyncio.to_thread(_fence, config) if source.reachable else None,
    )


def _fence(config: Config) -> FenceState | None:
    try:
        return fence.look(_patient(config))
    except CdcError:  # what is wrong with the file is told by the facts about it
        return None


def _waiting(config: Config) -> tuple[WaitingTable, ...]:
    try:
        return waiting(_patient(config))
    except CdcError:  # what is wrong with the file is told by the facts about it
        return ()


def _patient(config: Config) -> Config:
    """For who asks for the status, and does not wait long for a lock."""
    patience = min(config.source.busy_timeout_seconds, PATIENCE_SECONDS)
    return msgspec.structs.replace(config, source=msgspec.structs.replace(config.source, busy_timeout_seconds=patience))
