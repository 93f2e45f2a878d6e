"""Reading the configuration again while the daemon runs, when SIGHUP asks for it.

What a new session with both databases takes up can change. Where the databases are, where state is kept and what is
served to others belong to the process for its whole life: such a change is refused in words, like a file that cannot be
read, and the daemon goes on as before.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config, changed_keys
from cdc.errors import CdcError, ConfigError
from cdc.host.systemd import Manager
from cdc.log import redact
from cdc.stream.loop import Stream

LIVE: Final = ("replicate.", "snapshot.", "verify.", "tables.", "formats.", "source.busy_timeout_seconds")
ANSWER_SECONDS: Final = 5.0  # then the reload counts as over; it takes effect when the databases can be reached

Reread = Callable[[], Config]


class Reloading:
    """Hands a changed configuration to the stream, and tells everybody what came of it."""

    def __init__(self, config: Config, stream: Stream, manager: Manager, reread: Reread) -> None:
        self._config = config
        self._stream = stream
        self._manager = manager
        self._reread = reread
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read the configuration again, as soon as `run` comes to it."""
        self._asked.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while await self._asked.wait():
            self._asked.clear()
            if not self._stream.began:
                # Telling the manager anything here would make it believe that the service is ready.
                logger.warning("the configuration is read again only once changes flow")
                continue
            self._manager.reloading()
            try:
                await self._reload()
            except CdcError as error:
                self._refused(error)
            self._manager.ready()

    async def _reload(self) -> None:
        config = await asyncio.to_thread(self._reread)
        keys = _live_keys(self._config, config)
        if not keys:
            logger.info("the configuration is as it was")
            return
        answer = self._stream.reload(config)
        answer.add_done_callback(partial(self._answered, config, ", ".join(keys)))
        await asyncio.wait({answer}, timeout=ANSWER_SECONDS)

    def _answered(self, config: Config, keys: str, answer: "asyncio.Future[None]") -> None:
        if answer.cancelled():
            return  # a later one took its place
        error = answer.exception()
        if error is not None:
            self._refused(error)
            return
        self._config = config
        trail.record(config.state.dir, "reload", "done", {"keys": keys})
        logger.bind(keys=keys).info("the configuration was read again")

    def _refused(self, error: BaseException) -> None:
        reason = redact(error.message) if isinstance(error, CdcError) else type(error).__name__
        trail.record(self._config.state.dir, "reload", "failed", {"reason": reason})
        remedy = error.remedy if isinstance(error, CdcError) else ""
        logger.bind(error=reason, remedy=remedy).error("the new configuration is refused; the old one stays")


def _live_keys(before: Config, after: Config) -> list[str]:
    """The keys whose values differ; raises `ConfigError` when one of them cannot change live."""
    keys = changed_keys(before, after)
    fixed = ", ".join(key for key in keys if not key.startswith(LIVE))
    if fixed:
        raise ConfigError(
            f"this cannot change while the daemon runs: {fixed}",
            remedy="undo the change, or restart the daemon: `systemctl restart cdc`",
        )
    return keys
