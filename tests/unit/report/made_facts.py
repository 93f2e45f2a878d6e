"""Facts of a move that was never made: everything of it is fine, and a test alters what it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cdc.audit.chain import AuditEntry, Head
from cdc.audit.check import ChainVerdict
from cdc.cutover.plan import Gate, PlannedStep, SwitchPlan
from cdc.facts.phase import Phase
from cdc.facts.row_key import encode_key
from cdc.facts.side import Side
from cdc.observe.state_folder import StateFolder
from cdc.observe.status import Status
from cdc.postgres.record.quarantine import QuarantinedRow
from cdc.postgres.record.status import StreamFacts, TargetFacts
from cdc.postgres.record.verification import Verification
from cdc.report.facts import AuditFacts, KeptFacts, MachineFacts, PlanFacts, ReportFacts, RowsFacts, RowsInBoth
from cdc.sqlite.changelog.lag import SourceFacts
from cdc.sqlite.fence.fence import FenceState

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
READY = SwitchPlan(
    Side.POSTGRES, (Gate("lag", passed=True, now="0.0 s", limit="5 s"),), (PlannedStep("drain", "", ""),)
)
WHOLE = ChainVerdict("line", 3, 0, 1, Head(3, "ab" * 32), (), (), 0)


def status(phase: Phase = Phase.REPLICATE, **target: Any) -> Status:
    """A source that is followed, with a daemon; `target` replaces facts of Postgres."""
    stream = StreamFacts("id", "/app.db", phase, 7, "s", 7, NOW, 0.1, "bot@host", None, None)
    facts = TargetFacts("db/app", reachable=True, stream=stream, daemon="bot@host")
    return Status(
        at=NOW,
        source=SourceFacts(Path("/srv/app.db"), reachable=True, capture_installed=True, source_id="id", pending=0),
        target=replace(facts, **target),
        folder=StateFolder(Path("/state"), {}, {}),
        fence=FenceState((), {}, None, permanent=phase is Phase.CUTOVER, counter=1),
    )


def facts(**changed: Any) -> ReportFacts:
    """A move that is ready for its cutover."""
    made = ReportFacts(
        at=NOW,
        status=status(),
        schema="public",
        machine=MachineFacts("op@host", {"Python": "3.11.0"}, "cdc.toml", "cd" * 32),
        plan=PlanFacts(READY),
        rows=RowsFacts((RowsInBoth("t", "t", 3, 2, 1),), one_position=True),
        kept=KeptFacts((comparison(1),), quarantine=(held("t", 5, "op@host"),)),
        audit=AuditFacts((entry(9, "load", rows=2),), file=WHOLE, postgres=WHOLE),
    )
    return replace(made, **changed)


def comparison(hours_ago: float, result: str = "equal", *names: str, **counts: int) -> Verification:
    """A comparison of all tables, or of those that are named."""
    at = NOW - timedelta(hours=hours_ago)
    numbers = dict.fromkeys(("different", "missing", "extra", "pending", "quarantined", "repaired"), 0)
    told: dict[str, Any] = {"matched": 2, **numbers, **counts, "names": names or ("t", "u")}
    return Verification(at, at, 7, len(told["names"]), not names, result=result, **told)


def held(table: str, key: Any, by: str | None = None) -> QuarantinedRow:
    """A row in quarantine, acknowledged by somebody or by nobody."""
    seen = NOW - timedelta(hours=2)
    known = seen if by else None
    return QuarantinedRow(table, encode_key((key,)), "value", "n", "a secret of the row", "", seen, seen, known, by)


def entry(hours_ago: float, action: str, result: str = "done", actor: str = "op@host", **details: Any) -> AuditEntry:
    """An entry of the trail."""
    at = (NOW - timedelta(hours=hours_ago)).isoformat(timespec="milliseconds")
    return AuditEntry(at, actor, action, result, details, n=1)
