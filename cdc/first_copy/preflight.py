"""Everything that `cdc plan` looks at: a copy of the file, and the tables in Postgres that are to be adopted."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cdc.config import Config
from cdc.errors import TargetUnavailable
from cdc.evolve.revise import revise
from cdc.facts.profile import TableProfile
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.first_copy.dry_run import rehearse_load
from cdc.first_copy.plan import DataLook, Plan, make_plan
from cdc.first_copy.risks import left_behind, skipped_in_vain
from cdc.first_copy.snapshots import Copy, read_copy, require_tables, snapshots_folder
from cdc.mapping.adoption import Adopted, adapt, compare, with_helper_keys
from cdc.mapping.known import map_anew
from cdc.mapping.map_tables import map_schema
from cdc.mapping.proposals import propose
from cdc.mapping.revision import Revision, once_decided, revised
from cdc.mapping.unmatched import unmatched
from cdc.postgres.ddl import schema_script
from cdc.postgres.record.known_tables import map_wanted, read_known_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.status import never_started
from cdc.postgres.record.stream_row import StreamState
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.counts import count_rows
from cdc.postgres.tables.sequences import sequences_of
from cdc.postgres.translate.views import translate_views
from cdc.sqlite.changelog import source_file
from cdc.sqlite.snapshot.snapshot import latest, take


async def build_plan(config: Config) -> Plan:
    """The report over what is to be copied, or over the file of now where it was copied already.

    Touches neither database, and holds up a rollback-journal writer no longer than allowed. Postgres is asked only
    where tables are to be adopted, and what it knows of a file that is followed.
    """
    async with followed(config) as (record, answers), copy_for_plan(config, anew=record is not None) as database:
        copy = await asyncio.to_thread(read_copy, config, database)
        if not copy.schema.waiting:
            require_tables(copy.schema, config)
        maps, adopted, pending = await _mapped(config, copy, record)
        looked = [(m, copy.profiles[m.source.name]) for m in maps if m.source.name in copy.profiles]
        proposals = [proposal for m, profile in looked for proposal in propose(m.source, m, profile, config)]
        targets = with_helper_keys(maps, adopted.tables)
        rehearsal = await asyncio.to_thread(rehearse_load, database, maps, targets, proposals)
    script = schema_script.script(maps, config.target.schema)
    in_vain = (risk for m in maps for risk in skipped_in_vain(m.source, config.own_options(m.source.name)))
    behind = (
        risk
        for m in maps
        for risk in left_behind(
            m, config.options(m.source.name), adopted.tables.get(m.target), copy.profiles.get(m.source.name)
        )
    )
    risks = [*unmatched(copy.schema, config), *compare(maps, adopted), *in_vain, *behind]
    translated = translate_views(copy.schema.views, maps, config.target.schema)
    found = DataLook(copy.profiles, rehearsal, risks, proposals)
    instead = "" if answers else _taken_at(config)
    return replace(make_plan(copy.schema, maps, script, translated, found), pending=pending, instead=instead)


def _taken_at(config: Config) -> str:
    snapshot = latest(snapshots_folder(config), config.source.path)
    return snapshot.manifest.taken_at if snapshot else ""


@asynccontextmanager
async def followed(config: Config) -> AsyncIterator[tuple[Record | None, bool]]:
    """What Postgres knows of a file that was copied and is followed, and whether it answers, if it had to be asked.

    None where nothing was copied, or nobody answers: then there is nothing to tell a plan for the first copy from.
    """
    if latest(snapshots_folder(config), config.source.path) is None or never_started(config):
        yield None, True
        return
    look = await asyncio.to_thread(source_file.look, config)
    async with AsyncExitStack() as stack:
        record, answers = None, True
        if look.capture is not None:
            try:
                connection = await stack.enter_async_context(connected(config, "plan"))
                record = Record(connection, look.capture.source_id)
            except TargetUnavailable:
                answers = False
        is_followed = record is not None and _is_followed(await record.stream.read())
        yield record if is_followed else None, answers


def _is_followed(state: StreamState | None) -> bool:
    if state is None or state.position is None:
        return False
    return state.ended_at is None and state.phase.active is Side.SQLITE


@asynccontextmanager
async def copy_for_plan(config: Config, *, anew: bool = False) -> AsyncIterator[Path]:
    """The newest snapshot; where there is none, or `anew`, a copy of the file for the time of the block."""
    snapshot = latest(snapshots_folder(config), config.source.path)
    if snapshot is not None and not anew:
        yield snapshot.database
        return
    pause = config.snapshot.max_writer_pause_seconds
    with tempfile.TemporaryDirectory(prefix="cdc-plan-") as folder:
        taken = await asyncio.to_thread(take, config.source.path, Path(folder), max_writer_pause_seconds=pause)
        yield taken.database


async def _mapped(
    config: Config, copy: Copy, record: Record | None
) -> tuple[tuple[TableMap, ...], Adopted, tuple[Revision, ...]]:
    """How the tables of a copy are mapped, the adopted ones among their targets, and what is mapped otherwise now."""
    if record is not None:
        return await _mapped_anew(config, copy, record)
    maps = map_schema(copy.schema, config, copy.profiles)
    if not any(m.adopted for m in maps):
        return maps, Adopted({}, {}, config.target.existing_rows), ()
    async with connected(config, "plan") as connection:
        record = Record(connection, copy.source_id or "")
        maps = await map_wanted(record, config, copy.schema, copy.profiles)
        adopted = await read_adopted(record, config, maps)
    return adapt(maps, adopted), adopted, ()


async def _mapped_anew(
    config: Config, copy: Copy, record: Record
) -> tuple[tuple[TableMap, ...], Adopted, tuple[Revision, ...]]:
    """The same of a file that is followed: what its tables in Postgres hold are its own rows."""
    known = await read_known_tables(record, config, (table.name for table in copy.schema.tables))
    fed = known.current(copy.schema, config).fed

    async def look(_: Mapping[str, Sequence[str]]) -> Mapping[str, TableProfile]:
        return copy.profiles

    made = await revise(record, config, known, copy.schema, fed, look)
    named = known.named(copy.schema, config)
    anew = map_anew(copy.schema, named, known.ever_decided(copy.schema, named), copy.profiles)
    maps = tuple(once_decided(revised(fed, made), anew))
    adopted = await read_adopted(record, config, maps)
    theirs = {name: rows for name, rows in adopted.rows.items() if name not in known.owned}
    return adapt(maps, adopted), replace(adopted, rows=theirs), made


async def read_adopted(record: Record, config: Config, maps: Sequence[TableMap]) -> Adopted:
    """The adopted tables as they are now."""
    connection, names = record.connection, [m.target for m in maps if m.adopted]
    tables = await read_tables(connection, config.target.schema, names)
    rows = await count_rows(connection, config.target.schema, list(tables)) if tables else {}
    silent = await record.disabled_triggers.silent()
    sequences = await sequences_of(connection, config.target.schema)
    return Adopted(tables, rows, config.target.existing_rows, silent, sequences)
