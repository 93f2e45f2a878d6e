"""A cutover and a rollback from end to end on a copy, some times over; nothing of production is touched."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime

from cdc.config import Config
from cdc.facts.progress import Progress
from cdc.facts.table_map import TableMap
from cdc.identity.active_side import require_sqlite_active
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.ddl.scratch_schema import ScratchSchema
from cdc.postgres.record import own_schema, stream_row
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.rehearsals import RehearsalNote
from cdc.postgres.server.endpoint import Endpoint, reached
from cdc.postgres.tables import catalogue
from cdc.postgres.tables.rewriting import PostgresWriter
from cdc.rehearsal.application import RehearsingApplication
from cdc.rehearsal.commands import Commands
from cdc.rehearsal.kills import Kill
from cdc.rehearsal.load import MADE_KEYS, Load, load_of, rewrites_of
from cdc.rehearsal.report import COMMANDS, RehearsalReport
from cdc.rehearsal.scratch import ScratchPair, scratch_pair
from cdc.rehearsal.stage import RehearsalStage
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.recorded import schema_name
from cdc.sqlite.rows.rewriting import SqliteWriter


async def rehearse(config: Config, times: int, progress: Progress, kills: Sequence[Kill] = ()) -> RehearsalReport:
    """Switch a copy there and back so many times, kill switches where `kills` says, and remember what it came to.

    Raises `StillWorking` beside another rehearsal, `PostgresActive` after a cutover, errors of either database; then
    nothing is remembered, and nothing of the copy is left either way.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    async with reached(config) as endpoint:
        source_id, maps = await _following(config, endpoint)
        name = await asyncio.to_thread(schema_name, config)
        async with scratch_pair(config, endpoint, source_id, progress) as pair:
            report = RehearsalReport(pair.id, began, name, times)
            report.left_out += await _copy_adopted(config, endpoint, source_id, maps, pair)
            await _play(pair, report, progress, kills)
        report.seconds = time.monotonic() - clock
        async with endpoint.connected("rehearsal") as connection:
            await own_schema.make_whole(connection)
            await Record(connection, source_id).rehearsals.note(
                _as_note(report), report.began_at, {COMMANDS[to]: taken for to, taken in report.refused_seconds.items()}
            )
    return report


def _as_note(report: RehearsalReport) -> RehearsalNote:
    return RehearsalNote(
        id=report.id,
        finished_at=datetime.now(UTC),
        times=report.times,
        kills=len(report.kills),
        schema_name=report.schema_name,
        result=report.result,
        steps=report.milliseconds,
    )


async def _following(config: Config, endpoint: Endpoint) -> tuple[str, tuple[TableMap, ...]]:
    """The id of the source, and its tables; raises where it was never loaded, or is not written to any more."""
    look = await asyncio.to_thread(source_file.look, config)
    if look.capture is None:
        raise stream_row.never_loaded()
    async with endpoint.connected("rehearsal") as connection:
        record = Record(connection, look.capture.source_id)
        state = await record.stream.read()
        if state is None or state.position is None:
            raise stream_row.never_loaded()
        await require_sqlite_active(config, state)
        return record.source_id, tuple((await current_tables(record, config, look.schema)).fed)


async def _copy_adopted(
    config: Config, endpoint: Endpoint, source_id: str, maps: Sequence[TableMap], pair: ScratchPair
) -> list[str]:
    """Tables that others made are not made by the copy's first load: it gets empty ones like them.

    Returns what the copy does without, in words.
    """
    async with endpoint.connected("rehearsal") as connection:
        names = [mapped.target for mapped in maps if mapped.adopted]
        targets = await catalogue.read_tables(connection, config.target.schema, names)
        left_out = await ScratchSchema(connection, pair.config.target.schema).copy_tables(targets)
        triggers = await Record(connection, source_id).disabled_triggers.recorded(config.target.schema)
    return [*left_out, *(f"trigger {name} of {table} in Postgres" for table, name in sorted(triggers))]


async def _play(pair: ScratchPair, report: RehearsalReport, progress: Progress, kills: Sequence[Kill]) -> None:
    commands = Commands(pair.config_file)
    async with (
        reached(pair.config) as endpoint,
        commands.daemon() as daemon,
        endpoint.connected("rehearsal") as connection,
    ):
        stage = RehearsalStage(pair, endpoint, connection, commands, daemon, report, progress)
        progress.start("first copy", None)
        await stage.begin()
        progress.finish()
        async with _application(stage, pair, connection) as application:
            progress.start("rehearsing", 2 * report.times + len(kills))
            await stage.play(application, kills)
            progress.finish()


@asynccontextmanager
async def _application(
    stage: RehearsalStage, pair: ScratchPair, connection: Connection
) -> AsyncIterator[RehearsingApplication]:
    """The application at work for the time of a block."""
    maps = await stage.maps()
    targets = await catalogue.read_tables(connection, pair.config.target.schema, [m.target for m in maps])
    rewrites = rewrites_of(maps, targets)
    own = await stage.connect()
    try:
        with closing(SqliteWriter(pair.config.source.path, rewrites)) as sqlite:
            recorded = [write for write in pair.recorded if write.table in rewrites]
            load = await asyncio.to_thread(_with_keys, load_of(recorded, sorted(rewrites)), sqlite)
            application = RehearsingApplication(sqlite, PostgresWriter(own, rewrites), rewrites, load)
            await application.look()
            writing = asyncio.create_task(application.run())
            try:
                yield application
            finally:
                writing.cancel()
                with suppress(asyncio.CancelledError):
                    await writing
                stage.account(application, load)
    finally:
        await hang_up(own)


def _with_keys(load: Load, sqlite: SqliteWriter) -> Load:
    """On rows that are there: those that were written, and others of their table for those that are gone."""
    keys = {table: tuple(sqlite.keys(table, wanted, MADE_KEYS)) for table, wanted in load.keys.items()}
    written = {table for table, found in keys.items() if found}
    transactions = [replace(t, rows=tuple(row for row in t.rows if row.table in written)) for t in load.transactions]
    return replace(load, keys=keys, transactions=tuple(t for t in transactions if t.rows))
