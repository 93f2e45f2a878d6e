"""A run: every request is put to both sides in turn, judged, counted in the ledger, and the rest is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from cdc.config import Config, PagedList, ShadowSection
from cdc.errors import ConfigError
from cdc.facts.progress import Progress
from cdc.facts.shadow import Outcome, Verdict
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.shadow import paging
from cdc.shadow.clean_time import by_endpoint, never_compared
from cdc.shadow.endpoints import Endpoints
from cdc.shadow.expected import Expectations, as_expected, expectations
from cdc.shadow.http_judge import Judge
from cdc.shadow.http_pair import Pairs
from cdc.shadow.http_plan import HttpPlan, Sources, planned
from cdc.shadow.http_report import HttpReport
from cdc.shadow.http_rules import Rules
from cdc.shadow.http_side import Instance, Mask, NoAnswer, headers_of, instance
from cdc.shadow.ledger import BASELINE_KIND, Ledger
from cdc.shadow.moment import Patience, timed
from cdc.shadow.page_links import first_page
from cdc.shadow.positions import live_positions
from cdc.shadow.requests import ALL_PAGES, HttpRequest
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.errors import not_set_up

KIND: Final = "http"
FLUSH_SECONDS: Final = 5.0

Judged = Callable[[HttpRequest], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class HttpRun:
    """What the command line asks for."""

    sources: Sources
    repeat: int = 1
    minutes: float | None = None
    record_baseline: bool = False


async def shadow_http(config: Config, wanted: HttpRun, progress: Progress) -> HttpReport:
    """Put requests to both sides, or to the baseline alone, and say what it came to.

    Raises `ConfigError` where an address is missing or a rule is none, `UsageError` for sources of requests that are
    none, and errors of either database.
    """
    rules = Rules.of(config.shadow)
    _needed(config.shadow.baseline, "baseline")
    plan = await asyncio.to_thread(planned, config, wanted.sources)
    if wanted.record_baseline:
        return await _baseline_alone(config, wanted, plan, progress)
    _needed(config.shadow.candidate, "candidate")
    async with _sides(config) as sides, live_positions(config) as positions:
        kept = positions.record.shadow
        endpoints = plan.endpoints([asked.endpoint for asked in await kept.endpoints()])
        pairs = Pairs(positions, Patience(config.shadow.attempts, config.shadow.patience_seconds))
        judge = Judge(sides["baseline"], sides["candidate"], sides.get("reference"), pairs, rules)
        report = HttpReport(expected=await asyncio.to_thread(expectations, config.source, config.shadow.expect))
        asking = _Asking(endpoints, config.shadow, judge, report.expected)
        requests = list(asking.once_a_list(plan.requests))
        counting = _Counting(KIND, config, positions.record, report)
        await _ask_all(config, wanted, requests, asking.outcome, counting, progress)
        _tell_left_out(plan, report)
        report.uncovered = never_compared(by_endpoint(endpoints, plan.logged), await kept.endpoints())
        return report


def _needed(url: str | None, key: str) -> None:
    if url is None:
        raise ConfigError(
            f"it is not known where the {key} is",
            remedy=f'write `{key} = "http://127.0.0.1:8080"` in [shadow], or give --{key}',
        )


def _tell_left_out(plan: HttpPlan, report: HttpReport) -> None:
    for request, reason in plan.left_out:
        report.leave_out(request, reason)


@asynccontextmanager
async def _sides(config: Config) -> AsyncIterator[dict[str, Instance]]:
    """Every instance of the application that the configuration names, by its key."""
    section = config.shadow
    async with AsyncExitStack() as open_sides:
        found = {}
        for name in ("baseline", "candidate", "reference"):
            url, configured = getattr(section, name), getattr(section, f"{name}_headers")
            if url is not None:
                headers = headers_of(configured, f"{name}_headers")
                found[name] = await open_sides.enter_async_context(instance(url, headers, section.timeout_seconds))
        yield found


@dataclass(frozen=True, slots=True)
class _Asking:
    """One request after the other, by whichever way its endpoint is judged."""

    endpoints: Endpoints
    section: ShadowSection
    judge: Judge
    expected: Sequence[Expectations]

    def _list_of(self, request: HttpRequest, endpoint: str) -> PagedList | None:
        return paging.paged(endpoint, self.section.pages) if request.method == "GET" else None

    def once_a_list(self, requests: Iterable[HttpRequest]) -> Iterator[HttpRequest]:
        """The requests, but of those for pages of one list the first one alone: it has all pages walked."""
        walks: set[str] = set()
        for request in requests:
            lists = self._list_of(request, self.endpoints.folded(request).endpoint)
            walk = lists and first_page(request, lists).target
            if walk not in walks:
                yield request
            walks |= {walk} if walk else set()

    async def outcome(self, request: HttpRequest) -> Outcome:
        """What a request, or the walk that it stands for, came to."""
        folded = self.endpoints.folded(request)
        lists = self._list_of(request, folded.endpoint)
        if lists is None:
            outcome = await self.judge.outcome(request, folded.endpoint)
        else:
            first = first_page(request, lists)
            found = Outcome(folded.endpoint, f"{first}{ALL_PAGES}", Verdict.MOVED)
            outcome = await paging.judged(self.judge, found, request, lists, self.section)
        return as_expected(outcome, folded.values, self.expected)


class _Counting:
    """Takes outcomes into the report and the ledger, and hands the ledger over now and then."""

    def __init__(self, kind: str, config: Config, record: Record, report: HttpReport) -> None:
        section = config.shadow
        self.report = report
        self._record = record
        self._flushed = time.monotonic()
        self._ledger = Ledger(kind, section.examples)
        self._mask = Mask.of(section.baseline_headers, section.candidate_headers, section.reference_headers)

    async def take(self, outcome: Outcome) -> None:
        """Count one outcome, without the secrets that an answer may repeat."""
        differences = tuple(
            replace(d, baseline=self._mask(d.baseline), candidate=self._mask(d.candidate)) for d in outcome.differences
        )
        outcome = replace(outcome, differences=differences, request=self._mask(outcome.request) or "")
        self._ledger.count(outcome)
        self.report.take(outcome)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            await self.flush()

    async def flush(self) -> None:
        """Hand over what was counted."""
        await self._ledger.flush(self._record.shadow)
        self._flushed = time.monotonic()


async def _ask_all(
    config: Config,
    wanted: HttpRun,
    requests: Sequence[HttpRequest],
    judged: Judged,
    counting: _Counting,
    progress: Progress,
) -> None:
    """Every request as often as it is to be asked, at no more than the rate that was set, until the time is over."""
    requests = [*requests] * wanted.repeat
    ends = None if wanted.minutes is None else time.monotonic() + wanted.minutes * 60
    progress.start("asking", len(requests))
    due = time.monotonic()
    try:
        for number, request in enumerate(requests):
            if ends is not None and time.monotonic() > ends:
                counting.report.unreached = len(requests) - number
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + 1 / config.shadow.requests_per_second
            await counting.take(await judged(request))
            progress.advance(1)
    finally:
        progress.finish()
        await counting.flush()


async def _baseline_alone(config: Config, wanted: HttpRun, plan: HttpPlan, progress: Progress) -> HttpReport:
    """How fast the baseline answers, for comparison later; neither a candidate nor a daemon is needed."""
    source_id, _ = await asyncio.to_thread(source_file.whose, config)
    if source_id is None:
        raise not_set_up(config.source.path)
    async with _sides(config) as sides, connected(config, "shadow reads") as connection:
        record = Record(connection, source_id)
        endpoints = plan.endpoints([asked.endpoint for asked in await record.shadow.endpoints()])
        report = HttpReport(baseline_only=True)

        async def outcome(request: HttpRequest) -> Outcome:
            endpoint = endpoints.folded(request).endpoint
            answer, seconds = await timed(lambda: sides["baseline"].ask(request))
            if isinstance(answer, NoAnswer):
                return Outcome(endpoint, str(request), Verdict.FAILED, reason=f"the baseline: {answer.reason}")
            return Outcome(endpoint, str(request), Verdict.EQUAL, baseline_seconds=seconds)

        counting = _Counting(BASELINE_KIND, config, record, report)
        await _ask_all(config, wanted, plan.requests, outcome, counting, progress)
        _tell_left_out(plan, report)
        return report
