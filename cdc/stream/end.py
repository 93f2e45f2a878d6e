"""Ending the replication of a file on purpose: capture goes, and the tables in Postgres are free for another source.

What was prepared for a cutover goes at both ends. After a cutover all of it is refused: a file without its fence would
accept writes beside Postgres.
"""

import asyncio
from dataclasses import dataclass

from cdc.config import Config
from cdc.errors import AlreadyRunning, TargetRefused, TargetUnavailable, UsageError
from cdc.identity.active_side import refuse_after_cutover, require_sqlite_active
from cdc.identity.file_location import is_copy
from cdc.notes import end_note
from cdc.observe import daemon_file
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.ddl import helper_keys
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record import own_schema, stream_row
from cdc.postgres.record.record import Record
from cdc.postgres.record.status import never_started
from cdc.postgres.server.endpoint import connected, reached
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.lag import read_source


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What adopted tables got back: triggers that fire again, and `helper_keys` that were dropped, each `of table`."""

    triggers: tuple[str, ...] = ()
    helper_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """Whether there was capture to remove, why Postgres could not be told (None when it was), and what it got back."""

    removed: bool
    untold: str | None = None
    given_back: GivenBack = GivenBack()


async def end(config: Config) -> Ended:
    """Take capture out of the file and note that this was meant; raises `AlreadyRunning` beside a daemon.

    While Postgres cannot be reached, capture goes all the same: given again later, this tells Postgres. Raises
    `PostgresActive` after a cutover.
    """
    if shown := daemon_file.look(config):
        raise AlreadyRunning(
            f"a daemon replicates {config.source.path} now: process {shown.pid} of this machine",
            remedy="stop it first (`systemctl stop cdc`), then give the command again",
        )
    if never_started(config):
        return Ended(await _remove_unasked(config))
    async with reached(config) as target:
        try:
            connection = await target.connect("cleanup")
        except (TargetUnavailable, TargetRefused) as error:
            return Ended(await _remove_unasked(config), error.message)
        try:
            return await _end(connection, config)
        finally:
            await hang_up(connection)


async def release(config: Config, path: str) -> GivenBack:
    """Free the tables of the source whose file is, or was, at a path; its daemon must not run.

    Returns what these got back.
    Raises `UsageError` when Postgres knows no such source, `PostgresActive` when applications write to its tables.
    """
    async with connected(config, "cleanup") as connection:
        await own_schema.make_whole(connection)
        source_id = await stream_row.find_by_path(connection, path, config.target.schema)
        if source_id is None:
            raise UsageError(
                f"nothing was ever replicated from {path} into schema {config.target.schema}",
                remedy="name the file as the message does that says whose the tables are",
            )
        await lock_source(connection, source_id)
        record = Record(connection, source_id)
        refuse_after_cutover(path, await record.stream.read(), None)
        return await _let_tables_go(record, config)


async def _end(connection: Connection, config: Config) -> Ended:
    await own_schema.make_whole(connection)
    carried_id = (await asyncio.to_thread(read_source, config.source)).source_id
    id_by_path = await stream_row.find_by_path(connection, str(config.source.path), config.target.schema)
    for record in (Record(connection, source_id) for source_id in (carried_id, id_by_path) if source_id):
        if state := await record.stream.read():
            break
    else:
        return Ended(await _remove_unasked(config))
    if await asyncio.to_thread(is_copy, config, record.source_id, state.source_path):
        return Ended(await asyncio.to_thread(source_file.remove_capture, config))  # the original goes on
    await lock_source(connection, record.source_id)
    await require_sqlite_active(config, await record.stream.read())
    # Ended between these two, only Postgres was not told: given again, the command does that.
    removed = await _remove(config, had_capture=True)
    return Ended(removed, given_back=await _let_tables_go(record, config))


async def _let_tables_go(record: Record, config: Config) -> GivenBack:
    """Have the tables be anybody's, without what was made for replication or a cutover, and with their own triggers:
    what an application keeps by a trigger would not be kept without it.
    """
    await WriteGuard(record.connection, record.source_id).remove(config.cutover.wait_for_writers_seconds)
    targets = await record.ownership.targets(config.target.schema)
    await ApplicationKeys(record.connection, config.target.schema).forget(targets)
    triggers = await record.disabled_triggers.give_back()
    keys = await helper_keys.remove(record.connection, config.target.schema, targets)
    await record.switch.forget_prepared()
    await record.stream.ended()
    return GivenBack(tuple(map(str, triggers)), tuple(keys))


async def _remove_unasked(config: Config) -> bool:
    """The same where Postgres knows nothing of the file, or cannot be asked."""
    await require_sqlite_active(config, None)
    return await _remove(config)


async def _remove(config: Config, *, had_capture: bool = False) -> bool:
    """Take capture out of the file; returns whether there was any.

    A note is left first, for capture that is gone without one looks like a fault. Where there was nothing to end none
    is left, and where capture could not be taken out it is taken back.
    """
    had_capture = had_capture or (await asyncio.to_thread(read_source, config.source)).capture_installed is True
    noted = end_note.read(config) is not None
    if had_capture:
        end_note.leave(config)
    try:
        return await asyncio.to_thread(source_file.remove_capture, config)
    except BaseException:
        if not noted:
            end_note.forget(config)
        raise
