"""What becomes of each request: the active side answers, and what is worth comparing is handed to the mirror.

One rule stands over all: where a user waits, nothing waits for the candidate, unless its answer is the one served.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Final

from aiohttp import web
from yarl import URL

from cdc.config import ShadowSection
from cdc.facts.timings import Timings
from cdc.shadow.proxy.canary import Canary
from cdc.shadow.proxy.headers import FORWARDED_FOR, for_baseline, wants_tunnel
from cdc.shadow.proxy.messages import Question
from cdc.shadow.proxy.mirror import TOO_LARGE, Mirror
from cdc.shadow.proxy.pairs import BothAnswers, Pair, TimedAnswer
from cdc.shadow.proxy.relay import Kept, pass_on, refused, serve
from cdc.shadow.proxy.selection import Selection
from cdc.shadow.proxy.sides import Sides
from cdc.shadow.proxy.switch import ActiveSide, Switch, TooManyHeld
from cdc.shadow.proxy.tunnel import tunnel
from cdc.shadow.proxy.upstream import NotKept, Unanswered

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, 9.2.1


class Handler:
    """Answers every request that reaches the proxy."""

    def __init__(self, section: ShadowSection, sides: Sides, switch: Switch, pairs: Mirror, canary: Canary) -> None:
        self._proxy = section.proxy
        self._sides = sides
        self._switch = switch
        self._pairs = pairs
        self._canary = canary
        self.selection = Selection(section)
        self._comparisons: set[asyncio.Task[None]] = set()
        self.requests = 0
        self.added = Timings()  # what reads that are compared took here, beside the baseline

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer of the active side."""
        self.requests += 1
        question = Question(request.method, _target(request), for_baseline(request.raw_headers, request.remote))
        if wants_tunnel(request.headers):
            return await self._tunnel(request, question)
        if "Expect" in request.headers:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.method in SAFE:
            return await self._read(request, question)
        return await self._write(request, question)

    async def _tunnel(self, request: web.BaseRequest, question: Question) -> web.StreamResponse:
        try:
            return await tunnel(request, self._sides.of(self._switch.active).base, question)
        except Unanswered as error:
            return refused(error)

    async def _write(self, request: web.BaseRequest, question: Question) -> web.StreamResponse:
        try:
            async with self._switch.write() as side:
                return await self._pass_on(request, question, side)
        except TooManyHeld:
            return web.Response(status=503, text="too many writes wait\n", headers={"Retry-After": "1"})

    async def _read(self, request: web.BaseRequest, question: Question) -> web.StreamResponse:
        asked = not request.can_read_body and self.selection.may_be_asked(request.method, question.target)
        if self._switch.active is ActiveSide.CANDIDATE or not asked:
            return await self._pass_on(request, question, self._switch.active)
        if self._canary.serves and self._canary.takes(self._client(request)):
            served = await self._from_candidate(request, question)
            if served is not None:
                return served
        if not self.selection.drawn(request.path):
            return await self._pass_on(request, question, ActiveSide.BASELINE)
        return await self._mirrored(request, question)

    async def _pass_on(
        self, request: web.BaseRequest, question: Question, side: ActiveSide, kept: Kept | None = None
    ) -> web.StreamResponse:
        return await pass_on(request, self._sides.of(side), question, self._proxy.answer_seconds, kept)

    async def _mirrored(self, request: web.BaseRequest, question: Question) -> web.StreamResponse:
        """The baseline's answer, and with it a pair if nothing was written from before the question until after it."""
        began = time.perf_counter()
        before = self._sides.source.lately()
        kept = Kept(self._proxy.keep_bytes)
        response = await self._pass_on(request, question, ActiveSide.BASELINE, kept)
        self.added.add(time.perf_counter() - began - kept.seconds)
        if kept.too_large:
            self._pairs.skip(TOO_LARGE)
        elif kept.answer is not None:
            self._pairs.offer(Pair(question.marked(), TimedAnswer(kept.answer, kept.seconds), before))
        return response

    # --- reads that the candidate serves ------------------------------------------------------------------------------

    async def _from_candidate(self, request: web.BaseRequest, question: Question) -> web.StreamResponse | None:
        """The candidate's answer, as new as the baseline's would be; None where it is not to be had, or is an error.

        Whatever this client, or anybody, wrote before it asked is in it, for Postgres has to come along first.
        """
        seq = self._sides.source.now()
        if seq is None or await self._sides.target.reach(seq, self._proxy.catch_up_seconds) < seq:
            return None
        since = self._sides.target.connections
        beside = asyncio.create_task(self._beside(question, seq))
        said = await self._pairs.put(question, self._proxy.serve_seconds)
        if not isinstance(said, TimedAnswer) or said.answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            beside.cancel()
            return None
        comparison = asyncio.create_task(self._compare(beside, said, since))
        self._comparisons.add(comparison)
        comparison.add_done_callback(self._comparisons.discard)
        return await serve(request, said.answer)

    async def _beside(self, question: Question, seq: int) -> Pair | None:
        """The baseline's answer to what the candidate is asked at the same time, if it is one of that position."""
        began = time.perf_counter()
        try:
            answer = await self._sides.baseline.answer(question, self._proxy.keep_bytes, self._proxy.answer_seconds)
        except NotKept:
            self._pairs.skip(TOO_LARGE)
            return None
        except Unanswered:
            return None
        pair = Pair(question, TimedAnswer(answer, time.perf_counter() - began), seq)
        return pair if self._pairs.stood_still(pair, self._sides.source.now()) else None

    async def _compare(self, beside: "asyncio.Task[Pair | None]", candidate: TimedAnswer, since: int) -> None:
        if (pair := await beside) is not None:
            await self._pairs.judge(BothAnswers(pair, candidate, since))

    async def end(self) -> None:
        """Wait for comparisons that are under way."""
        await asyncio.gather(*self._comparisons, return_exceptions=True)

    def _client(self, request: web.BaseRequest) -> str:
        """By what clients are told apart: a cookie where one is configured, else the address."""
        cookie = self._proxy.sticky_cookie and request.cookies.get(self._proxy.sticky_cookie)
        return cookie or request.headers.get(FORWARDED_FOR) or request.remote or ""


def _target(request: web.BaseRequest) -> str:
    """The target of a request's first line, without the address that clients of a forward proxy put before it."""
    target = request.raw_path
    return target if target.startswith("/") else f"/{URL(target, encoded=True).raw_path_qs.lstrip('/')}"
