"""Phase 1, the schema: what is missing of the target tables is made, and nothing is made twice."""

import asyncio
from dataclasses import replace

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.evolve import views
from cdc.facts.phase import Phase
from cdc.facts.table_map import TableMap
from cdc.faults import crash_point
from cdc.first_copy.preflight import copy_for_plan, read_adopted
from cdc.first_copy.snapshots import Copy, read_copy, verified_snapshot, without_capture
from cdc.identity.active_side import require_sqlite_active
from cdc.identity.file_location import settle_path
from cdc.mapping.adoption import require_compatible
from cdc.mapping.known import recall, remember
from cdc.mapping.map_tables import map_schema
from cdc.notes import end_note
from cdc.postgres.ddl import helper_keys, runner, schema_script
from cdc.postgres.record import own_schema
from cdc.postgres.record.known_tables import current_tables, map_wanted
from cdc.postgres.record.record import Record
from cdc.postgres.record.status import never_started
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.statement import EXISTS, Statement
from cdc.postgres.translate.views import translate_views
from cdc.sqlite.changelog import source_file


async def render_schema(config: Config) -> str:
    """The DDL as text that psql runs; touches neither database."""
    async with copy_for_plan(config) as database:
        copy = await asyncio.to_thread(read_copy, config, database)
    maps = map_schema(copy.schema, config, copy.profiles)
    views = translate_views(copy.schema.views, maps, config.target.schema)
    return schema_script.script(maps, config.target.schema).sql + "".join(view.script for view in views.translated)


async def create_schema(config: Config) -> list[str]:
    """Create what is missing of the target tables; returns what was created.

    Before the first load, that is what the newest snapshot needs, without what follows the load. Afterwards it is what
    the file needs now, and the daemon fills it; and views, while Postgres holds what the file holds.
    """
    snapshot = await asyncio.to_thread(verified_snapshot, config)
    copy = await asyncio.to_thread(read_copy, config, snapshot.database)
    if copy.source_id is None:
        raise without_capture(snapshot)
    async with connected(config, "schema") as connection:
        record = Record(connection, copy.source_id)
        state = await record.stream.read()
        await require_sqlite_active(config, state)
        if state is not None:
            if state.position is not None and state.ended_at is not None:
                raise end_note.ended(config, state.ended_at)
            await own_schema.make_whole(connection)
            await settle_path(record, config, state.source_path)
        if state is not None and state.position is not None:
            created = await _extend(record, config)
            view_names = await views.make_now(record, config)
        else:
            created, view_names = await _begin(record, config, copy), []
    return [f"{statement.kind} {statement.object}" for statement in created] + [f"view {name}" for name in view_names]


async def _begin(record: Record, config: Config, copy: Copy) -> list[Statement]:
    connection = record.connection
    maps = await mapped_for(record, config, copy)
    await runner.preflight(connection, maps)
    adopted = await read_adopted(record, config, maps)
    require_compatible(maps, adopted)
    await own_schema.create(connection)
    # Claimed before and after: what is there without an owner would be anybody's, and a claim on a table that is not
    # there does not count. Not in one transaction with the tables: Postgres has only so many locks for one.
    async with connection.transaction():
        await record.stream.register(str(config.source.path), config.target.schema)
        await record.ownership.claim(config, maps)
    created = await runner.apply(connection, schema_script.script(maps, config.target.schema).before_load)
    for mapped in await helper_keys.lacking(connection, maps):
        await helper_keys.add(connection, mapped)
        trail.record(config.state.dir, "add helper key", "done", {"table": mapped.target})
    crash_point("helper_key.added_first")
    async with connection.transaction():
        await record.ownership.claim(config, maps)
        await record.stream.store_columns(remember(maps, adopted.tables))
        await record.stream.enter(Phase.SCHEMA)
    return created


async def require_free(config: Config) -> None:
    """Raises `TargetTaken` when a table that would be filled is another source's, before anything is touched."""
    if never_started(config):
        return
    look = await asyncio.to_thread(source_file.look, config)
    source_id = look.capture.source_id if look.capture else ""
    async with connected(config, "up") as connection:
        record = Record(connection, source_id)
        await record.ownership.require_free(config, await map_wanted(record, config, look.schema))


async def _extend(record: Record, config: Config) -> list[Statement]:
    """What was decided is left to the daemon: by that it knows which tables and columns it has yet to fill."""
    look = await asyncio.to_thread(source_file.look, config)
    maps = (await current_tables(record, config, look.schema)).fed
    waiting = {table.source_table for table in await record.waiting.read()}
    # One that others made and filled is not claimed before the daemon takes it up.
    await record.ownership.claim(config, [m for m in maps if not (m.adopted and m.source.name in waiting)])
    await runner.preflight(record.connection, maps)
    script = schema_script.script(maps, config.target.schema)
    created = await runner.apply(record.connection, script.before_load)
    created += await runner.apply(record.connection, await runner.missing_columns(record.connection, maps))
    optional = [replace(statement, optional=True) for statement in script.after_load]
    outcomes: dict[Statement, str | None] = {}
    created += await runner.apply(record.connection, optional, outcomes.__setitem__, together=False)
    # A column that was added just now has NULLs until it is filled: that it is not NOT NULL yet is nothing to remember.
    filled = await runner.apply(
        record.connection, await runner.missing_not_null(record.connection, maps), together=False
    )
    await record.left_out.note({**outcomes, **dict.fromkeys(filled)})
    for statement, reason in outcomes.items():
        if reason not in (None, EXISTS):
            logger.bind(object=statement.object, reason=reason).warning("an index or constraint was left out")
    return created + filled


async def mapped_for(record: Record, config: Config, copy: Copy) -> tuple[TableMap, ...]:
    """How the tables of a copy are mapped. What was decided about columns when they were made in Postgres stands."""
    state = await record.stream.read()
    maps = await map_wanted(record, config, copy.schema, copy.profiles)
    return recall(maps, state.columns) if state else maps
