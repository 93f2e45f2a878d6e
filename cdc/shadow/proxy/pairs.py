"""A question and the answers to it, on their way from the users' requests to an outcome."""

from collections.abc import Callable

import msgspec

from cdc.facts.shadow import Outcome
from cdc.shadow.proxy.messages import Question, Reply

Take = Callable[[Outcome], None]
Skip = Callable[[str], None]
Moved = Callable[["Pair"], None]


class TimedAnswer(msgspec.Struct, frozen=True):
    """An answer, and the seconds that it took."""

    answer: Reply
    seconds: float


class Pair(msgspec.Struct, frozen=True):
    """A question, as the candidate gets it, and the baseline's answer; `seq` is the position before it was asked.

    `times` is how often it was put before, and something was written meanwhile.
    """

    question: Question
    baseline: TimedAnswer
    seq: int | None
    times: int = 0


class BothAnswers(msgspec.Struct, frozen=True):
    """A pair and the candidate's answer; `since` is what the target's `connections` was before that was asked for."""

    pair: Pair
    candidate: TimedAnswer
    since: int
