"""The proxy as a process: signals, what systemd is told, metrics, and a configuration that is read again."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Final

from loguru import logger

from cdc.config import Config, changed_keys
from cdc.errors import CdcError, ConfigError
from cdc.facts.proxy import ProxyFacts
from cdc.facts.shadow import ENDS_CLEAN, PROVES
from cdc.host.signals import answering
from cdc.host.systemd import Manager
from cdc.log import left_behind, redact
from cdc.shadow.proxy.run import Proxy, proxy

TURN_SECONDS: Final = 1.0
# What a reload takes up, and what belongs to the process for its whole life; the rest is none of the proxy's.
LIVE: Final = ("shadow.rules", "shadow.compared_headers", "shadow.allow", "shadow.deny", "shadow.proxy.rates")
FIXED: Final = (
    *("source.", "target.", "state.", "shadow.proxy.", "shadow.baseline", "shadow.candidate"),
    *("shadow.timeout_seconds", "shadow.patience_seconds", "shadow.examples"),
)

Reread = Callable[[], Config]


async def serve(config: Config, minutes: float | None = None, reread: Reread | None = None) -> ProxyFacts:
    """Serve users until SIGTERM or SIGINT, or for so many minutes; how the proxy stood at its end.

    SIGHUP has the configuration read again by `reread`; without one it ends as well. Raises what `proxy` does, and
    `ConfigError` where its metrics cannot be served.
    """
    service = ProxyService(config, reread)
    async with proxy(config) as running:
        with service.shown(running):
            await service.run(running, minutes)
    return running.facts()


class ProxyService:
    """What tells a running proxy something, and what is told of it."""

    def __init__(self, config: Config, reread: Reread | None) -> None:
        self._config = config
        self._reread = reread
        self._manager = Manager()
        self._stop = asyncio.Event()
        self._reload_asked = asyncio.Event()

    async def run(self, running: Proxy, minutes: float | None) -> None:
        """Serve until told to end."""
        beside = [asyncio.create_task(work) for work in (self._beat(running), self._reload(running))]
        try:
            with self._signals():
                baseline = redact(self._config.shadow.baseline or "")
                logger.bind(address=running.address, baseline=baseline).info("the proxy serves")
                self._manager.ready()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), None if minutes is None else 60 * minutes)
        finally:
            for task in beside:
                task.cancel()
        logger.info("the proxy ends")
        self._manager.stopping()

    @contextmanager
    def shown(self, running: Proxy) -> Iterator[None]:
        """Its metrics, where the configuration says."""
        with ExitStack() as stack:
            if (listen := self._config.shadow.proxy.metrics) is not None:
                from cdc.observe.proxy_metrics import proxy_pages  # noqa: PLC0415 (memory that only who wants it pays)

                stack.enter_context(proxy_pages(listen, running.facts))
            yield

    def _signals(self) -> AbstractContextManager[None]:
        asyncio.get_running_loop().set_exception_handler(left_behind)
        stop = self._stop.set
        reload = self._reload_asked.set if self._reread else stop
        return answering({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload})

    async def _beat(self, running: Proxy) -> None:
        """A proxy lives as long as its loop comes round: users are accepted, answered and held there."""
        interval = min(TURN_SECONDS, (self._manager.watchdog_seconds or 10.0) / 3)
        while True:
            running.lives()
            self._manager.status(words(running.facts()))
            if self._manager.watchdog_seconds:
                self._manager.alive()
            await asyncio.sleep(interval)

    # --- another configuration ----------------------------------------------------------------------------------------

    async def _reload(self, running: Proxy) -> None:
        while await self._reload_asked.wait():
            self._reload_asked.clear()
            self._manager.reloading()
            try:
                await self._take_up(running)
            except CdcError as error:
                told = logger.bind(error=redact(error.message), remedy=error.remedy)
                told.error("the new configuration is refused; the old one stays")
            self._manager.ready()

    async def _take_up(self, running: Proxy) -> None:
        assert self._reread is not None
        config = await asyncio.to_thread(self._reread)
        keys = ", ".join(live_keys(self._config, config))
        if not keys:
            logger.info("the configuration is as it was")
            return
        await running.reload(config.shadow)
        self._config = config
        logger.bind(keys=keys).info("the configuration was read again")


def live_keys(before: Config, after: Config) -> list[str]:
    """Which keys that concern the proxy differ; raises `ConfigError` when one of them cannot change live."""
    keys = changed_keys(before, after)
    live = [key for key in keys if key in LIVE]
    fixed = ", ".join(key for key in keys if key not in LIVE and key.startswith(FIXED))
    if fixed:
        raise ConfigError(
            f"this cannot change while the proxy runs: {fixed}",
            remedy="undo the change, or restart the proxy: `systemctl restart cdc-proxy`",
        )
    return live


def words(facts: ProxyFacts) -> str:
    """What the proxy does, in one line for people."""
    if facts.waiting:
        return f"holding {facts.waiting} writes, {facts.writing} are under way"
    alike, not_alike = (sum(facts.verdicts.get(verdict, 0) for verdict in these) for these in (PROVES, ENDS_CLEAN))
    left_out = sum(facts.not_compared.values())
    return (
        f"serving from the {facts.active}: {facts.requests:,} requests; "
        f"{alike:,} reads alike on both sides, {not_alike:,} not, {left_out:,} not compared"
    )
