"""The verdict on the first page: what is decided by which facts, and what is told to be open."""

from dataclasses import replace

import pytest
from made_facts import READY, WHOLE, entry, facts, status

from cdc.audit.check import Break
from cdc.cutover.plan import Gate, SwitchPlan
from cdc.errors import ExitCode
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.notes.final_note import FinalNote
from cdc.postgres.record.status import GuardFacts, HeldRows
from cdc.report.decision import decide
from cdc.report.facts import AuditFacts, PlanFacts, ReportFacts, RowsFacts, RowsInBoth

CLOSED = replace(
    READY, gates=(*READY.gates, Gate("quarantine", passed=False, now="2", limit="0", remedy="`cdc quarantine list`"))
)
BACK = SwitchPlan(Side.SQLITE, READY.gates, (), would_lose="0")
CUT = status(Phase.CUTOVER, guard=GuardFacts(open=1))
AWAY = status(reachable=False, stream=None, daemon=None, error="Postgres cannot be reached")
END = FinalNote(
    "/srv/app.db", "id", "public", "2026-11-27", "op@host", "s", "ef" * 32, 2, without_dump=True, guards_removed=True
)
FINAL = replace(status(), final=END)
ENDED = replace(CUT.target.stream, ended_at=CUT.at) if CUT.target.stream else None


@pytest.mark.parametrize(
    ("found", "verdict", "exit_code"),
    [
        (facts(), "READY", ExitCode.OK),
        (facts(plan=PlanFacts(CLOSED)), "NOT YET", ExitCode.DIFFERENCE),
        (facts(plan=PlanFacts(error="it is locked")), "NOT YET", ExitCode.CRITICAL),
        (facts(status=status(Phase.LOAD), plan=PlanFacts()), "NOT YET", ExitCode.DIFFERENCE),
        (facts(status=CUT, plan=PlanFacts(BACK)), "CUT OVER", ExitCode.OK),
        (facts(status=status(stream=ENDED), plan=PlanFacts()), "ENDED", ExitCode.OK),
        (facts(status=FINAL, plan=PlanFacts()), "FINALIZED", ExitCode.OK),
        (facts(status=AWAY, plan=PlanFacts(), kept=None), "UNKNOWN", ExitCode.UNAVAILABLE),
    ],
)
def test_each_phase_has_its_verdict(found: ReportFacts, verdict: str, exit_code: ExitCode) -> None:
    decision = decide(found)
    assert (decision.verdict, decision.exit_code) == (verdict, exit_code)
    assert decision.sentence.endswith(".")


def test_nothing_is_ready_on_a_broken_trail_or_on_rows_that_do_not_add_up() -> None:
    broken = replace(WHOLE, breaks=(Break("line 2 is missing"),))
    lost = RowsFacts((RowsInBoth("t", "t", 4, 2, 1),), one_position=True)
    for found, words in ((facts(audit=AuditFacts(file=broken)), "line 2 is missing"), (facts(rows=lost), "t does not")):
        decision = decide(found)
        assert (decision.verdict, decision.exit_code) == ("NOT YET", ExitCode.CRITICAL)
        assert words in decision.open[0].what


def test_rows_that_moved_while_they_were_counted_say_nothing() -> None:
    moving = RowsFacts((RowsInBoth("t", "t", 4, 2, 1), RowsInBoth("u", "u", None, 2, 0)))
    assert decide(facts(rows=moving)).verdict == "READY"


def test_a_warning_is_told_once_though_a_gate_is_closed_for_it_too() -> None:
    held = status(quarantine={"value": HeldRows(2, 0)})
    decision = decide(facts(status=held, plan=PlanFacts(CLOSED)))
    assert [point.what for point in decision.open] == ["rows in quarantine that nobody acknowledged: 2"]
    assert "quarantine" in decision.sentence


def test_a_rollback_is_told_until_the_next_cutover() -> None:
    there, back = entry(3, "switch", to="postgres"), entry(2, "switch", to="sqlite")
    assert decide(facts(audit=AuditFacts((there, back)))).sentence.startswith("Rolled back on 2026-11-27")
    assert not decide(facts(audit=AuditFacts((back, there)))).sentence.startswith("Rolled")
