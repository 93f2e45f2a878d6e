"""Live replication: wake, read, convert, apply, prune. Each commit in Postgres is a state that SQLite really had."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from loguru import logger

from cdc.config import Config
from cdc.errors import CaptureLost
from cdc.postgres.target import Target
from cdc.retry import retrying
from cdc.session import Session
from cdc.sqlite.watch import Watch
from cdc.vitals import Vitals

LOOK_AGAIN_SECONDS: Final = 0.02  # in WAL a file event comes before the commit can be seen, by up to 9 ms measured
LOOK_AGAIN_EVERY_SECONDS: Final = 0.001  # uvloop takes less for nothing, and would spin
FIRST_ATTEMPTS: Final = 3  # a daemon that never got going says why and ends; one that did tries for ever

SessionWork = Callable[[Session], Awaitable[bool | None]]


class Stream:
    """Replicates one source for as long as it runs. Holds no state that cannot be read again from the databases.

    `on_began` is called once, when both databases are open and settled for the first time.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        on_began: Callable[[], None] = lambda: None,
        vitals: Vitals | None = None,
    ) -> None:
        self.vitals = vitals or Vitals()
        self._on_began = on_began
        self._config = config
        self._target = target
        self._watch = Watch(config.source.path)
        self._session: Session | None = None
        self._stirred_at = 0.0
        self._began = False
        self._failed = False

    async def run(self, stop: asyncio.Event, *, until_idle: bool = False) -> None:
        """Follow the source until `stop` is set, or with `until_idle` until Postgres has everything."""
        self._watch.start()
        try:
            while not stop.is_set():
                attempts = None if self._began else FIRST_ATTEMPTS
                if await retrying(self._step, attempts, give_up=stop):
                    self._stirred_at = time.monotonic()
                    continue
                if until_idle:
                    return
                await retrying(self._rest, give_up=stop)
        finally:
            self._watch.close()
            await self._close()

    def wake(self) -> None:
        """Let the loop look at once whether it shall stop."""
        self._watch.wake()

    async def _step(self) -> bool:
        """Move Postgres to the newest state of SQLite; False when it is there already."""
        return bool(await self._in_session(_drain_and_tidy))

    async def _rest(self) -> None:
        """Nothing to apply: show that we live, tidy up, and wait for an event or the timer."""
        await self._in_session(lambda session: session.tidy())
        if await self._watch.wait(LOOK_AGAIN_EVERY_SECONDS if self._alert() else self._config.replicate.poll_seconds):
            self._stirred_at = time.monotonic()

    def _alert(self) -> bool:
        """Whether the application wrote, or changes were applied, so recently that more may be seen at any moment."""
        wal = self._session is not None and self._session.source.wal
        return wal and time.monotonic() - self._stirred_at < LOOK_AGAIN_SECONDS

    async def _in_session(self, work: SessionWork) -> bool | None:
        try:
            if self._session is None:
                self._session = await Session.open(self._config, self._target, self._watch, self.vitals)
                self.vitals.opened(self._session.position.seq)
                if not self._began:
                    self._began = True
                    self._on_began()
                if self._failed:
                    logger.info("replication goes on")
                    self._failed = False
            return await work(self._session)
        except CaptureLost:
            # A new session looks at the schema, mends what can be mended and refuses what cannot.
            await self._close()
            return True
        except BaseException as error:
            # Whatever we believed about either database is void: read it again before the next attempt.
            self._failed = True
            if isinstance(error, Exception):
                self.vitals.failed(error)
            await self._close()
            raise

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _drain_and_tidy(session: Session) -> bool:
    moved = await session.drain()
    if moved:
        # An application that never pauses must not keep us from pruning: its changelog would grow without end.
        await session.tidy()
    return moved
