"""Live replication: wake, read, convert, apply, prune. Each commit in Postgres is a state that SQLite really had."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from loguru import logger

from cdc.config import Config
from cdc.errors import CaptureLost, CdcError, FileReplaced, PostgresActive
from cdc.faults import stall_point
from cdc.identity.active_side import refuse_finalized
from cdc.notes import pause_note, switch_hold
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.postgres.server.endpoint import Endpoint
from cdc.retry import is_transient, retrying
from cdc.reverse.session import ReverseSession
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream.resync import take_up
from cdc.stream.session import OpenTarget, Session

LOOK_AGAIN_SECONDS: Final = 0.02  # in WAL a file event comes before the commit can be seen, by up to 9 ms measured
LOOK_AGAIN_EVERY_SECONDS: Final = 0.001  # uvloop takes less for nothing, and would spin
LONGEST_REST_SECONDS: Final = 10.0  # whatever `poll_seconds` is: a heartbeat is due, and a sign of life
PAUSE_LOOK_SECONDS: Final = 0.25  # how long the end of a pause can go unseen
REVERSE_POLL_SECONDS: Final = 0.1
SWITCH_LOOK_SECONDS: Final = 0.02  # the same of a switch: changes wait meanwhile
LOST_IN_A_ROW: Final = 5  # times that capture has to be looked at anew, with nothing done between
LONGEST_SLOWING_SECONDS: Final = 1.0
FIRST_ATTEMPTS: Final = 3  # a daemon that never got going says why and ends; one that did tries for ever

SessionWork = Callable[[Session | ReverseSession], Awaitable[bool | None]]


class Reload:
    """A configuration to go on with. `answer` is set when a session runs with it, and fails when none can."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Stream:
    """Replicates one source for as long as it runs. Holds no state that cannot be read again from the databases.

    `on_began` is called once, when both databases are open and settled for the first time, or somebody holds it before.
    `further` open targets beside Postgres, anew in each session. Several streams, each of its own file, can run in one
    loop: they share nothing.
    """

    def __init__(
        self,
        config: Config,
        target: Endpoint,
        on_began: Callable[[], None] = lambda: None,
        daemon_state: DaemonState | None = None,
        further: Sequence[OpenTarget] = (),
    ) -> None:
        self.daemon_state = daemon_state or DaemonState()
        self.on_pause: Callable[[], Awaitable[None]] = _nothing_else  # whoever else holds the databases lets go of them
        self._on_began = on_began
        self._further = further
        self._config = config
        self._target = target
        self._watch = Watch(config.source.path)
        self._session: Session | ReverseSession | None = None
        self._reload: Reload | None = None
        self._active_at = 0.0
        self._began = self._ready = False
        self._failed_at: float | None = None
        self._lost_in_a_row = 0

    async def run(self, stop: asyncio.Event, *, until_idle: bool = False) -> None:
        """Follow the source until `stop` is set, or with `until_idle` until Postgres has everything."""
        self._watch.start()
        try:
            while not stop.is_set():
                if self._is_held():
                    await self._pause(until_idle=until_idle)
                    continue
                if self.daemon_state.doing is Activity.PAUSED:
                    logger.info("the pause is over")
                    self.daemon_state.doing = Activity.STARTING
                if not self._began and not until_idle:
                    # Opening is what is tried a few times: applying, once both ends are open, is tried for ever.
                    await retrying(lambda: self._in_session(_open_only), FIRST_ATTEMPTS, give_up=stop)
                    continue
                attempts = None if self._began else FIRST_ATTEMPTS
                if await retrying(self._step, attempts, give_up=stop):
                    self._active_at = time.monotonic()
                    continue
                if not until_idle:
                    await retrying(self._rest, give_up=stop)
                elif not await retrying(lambda: self._in_session(_move_sequences), give_up=stop):
                    return
        finally:
            self._watch.close()
            await self._close()

    def wake(self) -> None:
        """Let the loop look at once whether it shall stop."""
        self._watch.wake()

    def reload(self, config: Config) -> "asyncio.Future[None]":
        """Go on with another configuration after the step under way, or stay with the old one when that is refused.

        The future ends with the outcome: nothing, or the `CdcError` that refused it. A later call takes the place of
        one that has no outcome yet, whose future is then cancelled.
        """
        if self._reload:
            self._reload.answer.cancel()
        self._reload = Reload(config)
        self.wake()
        return self._reload.answer

    @property
    def config(self) -> Config:
        """What it goes by now."""
        return self._config

    @property
    def began(self) -> bool:
        """Whether both databases were open and settled once."""
        return self._began

    @property
    def looks(self) -> bool:
        """Whether a session looks at the file now."""
        return self._session is not None

    def _is_held(self) -> bool:
        """Whether a person holds the daemon, or a command that switches has to be alone."""
        return pause_note.is_held(self._config) or switch_hold.is_held(self._config)

    async def _pause(self, *, until_idle: bool) -> None:
        """Let go of both databases, and look again soon; the watch is no connection."""
        note = pause_note.read(self._config)
        if until_idle and note:
            raise note.error()
        await self._close()
        if self.daemon_state.doing is not Activity.PAUSED:
            await self.on_pause()
            logger.info("paused; `cdc resume` lets it go on" if note else "standing back while a command switches")
        self.daemon_state.paused()
        self._say_ready()
        await self._watch.wait(PAUSE_LOOK_SECONDS if note else SWITCH_LOOK_SECONDS)

    def _say_ready(self) -> None:
        if not self._ready:
            self._ready = True
            self._on_began()

    async def _step(self) -> bool:
        """Move Postgres to the newest state of SQLite; False when it is there already, or cannot be moved there now."""
        stall_point("loop.step")
        if self._is_held():
            return True  # also between two attempts: the loop sees to it
        moved = bool(await self._in_session(_drain_and_tidy))
        if self._session is not None and self._session.finish_due:
            await self._close()
        return moved

    async def _rest(self) -> None:
        """Nothing to apply: show that we live, tidy up, and wait for an event or the timer."""
        self._target.bound_log()
        await self._in_session(lambda session: session.tidy())
        poll = min(self._config.replicate.poll_seconds, LONGEST_REST_SECONDS)
        if isinstance(self._session, ReverseSession):
            poll = min(poll, REVERSE_POLL_SECONDS)  # nothing wakes us: it is Postgres that is written to
        if await self._watch.wait(LOOK_AGAIN_EVERY_SECONDS if self._alert() else poll):
            self._active_at = time.monotonic()

    def _alert(self) -> bool:
        """Whether the application wrote, or changes were applied, so recently that more may be seen at any moment."""
        wal = self._session is not None and self._session.wal
        return wal and time.monotonic() - self._active_at < LOOK_AGAIN_SECONDS

    async def _in_session(self, work: SessionWork) -> bool | None:
        try:
            if self._reload:
                await self._close()
            self._session = self._session or await self._open()
            moved = await work(self._session)
        except CaptureLost as error:
            # A new session looks at the schema, mends what can be mended and refuses what cannot.
            await self._close()
            await self._slow_down(error)
            return True
        except FileReplaced as error:
            if self._session is None or self._config.source.on_replaced == "stop":
                await self._give_up(error)
                raise
            await self._close()  # who opens the next session takes the other file up
            return True
        except BaseException as error:
            await self._give_up(error)
            raise
        else:
            self._lost_in_a_row = 0
            return moved
        finally:
            # An attempt that failed shows as well that the loop goes round.
            self.daemon_state.beat()

    async def _give_up(self, error: BaseException) -> None:
        """An attempt failed: whatever we believed about either database is void, and is read again before the next."""
        self._failed_at = self._failed_at or time.monotonic()
        if isinstance(error, Exception):
            self.daemon_state.failed(error)
        await self._close()

    async def _slow_down(self, error: CaptureLost) -> None:
        """A file that changes its schema each time that it was settled: say so, and do not spin."""
        self._lost_in_a_row += 1
        if self._lost_in_a_row > LOST_IN_A_ROW:
            logger.bind(error=error.message, attempt=self._lost_in_a_row).warning("the file keeps changing")
            await asyncio.sleep(min(LONGEST_SLOWING_SECONDS, LOOK_AGAIN_SECONDS * self._lost_in_a_row))

    async def _open(self) -> Session | ReverseSession:
        """A session of the configuration asked for last; of the one before while that one is refused."""
        reload = self._reload
        config = reload.config if reload else self._config
        try:
            session = await self._open_session(config)
        except CdcError as error:
            passes = is_transient(error) or isinstance(error, CaptureLost)  # the application is changing its schema now
            if reload is None or reload is not self._reload or passes:
                raise
            self._reload = None
            reload.answer.set_exception(error)
            return await self._open()
        # If another one was asked for meanwhile, that one stays, and the next step begins a session with it.
        if reload is not None and reload is self._reload:
            self._reload, self._config = None, config
            reload.answer.set_result(None)
        self.daemon_state.opened(session.position.seq, returning=isinstance(session, ReverseSession))
        self._began = True
        self._say_ready()
        if self._failed_at is not None:
            logger.bind(away_seconds=round(time.monotonic() - self._failed_at, 1)).info("replication goes on")
            self._failed_at = None
        return session

    async def _open_session(self, config: Config) -> Session | ReverseSession:
        """A session of the direction in which changes flow; raises `Finalized` where none does any more."""
        refuse_finalized(config)
        try:
            return await self._open_forward(config)
        except PostgresActive:
            session = await ReverseSession.open(config, self._target, self.daemon_state)
            if self.daemon_state.doing is not Activity.RETURNING:
                logger.info("applications write to Postgres: what they change is carried back to SQLite")
            return session

    async def _open_forward(self, config: Config) -> Session:
        """A session that follows SQLite; another file in its place is accepted first where `on_replaced` says so."""
        ends = (config, self._target, self._watch, self.daemon_state, self._further)
        try:
            return await Session.open(*ends)
        except FileReplaced as error:
            if config.source.on_replaced == "stop":
                raise
            await take_up(config, error)
        return await Session.open(*ends)

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _nothing_else() -> None:
    """Nobody else does."""


async def _open_only(_: Session | ReverseSession) -> None:
    """Work that only wants a session to be open."""


async def _move_sequences(session: Session | ReverseSession) -> None:
    await session.move_sequences()


async def _drain_and_tidy(session: Session | ReverseSession) -> bool:
    moved = await session.drain()
    if moved:
        # An application that never pauses must not keep us from pruning: its changelog would grow without end.
        await session.tidy()
    return moved
