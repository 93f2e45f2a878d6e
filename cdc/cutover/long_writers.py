"""Whoever writes for so long that a switch would have to wait for him."""

import asyncio
from collections.abc import Sequence
from typing import Final

from cdc.config import Config
from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.sql_names import qualified
from cdc.sqlite.connection import lock_holders

LOOKS: Final = 20  # at a write transaction of SQLite
LOOK_SECONDS: Final = 0.05
LONG_SECONDS: Final = 5.0  # a transaction that lasts as long would hold a switch up


async def long_writers_of_file(config: Config) -> tuple[str, ...]:
    """Whoever has a write transaction open in SQLite at each of some looks: the fence would have to wait for it."""
    held = await asyncio.to_thread(lock_holders.writers, config.source.path)
    for _ in range(LOOKS):
        if not held:
            return ()
        await asyncio.sleep(LOOK_SECONDS)
        held &= await asyncio.to_thread(lock_holders.writers, config.source.path)
    named = lock_holders.named(held)
    return (f"process {named} in SQLite, for more than {LOOKS * LOOK_SECONDS:g} s",) if held else ()


async def long_writers(
    connection: Connection, maps: Sequence[TableMap], altered: Sequence[TableMap]
) -> tuple[str, ...]:
    """Transactions in Postgres that last so long that a switch would wait for them."""
    written, read = ([qualified(m.schema, m.target) for m in tables] for tables in (maps, altered))
    with translated("asking who writes to the target tables"):
        rows = await connection.fetch(load("switch")["long_writers"], written, read, LONG_SECONDS)
    return tuple(f"{row['name']} (process {row['pid']}) in Postgres, for {row['seconds']:.0f} s" for row in rows)
