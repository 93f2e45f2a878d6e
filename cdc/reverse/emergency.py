"""SQLite opened as it stands, because Postgres is gone; and Postgres given up once it is there again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import CdcError, SwitchError, TargetError
from cdc.facts.changes import Position
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.notes import emergency_note
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.outbox.reading import Outbox
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.changelog import source_file
from cdc.sqlite.fence import fence

ASK_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 30.0  # for writers in flight, once Postgres is there again


@dataclass(frozen=True, slots=True)
class Missing:
    """What SQLite lacks of Postgres: so many changes, or nobody knows how many since `returned_at`."""

    changes: int | None
    returned_at: datetime | None

    def __str__(self) -> str:
        if self.changes is not None:
            return f"{self.changes:,} changes that were committed in Postgres"
        since = f"{self.returned_at:%Y-%m-%d %H:%M:%S} UTC" if self.returned_at else "a time that nobody knows"
        return f"whatever was committed in Postgres after {since}"


async def missing(config: Config) -> Missing:
    """What would be missing if SQLite were opened now; Postgres is asked for a few seconds."""
    returned_at = emergency_note.returned_at(config)
    look = await asyncio.to_thread(source_file.look, config)
    try:
        async with asyncio.timeout(ASK_SECONDS), connected(config, "emergency") as connection:
            if look.capture is None:
                return Missing(None, returned_at)
            return Missing((await Outbox(connection, look.capture.source_id).lag()).entries, returned_at)
    except (TargetError, TimeoutError):
        return Missing(None, returned_at)


def open_sqlite(config: Config) -> None:
    """Let applications write to SQLite as it stands. Raises `SwitchError` when they can already."""
    if not fence.look(config).permanent:
        raise SwitchError(
            f"writes to {config.source.path} are not refused, so there is nothing to open",
            remedy="`cdc status` tells who accepts writes",
        )
    emergency_note.leave(config)
    try:
        fence.lift(config)
    except CdcError:
        emergency_note.forget(config)  # the daemon would give Postgres up for a command that failed
        raise


async def give_postgres_up(
    config: Config, record: Record, position: Position, maps: Sequence[TableMap], tell: Tell
) -> None:
    """Close Postgres and have it follow SQLite again; the comparison that follows saves to files what only it has.

    For whoever holds the source's lock and finds the note.
    """
    guard = WriteGuard(record.connection, record.source_id)

    async def follow_sqlite() -> None:
        await record.switch_to(Side.SQLITE)
        await record.reposition(position, [mapped.source.name for mapped in maps])
        await Outbox(record.connection, record.source_id).forget_all()

    await guard.close_writes(maps, WAIT_SECONDS, follow_sqlite)
    emergency_note.forget(config)
    await tell("give Postgres up")
