"""From facts to what may be done next: gates, a verdict, and the steps. Pure: it asks nobody."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cdc.errors import ExitCode
from cdc.facts.side import Side

INFINITE: Final = float("inf")


class Readiness(StrEnum):
    """The verdict of a plan."""

    READY = "READY"
    NOT_YET = "NOT YET"
    IMPOSSIBLE = "IMPOSSIBLE"


@dataclass(frozen=True, slots=True)
class Gate:
    """Something that must hold before a switch: how it is `now`, what the `limit` is, and what helps where it does not.

    `since` is when it was looked at or changed last, where that is known. Waiting does not open a gate that is `fatal`.
    """

    name: str
    passed: bool
    now: str
    limit: str
    remedy: str = ""
    since: datetime | None = None
    fatal: bool = False

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {
            "name": self.name,
            "passed": self.passed,
            "now": self.now,
            "limit": self.limit,
            "remedy": None if self.passed else self.remedy,
            "since": self.since.isoformat(timespec="seconds") if self.since else None,
        }


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step as people read it: where it happens, what it does, and what undoes it."""

    name: str
    side: str
    undo: str


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """A switch to one side: its gates, its steps in order with how long each usually took, and what nobody checks."""

    to: Side
    gates: tuple[Gate, ...]
    steps: tuple[PlannedStep, ...]
    unchecked: tuple[str, ...] = ()
    usual_milliseconds: Mapping[str, float] = field(default_factory=dict)
    would_lose: str = ""  # of a way back: what would be lost

    @property
    def readiness(self) -> Readiness:
        """Whether it can begin."""
        failed = [gate for gate in self.gates if not gate.passed]
        if any(gate.fatal for gate in failed):
            return Readiness.IMPOSSIBLE
        return Readiness.NOT_YET if failed else Readiness.READY

    @property
    def verdict(self) -> str:
        """The verdict for people: `NOT YET, 2 of 11 gates`."""
        failed = sum(not gate.passed for gate in self.gates)
        counted = f", {failed} of {len(self.gates)} gates" if failed else ""
        return f"{self.readiness}{counted}"

    @property
    def exit_code(self) -> ExitCode:
        """0 ready, 1 not yet, 2 impossible."""
        codes = {
            Readiness.READY: ExitCode.OK,
            Readiness.NOT_YET: ExitCode.DIFFERENCE,
            Readiness.IMPOSSIBLE: ExitCode.CRITICAL,
        }
        return codes[self.readiness]

    @property
    def plan_id(self) -> str:
        """A name for exactly this plan: the same gates with the same results, and the same steps."""
        parts = [self.to, *(f"{gate.name} {gate.passed}" for gate in self.gates), *(step.name for step in self.steps)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

    @property
    def next_steps(self) -> list[str]:
        """What to do now, one for each gate that is closed; the switch itself when none is."""
        closed = [gate.remedy for gate in self.gates if not gate.passed]
        command = "cdc cutover" if self.to is Side.POSTGRES else "cdc rollback"
        return list(dict.fromkeys(closed)) or [f"`{command}`"]

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {
            "verdict": self.readiness,
            "exit_code": int(self.exit_code),
            "plan_id": self.plan_id,
            "to": self.to,
            "would_lose": self.would_lose or None,
            "gates": [gate.to_json() for gate in self.gates],
            "steps": [
                {
                    "name": step.name,
                    "side": step.side,
                    "undo": step.undo,
                    "usual_milliseconds": self.usual_milliseconds.get(step.name),
                }
                for step in self.steps
            ],
            "unchecked": list(self.unchecked),
            "next_steps": self.next_steps,
        }


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Within what a switch may begin; hours of 0 are not asked for."""

    lag_seconds: float
    verified_hours: float
    shadow_hours: float


@dataclass(frozen=True, slots=True)
class CutoverFacts:
    """What both databases, the state folder and the flag show before a cutover; what is unknown is None.

    Tuples hold words for people, one for each thing that is in the way.
    """

    now: datetime
    active: Side
    replicates: bool
    daemon_runs: bool | None
    paused: bool
    lag_changes: int | None
    lag_seconds: float | None
    waiting: tuple[str, ...]
    capture: tuple[str, ...]
    unacknowledged: int
    prepared_at: datetime | None
    unprepared: tuple[str, ...]
    verified_at: datetime | None
    differing: tuple[str, ...]
    shadow_clean_since: datetime | None
    shadow_uncovered: tuple[str, ...]
    snapshot_at: datetime | None
    no_way_back: tuple[str, ...]
    long_writers: tuple[str, ...]
    flag_problems: tuple[str, ...]


def cutover_gates(facts: CutoverFacts, limits: GateLimits) -> tuple[Gate, ...]:
    """The gates of a cutover, in the order in which they are best opened."""
    return (
        _active(facts, Side.SQLITE, "`cdc rollback --dry-run` tells of the way back"),
        Gate(
            "replication",
            facts.replicates and not facts.waiting,
            _some(facts.waiting) or ("every table follows" if facts.replicates else "not begun"),
            "every table follows",
            "see `cdc status`: each table that waits says why, and what helps",
        ),
        _daemon(facts.daemon_runs, facts.paused),
        _lag(facts, limits),
        Gate(
            "capture",
            not facts.capture,
            _some(facts.capture) or "whole",
            "whole",
            "wait: the daemon mends it and compares what it could not see; `cdc status` tells",
        ),
        Gate(
            "quarantine",
            not facts.unacknowledged,
            f"{facts.unacknowledged:,} rows not acknowledged" if facts.unacknowledged else "none, or acknowledged",
            "0 rows that nobody acknowledged",
            "`cdc quarantine list`, then `cdc quarantine acknowledge` for what may stay behind",
        ),
        Gate(
            "way back",
            not facts.no_way_back,
            _some(facts.no_way_back) or "every table can come back",
            "every table can come back",
            "map these columns one to one, or leave the table out: `cdc plan` tells why each cannot",
            fatal=True,
        ),
        Gate(
            "prepared",
            facts.prepared_at is not None and not facts.unprepared,
            _some(facts.unprepared) or ("yes" if facts.prepared_at else "no"),
            "fences and the way back stand ready",
            "`cdc cutover --prepare`",
            facts.prepared_at,
        ),
        _verified(facts, limits),
        _shadow(facts, limits),
        Gate(
            "snapshot",
            facts.snapshot_at is not None,
            "proven" if facts.snapshot_at else "none",
            "a proven one",
            "`cdc snapshot`",
            facts.snapshot_at,
        ),
        _writers(facts.long_writers),
        _flag(facts.flag_problems),
    )


@dataclass(frozen=True, slots=True)
class RollbackFacts:
    """What both databases and the flag show before a rollback."""

    now: datetime
    active: Side
    daemon_runs: bool | None
    paused: bool
    waiting_changes: int
    oldest_at: datetime | None
    uncarried: tuple[str, ...]
    fence: tuple[str, ...]
    long_writers: tuple[str, ...]
    flag_problems: tuple[str, ...]


def rollback_gates(facts: RollbackFacts) -> tuple[Gate, ...]:
    """The gates of a rollback."""
    return (
        _active(facts, Side.POSTGRES, "nothing: SQLite is written to, as before the cutover"),
        _daemon(facts.daemon_runs, facts.paused),
        Gate(
            "changes carried back",
            not facts.uncarried,
            _some(facts.uncarried) or f"{facts.waiting_changes:,} on their way",
            "each can be written to SQLite",
            "see `cdc status`: each row that SQLite cannot hold says why",
            facts.oldest_at,
        ),
        Gate(
            "SQLite fence",
            not facts.fence,
            _some(facts.fence) or "whole",
            "whole since the cutover",
            "somebody may have written to SQLite meanwhile: `cdc verify` tells what differs",
        ),
        _writers(facts.long_writers),
        _flag(facts.flag_problems),
    )


def _active(facts: CutoverFacts | RollbackFacts, wanted: Side, remedy: str) -> Gate:
    names = {Side.SQLITE: "SQLite", Side.POSTGRES: "Postgres"}
    passed = facts.active is wanted
    return Gate("written to", passed, names[facts.active], names[wanted], remedy, fatal=True)


def _daemon(runs: bool | None, paused: bool) -> Gate:
    now = "paused" if paused else "unknown" if runs is None else "runs" if runs else "does not run"
    remedy = "`cdc resume`" if paused else "start it: `systemctl start cdc`, or `cdc run`"
    return Gate("daemon", bool(runs) and not paused, now, "runs", remedy)


def _lag(facts: CutoverFacts, limits: GateLimits) -> Gate:
    """Lag that nobody knows counts as without end."""
    seconds = INFINITE if facts.lag_changes is None else facts.lag_seconds or 0.0
    now = "unknown" if facts.lag_changes is None else f"{facts.lag_changes:,} changes, {seconds:.1f} s"
    remedy = "wait until it shrinks: `cdc status --watch`"
    return Gate("lag", seconds <= limits.lag_seconds, now, f"{limits.lag_seconds:g} s", remedy)


def _verified(facts: CutoverFacts, limits: GateLimits) -> Gate:
    limit = f"equal, at most {limits.verified_hours:g} h ago"
    hours = INFINITE
    if facts.verified_at is not None:
        hours = (facts.now - facts.verified_at).total_seconds() / 3600
    now = _some(facts.differing) or ("never" if hours == INFINITE else f"equal, {hours:.1f} h ago")
    passed = not facts.differing and hours <= limits.verified_hours
    return Gate("verified", passed, now, limit, "`cdc cutover --prepare` compares every row", facts.verified_at)


def _shadow(facts: CutoverFacts, limits: GateLimits) -> Gate:
    if not limits.shadow_hours:
        return Gate("shadow reads", True, "not asked for", "`shadow_clean_hours` in [cutover]")
    hours = 0.0
    if facts.shadow_clean_since is not None:
        hours = (facts.now - facts.shadow_clean_since).total_seconds() / 3600
    now = _some(facts.shadow_uncovered) or f"alike for {hours:.1f} h"
    passed = hours >= limits.shadow_hours and not facts.shadow_uncovered
    limit = f"alike for {limits.shadow_hours:g} h, every endpoint"
    return Gate("shadow reads", passed, now, limit, "see `cdc shadow report`", facts.shadow_clean_since)


def _writers(long_writers: Sequence[str]) -> Gate:
    remedy = "wait until they end, or end them yourself: this tool ends nobody's transaction"
    return Gate("long transactions", not long_writers, _some(long_writers) or "none", "none", remedy)


def _flag(problems: Sequence[str]) -> Gate:
    return Gate("flag", not problems, _some(problems) or "as it should be", "every part says the same", "`cdc flag`")


def _some(words: Sequence[str], most: int = 3) -> str:
    more = f", and {len(words) - most} more" if len(words) > most else ""
    return "; ".join(words[:most]) + more
