"""What a shadow read came to: one verdict for each question that was put to both sides, and how they differ."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """Exactly one for each pair of answers."""

    EQUAL = "equal"
    NOISE = "noise"  # the baseline differs from itself when it is asked again
    IGNORED = "ignored"  # it differs only where a rule says so
    EXPECTED = "expected"  # the data say that it must differ
    DIFFERENT = "different"
    UNSTABLE = "unstable"  # all pages together hold the same, but rows of a tie changed places between pages
    MOVED = "moved"  # something was written in between, each time
    FAILED = "failed"  # a side gave no answer
    SLOW = "slow"  # the candidate took longer than it was given


# An endpoint is clean from the first of these on, until one of those; noise, and what moved, say nothing about it.
PROVES: Final = frozenset({Verdict.EQUAL, Verdict.IGNORED, Verdict.EXPECTED})
COMPARED: Final = PROVES | {Verdict.NOISE, Verdict.DIFFERENT, Verdict.UNSTABLE}  # both answered, at one position
ENDS_CLEAN: Final = frozenset({Verdict.DIFFERENT, Verdict.UNSTABLE, Verdict.FAILED, Verdict.SLOW})


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two answers differ.

    `path` is a JSONPath, a header's name, a CSS path, or `row 3, title`; sides are short texts, None where that side
    has nothing there. `cause` is one of `cdc.shadow.causes`, empty when none is likely. `origin` says what a reference
    tells of it, empty without one.
    """

    path: str
    baseline: str | None
    candidate: str | None
    cause: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question and what came of it.

    `endpoint` is the question with its parameters folded (`GET /api/reports/{id}`), or the name of a query; `request`
    is the question as it was put. The seconds are None where there was no answer, or not both of one position. `rules`
    are the reasons of those that were used, `seq` the position in the changelog.
    """

    endpoint: str
    request: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    baseline_seconds: float | None = None
    candidate_seconds: float | None = None
    rules: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    seq: int | None = None
    reason: str = ""  # why it failed
