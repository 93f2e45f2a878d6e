"""Comparisons in a process of their own: one that takes long, or never ends, holds no user up and can be killed."""

import asyncio
import multiprocessing
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final

from cdc.config import ShadowSection
from cdc.facts.shadow import Verdict
from cdc.shadow.compare_http import Compared, compare
from cdc.shadow.http_answer import as_compared
from cdc.shadow.http_rules import Rules
from cdc.shadow.proxy.messages import Reply

LONGEST_SECONDS: Final = 10.0
_NICENESS: Final = 10  # users come first


@dataclass(frozen=True, slots=True)
class Incomparable:
    """Why two answers cannot be compared; whether that is for the candidate's sake."""

    reason: str
    of_candidate: bool


@dataclass(frozen=True, slots=True)
class _Job:
    endpoint: str
    baseline: Reply
    other: Reply
    of_candidate: bool


class Comparer:
    """Compares one pair at a time, as it came over the wire; raises `ConfigError` for rules that are none."""

    def __init__(self, section: ShadowSection) -> None:
        self._take(section)
        self._turn = asyncio.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def _take(self, section: ShadowSection) -> None:
        Rules.of(section)  # the process makes its own; what is wrong with them is said here
        self._section = section
        self._names = frozenset(name.lower().encode() for name in (*section.compared_headers, "content-encoding"))

    async def reload(self, section: ShadowSection) -> None:
        """Compare by other rules from now on; raises `ConfigError` for rules that are none, and keeps the old ones."""
        async with self._turn:
            self._take(section)
            await asyncio.to_thread(self.close)

    async def compare(self, endpoint: str, baseline: Reply, candidate: Reply) -> Compared | Incomparable:
        """How both sides compare."""
        return await self._compared(_Job(endpoint, baseline, candidate, of_candidate=True))

    async def compare_again(self, endpoint: str, first: Reply, second: Reply) -> Compared | Incomparable:
        """How two answers of the baseline compare."""
        return await self._compared(_Job(endpoint, first, second, of_candidate=False))

    def are_alike(self, one: Reply, other: Reply) -> bool:
        """Whether two answers are alike byte for byte, so that there is nothing to compare."""
        same = one.status == other.status and one.body == other.body
        return same and (one.headers == other.headers or _named(one, self._names) == _named(other, self._names))

    async def _compared(self, job: _Job) -> Compared | Incomparable:
        """What is alike is not even handed over."""
        if self.are_alike(job.baseline, job.other):
            return Compared(Verdict.EQUAL)
        async with self._turn:
            return await asyncio.to_thread(self._ask, job)

    def _ask(self, job: _Job) -> Compared | Incomparable:
        pipe = self._pipe or self._start()
        try:
            pipe.send(job)
            if pipe.poll(LONGEST_SECONDS):
                answer: Compared | Incomparable = pipe.recv()
                return answer
            reason = "the comparison took too long"
        except (EOFError, OSError):
            reason = "the process that compares ended"
        self.close()
        return Incomparable(reason, of_candidate=True)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._section), daemon=True)
        self._process.start()
        theirs.close()
        return self._pipe

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
        self._process = self._pipe = None


def _named(answer: Reply, names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [(lower, value) for name, value in answer.headers if (lower := name.lower()) in names]


# --- the process ------------------------------------------------------------------------------------------------------


def _serve(pipe: Connection, section: ShadowSection) -> None:
    """Answer jobs until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the proxy ends this one
    with suppress(OSError):  # a service may be forbidden to
        os.nice(_NICENESS)
    rules = Rules.of(section)
    while True:
        try:
            job: _Job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_compared(job, section, rules))


def _compared(job: _Job, section: ShadowSection, rules: Rules) -> Compared | Incomparable:
    answers = []
    other_base = section.candidate if job.of_candidate else section.baseline
    for reply, base in ((job.baseline, section.baseline), (job.other, other_base)):
        answer = reply.to_compare()
        try:
            answers.append(as_compared(answer.status, answer.headers, answer.body, base or ""))
        except ValueError as error:
            return Incomparable(str(error), of_candidate=reply is job.other)
    return compare(job.endpoint, answers[0], answers[1], rules)
