"""What Postgres knows of a source's tables, read in one go: decisions, leftovers and the tables as they stand."""

from collections.abc import Iterable

from cdc.config import Config
from cdc.facts.source_schema import SourceSchema
from cdc.mapping.known import CurrentTables, KnownTables, target_name
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_tables


async def read_known_tables(record: Record, config: Config, also: Iterable[str] = ()) -> KnownTables:
    """What is known of the copies of a source, and whether copies of the tables `also` stand there already."""
    state = await record.stream.read()
    leftovers = await record.leftovers.read()
    columns = state.columns if state else {}
    names = {*columns, *(leftover.source_table for leftover in leftovers), *also}
    targets = {target_name(config, name) for name in names} | {leftover.target for leftover in leftovers}
    return KnownTables(columns, leftovers, await read_tables(record.connection, config.target.schema, sorted(targets)))


async def current_tables(record: Record, config: Config, schema: SourceSchema) -> CurrentTables:
    """Which tables of a file are fed now, with which types; see `KnownTables.current`."""
    known_tables = await read_known_tables(record, config, (table.name for table in schema.tables))
    return known_tables.current(schema, config)
