"""What a request came to: asked on both sides, compared, and a difference looked at again before it is one."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from cdc.facts.shadow import Outcome, Verdict
from cdc.shadow.compare_http import Compared, compare
from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.http_pair import Pairs
from cdc.shadow.http_rules import Rules
from cdc.shadow.http_side import Instance, NoAnswer
from cdc.shadow.moment import Moved
from cdc.shadow.noise import within, without_noise
from cdc.shadow.requests import HttpRequest


@dataclass(frozen=True, slots=True)
class Judge:
    """Asks and judges one request after the other."""

    baseline: Instance
    candidate: Instance
    reference: Instance | None
    pairs: Pairs
    rules: Rules

    async def outcome(self, request: HttpRequest, endpoint: str) -> Outcome:
        """What the request came to."""
        moment = await self.pairs.pair(lambda: self.baseline.ask(request), lambda: self.candidate.ask(request))
        found = Outcome(endpoint, str(request), Verdict.MOVED)
        if isinstance(moment, Moved):
            return replace(found, reason="Postgres stayed behind" if moment.behind else "something was always written")
        found = replace(found, seq=moment.seq)
        ours, theirs = moment.baseline, moment.candidate
        if isinstance(ours, NoAnswer) or isinstance(theirs, NoAnswer):
            return unanswered(found, ours, theirs)
        found = replace(found, baseline_seconds=moment.baseline_seconds, candidate_seconds=moment.candidate_seconds)
        return await self._judged(found, request, ours, theirs)

    async def _judged(self, found: Outcome, request: HttpRequest, ours: HttpAnswer, theirs: HttpAnswer) -> Outcome:
        compared = compare(found.endpoint, ours, theirs, self.rules)
        if compared.verdict is Verdict.DIFFERENT:
            compared = await without_noise(compared, partial(self._itself, request, found, ours))
        found = replace(found, verdict=compared.verdict, differences=compared.differences, rules=compared.rules)
        return await self._with_origins(request, found, ours, theirs)

    async def _itself(self, request: HttpRequest, found: Outcome, ours: HttpAnswer) -> Compared | None:
        """How the baseline's answer differs from a second one, None where something was written since the first."""
        again = await self.pairs.still_at(found.seq or 0, lambda: self.baseline.ask(request))
        return compare(found.endpoint, ours, again, self.rules) if isinstance(again, HttpAnswer) else None

    async def _with_origins(
        self, request: HttpRequest, found: Outcome, ours: HttpAnswer, theirs: HttpAnswer
    ) -> Outcome:
        """Each difference with what the reference says of it: the application makes it, or the data do."""
        if self.reference is None or not found.differences:
            return found
        third = await self.reference.ask(request)
        if isinstance(third, NoAnswer):
            unknown = f"unknown, for {third.reason}"
            return replace(found, differences=tuple(replace(d, origin=unknown) for d in found.differences))
        from_ours = _paths(compare(found.endpoint, ours, third, self.rules))
        from_theirs = _paths(compare(found.endpoint, third, theirs, self.rules))
        told = tuple(replace(d, origin=_origin(d.path, from_ours, from_theirs)) for d in found.differences)
        return replace(found, differences=told)


def _origin(path: str, from_baseline: set[str], from_candidate: set[str]) -> str:
    match (within(path, from_baseline), within(path, from_candidate)):
        case (True, False):
            return OF_APPLICATION
        case (False, True):
            return OF_DATA
        case _:
            return "unknown, for the reference answers a third thing"


OF_APPLICATION: Final = "of the application"  # it answers so on any Postgres
OF_DATA: Final = "of the data"  # the reference, whose rows were loaded from a snapshot, answers as the baseline does


def _paths(compared: Compared) -> set[str]:
    return {difference.path for difference in compared.differences}


def unanswered(found: Outcome, ours: object, theirs: object) -> Outcome:
    """The outcome where one of two sides gave no answer."""
    if isinstance(ours, NoAnswer):
        return replace(found, verdict=Verdict.FAILED, reason=f"the baseline: {ours.reason}")
    late = isinstance(theirs, NoAnswer) and theirs.late
    reason = theirs.reason if isinstance(theirs, NoAnswer) else ""
    return replace(found, verdict=Verdict.SLOW if late else Verdict.FAILED, reason=f"the candidate: {reason}")
