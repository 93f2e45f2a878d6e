"""Pairs: the baseline's answer that a user got, and the candidate's to the same question, asked when nobody waits.

A bounded queue stands between users and all that the candidate may do. What does not fit into it is dropped and
counted, as is everything else that is not compared, so that silence is never taken for agreement.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from loguru import logger

from cdc.config import ShadowSection
from cdc.facts.shadow import Outcome, Verdict
from cdc.shadow.compare_http import Compared
from cdc.shadow.endpoints import Endpoints
from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.noise import without_noise
from cdc.shadow.proxy.breaker import Breaker, BreakerState
from cdc.shadow.proxy.comparer import Comparer, Incomparable
from cdc.shadow.proxy.sides import Sides
from cdc.shadow.proxy.upstream import NotKept, Question, Unanswered
from cdc.shadow.requests import HttpRequest

# Pairs are worked on for so many times the questions that the candidate is asked at a time: most of the time of a pair
# goes by until Postgres has told its position, which is asked for all of them together.
_PAIRS_A_QUESTION: Final = 4
_MOST_AT_ONCE: Final = 8  # pairs that are judged before users have their turn again

# Why a question is not compared.
QUEUE_FULL: Final = "the queue is full"
TOO_LARGE: Final = "larger than what is kept, or without an end"
BREAKER_OPEN: Final = "the candidate is left alone"
NOT_KNOWN: Final = "a position is not known"
UNREADABLE: Final = "the baseline's answer cannot be read"


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """An answer, and the seconds that it took."""

    answer: HttpAnswer
    seconds: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, as the candidate gets it, and the baseline's answer; `seq` is the position before it was asked."""

    question: Question
    baseline: TimedAnswer
    seq: int | None


