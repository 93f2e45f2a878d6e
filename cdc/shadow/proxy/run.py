"""The proxy as a whole: what it is made of, and how it begins and ends."""

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import web
from loguru import logger

from cdc.config import Config, ProxySection, ShadowSection
from cdc.errors import CdcError, ConfigError
from cdc.facts.proxy import ProxyFacts
from cdc.facts.shadow import Outcome
from cdc.facts.timings import Timings
from cdc.log import redact
from cdc.shadow.ledger import Ledger
from cdc.shadow.proxy.breaker import BreakerState
from cdc.shadow.proxy.canary import Canary
from cdc.shadow.proxy.comparer import Comparer
from cdc.shadow.proxy.connections import LONGEST_LINE, MOST_HEADERS
from cdc.shadow.proxy.control import controlled
from cdc.shadow.proxy.handler import Handler
from cdc.shadow.proxy.mirror import Mirror
from cdc.shadow.proxy.positions import SourcePosition, TargetPosition
from cdc.shadow.proxy.selection import Selection
from cdc.shadow.proxy.sides import Sides
from cdc.shadow.proxy.switch import ActiveSide, Switch
from cdc.shadow.proxy.trail import ProxyTrail
from cdc.shadow.proxy.upstream import Upstream
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.errors import not_set_up
from cdc.sqlite.fence import fence

KIND: Final = "proxy"  # in the ledger
BACKLOG: Final = 1_024  # connections that wait to be accepted
_DIGEST_DIGITS: Final = 16  # of the rules, to tell others from them


@asynccontextmanager
async def proxy(config: Config) -> "AsyncIterator[Proxy]":
    """A proxy that serves for the time of a block.

    Raises `ConfigError` where sides are missing or the address cannot be listened on, and errors of the SQLite file. A
    Postgres that is away is waited for, while users are served.
    """
    baseline, candidate = config.shadow.baseline, config.shadow.candidate
    if baseline is None or candidate is None:
        raise ConfigError(
            "the proxy does not know both instances of the application",
            remedy="set `baseline` and `candidate` in [shadow], or give --baseline and --candidate",
        )
    _check(config.shadow.proxy)
    source_id, _ = await asyncio.to_thread(source_file.whose, config)
    if source_id is None:
        raise not_set_up(config.source.path)
    # One that begins after a cutover must not lead users to a file that refuses them.
    switched = (await asyncio.to_thread(fence.look, config)).permanent
    async with AsyncExitStack() as stack:
        source = SourcePosition(config.source.path)
        stack.callback(source.close)
        comparer = Comparer(config.shadow)
        stack.callback(comparer.close)
        sides = Sides(
            await stack.enter_async_context(Upstream(baseline)),
            await stack.enter_async_context(Upstream(candidate)),
            source,
            TargetPosition(config, source_id),
        )
        running = Proxy(config, sides, comparer, ActiveSide.CANDIDATE if switched else ActiveSide.BASELINE)
        await stack.enter_async_context(running.works())
        yield running


def _check(section: ProxySection) -> None:
    try:
        _ = section.address
    except ValueError:
        raise ConfigError(
            f"the proxy cannot listen on what is no address: {section.listen}",
            remedy='write `listen` in [shadow.proxy] as HOST:PORT, such as "127.0.0.1:8090"',
        ) from None
    if not 0 <= section.serve_candidate <= 1:
        raise ConfigError(
            f"`serve_candidate` in [shadow.proxy] is no share: {section.serve_candidate}",
            remedy="write a number from 0 to 1, such as 0.05 for a twentieth of the clients",
        )


