"""Whether Postgres is busy for us: asked over a connection of its own when the stream was silent for long."""

import asyncio
from dataclasses import dataclass
from typing import Final

from cdc.config import Config
from cdc.errors import TargetError
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import application_name, connect, hang_up, password_for
from cdc.postgres.connection.statements import load
from cdc.postgres.server.endpoint import running_dsn

_WORKERS: Final = ("daemon", "load", "schema")  # purposes of connections whose statements may take long


@dataclass(frozen=True, slots=True)
class AtWork:
    """A statement of ours runs in Postgres; `blockers` are those who hold a lock that it waits for."""

    blockers: tuple[str, ...] = ()


async def at_work(config: Config, pid: int | None, seconds: float) -> AtWork | None:
    """What Postgres is doing for this process, None when nothing or when it does not say so in time.

    `pid` is the backend to ask about, None for any backend that loads or replicates for this process.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _ask(config, pid)
    except (TargetError, TimeoutError):
        return None


async def _ask(config: Config, pid: int | None) -> AtWork | None:
    dsn = await asyncio.to_thread(running_dsn, config)
    if dsn is None:  # an embedded server that does not run is at no work, and is not started to be asked
        return None
    connection = await connect(dsn, purpose="watchdog", password=password_for(config.target))
    try:
        with translated("asking what Postgres does"):
            names = [application_name(purpose) for purpose in _WORKERS]
            row = await connection.fetchrow(load("activity")["at_work"], names, pid)
    finally:
        await hang_up(connection)
    return AtWork(tuple(row["blockers"] or ())) if row else None
