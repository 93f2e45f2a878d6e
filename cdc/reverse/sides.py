"""Which side applications write to, made true on both: whoever switched may have died in the midst of it.

The side that counts is recorded in Postgres, in the transaction that opens Postgres or gives it up. What both databases
show is brought into line with it: the one that counts is open, the other one closed.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import SourceChanged, SwitchError
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record.record import Record
from cdc.sqlite.fence import fence

WAIT_SECONDS: Final = 5.0  # for writers in flight in Postgres


async def settle_sides(config: Config, record: Record, phase: Phase, maps: Sequence[TableMap], tell: Tell) -> None:
    """Open the side that counts and close the other one; for whoever holds the source's lock.

    Raises `SwitchError` where neither database can tell which side that is, or both are open.
    """
    sqlite = await asyncio.to_thread(fence.look, config)
    guard = WriteGuard(record.connection, record.source_id)
    if phase.active is Side.POSTGRES:
        if not sqlite.permanent:
            raise not_refused(config)
        await keep_open(record, maps, tell)
        return
    guards = await guard.look(maps)
    if sqlite.permanent and not (guards and all(table.fenced for table in guards.values())):
        raise SwitchError(
            f"writes to {config.source.path} are refused for good, and nothing in Postgres says that it is written to: "
            "what this tool kept there is gone",
            remedy="put the schema `cdc` back from a backup of Postgres, where applications can go on meanwhile; or "
            "have them write to SQLite as it stands, with `cdc rollback --emergency`",
        )
    if sqlite.permanent or sqlite.until is not None:
        await asyncio.to_thread(fence.lift, config)
        await tell("lift the fence")
    if any(table.captured for table in guards.values()):
        await guard.disarm(maps, WAIT_SECONDS)


async def keep_open(record: Record, maps: Sequence[TableMap], tell: Tell) -> None:
    """Open Postgres again where it was closed, and note what nobody notes; for whoever holds the source's lock.

    A rollback may have died in its midst. Or somebody gave `ALTER TABLE ... ENABLE TRIGGER ALL`, which raises a fence,
    or DISABLE, after which nobody knows what was written: such tables are carried as a whole.
    """
    guard = WriteGuard(record.connection, record.source_id)
    astray = await guard.astray(maps)
    if silent := {table.target for table in astray if table.silent}:
        await guard.note_anew([m for m in maps if m.target in silent], WAIT_SECONDS)
        await tell("note writes again", tables=", ".join(sorted(silent)))
    if any(table.fenced for table in astray):
        await guard.open_writes(maps, WAIT_SECONDS, _nothing_else)
        await tell("open Postgres again")


def not_refused(config: Config) -> SwitchError:
    """The error of a file that applications can write to, although they write to Postgres since the cutover."""
    return SwitchError(
        f"writes to {config.source.path} are not refused, though applications write to Postgres since the cutover",
        remedy="stop what writes to it, then see what differs with `cdc verify`",
    )


def not_the_fenced_file(config: Config) -> SourceChanged:
    """The error of a file that was replaced, restored or written to since the cutover."""
    return SourceChanged(
        f"{config.source.path} is not the file that was fenced at the cutover, or was written to since",
        remedy="put that file back; Postgres has everything, and goes on meanwhile",
    )


async def _nothing_else() -> None:
    """Nothing else belongs into that transaction."""
