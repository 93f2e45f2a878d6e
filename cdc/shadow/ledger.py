"""The ledger of a run: every outcome is counted, a few are kept as examples, all is added to what Postgres knows."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cdc.facts.shadow import ENDS_CLEAN, PROVES, Difference, Outcome, Verdict
from cdc.facts.timings import Timings
from cdc.postgres.record.shadow import EndpointCounts, PlaceCounts, ShadowExample, ShadowReads

BASELINE_KIND: Final = "baseline"  # recorded before there is a candidate: timings alone
MOST_TEXT: Final = 2_000  # characters of one side of an example
MOST_PLACES: Final = 200  # of one endpoint between two flushes; what differs everywhere needs no more


@dataclass(slots=True)
class _Endpoint:
    verdicts: Counter[str] = field(default_factory=Counter)
    baseline: Timings = field(default_factory=Timings)
    candidate: Timings = field(default_factory=Timings)
    tables: set[str] = field(default_factory=set)
    differed: bool = False
    clean: bool = False
    times: Counter[tuple[str, str]] = field(default_factory=Counter)  # by cause and path
    examples: defaultdict[tuple[str, str], list[ShadowExample]] = field(default_factory=lambda: defaultdict(list))

    def merge(self, later: "_Endpoint", most_examples: int) -> None:
        """Take in what was counted after this."""
        self.verdicts += later.verdicts
        self.baseline.merge(later.baseline)
        self.candidate.merge(later.candidate)
        self.tables |= later.tables
        if later.differed or later.clean:
            self.differed, self.clean = self.differed or later.differed, later.clean
        for place, times in later.times.items():
            if place in self.times or len(self.times) < MOST_PLACES:
                self.times[place] += times
                self.examples[place] = [*self.examples[place], *later.examples[place]][:most_examples]


class Ledger:
    """Counts outcomes; `flush` hands what was counted since the last one over."""

    def __init__(self, kind: str, most_examples: int) -> None:
        self._kind = kind
        self._baseline_alone = kind == BASELINE_KIND
        self._most = most_examples
        self._endpoints: defaultdict[str, _Endpoint] = defaultdict(_Endpoint)
        self.verdicts: Counter[Verdict] = Counter()  # of the whole run

    def count(self, outcome: Outcome) -> None:
        """Take one outcome in."""
        self.verdicts[outcome.verdict] += 1
        here = self._endpoints[outcome.endpoint]
        here.verdicts[outcome.verdict] += 1
        here.tables |= set(outcome.tables)
        if outcome.baseline_seconds is not None and (outcome.candidate_seconds is not None or self._baseline_alone):
            here.baseline.add(outcome.baseline_seconds)
        if outcome.baseline_seconds is not None and outcome.candidate_seconds is not None:
            here.candidate.add(outcome.candidate_seconds)
        if outcome.verdict in ENDS_CLEAN:
            here.differed, here.clean = True, False
            self._keep(here, outcome)
        elif outcome.verdict in PROVES:
            here.clean = True

    def _keep(self, here: _Endpoint, outcome: Outcome) -> None:
        differences = outcome.differences or (Difference("", None, None, outcome.reason or outcome.verdict),)
        for difference in differences:
            place = (difference.cause, difference.path)
            if place not in here.times and len(here.times) >= MOST_PLACES:
                continue
            here.times[place] += 1
            sides = (_cut(difference.baseline), _cut(difference.candidate))
            examples = here.examples[place]
            if len(examples) < self._most:
                examples.append(ShadowExample(_cut(outcome.request) or "", *sides, outcome.seq))

    async def flush(self, kept: ShadowReads) -> None:
        """Add what was counted to what Postgres knows. What could not be added is kept for the next flush."""
        taken, self._endpoints = self._endpoints, defaultdict(_Endpoint)
        counts, places = _as_counts(taken)
        try:
            if counts:
                await kept.add(self._kind, counts, places, self._most)
        except BaseException:
            for name, endpoint in taken.items():
                self._put_back(name, endpoint)
            raise

    def _put_back(self, name: str, before: _Endpoint) -> None:
        """Have what was counted `before` come before what was counted since."""
        if (since := self._endpoints.get(name)) is not None:
            before.merge(since, self._most)
        self._endpoints[name] = before

    def count_all(self, outcomes: Iterable[Outcome]) -> None:
        """Take several in."""
        for outcome in outcomes:
            self.count(outcome)


def _as_counts(endpoints: dict[str, _Endpoint]) -> tuple[list[EndpointCounts], list[PlaceCounts]]:
    counts = [
        EndpointCounts(name, e.differed, e.clean, e.verdicts, e.baseline, e.candidate, sorted(e.tables))
        for name, e in endpoints.items()
    ]
    places = [
        PlaceCounts(name, cause, path, times, e.examples[cause, path])
        for name, e in endpoints.items()
        for (cause, path), times in e.times.items()
    ]
    return counts, places


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}... ({len(text):,} characters)"
