"""From facts to gates: what has to hold before a switch. Pure: it asks nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.cutover.no_way_back import NoWayBack
from cdc.cutover.plan import Gate
from cdc.facts.side import Side

INFINITE: Final = float("inf")
WEEK_HOURS: Final = 168.0


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Within what a switch may begin; hours of 0 are not asked for.

    Where `rehearsed_hours` is None nobody asked for a rehearsal; but one that was made has to hold, for a week.
    """

    lag_seconds: float
    verified_hours: float
    shadow_hours: float
    rehearsed_hours: float | None = None


@dataclass(frozen=True, slots=True)
class RehearsalFacts:
    """The newest rehearsal: when it ended, with what result, and whether it was of the schema that the file has now."""

    at: datetime
    result: str
    same_schema: bool


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
    no_way_back: NoWayBack
    long_writers: tuple[str, ...]
    flag_problems: tuple[str, ...]
    rehearsal: RehearsalFacts | None = None


def cutover_gates(facts: CutoverFacts, limits: GateLimits) -> tuple[Gate, ...]:
    """The gates of a cutover, in the order in which they are best opened."""
    return (
        written_to(facts.active, Side.SQLITE),
        Gate(
            "replication",
            facts.replicates and not facts.waiting,
            some(facts.waiting) or ("every table follows" if facts.replicates else "not begun"),
            "every table follows",
            "see `cdc status`: each table that waits says why, and what helps",
        ),
        _daemon(facts.daemon_runs, facts.paused),
        _lag(facts, limits),
        Gate(
            "capture",
            not facts.capture,
            some(facts.capture) or "whole",
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
            not facts.no_way_back.reasons,
            some(facts.no_way_back.reasons) or "every table can come back",
            "every table can come back",
            facts.no_way_back.remedy,
            fatal=True,
        ),
        Gate(
            "prepared",
            facts.prepared_at is not None and not facts.unprepared,
            some(facts.unprepared) or ("yes" if facts.prepared_at else "no"),
            "fences and the way back stand ready",
            "`cdc cutover --prepare`",
            facts.prepared_at,
        ),
        _verified(facts, limits),
        _shadow(facts, limits),
        _rehearsed(facts, limits),
        Gate(
            "snapshot",
            facts.snapshot_at is not None,
            "proven" if facts.snapshot_at else "none",
            "a proven one",
            "`cdc snapshot`",
            facts.snapshot_at,
        ),
        long_transactions(facts.long_writers),
        flag_gate(facts.flag_problems),
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
        written_to(facts.active, Side.POSTGRES),
        _daemon(facts.daemon_runs, facts.paused),
        Gate(
            "changes carried back",
            not facts.uncarried,
            some(facts.uncarried) or f"{facts.waiting_changes:,} on their way",
            "each can be written to SQLite",
            "see `cdc status`: each row that SQLite cannot hold says why",
            facts.oldest_at,
        ),
        fence_gate(facts.fence),
        long_transactions(facts.long_writers),
        flag_gate(facts.flag_problems),
    )


def written_to(active: Side, wanted: Side, remedy: str = "") -> Gate:
    """The gate that all others stand behind: on the other side there is nothing to switch, and they mean nothing."""
    names = {Side.SQLITE: "SQLite", Side.POSTGRES: "Postgres"}
    remedies = {
        Side.SQLITE: "`cdc rollback --dry-run` tells of the way back",
        Side.POSTGRES: "nothing: SQLite is written to, as before the cutover",
    }
    return Gate("written to", active is wanted, names[active], names[wanted], remedy or remedies[wanted], fatal=True)


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
    now = some(facts.differing) or ("never" if hours == INFINITE else f"equal, {hours:.1f} h ago")
    passed = not facts.differing and hours <= limits.verified_hours
    return Gate("verified", passed, now, limit, "`cdc cutover --prepare` compares every row", facts.verified_at)


def _shadow(facts: CutoverFacts, limits: GateLimits) -> Gate:
    if not limits.shadow_hours:
        return Gate("shadow reads", True, "not asked for", "`shadow_clean_hours` in [cutover]")
    hours = 0.0
    if facts.shadow_clean_since is not None:
        hours = (facts.now - facts.shadow_clean_since).total_seconds() / 3600
    now = some(facts.shadow_uncovered) or f"alike for {hours:.1f} h"
    passed = hours >= limits.shadow_hours and not facts.shadow_uncovered
    limit = f"alike for {limits.shadow_hours:g} h, every endpoint"
    remedy = "see `cdc shadow report`; `cdc shadow http` asks what nobody asked yet"
    return Gate("shadow reads", passed, now, limit, remedy, facts.shadow_clean_since)


def _rehearsed(facts: CutoverFacts, limits: GateLimits) -> Gate:
    made, hours = facts.rehearsal, WEEK_HOURS if limits.rehearsed_hours is None else limits.rehearsed_hours
    if not hours:
        return Gate("rehearsed", True, "not asked for", "`rehearsed_within_hours` in [cutover]")
    limit = f"passed, of today's schema, at most {hours:g} h ago"
    if made is None and limits.rehearsed_hours is None:
        return Gate("rehearsed", True, "never", "not asked for, but one that was made has to hold")
    if made is None:
        return Gate("rehearsed", False, "never", limit, "`cdc rehearse`")
    age = (facts.now - made.at).total_seconds() / 3600
    now = f"{made.result}, {age:.1f} h ago{'' if made.same_schema else ', of another schema'}"
    passed = made.result == "passed" and made.same_schema and age <= hours
    return Gate("rehearsed", passed, now, limit, "`cdc rehearse`", made.at)


def fence_gate(problems: Sequence[str]) -> Gate:
    """Whether SQLite refused every write since the cutover."""
    return Gate(
        "SQLite fence",
        not problems,
        some(problems) or "whole",
        "whole since the cutover",
        "somebody may have written to SQLite meanwhile: `cdc verify` tells what differs",
    )


def long_transactions(long_writers: Sequence[str]) -> Gate:
    """Whether nobody holds a transaction open that a switch would have to wait for."""
    remedy = "wait until they end, or end them yourself: this tool ends nobody's transaction"
    return Gate("long transactions", not long_writers, some(long_writers) or "none", "none", remedy)


def flag_gate(problems: Sequence[str]) -> Gate:
    """Whether every part of the flag says what it should."""
    return Gate("flag", not problems, some(problems) or "as it should be", "every part says the same", "`cdc flag`")


def some(words: Sequence[str], most: int = 3) -> str:
    """The first of these words, and how many more there are; empty for none."""
    more = f", and {len(words) - most} more" if len(words) > most else ""
    return "; ".join(words[:most]) + more
