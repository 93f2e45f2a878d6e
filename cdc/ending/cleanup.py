"""`cdc cleanup`: what is left of this tool is taken out of both databases; each part may be taken away again.

SQLite first, in one transaction. Then Postgres, and of that the schema `cdc` at last: by what it holds the rest is
found, by whoever takes up where somebody was killed.
"""

import asyncio

import msgspec

from cdc.config import Config
from cdc.ending.remains import Remains
from cdc.errors import AlreadyRunning
from cdc.faults import crash_point
from cdc.notes import final_note
from cdc.observe import daemon_file
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.ddl import helper_keys, marks
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record import own_schema, removal
from cdc.postgres.record.audit_sync import AuditSync
from cdc.postgres.record.record import Record
from cdc.postgres.record.removal import SourceRemoval
from cdc.postgres.record.status import never_started
from cdc.postgres.server.endpoint import reached
from cdc.rehearsal.scratch import remove_leftovers
from cdc.sqlite.changelog import source_file
from cdc.sqlite.fence import removal as file_removal


def refuse_beside_daemon(config: Config) -> None:
    """Raise `AlreadyRunning` when a daemon of this machine is at work: nothing may go while it is used."""
    if shown := daemon_file.look(config):
        raise AlreadyRunning(
            f"a daemon is at work on {config.source.path}, and nothing is taken from it: process {shown.pid}",
            remedy="stop it first (`systemctl disable --now cdc`), then give the command again",
        )


async def clean(config: Config, remains: Remains, *, keep_fence: bool) -> list[str]:
    """Take away what remains; returns what of others is left in the schema `cdc`, which then stays.

    Raises errors of either database; given again it goes on.
    """
    refuse_beside_daemon(config)
    if config.source.path.exists():
        await asyncio.to_thread(file_removal.leave_fence if keep_fence else source_file.remove_capture, config)
    crash_point("cleanup.after_sqlite")
    others: list[str] = []
    if not never_started(config):
        async with reached(config) as endpoint:
            if remains.source_id is not None:
                await remove_leftovers(config, endpoint, remains.source_id)
            async with endpoint.connected("cleanup") as connection:
                others = await _clean_postgres(connection, config, remains)
    crash_point("cleanup.after_postgres")
    if remains.final is not None:
        cleaned, _ = final_note.now()
        note = msgspec.structs.replace(remains.final, cleaned=cleaned, fence_kept=keep_fence)
        await asyncio.to_thread(final_note.amend, config, note)
    return others


async def _clean_postgres(connection: Connection, config: Config, remains: Remains) -> list[str]:
    there, schema = await removal.is_there(connection), config.target.schema
    record = Record(connection, remains.source_id or "")
    source = SourceRemoval(connection, record.source_id)
    if there:
        await lock_source(connection, record.source_id)
        await own_schema.make_whole(connection)  # an older version's schema, or one that somebody took a part of
        await WriteGuard(connection, record.source_id).remove(config.cutover.wait_for_writers_seconds)
        await record.disabled_triggers.give_back()
    await helper_keys.remove(connection, schema, remains.targets)
    await ApplicationKeys(connection, schema).forget(remains.targets)
    await marks.remove(connection, schema, remains.targets)
    crash_point("cleanup.before_schema")
    if not there:
        return []
    await _keep_trail(config, record)
    return await source.remove()


async def _keep_trail(config: Config, record: Record) -> None:
    """The audit file has every entry of Postgres before these go."""
    if await record.stream.read() is None:
        return
    sync = AuditSync(config, record)
    await sync.open()
    await sync.close()
