"""From two answers to an outcome: whether they are of one position, whether they are alike, and else how they differ.

Where Postgres stands is asked for all pairs of a moment together, and most of them are alike byte for byte. The others
wait for the process that compares.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from loguru import logger

from cdc.config import ShadowSection
from cdc.facts.shadow import Outcome, Verdict
from cdc.shadow.compare_http import Compared
from cdc.shadow.noise import without_noise
from cdc.shadow.proxy.comparer import Comparer, Incomparable
from cdc.shadow.proxy.messages import Question
from cdc.shadow.proxy.pairs import BothAnswers, Moved, Pair, Skip, Take
from cdc.shadow.proxy.question_names import QuestionNames
from cdc.shadow.proxy.sides import Sides
from cdc.shadow.proxy.upstream import NotKept, Unanswered

UNREADABLE: Final = "the baseline's answer cannot be read"

_MOST_AT_ONCE: Final = 8  # pairs that are judged before users have their turn again
_TOGETHER_SECONDS: Final = 0.002  # in which pairs come together, to be told by one look
_COMPARING: Final = 4  # one is compared while others wait for the baseline to be asked again


class PairJudge:
    """Judges pairs; each outcome is handed to `take`, why one is not compared to `skip`, what moved to `moved`."""

    def __init__(
        self, section: ShadowSection, sides: Sides, comparer: Comparer, take: Take, skip: Skip, moved: Moved
    ) -> None:
        self._section = section
        self._sides = sides
        self._comparer = comparer
        self._take = take
        self._skip = skip
        self._moved = moved
        self.names = QuestionNames()
        self._answered: list[tuple[BothAnswers, Callable[[], None]]] = []  # whose position afterwards is not read yet
        self._some_answered = asyncio.Event()
        self._unlike: asyncio.Queue[tuple[BothAnswers, Callable[[], None]]] = asyncio.Queue()
        self._asking_again = asyncio.Lock()

    def came_to(self, question: Question, verdict: Verdict, reason: str = "") -> None:
        """Tell an outcome without two answers to compare."""
        endpoint, shown = self.names.of(question)
        self._take(Outcome(endpoint, shown, verdict, reason=reason))

    def hand_over(self, answered: BothAnswers, judged: Callable[[], None]) -> None:
        """Have two answers judged some time; `judged` is called then, whatever came of it."""
        self._answered.append((answered, judged))
        self._some_answered.set()

    async def judge(self, answered: BothAnswers) -> None:
        """Judge two answers, if Postgres stood all the time where the baseline's was given."""
        if await self._sides.target.stood(answered.pair.seq, answered.since):
            await self._compare(answered)
        else:
            self._moved(answered.pair)

    async def run(self) -> None:
        """Judge what is handed over; never ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sort())
            for _ in range(_COMPARING):
                group.create_task(self._compare_unlike())

    async def _sort(self) -> None:
        """Tell those that moved and those that are alike."""
        while await self._some_answered.wait():
            await asyncio.sleep(_TOGETHER_SECONDS)
            self._some_answered.clear()
            answered, self._answered = self._answered, []
            seq = await self._sides.target.read()
            connections = self._sides.target.connections
            for number, (both, judged) in enumerate(answered, 1):
                if self._is_settled(both, seq, connections):
                    judged()
                else:
                    self._unlike.put_nowait((both, judged))
                if number % _MOST_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _is_settled(self, both: BothAnswers, seq: int, connections: int) -> bool:
        """Whether that is all there is to say; Postgres stands at `seq` now."""
        try:
            return self._moved_or_alike(both, seq, connections)
        except Exception as error:  # noqa: BLE001 (whatever was asked, the next pair is another one)
            logger.bind(kind=type(error).__name__).error("a pair could not be judged")
            return True

    def _moved_or_alike(self, both: BothAnswers, seq: int, connections: int) -> bool:
        if both.pair.seq != seq or both.since != connections:
            self._moved(both.pair)
            return True
        if self._comparer.are_alike(both.pair.baseline.answer, both.candidate.answer):
            self._compared(both, Compared(Verdict.EQUAL))
            return True
        return False

    async def _compare_unlike(self) -> None:
        while True:
            both, judged = await self._unlike.get()
            try:
                await self._compare(both)
            except Exception as error:  # noqa: BLE001 (whatever the candidate sent, the next pair is another one)
                self.came_to(both.pair.question, Verdict.FAILED, f"not compared: {type(error).__name__}")
            finally:
                judged()

    async def _compare(self, both: BothAnswers) -> None:
        endpoint, _ = self.names.of(both.pair.question)
        compared = await self._comparer.compare(endpoint, both.pair.baseline.answer, both.candidate.answer)
        if isinstance(compared, Incomparable):
            if compared.of_candidate:
                self.came_to(both.pair.question, Verdict.FAILED, compared.reason)
            else:
                self._skip(UNREADABLE)
            return
        if compared.verdict is Verdict.DIFFERENT:
            compared = await without_noise(compared, partial(self._itself, both.pair, endpoint))
        self._compared(both, compared)

    def _compared(self, both: BothAnswers, compared: Compared) -> None:
        endpoint, shown = self.names.of(both.pair.question)
        seconds = both.pair.baseline.seconds, both.candidate.seconds
        found = compared.verdict, compared.differences
        self._take(Outcome(endpoint, shown, *found, *seconds, compared.rules, seq=both.pair.seq))

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
