"""Differences that the data say must be there: so many, and those, no more and no fewer."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from cdc.config import ExpectedDifference, SourceSection
from cdc.facts.shadow import Difference, Outcome, Verdict
from cdc.sqlite.rows.question import ask_rows


@dataclass(slots=True)
class Expectations:
    """One entry of [[shadow.expect]]: the values that were named, and those that were seen to differ or not to."""

    expect: ExpectedDifference
    named: frozenset[str]
    differ: set[str] = field(default_factory=set)
    alike: set[str] = field(default_factory=set)

    @property
    def unasked(self) -> int:
        """How many of those named no request was about, or none that could be judged."""
        return len(self.named - self.differ - self.alike)

    def judged(self, outcome: Outcome, value: str) -> Outcome:
        """The outcome of a request about a value that is named."""
        match outcome.verdict:
            case Verdict.DIFFERENT:
                self.differ.add(value)
                return replace(outcome, verdict=Verdict.EXPECTED, rules=(*outcome.rules, self.expect.reason))
            case Verdict.EQUAL | Verdict.IGNORED:
                self.alike.add(value)
                reason = f"it must differ, and does not: {self.expect.reason}"
                return replace(outcome, verdict=Verdict.DIFFERENT, differences=(_MISSING,), reason=reason)
            case _:
                return outcome


_MISSING = Difference("", "a difference", None, "an expected difference is not there")


def expectations(source: SourceSection, expected: Iterable[ExpectedDifference]) -> list[Expectations]:
    """Every entry with what its query names now; raises `SourceError` where that is none that only reads."""
    found = []
    for expect in expected:
        _, rows = ask_rows(source, f"expected differences of {expect.endpoint}", expect.sql)
        found.append(Expectations(expect, frozenset(str(row[0]) for row in rows)))
    return found


def as_expected(outcome: Outcome, values: Sequence[str], known: Iterable[Expectations]) -> Outcome:
    """The outcome of a request with these values, once it was looked up which must differ."""
    for entry in known:
        if fnmatch.fnmatchcase(outcome.endpoint, entry.expect.endpoint):
            named = next((value for value in values if value in entry.named), None)
            if named is not None:
                return entry.judged(outcome, named)
    return outcome
