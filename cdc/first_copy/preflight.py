"""Everything that `cdc plan` looks at: a copy of the file, and the tables in Postgres that are to be adopted."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cdc.config import Config
from cdc.facts.table_map import TableMap
from cdc.first_copy.dry_run import rehearse_load
from cdc.first_copy.plan import Plan, make_plan
from cdc.first_copy.risks import kept_out, left_behind, skipped_in_vain
from cdc.first_copy.snapshots import Copy, read_copy, require_tables, snapshots_folder
from cdc.mapping.adoption import Adopted, adapt, compare, with_helper_keys
from cdc.mapping.map_tables import map_schema
from cdc.mapping.proposals import propose
from cdc.mapping.unmatched import unmatched
from cdc.postgres.ddl import schema_script
from cdc.postgres.record.known_tables import map_wanted
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.counts import count_rows
from cdc.postgres.tables.sequences import sequences_of
from cdc.postgres.translate.views import translate_views
from cdc.sqlite.snapshot.snapshot import latest, take


async def build_plan(config: Config) -> Plan:
    """The preflight report; touches neither database, and holds up a rollback-journal writer no longer than allowed.

    Postgres is asked only where tables are to be adopted.
    """
    async with copy_for_plan(config) as database:
        copy = await asyncio.to_thread(read_copy, config, database)
        if not copy.schema.waiting:
            require_tables(copy.schema, config)
        maps, adopted = await _mapped(config, copy)
        rehearsal = await asyncio.to_thread(rehearse_load, database, maps, with_helper_keys(maps, adopted.tables))
    script = schema_script.script(maps, config.target.schema)
    in_vain = (risk for m in maps for risk in skipped_in_vain(m.source, config.own_options(m.source.name)))
    behind = (
        risk
        for m in maps
        for risk in left_behind(
            m, config.options(m.source.name), adopted.tables.get(m.target), copy.profiles.get(m.source.name)
        )
    )
    risks = [*unmatched(copy.schema, config), *compare(maps, adopted), *kept_out(rehearsal), *in_vain, *behind]
    translated = translate_views(copy.schema.views, maps, config.target.schema)
    looked = [(m, copy.profiles[m.source.name]) for m in maps if m.source.name in copy.profiles]
    proposals = [proposal for m, profile in looked for proposal in propose(m.source, m, profile, config)]
    return make_plan(copy.schema, maps, script, translated, copy.profiles, risks, proposals)


@asynccontextmanager
async def copy_for_plan(config: Config) -> AsyncIterator[Path]:
    """The newest snapshot; where there is none, a copy of the file for the time of the block."""
    snapshot = latest(snapshots_folder(config), config.source.path)
    if snapshot is not None:
        yield snapshot.database
        return
    pause = config.snapshot.max_writer_pause_seconds
    with tempfile.TemporaryDirectory(prefix="cdc-plan-") as folder:
        taken = await asyncio.to_thread(take, config.source.path, Path(folder), max_writer_pause_seconds=pause)
        yield taken.database


async def _mapped(config: Config, copy: Copy) -> tuple[tuple[TableMap, ...], Adopted]:
    """How the tables of the copy are mapped, and the adopted ones among their targets."""
    maps = map_schema(copy.schema, config, copy.profiles)
    if not any(m.adopted for m in maps):
        return maps, Adopted({}, {}, config.target.existing_rows)
    async with connected(config, "plan") as connection:
        record = Record(connection, copy.source_id or "")
        maps = await map_wanted(record, config, copy.schema, copy.profiles)
        adopted = await read_adopted(record, config, maps)
    return adapt(maps, adopted), adopted


async def read_adopted(record: Record, config: Config, maps: Sequence[TableMap]) -> Adopted:
    """The adopted tables as they are now."""
    connection, names = record.connection, [m.target for m in maps if m.adopted]
    tables = await read_tables(connection, config.target.schema, names)
    rows = await count_rows(connection, config.target.schema, list(tables)) if tables else {}
    silent = await record.disabled_triggers.silent()
    sequences = await sequences_of(connection, config.target.schema)
    return Adopted(tables, rows, config.target.existing_rows, silent, sequences)
