"""The daemon: signals, the first copy, the stream, and a last word in Postgres about why it ended."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.daemon.copied import OnCopied, log_first_copy, what_was_copied
from cdc.daemon.flag_keeper import FlagKeeper
from cdc.daemon.reload import Reloading, Reread
from cdc.daemon.stop import Stop
from cdc.daemon.watchdog import Watchdog, words
from cdc.errors import AlreadyRunning, CdcError, Finalized
from cdc.facts.progress import Progress
from cdc.first_copy import create_schema, loader, snapshots
from cdc.host.signals import answering
from cdc.host.systemd import Manager
from cdc.identity.active_side import refuse_finalized, require_sqlite_active
from cdc.log import redact
from cdc.notes import end_note
from cdc.observe.alerts import ENDED, Alerts
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.observe.exposure import observed
from cdc.postgres.connection.open import hang_up
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.record import stream_row
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import Endpoint, connected
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.connection.open import showing_life
from cdc.stream import heal
from cdc.stream.loop import Stream
from cdc.stream.relief import stand_by
from cdc.verify.rolling import RollingVerifier

BeginAnew = Callable[[Progress], Awaitable[None]]

LAST_WORD_SECONDS: Final = 1.5  # a server that hangs shall not hold up the end


async def run(config: Config, *, until_idle: bool, reread: Reread | None = None) -> bool:
    """Replicate until told to stop by SIGTERM or SIGINT, or with `until_idle` until Postgres has everything.

    SIGHUP has the configuration read again by `reread`; without one it stops as well. Returns whether it was told to.
    """
    with observed(config) as daemon_state:
        daemon = Daemon(config, daemon_state, reread)
        return await daemon.serve(daemon.follow(until_idle))


async def up(
    config: Config,
    *,
    until_idle: bool,
    progress: Progress,
    reread: Reread | None = None,
    begin_anew: BeginAnew | None = None,
    on_copied: OnCopied = log_first_copy,
) -> bool:
    """Everything that is not done yet (snapshot, schema, load), then `run`.

    `begin_anew` is for a file whose replication was ended on purpose: it has the daemon compare every row, or raises.
    `on_copied` is told of a first copy once it is done.
    """
    with observed(config) as daemon_state:
        daemon = Daemon(config, daemon_state, reread)
        return await daemon.serve(daemon.copy_and_follow(until_idle, progress, begin_anew, on_copied))


class Daemon:
    """One daemon in this process: its work, those who may tell it something, and those whom it tells."""

    def __init__(self, config: Config, daemon_state: DaemonState, reread: Reread | None) -> None:
        self._config = config
        self._daemon_state = daemon_state
        self._target = Endpoint(config)
        self._manager = Manager()
        self._stop = Stop(self._on_stop)
        self._stream = Stream(config, self._target, self._on_began, daemon_state)
        self._flag_keeper = FlagKeeper(config, daemon_state)
        self._alerts = Alerts(config, daemon_state)
        daemon_state.listeners = (*daemon_state.listeners, self._alerts)
        self._reloading = Reloading(config, self._stream, self._manager, reread) if reread else None

    async def serve(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work until it ends, or until a signal ends it; returns whether one did."""
        beside = [Watchdog(self._config, self._daemon_state, self._manager).beat()]
        beside += [self._reloading.run()] if self._reloading else []
        rolling = RollingVerifier(lambda: self._stream.config, self._target, self._daemon_state)
        self._stream.on_pause = rolling.stand_by
        beside.append(rolling.run())
        beside.append(stand_by(self._config, lambda: not self._stream.looks))
        beside.append(self._alerts.run())
        beside.append(self._flag_keeper.run())
        with self._signals(), showing_life(self._daemon_state.beat), _beside(*beside):
            try:
                await self._stop.bound(work)
                await self._end(None)
                logger.info("replication ended")
            except Finalized as error:
                await self._end(None if self._stream.began else error)
                if not self._stream.began:
                    raise  # nobody ended it just now: it was started again where there is nothing to follow
                logger.info("replication ended for good: the way back was ended on purpose")
            except CdcError as error:
                await self._end(error)
                raise
            finally:
                await self._target.leave()
        return self._stop.asked.is_set()

    async def follow(self, until_idle: bool) -> None:
        """The work of `run`."""
        logger.bind(source=str(self._config.source.path)).info("replication starts")
        await self._stream.run(self._stop.asked, until_idle=until_idle)

    async def copy_and_follow(
        self, until_idle: bool, progress: Progress, begin_anew: BeginAnew | None, on_copied: OnCopied
    ) -> None:
        """The work of `up`."""
        refuse_finalized(self._config)
        await self._target.dsn()  # an embedded server is kept from here on, not started anew for each step
        await heal.heal_now(self._config)
        shown = _Shown(progress, self._daemon_state)
        loaded, ended = await _standing(self._config)
        if not loaded:
            self._daemon_state.doing = Activity.LOADING
            report = await _first_copy(self._config, shown)
            on_copied(await what_was_copied(self._config, report))
        elif ended and begin_anew:
            self._daemon_state.doing = Activity.LOADING
            await begin_anew(shown)
        await self.follow(until_idle)

    def _signals(self) -> AbstractContextManager[None]:
        stop = self._stop.ask
        reload = self._reloading.ask if self._reloading else stop
        return answering({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload})

    def _on_began(self) -> None:
        self._manager.status(words(self._daemon_state))
        self._manager.ready()

    def _on_stop(self) -> bool:
        """Tell that the end begins; whether a transaction may be under way that can finish."""
        logger.info("told to stop")
        streams = self._daemon_state.doing in {Activity.STREAMING, Activity.RETURNING}
        self._stops()
        self._stream.wake()
        return streams

    def _stops(self) -> None:
        if self._daemon_state.doing is not Activity.STOPPING:
            self._daemon_state.doing = Activity.STOPPING
            self._manager.stopping()

    async def _end(self, error: CdcError | None) -> None:
        self._stops()
        if error:
            self._manager.status(f"ended: {redact(error.message)}; {redact(error.remedy)}")
            if not isinstance(error, AlreadyRunning):  # then another daemon is at work, and all may be well
                self._daemon_state.alarm(ENDED, f"the daemon ended: {error.message}", error.remedy)
        with suppress(CdcError, OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await _last_word(self._config, self._target, error)
        await self._alerts.flush()


@contextmanager
def _beside(*work: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Do what never ends by itself for the time of a block; if it fails, that is told and the rest goes on."""
    tasks = [asyncio.create_task(part) for part in work]
    for task in tasks:
        task.add_done_callback(_tell_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def _tell_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.bind(kind=type(error).__name__).error("a part of the daemon ended that should not")


# --- the first copy ---------------------------------------------------------------------------------------------------


async def _first_copy(config: Config, progress: Progress) -> loader.LoadReport:
    """The phases before the stream, each in the audit trail as if it had been given by itself."""
    await require_sqlite_active(config, None)
    await create_schema.require_free(config)
    if not await _can_go_on(config):
        manifest = (await snapshots.take_snapshot(config, progress)).manifest
        trail.record(
            config.state.dir,
            "snapshot",
            "done",
            {"snapshot": manifest.id, "rows": sum(manifest.application_tables.values())},
        )
        await snapshots.remove_older_snapshots(config)
    created = await create_schema.create_schema(config)
    trail.record(config.state.dir, "schema", "done", {"statements": len(created)})
    report = await loader.load(config, progress)
    trail.record(config.state.dir, "load", "done", report.told)
    return report


async def _standing(config: Config) -> tuple[bool, bool]:
    """Whether the first load of this file, or of the one before in its place, is finished: then `run` judges it.

    And whether its replication was ended on purpose after that.
    """
    look = await asyncio.to_thread(sqlite.look, config)
    state = None
    async with connected(config, "up") as connection:
        here = await stream_row.find_by_path(connection, str(config.source.path), config.target.schema)
        for found in filter(None, (look.capture.source_id if look.capture else None, here)):
            state = state or await Record(connection, found).stream.read()
    noted = look.capture is None and end_note.read(config) is not None
    return state is not None and state.position is not None, noted or bool(state and state.ended_at)


async def _can_go_on(config: Config) -> bool:
    """Whether the newest snapshot belongs to the file as it is, so that a load that was cut short can use it."""
    return await asyncio.to_thread(snapshots.usable_snapshot, config) is not None


class _Shown:
    """Progress that is shown to the daemon_state as well."""

    def __init__(self, shown: Progress, daemon_state: DaemonState) -> None:
        self._shown = shown
        self._daemon_state = daemon_state
        self._total: int | None = None
        self._done = 0

    def start(self, what: str, total: int | None) -> None:
        """A piece of work begins."""
        self._what, self._total, self._done = what, total, 0
        self._daemon_state.stage = what
        self._daemon_state.beat()
        self._shown.start(what, total)

    def advance(self, n: int) -> None:
        """More of it is done."""
        self._done += n
        part = f", {100 * self._done // self._total} %" if self._total else ""
        self._daemon_state.stage = f"{self._what}{part}"
        self._daemon_state.beat()
        self._shown.advance(n)

    def finish(self) -> None:
        """It is done."""
        self._daemon_state.beat()
        self._shown.finish()


# --- the last word ----------------------------------------------------------------------------------------------------


async def _last_word(config: Config, target: Endpoint, error: CdcError | None) -> None:
    """Tell Postgres why the daemon ended, so that `cdc status` can say it.

    A daemon that ends because another one runs has nothing to say about that one's stream: the lock keeps it from it.
    """
    source_id = None
    with suppress(CdcError):  # a file that cannot be read now is found by its path
        look = await asyncio.to_thread(sqlite.look, config)
        source_id = look.capture.source_id if look.capture else None
    connection = await target.connect("last word")
    try:
        source_id = source_id or await stream_row.find_by_path(
            connection, str(config.source.path), config.target.schema
        )
        if source_id:
            await lock_source(connection, source_id)
            reason, remedy = (error.message, error.remedy) if error else (None, None)
            await Record(connection, source_id).stream.stopped(reason, remedy)
    finally:
        await hang_up(connection)
