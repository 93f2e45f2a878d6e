"""One lock a source: who replicates or works on it, and who left it behind."""

import asyncio
import hashlib
import os
import time
from contextlib import suppress
from typing import Any, Final

import asyncpg

from cdc.errors import AlreadyRunning, StillWorking, TargetUnavailable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection, backends, open_connections, owner
from cdc.postgres.connection.statements import load

# The setting that shows who has the lock: triggers read it in no time, where `pg_locks` takes longer the more locks all
# sessions have. Whoever sets it on purpose could as well disable the triggers.
SIGN: Final = "cdc.source"
_NOTICE_DEATH_MILLISECONDS: Final = 500
_DEATH_SECONDS: Final = 3.0  # in which a server notices surely, unless it runs on a system where it cannot
_LOOK_SECONDS: Final = 0.05
_ATTEMPTS: Final = 10


def lock_key(source_id: str) -> int:
    """The advisory lock's number for a source: the first 8 bytes of SHA-256, signed."""
    return int.from_bytes(hashlib.sha256(f"cdc {source_id}".encode()).digest()[:8], "big", signed=True)


async def lock_source(connection: Connection, source_id: str) -> None:
    """Hold the source's lock, with its sign, while this connection lives; raises `AlreadyRunning` naming the holder.

    Raises `TargetUnavailable`, so that it is tried again, while Postgres has not noticed yet that the holder died.
    """
    with translated("taking the source's lock"):
        await _notice_death(connection)
        taken, holder = await _take(connection, source_id)
        until = time.monotonic() + _DEATH_SECONDS
        while not taken and holder and _is_dead(holder["application_name"]) and time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)
            taken, holder = await _take(connection, source_id)
        if taken:
            return
    if holder and await _was_left_behind(connection, holder["pid"]):
        raise TargetUnavailable(
            f"the lock of this source is still held by the lost connection of server process {holder['pid']}",
            remedy="it is tried again by itself: Postgres was told to end that connection",
        )
    if holder and not holder["application_name"].startswith("cdc daemon "):
        raise StillWorking(
            f"somebody works on this source in Postgres: {holder['application_name']}",
            remedy="wait until that command is done",
        )
    # Not `AlreadyRunning`, after which systemd would not start us again.
    if holder and _is_dead(holder["application_name"]):
        raise TargetUnavailable(
            f"the lock of this source is still held for a daemon that was killed: {holder['application_name']}",
            remedy="it is tried again by itself: Postgres lets the lock go when that connection's statement ends",
        )
    held_by = f"{holder['application_name']} since {holder['backend_start']:%Y-%m-%d %H:%M:%S} UTC" if holder else "?"
    raise AlreadyRunning(
        f"another daemon replicates this source already: {held_by}",
        remedy="stop that daemon first, or hold it with `cdc pause`; one source has one daemon",
    )


async def _take(connection: Connection, source_id: str) -> tuple[bool, Any]:
    """Whether the lock is ours now, and else who has it, where that is known."""
    key, sql = lock_key(source_id), load("lock")
    for _ in range(_ATTEMPTS):
        if await connection.fetchval(sql["take"], key):
            await connection.execute("SELECT set_config($1, $2, false)", SIGN, source_id)
            return True, None
        # None when whoever had it let it go between these two statements: that is no other daemon.
        if holder := await connection.fetchrow(sql["holder"], key):
            return False, holder
    return False, None


async def _was_left_behind(connection: Connection, pid: int) -> bool:
    """Whether a server's process was ours, over a connection that this process has closed; it is told to end.

    The network may have lost our good-bye: such a process holds the lock until the server notices by itself.
    """
    if pid not in backends or any(pid == c.backend for c in open_connections if not c.is_closed()):
        return False
    await connection.execute("SELECT pg_terminate_backend($1)", pid)
    return True


async def _notice_death(connection: Connection) -> None:
    """Have Postgres look during long statements whether we live: a killed daemon must not lock its successor out."""
    with suppress(asyncpg.InvalidParameterValueError, asyncpg.FeatureNotSupportedError):  # not on every system
        await connection.execute(f"SET client_connection_check_interval = {_NOTICE_DEATH_MILLISECONDS}")


def _is_dead(application_name: str) -> bool:
    """Whether a daemon's connection was opened on this machine by a process that is gone."""
    host, _, pid = application_name.rpartition(" ")[2].rpartition("/")
    if host != owner().rpartition("/")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
