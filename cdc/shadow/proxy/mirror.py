"""Pairs on their way to the candidate: a bounded queue, workers with deadlines, and a circuit breaker.

A user's request leaves its pair here and goes on: what is full drops pairs, and counts them.
"""

import asyncio
import time
from collections import Counter
from functools import partial
from typing import Final

from loguru import logger

from cdc.config import ShadowSection
from cdc.facts.shadow import Outcome, Verdict
from cdc.shadow.proxy.breaker import Breaker, BreakerState
from cdc.shadow.proxy.comparer import Comparer
from cdc.shadow.proxy.judge import PairJudge
from cdc.shadow.proxy.messages import Question
from cdc.shadow.proxy.pairs import BothAnswers, Pair, Take, TimedAnswer
from cdc.shadow.proxy.sides import Sides
from cdc.shadow.proxy.upstream import NotKept, Unanswered

# So many times the questions that the candidate is asked at a time are answered and wait to be judged at most.
_ANSWERED_A_QUESTION: Final = 16

TOGETHER_SECONDS: Final = 0.001  # in which answers come together, to be told by one look at SQLite's position

MOST_TIMES: Final = 5  # that a question is put again
AGAIN_SECONDS: Final = 0.05
_MOST_AGAIN: Final = 100  # that wait to be put again

# Why a question is not compared.
QUEUE_FULL: Final = "the queue is full"
TOO_LARGE: Final = "larger than what is kept, or without an end"
BREAKER_OPEN: Final = "the candidate is left alone"
NOT_KNOWN: Final = "a position is not known"


class Mirror:
    """Puts questions to the candidate as well and has both answers judged; each outcome is handed to `take`."""

    def __init__(self, section: ShadowSection, sides: Sides, comparer: Comparer, take: Take) -> None:
        self._section = section
        self._sides = sides
        self._hand_on = take
        self._judge = PairJudge(section, sides, comparer, self._take, self.skip, self._moved)
        self._queue: asyncio.Queue[Pair] = asyncio.Queue(section.proxy.queue_pairs)
        self._held_bytes = 0  # of answers that are not judged yet
        self._again: asyncio.Queue[tuple[Question, int]] = asyncio.Queue(_MOST_AGAIN)  # how often it was put before
        self._shown: set[str] = set()  # endpoints of which something else came than that they moved
        self._looked_at: list[Pair] = []  # after the next look at the position
        self._room = asyncio.Semaphore(_ANSWERED_A_QUESTION * section.proxy.workers)
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
            self._moved(pair)
        return pair.seq is not None and pair.seq == after

    def offer(self, pair: Pair) -> None:
        """Have a pair compared some time, if nothing was written meanwhile; one look tells that of all of a moment."""
        if not self._looked_at:
            asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._look)
        self._looked_at.append(pair)
        self.waiting += 1

    def _look(self) -> None:
        answered, self._looked_at = self._looked_at, []
        after = self._sides.source.now()
        for pair in answered:
            if not (self.stood_still(pair, after) and self._enqueued(pair)):
                self.waiting -= 1

    def _enqueued(self, pair: Pair) -> bool:
        size = len(pair.baseline.answer.body)
        if self._queue.full() or self._held_bytes + size > self._section.proxy.queue_bytes:
            self.skip(QUEUE_FULL)
            return False
        self._held_bytes += size
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
            self._judge.came_to(question, Verdict.SLOW if error.late else Verdict.FAILED, error.reason)
        except NotKept:
            self.breaker.succeeded()
            self.skip(TOO_LARGE)
        else:
            self.breaker.succeeded()
            return TimedAnswer(answer, time.perf_counter() - began)
        return None

    async def judge(self, answered: BothAnswers) -> None:
        """Judge a pair that a user was served the candidate's answer of."""
        await self._judge.judge(answered)

    async def run(self) -> None:
        """Work the queue off; never ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._judge.run())
            group.create_task(self._put_again())
            for _ in range(self._section.proxy.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._room.acquire()
            pair = await self._queue.get()
            size, answered = len(pair.baseline.answer.body), None
            try:
                answered = await self._both_answered(pair)
            except Exception as error:  # noqa: BLE001 (whatever the candidate sent, the next pair is another one)
                self._judge.came_to(pair.question, Verdict.FAILED, f"not compared: {type(error).__name__}")
            if answered is None:
                self._judged(size)
            else:
                more = len(answered.candidate.answer.body)
                self._held_bytes += more
                self._judge.hand_over(answered, partial(self._judged, size + more))

    async def _both_answered(self, pair: Pair) -> BothAnswers | None:
        """A pair and the candidate's answer, once Postgres stands where the baseline's was given; None where not."""
        target = self._sides.target
        assert pair.seq is not None
        if target.seq < pair.seq:
            await target.reach(pair.seq, self._section.patience_seconds)
        if target.seq < 0:
            self.skip(NOT_KNOWN)
        elif target.seq != pair.seq:
            self._moved(pair)
        else:
            since = target.connections
            candidate = await self.put(pair.question, self._section.timeout_seconds)
            if candidate is not None:
                return BothAnswers(pair, candidate, since)
        return None

    # --- questions that are put again ---------------------------------------------------------------------------------

    def _moved(self, pair: Pair) -> None:
        """Something was written meanwhile. What users ask often is met at rest some time; what they seldom do is put
        to both again, a few times, as long as nothing is known of its endpoint.
        """
        endpoint, _ = self._judge.names.of(pair.question)
        if endpoint in self._shown or pair.times >= MOST_TIMES or self._again.full():
            self._judge.came_to(pair.question, Verdict.MOVED)
        else:
            self.waiting += 1
            self._again.put_nowait((pair.question.marked(), pair.times))

    async def _put_again(self) -> None:
        """One at a time, after a moment: the baseline is there for users."""
        while True:
            question, times = await self._again.get()
            await asyncio.sleep(AGAIN_SECONDS)
            before, began = self._sides.source.now(), time.perf_counter()
            keep, seconds = self._section.proxy.keep_bytes, self._section.timeout_seconds
            try:
                answer = await self._sides.baseline.answer(question, keep, seconds)
            except Exception as error:  # noqa: BLE001 (as above; a side that does not answer is the usual one)
                if not isinstance(error, (Unanswered, NotKept)):
                    logger.bind(kind=type(error).__name__).error("a question could not be put again")
                self._judge.came_to(question, Verdict.MOVED)
            else:
                timed = TimedAnswer(answer, time.perf_counter() - began)
                self.offer(Pair(question, timed, before, times + 1))
            self.waiting -= 1

    def _take(self, outcome: Outcome) -> None:
        if outcome.verdict is not Verdict.MOVED:
            self._shown.add(outcome.endpoint)
        self._hand_on(outcome)

    def _judged(self, size: int) -> None:
        self.waiting -= 1
        self._held_bytes -= size
        self._room.release()


def _tell_state(state: BreakerState) -> None:
    if state is not BreakerState.HALF_OPEN:  # that one lasts for one question
        logger.bind(state=state.value).warning("the circuit breaker before the candidate has changed")