class Mirror:
    """Asks the candidate and compares; each outcome is handed to `take`."""

    def __init__(
        self,
        section: ShadowSection,
        sides: Sides,
        comparer: Comparer,
        take: Callable[[Outcome], None],
    ) -> None:
        self._section = section
        self._sides = sides
        self._comparer = comparer
        self._take = take
        self._queue: asyncio.Queue[Pair] = asyncio.Queue(section.proxy.queue_pairs)
        self._queued_bytes = 0
        self._answered: list[Pair] = []  # whose position afterwards is not read yet
        self._endpoints = Endpoints()
        self._asking = asyncio.Semaphore(section.proxy.workers)
        self._judging = asyncio.Semaphore(_MOST_AT_ONCE)
        self._asking_again = asyncio.Lock()
        self.breaker = Breaker(section.proxy.failures, section.proxy.retry_seconds, _tell_state)
        self.skipped: Counter[str] = Counter()
        self.waiting = 0  # pairs that are not judged yet

    # --- what users' requests leave here: nothing waits ---------------------------------------------------------------

    def skip(self, reason: str) -> None:
        """Count a question that is not compared."""
        self.skipped[reason] += 1

    def stood_still(self, pair: Pair, after: int | None) -> bool:
        """Whether nothing was written while the baseline answered; `after` is the position then. Counts it if not."""
        if pair.seq is None or after is None:
            self.skip(NOT_KNOWN)
        elif pair.seq != after:
            self._came_to(pair.question, Verdict.MOVED)
        return pair.seq is not None and pair.seq == after

    def offer(self, pair: Pair) -> None:
        """Have a pair compared some time, if nothing was written meanwhile; one look tells that of all of a moment."""
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._look)
        self._answered.append(pair)
        self.waiting += 1

    def _look(self) -> None:
        answered, self._answered = self._answered, []
        after = self._sides.source.now()
        for pair in answered:
            if not (self.stood_still(pair, after) and self._enqueued(pair)):
                self.waiting -= 1

    def _enqueued(self, pair: Pair) -> bool:
        size = len(pair.baseline.answer.body)
        if self._queue.full() or self._queued_bytes + size > self._section.proxy.queue_bytes:
            self.skip(QUEUE_FULL)
            return False
        self._queued_bytes += size
        self._queue.put_nowait(pair)
        return True

    # --- the candidate ------------------------------------------------------------------------------------------------

    async def put(self, question: Question, seconds: float) -> TimedAnswer | None:
        """The candidate's answer, None where there is none to compare, which is counted; the breaker is told."""
        if not self.breaker.allows():
            self.skip(BREAKER_OPEN)
            return None
        began = time.perf_counter()
        try:
            answer = await self._sides.candidate.answer(question, self._section.proxy.keep_bytes, seconds)
        except Unanswered as error:
            self.breaker.failed()
            self._came_to(question, Verdict.SLOW if error.late else Verdict.FAILED, error.reason)
        except NotKept:
            self.breaker.succeeded()
            self.skip(TOO_LARGE)
        else:
            self.breaker.succeeded()
            return TimedAnswer(answer, time.perf_counter() - began)
        return None

    async def compare(self, pair: Pair, candidate: TimedAnswer, since: int) -> None:
        """Judge two answers, if Postgres stood all the time where the baseline's was given.

        `since` is what the target's `connections` was before the candidate was asked.
        """
        if pair.seq is None or not await self._sides.target.stood(pair.seq, since):
            self._came_to(pair.question, Verdict.MOVED)
            return
        async with self._judging:  # all that waited for one position go on in the same moment
            await asyncio.sleep(0)
        request = HttpRequest(pair.question.method, pair.question.target)
        endpoint = self._endpoints.folded(request).endpoint
        compared = await self._comparer.compare(endpoint, pair.baseline.answer, candidate.answer)
        if isinstance(compared, Incomparable):
            if compared.of_candidate:
                self._came_to(pair.question, Verdict.FAILED, compared.reason)
            else:
                self.skip(UNREADABLE)
            return
        if compared.verdict is Verdict.DIFFERENT:
            compared = await without_noise(compared, partial(self._itself, pair, endpoint))
        seconds = (pair.baseline.seconds, candidate.seconds)
        found = (compared.verdict, compared.differences)
        self._take(Outcome(endpoint, str(request), *found, *seconds, compared.rules, seq=pair.seq))

    async def _itself(self, pair: Pair, endpoint: str) -> Compared | None:
        """How the baseline's answer differs from a second one; None where that cannot be said.

        It is asked one such question at a time, however many pairs differ, for users wait for it. Pairs are of
        questions that may be repeated, see `Selection`.
        """
        keep, seconds = self._section.proxy.keep_bytes, self._section.timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._asking_again:
                again = await self._sides.baseline.answer(pair.question.marked(), keep, seconds)
        except (Unanswered, NotKept, TimeoutError):
            return None
        if self._sides.source.now() != pair.seq:
            return None
        compared = await self._comparer.compare_again(endpoint, pair.baseline.answer, again)
        return compared if isinstance(compared, Compared) else None

    async def run(self) -> None:
        """Work the queue off; never ends."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_PAIRS_A_QUESTION * self._section.proxy.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            pair = await self._queue.get()
            self._queued_bytes -= len(pair.baseline.answer.body)
            try:
                await self._judge(pair)
            except Exception as error:  # noqa: BLE001 (whatever the candidate sent, the next pair is another one)
                self._came_to(pair.question, Verdict.FAILED, f"not compared: {type(error).__name__}")
            finally:
                self.waiting -= 1

    async def _judge(self, pair: Pair) -> None:
        assert pair.seq is not None
        reached = await self._sides.target.reach(pair.seq, self._section.patience_seconds)
        if reached < 0:
            self.skip(NOT_KNOWN)
        elif reached != pair.seq:
            self._came_to(pair.question, Verdict.MOVED)
        else:
            since = self._sides.target.connections
            async with self._asking:
                candidate = await self.put(pair.question, self._section.timeout_seconds)
            if candidate is not None:
                await self.compare(pair, candidate, since)

    # --- outcomes -----------------------------------------------------------------------------------------------------

    def _came_to(self, question: Question, verdict: Verdict, reason: str = "") -> None:
        request = HttpRequest(question.method, question.target)
        endpoint = self._endpoints.folded(request).endpoint
        self._take(Outcome(endpoint, str(request), verdict, reason=reason))


def _tell_state(state: BreakerState) -> None:
    if state is not BreakerState.HALF_OPEN:  # that one lasts for one question
        logger.bind(state=state.value).warning("the circuit breaker before the candidate has changed")
