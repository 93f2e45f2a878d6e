"""Who compares both databases reads the changelog beside the daemon: its entries stay meanwhile, by a lock in Postgres.

The daemon asks before it prunes. One that finds very many entries prunes all the same: a comparison that hangs, or is
frozen, must not let the changelog fill the disk.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.source_lock import lock_key


def _key(source_id: str) -> int:
    return lock_key(f"changelog of {source_id}")


@asynccontextmanager
async def keeping_changelog(connection: Connection, source_id: str) -> AsyncIterator[None]:
    """Nothing is pruned during the block; several may keep it at a time. Not inside a transaction."""
    with translated("keeping the changelog"):
        await connection.execute("SELECT pg_advisory_lock_shared($1)", _key(source_id))
    try:
        yield
    finally:
        # What ends the connection lets go of the lock as well.
        if not connection.is_closed():
            with translated("letting the changelog be pruned"):
                await connection.execute("SELECT pg_advisory_unlock_shared($1)", _key(source_id))


async def is_kept(connection: Connection, source_id: str) -> bool:
    """Whether somebody keeps the changelog now.

    Who begins to a moment later is not hurt: it learns the position after it has the lock, and what is pruned until
    then lies before that position.
    """
    with translated("looking whether the changelog is kept"):
        # The lock goes with the statement's own transaction.
        return not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _key(source_id))
