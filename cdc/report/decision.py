"""The first page: what can be decided now, in one sentence, and all that speaks against it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.cutover.plan import Readiness
from cdc.errors import ExitCode
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.observe.judgement import Warned
from cdc.report.facts import AuditFacts, ReportFacts, RowsInBoth

_BEFORE: Final = {
    Phase.NEW: "Nothing was set up yet.",
    Phase.SNAPSHOT: "The first copy is not made yet.",
    Phase.SCHEMA: "The first copy is not made yet: Postgres has the tables, and not the rows.",
    Phase.LOAD: "The first copy is not complete.",
}
_AFTER: Final = {
    Phase.ENDED: ("ENDED", "Replication was ended on purpose: neither side follows the other."),
    Phase.FINALIZED: (
        "FINALIZED",
        "The way back was ended on purpose: Postgres alone is written to, and SQLite rests.",
    ),
}
_TRAIL: Final = "see `cdc audit`; what happened has to be found out, and recorded by `cdc audit --accept`"
_COUNTS: Final = "see which rows: `cdc verify`"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict in a word and in a sentence, and what is open: each with the step that helps."""

    verdict: str
    sentence: str
    open: tuple[Warned, ...]
    exit_code: ExitCode

    def to_json(self) -> dict[str, Any]:
        """As the document has it."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "exit_code": int(self.exit_code),
            "open": [{"what": warned.what, "step": warned.step} for warned in self.open],
        }


def decide(facts: ReportFacts) -> Decision:
    """What these facts allow."""
    damage = (*_broken_trail(facts.audit), *_miscounts(facts))
    verdict, sentence, code = _verdict(facts)
    told = [*damage, *_of_status(facts), *_of_gates(facts)]
    if damage:
        code = max(code, ExitCode.CRITICAL)
        if verdict == Readiness.READY:
            verdict, sentence = Readiness.NOT_YET, "Every gate is open, but what this report rests on is not sound."
    elif told and code is ExitCode.OK:
        code = ExitCode.DIFFERENCE
    return Decision(str(verdict), sentence, tuple(dict.fromkeys(told)), code)


def _verdict(facts: ReportFacts) -> tuple[str, str, ExitCode]:
    status, phase = facts.status, facts.status.phase
    if phase in _AFTER:
        return (*_AFTER[phase], status.exit_code)
    if status.unreachable:
        sides = " and ".join(warned.what for warned in status.unreachable)
        return "UNKNOWN", f"Nothing can be decided: {sides}.", status.exit_code
    if phase in _BEFORE:
        return str(Readiness.NOT_YET), _BEFORE[phase], max(status.exit_code, ExitCode.DIFFERENCE)
    if phase is Phase.CUTOVER:
        return "CUT OVER", _after_cutover(facts), status.exit_code
    if phase is Phase.REPLICATE:
        return _before_cutover(facts)
    return "UNKNOWN", "Nobody can tell in which phase this is.", ExitCode.CRITICAL


def _before_cutover(facts: ReportFacts) -> tuple[str, str, ExitCode]:
    plan = facts.plan.plan
    back = _rolled_back(facts)
    if plan is None:
        why = facts.plan.error or "its plan could not be made"
        return str(Readiness.NOT_YET), f"{back}A cutover cannot be planned: {why}.", ExitCode.CRITICAL
    closed = [gate.name for gate in plan.gates if not gate.passed]
    sentence = {
        Readiness.READY: f"All {len(plan.gates)} gates of a cutover are open: it can be made now.",
        Readiness.NOT_YET: f"{_of(closed, len(plan.gates))}: {', '.join(closed)}.",
        Readiness.IMPOSSIBLE: f"No cutover is possible as things stand; {_of(closed, len(plan.gates))}: "
        f"{', '.join(closed)}.",
    }[plan.readiness]
    return str(plan.readiness), f"{back}{sentence}", plan.exit_code


def _after_cutover(facts: ReportFacts) -> str:
    plan = facts.plan.plan
    since = "Applications write to Postgres, and SQLite follows"
    if plan is None:
        return f"{since}. Whether there is a way back cannot be told: {facts.plan.error or 'it was not asked'}."
    closed = [gate.name for gate in plan.gates if not gate.passed]
    if not closed:
        return f"{since}: a rollback is possible now, and would lose {plan.would_lose or 'no'} rows."
    return f"{since}. A rollback cannot be made now; {_of(closed, len(plan.gates))}: {', '.join(closed)}."


def _of(closed: Sequence[str], gates: int) -> str:
    return f"{len(closed)} of {gates} gates {'is' if len(closed) == 1 else 'are'} closed"


def _rolled_back(facts: ReportFacts) -> str:
    """Said first, where writes were in Postgres already and came back."""
    switched = [e for e in facts.audit.entries if e.action == "switch" and e.result == "done"]
    if not switched or switched[-1].details.get("to") != Side.SQLITE:
        return ""
    return f"Rolled back on {switched[-1].at[:10]}: applications write to SQLite again. "


def _of_status(facts: ReportFacts) -> Iterator[Warned]:
    status = facts.status
    yield from (*status.unreachable, *status.critical, *status.warnings)
    if facts.kept_error and not status.unreachable:
        yield Warned(f"Postgres did not tell all: {facts.kept_error}", "see `cdc status`")


def _of_gates(facts: ReportFacts) -> Iterator[Warned]:
    """Gates that are closed, but for those that the status warns of already, with the same command to give."""
    plan = facts.plan.plan
    told = {command for warned in _of_status(facts) for command in _commands(warned.step)}
    for gate in plan.gates if plan else ():
        if not gate.passed and told.isdisjoint(_commands(gate.remedy)[:1]):
            yield Warned(f"{gate.name}: {gate.now}; wanted: {gate.limit}", gate.remedy)


def _commands(step: str) -> list[str]:
    return step.split("`")[1::2]


def _broken_trail(audit: AuditFacts) -> Iterator[Warned]:
    for place, verdict in (("file", audit.file), ("copy in Postgres", audit.postgres)):
        if verdict is not None and not verdict.whole:
            yield Warned(f"the audit trail is broken in its {place}: {verdict.breaks[0].words}", _TRAIL)


def _miscounts(facts: ReportFacts) -> Iterator[Warned]:
    """Only what was counted while nothing moved says something."""
    if not facts.rows.one_position or facts.status.target.guard.uncarried:
        return
    for rows in facts.rows.tables:
        if not adds_up(rows):
            words = f"{rows.sqlite:,} rows in SQLite, {rows.postgres:,} in Postgres and {rows.held:,} held"
            yield Warned(f"{rows.table} does not add up: {words}", _COUNTS)


def adds_up(rows: RowsInBoth) -> bool:
    """Whether every row of SQLite is in Postgres or held; what was not counted says nothing."""
    return rows.sqlite is None or rows.postgres is None or rows.sqlite == rows.postgres + rows.held