class Proxy:
    """The parts of one proxy, and what they count."""

    def __init__(
        self, config: Config, sides: Sides, comparer: Comparer, active: ActiveSide = ActiveSide.BASELINE
    ) -> None:
        section = config.shadow
        self._config = config
        self._target = sides.target
        self._comparer = comparer
        self._trail = ProxyTrail(config)
        self._ledger = Ledger(KIND, section.examples)
        self._canary = Canary(section.proxy.serve_candidate, section.proxy.fallback_seconds)
        self._switch = Switch(section.proxy.held_requests, active, self._trail.tell)
        self._mirror = Mirror(section, sides, comparer, self._take)
        self._handler = Handler(section, sides, self._switch, self._mirror, self._canary)
        self._told: set[str] = set()  # endpoints
        self._skips_told: Counter[str] = Counter()
        self._turned_at = time.monotonic()
        self.address = ""

    @asynccontextmanager
    async def works(self) -> AsyncIterator[None]:
        """Listen for the time of a block, with all that works beside; at its end open requests get some time to end."""
        beside = [self._target.keep_connected(), self._mirror.run(), self._flush_often(), self._trail.run()]
        tasks = [asyncio.create_task(work) for work in beside]
        for task in tasks:
            task.add_done_callback(_tell_failure)
        self._tell_rules()
        try:
            async with controlled(self._config.state.dir, self._switch, self.status), self._listening():
                yield
            await self._handler.end()
            await self._flush()
            await self._trail.flush()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        proxy = self._config.shadow.proxy
        server = web.Server(
            self._handler,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            logger=_server_log(),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        # It waits twice: for requests to end by themselves, and for those that were told to.
        runner = web.ServerRunner(server, shutdown_timeout=proxy.end_seconds / 2)
        await runner.setup()
        try:
            await web.TCPSite(runner, *proxy.address, backlog=BACKLOG).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"the proxy cannot listen on {proxy.listen}: {error.strerror or error}",
                remedy="give another one to --listen, or find out which program listens there with `ss -ltnp`",
            ) from None
        host, port = runner.addresses[0][:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        try:
            yield
        finally:
            await runner.cleanup()

    def lives(self) -> None:
        """The loop came round."""
        self._turned_at = time.monotonic()

    async def reload(self, section: ShadowSection) -> None:
        """Choose and compare as another section says; raises `ConfigError`, and then all is as before."""
        await self._comparer.reload(section)
        self._handler.selection = Selection(section)
        self._config = msgspec.structs.replace(self._config, shadow=section)
        self._tell_rules()

    def _tell_rules(self) -> None:
        section = self._config.shadow
        digest = hashlib.sha256(msgspec.json.encode((section.rules, sorted(section.compared_headers)))).hexdigest()
        self._trail.tell("load shadow rules", rules=len(section.rules), digest=digest[:_DIGEST_DIGITS])

    def facts(self) -> ProxyFacts:
        """How it stands, for whoever reads its metrics, from another thread."""
        return ProxyFacts(
            requests=self._handler.requests,
            verdicts=dict(self._ledger.verdicts),
            not_compared=dict(self._mirror.skipped),
            added=self._handler.added.copy(),
            pairs_waiting=self._mirror.waiting,
            waiting=self._switch.waiting,
            writing=self._switch.writing,
            held=self._switch.held,
            active=self._switch.active.value,
            sides=tuple(ActiveSide),
            breaker=self._mirror.breaker.state.value,
            breaker_states=tuple(BreakerState),
            serves_candidate=self._canary.serves,
            silent_seconds=time.monotonic() - self._turned_at,
        )

    def status(self) -> dict[str, Any]:
        """How it stands, for the control socket."""
        facts = self.facts()
        return {
            **self._switch.to_json(),
            "requests": facts.requests,
            "breaker": facts.breaker,
            "serves_candidate": facts.serves_candidate,
            "pairs_waiting": facts.pairs_waiting,
            "verdicts": facts.verdicts,
            "not_compared": facts.not_compared,
            "added_ms": _milliseconds(facts.added),
        }

    # --- what pairs came to -------------------------------------------------------------------------------------------

    def _take(self, outcome: Outcome) -> None:
        self._ledger.count(outcome)
        self._canary.saw(outcome)
        if outcome.differences and outcome.endpoint not in self._told:
            self._told.add(outcome.endpoint)
            first = outcome.differences[0]
            told = logger.bind(endpoint=outcome.endpoint, place=first.path, cause=first.cause)
            told.warning("both sides answer an endpoint differently")

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(self._config.shadow.proxy.flush_seconds)
            await self._flush()

    async def _flush(self) -> None:
        """Add what was counted to what Postgres knows; while it is away, that is kept."""
        await self._target.use(self._ledger.flush)
        for reason, count in (self._mirror.skipped - self._skips_told).items():
            logger.bind(reason=reason, questions=count).warning("reads were not compared")
        self._skips_told = self._mirror.skipped.copy()


def _milliseconds(added: Timings) -> dict[str, float]:
    shares = {"p50": 0.5, "p99": 0.99} if added.samples else {}
    return {name: round(1_000 * added.quantile(share), 3) for name, share in shares.items()}


def _tell_failure(task: "asyncio.Task[None]") -> None:
    """Users are served whatever else ends, and somebody has to know that nothing is compared."""
    if not task.cancelled() and (error := task.exception()):
        told = logger.bind(kind=type(error).__name__)
        if isinstance(error, CdcError):
            told = told.bind(error=redact(error.message), remedy=error.remedy)
        told.error("a part of the proxy ended that should not")


def _server_log() -> logging.Logger:
    """Where the HTTP library tells of what went wrong in a request: the kind alone, for its trace may show values."""
    library = logging.getLogger("cdc.shadow.proxy")
    library.propagate = False
    library.handlers = [_KindAlone(logging.ERROR)]
    return library


class _KindAlone(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "unknown"
        logger.bind(kind=kind).error("a request could not be handled")
