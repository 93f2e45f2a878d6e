"""What a rehearsal came to: the verdict, how long each step took, what was refused, and what was not rehearsed."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cdc.cutover import backward, forward
from cdc.cutover.watch import p95
from cdc.errors import ExitCode
from cdc.facts.side import Side
from cdc.postgres.record.rehearsals import PASSED
from cdc.rehearsal.application import Account

REFUSED: Final = "refused"
FAILED: Final = "failed"

PLANNED: Final = {Side.POSTGRES: forward.PLANNED, Side.SQLITE: backward.PLANNED}
COMMANDS: Final = {Side.POSTGRES: "cutover", Side.SQLITE: "rollback"}
_NOT_REHEARSED: Final = (
    "the application: whether it follows the flag, and how it takes a refused write",
    "the flags and the checks: the rehearsal has a flag file of its own that nobody reads, and asks no check",
    "the proxy: no write is held there",
    "what else is done in Postgres at the moment of the switch",
)


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long one step took, in milliseconds, as often as it was done."""

    to: Side
    name: str
    taken: Sequence[float]

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {"to": self.to, "name": self.name, "times": len(self.taken), "milliseconds": spread(self.taken)}


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """A switch that was killed at a step, before it was done or after; `side` is the one that accepted writes then."""

    to: Side
    number: int
    step: str
    when: str
    side: Side

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {"to": self.to, "number": self.number, "step": self.step, "when": self.when, "writes": self.side}


@dataclass(slots=True)
class RehearsalReport:
    """One rehearsal. `refusals` are what was given up with everything as before, `problems` what must never be.

    `milliseconds` are by side and step, `refused_seconds` by side, in the order of the switches.
    """

    id: str
    began_at: datetime
    schema_name: str
    times: int
    load: str = ""
    seconds: float = 0.0
    milliseconds: dict[Side, dict[str, list[float]]] = field(default_factory=lambda: {side: {} for side in PLANNED})
    refused_seconds: dict[Side, list[float]] = field(default_factory=lambda: {side: [] for side in PLANNED})
    kills: list[KillOutcome] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    compared: int = 0
    comparisons: int = 0
    account: Account = field(default_factory=Account)
    left_out: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """`passed`, `refused` when a switch was given up or needed help, `failed` when something is not right."""
        return FAILED if self.problems else REFUSED if self.refusals else PASSED

    @property
    def exit_code(self) -> ExitCode:
        """0 passed, 1 refused, 2 failed."""
        codes = {PASSED: ExitCode.OK, REFUSED: ExitCode.DIFFERENCE}
        return codes.get(self.result, ExitCode.CRITICAL)

    @property
    def steps(self) -> list[StepTimes]:
        """Every step that was done, in order."""
        return [
            StepTimes(to, step.name, taken)
            for to, planned in PLANNED.items()
            for step in planned
            if (taken := self.milliseconds[to].get(step.name))
        ]

    @property
    def not_rehearsed(self) -> list[str]:
        """What nobody knows after it, for people."""
        return [*_NOT_REHEARSED, *self.left_out]

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        account = self.account
        return {
            "result": self.result,
            "exit_code": int(self.exit_code),
            "id": self.id,
            "began_at": self.began_at.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "times": self.times,
            "load": self.load,
            "refused_seconds": {COMMANDS[to]: spread(taken) for to, taken in self.refused_seconds.items()},
            "steps": [step.to_json() for step in self.steps],
            "kills": [kill.to_json() for kill in self.kills],
            "writes": {
                "transactions": account.transactions,
                "rows": {side: account.rows[side] for side in Side},
                "refused": account.refused,
                "longest_wait_seconds": round(account.longest_wait_seconds, 3),
            },
            "comparisons": {"times": self.comparisons, "rows": self.compared},
            "refusals": list(self.refusals),
            "problems": list(self.problems),
            "not_rehearsed": self.not_rehearsed,
        }


def spread(taken: Sequence[float]) -> Mapping[str, float] | None:
    """The least, the median, the 95th percentile and the most; None without any."""
    if not taken:
        return None
    values = {"min": min(taken), "median": statistics.median(taken), "p95": p95(list(taken)), "max": max(taken)}
    return {name: round(value, 3) for name, value in values.items()}
