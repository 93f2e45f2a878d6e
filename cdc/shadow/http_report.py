"""What a run of requests came to: counts by endpoint, the first differences, and what was left out."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.errors import ExitCode
from cdc.facts.shadow import PROVES, Outcome, Verdict
from cdc.shadow.expected import Expectations

MOST_SHOWN: Final = 20  # outcomes that are no proof, of the whole run,
MOST_OF_ENDPOINT: Final = 3  # and of one endpoint
BAD: Final = (Verdict.DIFFERENT, Verdict.UNSTABLE, Verdict.SLOW, Verdict.FAILED)
_NO_ANSWER: Final = frozenset({Verdict.FAILED, Verdict.MOVED})


@dataclass(slots=True)
class HttpReport:
    """Counts outcomes as they come. `unreached` requests were left when the time was over."""

    baseline_only: bool = False
    endpoints: defaultdict[str, Counter[Verdict]] = field(default_factory=lambda: defaultdict(Counter))
    shown: list[Outcome] = field(default_factory=list)
    not_asked: Counter[str] = field(default_factory=Counter)  # by reason
    examples: dict[str, str] = field(default_factory=dict)  # the first request of each reason
    expected: Sequence[Expectations] = ()
    unreached: int = 0
    uncovered: Mapping[str, int] = field(default_factory=dict)  # requests in a log, by endpoint

    def take(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.endpoints[outcome.endpoint][outcome.verdict] += 1
        of_endpoint = sum(kept.endpoint == outcome.endpoint for kept in self.shown)
        if outcome.verdict in BAD and len(self.shown) < MOST_SHOWN and of_endpoint < MOST_OF_ENDPOINT:
            self.shown.append(outcome)

    def leave_out(self, request: object, reason: str) -> None:
        """Count one that was not asked."""
        self.not_asked[reason] += 1
        self.examples.setdefault(reason, str(request))

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Of the whole run."""
        return sum(self.endpoints.values(), Counter[Verdict]())

    @property
    def asked(self) -> int:
        """How many requests were put."""
        return self.verdicts.total()

    @property
    def exit_code(self) -> ExitCode:
        """1 where something differs, 2 where nothing was answered by both sides."""
        counts = self.verdicts
        if not any(count for verdict, count in counts.items() if verdict not in _NO_ANSWER):
            return ExitCode.CRITICAL
        return ExitCode.DIFFERENCE if any(counts[verdict] for verdict in BAD) else ExitCode.OK

    @property
    def sentence(self) -> str:
        """What it comes to, with all that says nothing counted."""
        counts = self.verdicts
        alike = sum(counts[verdict] for verdict in PROVES)
        bad = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in BAD if counts[verdict])
        if self.baseline_only:
            first = f"the baseline answered {alike:,} of {self.asked:,} requests, and how fast it was is noted"
        elif self.exit_code is ExitCode.CRITICAL:
            first = f"nothing is known: no request of {self.asked:,} was answered by both sides at one position"
        elif bad:
            first = f"not alike: {bad} of {self.asked:,} requests to {len(self.endpoints):,} endpoints"
        else:
            first = f"{alike:,} answers of {len(self.endpoints):,} endpoints are alike in both"
        left = self._left_out(counts)
        return f"{first}; {', '.join(left)}" if left else first

    def _left_out(self, counts: Counter[Verdict]) -> list[str]:
        unasked = sum(entry.unasked for entry in self.expected)
        told = (
            (counts[Verdict.NOISE], "different each time on the baseline"),
            (counts[Verdict.MOVED], "never answered at one position"),
            (counts[Verdict.IGNORED], "alike by a rule alone"),
            (counts[Verdict.EXPECTED], "different as the data say"),
            (unasked, "expected to differ and not asked for"),
            (self.not_asked.total(), "not asked"),
            (self.unreached, "not reached in the time"),
            (len(self.uncovered), "endpoints of the log that were never compared"),
        )
        return [f"{count:,} {words}" for count, words in told if count]

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "result": self.sentence,
            "exit_code": int(self.exit_code),
            "endpoints": {
                name: {verdict.value: counts[verdict] for verdict in Verdict} for name, counts in self.endpoints.items()
            },
            "differences": [_as_json(outcome) for outcome in self.shown],
            "not_asked": [
                {"reason": reason, "requests": count, "example": self.examples[reason]}
                for reason, count in self.not_asked.items()
            ],
            "expected": [
                {
                    "endpoint": entry.expect.endpoint,
                    "reason": entry.expect.reason,
                    "named": len(entry.named),
                    "differ": len(entry.differ),
                    "alike": len(entry.alike),
                    "not_asked": entry.unasked,
                }
                for entry in self.expected
            ],
            "unreached": self.unreached,
            "uncovered": dict(self.uncovered),
        }


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "endpoint": outcome.endpoint,
        "request": outcome.request,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "seq": outcome.seq,
        "differences": [
            {"path": d.path, "baseline": d.baseline, "candidate": d.candidate, "cause": d.cause, "origin": d.origin}
            for d in outcome.differences
        ],
    }
