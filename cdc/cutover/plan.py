"""The plan of a switch: its gates and the verdict, its steps, and a name for exactly this plan."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cdc.errors import ExitCode
from cdc.facts.side import Side


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
    usual_in: str = ""  # `switches` that were made here, or `rehearsals` where there were none
    would_lose: str = ""  # of a way back: what would be lost
    option: str = ""  # with which the command is given
    command: str = ""  # that carries it out, where it is no switch

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
        command = self.command or ("cdc cutover" if self.to is Side.POSTGRES else "cdc rollback")
        return list(dict.fromkeys(closed)) or [f"`{' '.join(filter(None, (command, self.option)))}`"]

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
            "usual_in": self.usual_in or None,
            "unchecked": list(self.unchecked),
            "next_steps": self.next_steps,
        }
