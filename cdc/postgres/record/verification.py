"""Comparisons that were made, kept in `cdc.verification`: how old the last one is belongs to the status."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.source_lock import lock_key
from cdc.postgres.connection.statements import load
from cdc.postgres.record.position import create_state

SQL: Final = load("verification")

EQUAL: Final = "equal"
DIFFERENT: Final = "different"
CRITICAL: Final = "critical"  # the answers tell nothing: a table could not be compared


@dataclass(frozen=True, slots=True)
class Verification:
    """One comparison of the source tables `names`. `complete` says that they are all; `result` as in `VerifyReport`."""

    started_at: datetime
    finished_at: datetime
    seq: int
    tables: int
    complete: bool
    matched: int
    different: int
    missing: int
    extra: int
    pending: int
    quarantined: int
    repaired: int
    result: str
    names: Sequence[str] = ()


async def record(connection: Connection, source_id: str, made: Verification) -> None:
    """Keep a comparison."""
    await create_state(connection)
    with translated("recording the comparison"):
        await connection.execute(
            SQL["record"],
            source_id,
            made.started_at,
            made.finished_at,
            made.seq,
            made.tables,
            made.complete,
            made.matched,
            made.different,
            made.missing,
            made.extra,
            made.pending,
            made.quarantined,
            made.repaired,
            made.result,
            list(made.names),
        )


async def latest(connection: Connection, source_id: str) -> Verification | None:
    """The newest comparison of all tables, None when there was none."""
    with translated("reading the last comparison"):
        if await connection.fetchval("SELECT to_regclass('cdc.verification')") is None:
            return None
        row = await connection.fetchrow(SQL["latest"], source_id)
    return Verification(**dict(row)) if row else None


async def differing(connection: Connection, source_id: str) -> Verification | None:
    """The newest comparison of some tables that was not equal, if none of all of them came later or was equal."""
    with translated("reading the last comparison"):
        if await connection.fetchval("SELECT to_regclass('cdc.verification')") is None:
            return None
        row = await connection.fetchrow(SQL["differing"], source_id)
    return Verification(**dict(row)) if row else None


async def daemon_runs(connection: Connection, source_id: str) -> bool:
    """Whether a daemon holds the source's lock, so that waiting for it makes sense."""
    with translated("looking for the daemon"):
        return await connection.fetchval(load("lock")["holder"], lock_key(source_id)) is not None
