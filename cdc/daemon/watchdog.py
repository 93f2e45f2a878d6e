"""The daemon's pulse: what systemd hears of it while it runs, taken from the signs of life of its own loop.

A loop that hangs gives no sign, so nothing is told: not when the event loop is blocked, because this runs in it, and
not when only the stream waits for something that never comes. One long silence is none: a statement that takes
Postgres long, or that waits there for a lock of somebody else. After half the interval Postgres is asked for that.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from loguru import logger

from cdc.config import Config
from cdc.host.systemd import Manager
from cdc.log import redact
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.postgres.server.activity import at_work

LONGEST_TICK_SECONDS: Final = 1.0
UNWATCHED_SECONDS: Final = 120.0  # the interval where systemd watches nothing: warnings about locks are wanted anyway
EXTENSION_SECONDS: Final = 900.0  # how long a start may be silent: the checksum of a large snapshot takes minutes


class Watchdog:
    """Tells the manager what the daemon is doing, and that it lives as long as it does."""

    def __init__(self, config: Config, daemon_state: DaemonState, manager: Manager) -> None:
        self._config = config
        self._daemon_state = daemon_state
        self._manager = manager
        self._interval = manager.watchdog_seconds or UNWATCHED_SECONDS
        self._seen = 0.0
        self._told_at = self._asked_at = 0.0

    async def beat(self) -> None:
        """Go on until cancelled."""
        while True:
            self._manager.status(words(self._daemon_state))
            self._daemon_state.lives()
            now = time.monotonic()
            if now - self._told_at >= self._interval / 3 and await self._lives():
                self._tell_life()
                self._told_at = now
            await asyncio.sleep(min(LONGEST_TICK_SECONDS, self._interval / 10))

    def _tell_life(self) -> None:
        if self._manager.watchdog_seconds:
            self._manager.alive()
        if self._daemon_state.doing in (Activity.STARTING, Activity.LOADING):
            self._manager.extend(EXTENSION_SECONDS)

    async def _lives(self) -> bool:
        """Whether the loop got something done since the last time, or waits for a statement that Postgres works on."""
        if self._daemon_state.last_beat > self._seen:
            self._seen, self._daemon_state.blocked_by = self._daemon_state.last_beat, ()
            return True
        now = time.monotonic()
        if self._daemon_state.silent_seconds < self._interval / 2 or now - self._asked_at < self._interval / 6:
            return False
        self._asked_at = now
        work = await at_work(self._config, self._daemon_state.backend, self._interval / 6)
        if work is None:
            return False
        self._daemon_state.blocked_by = work.blockers
        if work.blockers:
            logger.bind(blockers=", ".join(work.blockers)).warning("a statement waits in Postgres for a lock")
        return True


_ALWAYS: Final[Mapping[Activity, str]] = {
    Activity.STARTING: "starting: opening both databases",
    Activity.PAUSED: "paused: by `cdc pause`, or while a command switches",
    Activity.RETURNING: "following Postgres: what applications write there is carried back to SQLite",
    Activity.STOPPING: "stopping: what is under way is finished or given up",
}


def words(daemon_state: DaemonState) -> str:
    """What the daemon is doing, in one line for people."""
    match daemon_state.doing:
        case Activity.LOADING:
            return f"first copy: {daemon_state.stage}"
        case Activity.WAITING:
            return f"waiting for {daemon_state.waits_for or 'another attempt'}: {redact(daemon_state.last_error or '')}"
        case Activity.STREAMING:
            return f"following the application: {_progress(daemon_state)}"
        case doing:
            return _ALWAYS[doing]


def _progress(daemon_state: DaemonState) -> str:
    if daemon_state.blocked_by:
        return f"waiting in Postgres for a lock of {', '.join(daemon_state.blocked_by)}"
    if daemon_state.behind_since is not None:
        return f"applying changes, lag {max(0.0, time.time() - daemon_state.behind_since):.0f} s"
    return f"no lag, Postgres has everything up to change {daemon_state.position}"
