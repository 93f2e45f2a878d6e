"""What Postgres knows of a source's tables, read in one go: decisions, leftovers and the tables as they stand."""

from collections.abc import Iterable

from cdc.config import Config
from cdc.facts.leftover import Leftover
from cdc.facts.source_schema import SourceSchema
from cdc.mapping.known import CurrentTables, Decisions, KnownTables, target_name
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_tables


async def read_known_tables(record: Record, config: Config, also: Iterable[str] = ()) -> KnownTables:
    """What is known of the copies of a source, and whether copies of the tables `also` stand there already."""
    columns, leftovers = await _remembered(record)
    targets = [*_targets(config, columns, leftovers), *(target_name(config, name) for name in also)]
    tables = await read_tables(record.connection, config.target.schema, sorted(set(targets)))
    return KnownTables(columns, leftovers, tables)


async def known_targets(record: Record, config: Config) -> list[str]:
    """The names of the copies of a source, whether they stand or not: the catalogue is not asked."""
    return sorted(_targets(config, *await _remembered(record)))


async def _remembered(record: Record) -> tuple[Decisions, tuple[Leftover, ...]]:
    state = await record.stream.read()
    return state.columns if state else {}, await record.leftovers.read()


def _targets(config: Config, columns: Decisions, leftovers: tuple[Leftover, ...]) -> set[str]:
    names = {*columns, *(leftover.source_table for leftover in leftovers)}
    return {target_name(config, name) for name in names} | {leftover.target for leftover in leftovers}


async def current_tables(record: Record, config: Config, schema: SourceSchema) -> CurrentTables:
    """Which tables of a file are fed now, with which types; see `KnownTables.current`."""
    known_tables = await read_known_tables(record, config, (table.name for table in schema.tables))
    return known_tables.current(schema, config)
