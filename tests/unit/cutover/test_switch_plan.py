"""What may be done next is told by facts alone: each gate closes by the fact it is about, and by no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdc.cutover.gates import (
    CutoverFacts,
    GateLimits,
    RehearsalFacts,
    RollbackFacts,
    cutover_gates,
    rollback_gates,
)
from cdc.cutover.no_way_back import NoWayBack
from cdc.cutover.plan import PlannedStep, Readiness, SwitchPlan
from cdc.cutover.watch import p95
from cdc.errors import ExitCode
from cdc.facts.side import Side

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = GateLimits(lag_seconds=5.0, verified_hours=24.0, shadow_hours=48.0, rehearsed_hours=12.0)
REHEARSED = RehearsalFacts(NOW - HOUR, "passed", same_schema=True)
FINE = CutoverFacts(
    now=NOW,
    active=Side.SQLITE,
    replicates=True,
    daemon_runs=True,
    paused=False,
    lag_changes=3,
    lag_seconds=0.2,
    waiting=(),
    capture=(),
    unacknowledged=0,
    prepared_at=NOW - HOUR,
    unprepared=(),
    verified_at=NOW - HOUR,
    differing=(),
    shadow_clean_since=NOW - 50 * HOUR,
    shadow_uncovered=(),
    snapshot_at=NOW - HOUR,
    no_way_back=NoWayBack(),
    long_writers=(),
    flag_problems=(),
    rehearsal=REHEARSED,
)
BACK = RollbackFacts(
    now=NOW,
    active=Side.POSTGRES,
    daemon_runs=True,
    paused=False,
    waiting_changes=2,
    oldest_at=NOW,
    uncarried=(),
    fence=(),
    long_writers=(),
    flag_problems=(),
)


def plan(facts: CutoverFacts, limits: GateLimits = LIMITS) -> SwitchPlan:
    return SwitchPlan(Side.POSTGRES, cutover_gates(facts, limits), (PlannedStep("one", "both", "-"),))


def test_all_gates_open_is_ready() -> None:
    ready = plan(FINE)
    assert (ready.verdict, ready.exit_code, ready.next_steps) == ("READY", ExitCode.OK, ["`cdc cutover`"])
    assert replace(ready, option="--reads-only").next_steps == ["`cdc cutover --reads-only`"]
    back = SwitchPlan(Side.SQLITE, rollback_gates(BACK), ())
    assert (back.verdict, back.next_steps) == ("READY", ["`cdc rollback`"])


@pytest.mark.parametrize(
    ("change", "gate", "readiness"),
    [
        ({"active": Side.POSTGRES}, "written to", Readiness.IMPOSSIBLE),
        ({"replicates": False}, "replication", Readiness.NOT_YET),
        ({"waiting": ("table t waits",)}, "replication", Readiness.NOT_YET),
        ({"daemon_runs": False}, "daemon", Readiness.NOT_YET),
        ({"daemon_runs": None}, "daemon", Readiness.NOT_YET),
        ({"paused": True}, "daemon", Readiness.NOT_YET),
        ({"lag_changes": None, "lag_seconds": None}, "lag", Readiness.NOT_YET),
        ({"lag_seconds": 5.1}, "lag", Readiness.NOT_YET),
        ({"capture": ("t",)}, "capture", Readiness.NOT_YET),
        ({"unacknowledged": 1}, "quarantine", Readiness.NOT_YET),
        ({"no_way_back": NoWayBack(("t: computed",), "map it")}, "way back", Readiness.IMPOSSIBLE),
        ({"prepared_at": None}, "prepared", Readiness.NOT_YET),
        ({"unprepared": ("no fence on t",)}, "prepared", Readiness.NOT_YET),
        ({"verified_at": None}, "verified", Readiness.NOT_YET),
        ({"verified_at": NOW - 25 * HOUR}, "verified", Readiness.NOT_YET),
        ({"differing": ("t",)}, "verified", Readiness.NOT_YET),
        ({"shadow_clean_since": None}, "shadow reads", Readiness.NOT_YET),
        ({"shadow_clean_since": NOW - 47 * HOUR}, "shadow reads", Readiness.NOT_YET),
        ({"shadow_uncovered": ("GET /x",)}, "shadow reads", Readiness.NOT_YET),
        ({"rehearsal": None}, "rehearsed", Readiness.NOT_YET),
        ({"rehearsal": replace(REHEARSED, at=NOW - 13 * HOUR)}, "rehearsed", Readiness.NOT_YET),
        ({"rehearsal": replace(REHEARSED, result="refused")}, "rehearsed", Readiness.NOT_YET),
        ({"rehearsal": replace(REHEARSED, same_schema=False)}, "rehearsed", Readiness.NOT_YET),
        ({"snapshot_at": None}, "snapshot", Readiness.NOT_YET),
        ({"long_writers": ("psql, 5 min",)}, "long transactions", Readiness.NOT_YET),
        ({"flag_problems": ("env says other",)}, "flag", Readiness.NOT_YET),
    ],
)
def test_each_fact_closes_one_gate(change: dict[str, Any], gate: str, readiness: Readiness) -> None:
    made = plan(replace(FINE, **change))
    (closed,) = [g for g in made.gates if not g.passed]
    assert (closed.name, made.readiness) == (gate, readiness)
    assert closed.remedy
    assert made.next_steps == [closed.remedy]
    assert made.verdict == f"{readiness}, 1 of {len(made.gates)} gates"
    assert made.plan_id != plan(FINE).plan_id


def test_hours_of_zero_ask_for_no_shadow_reads() -> None:
    facts = replace(FINE, shadow_clean_since=None, shadow_uncovered=("GET /x",))
    assert plan(facts, replace(LIMITS, shadow_hours=0.0)).readiness is Readiness.READY


@pytest.mark.parametrize(
    ("hours", "rehearsal", "passed"),
    [
        (None, None, True),  # nobody asked for one, and none was made
        (None, replace(REHEARSED, at=NOW - 167 * HOUR), True),
        (None, replace(REHEARSED, at=NOW - 169 * HOUR), False),  # one that was made has to hold
        (None, replace(REHEARSED, result="failed"), False),
        (0.0, replace(REHEARSED, result="failed"), True),
    ],
)
def test_a_rehearsal_that_nobody_asked_for_has_to_hold_once_it_was_made(
    hours: float | None, rehearsal: RehearsalFacts | None, passed: bool
) -> None:
    made = plan(replace(FINE, rehearsal=rehearsal), replace(LIMITS, rehearsed_hours=hours))
    assert (made.readiness is Readiness.READY) == passed


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"active": Side.SQLITE}, "written to"),
        ({"daemon_runs": False}, "daemon"),
        ({"uncarried": ("t 5: too large",)}, "changes carried back"),
        ({"fence": ("t has none",)}, "SQLite fence"),
        ({"long_writers": ("psql",)}, "long transactions"),
        ({"flag_problems": ("env says other",)}, "flag"),
    ],
)
def test_each_fact_closes_one_gate_of_the_way_back(change: dict[str, Any], gate: str) -> None:
    (closed,) = [g.name for g in rollback_gates(replace(BACK, **change)) if not g.passed]
    assert closed == gate


def test_the_answer_for_programs_is_whole() -> None:
    told = plan(replace(FINE, unacknowledged=2)).to_json()
    assert told["verdict"] == "NOT YET"
    assert told["exit_code"] == 1
    assert {gate["name"] for gate in told["gates"] if not gate["passed"]} == {"quarantine"}
    assert told["steps"] == [{"name": "one", "side": "both", "undo": "-", "usual_milliseconds": None}]
    assert told["usual_in"] is None
    assert all("cdc quarantine" in step for step in told["next_steps"])


def test_of_twenty_times_the_second_largest_is_the_95th_percentile() -> None:
    assert p95([float(n) for n in range(1, 21)]) == 19.0
    assert p95([3.0]) == 3.0
