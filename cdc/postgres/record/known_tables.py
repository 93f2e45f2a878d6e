"""What Postgres knows of a source's tables, read in one go: decisions, leftovers and the tables as they stand."""

from collections.abc import Iterable, Mapping

from cdc.config import Config
from cdc.facts.leftover import Leftover
from cdc.facts.profile import TableProfile
from cdc.facts.source_schema import SourceSchema
from cdc.facts.table_map import TableMap
from cdc.mapping.known import CurrentTables, Decisions, KnownTables, target_name
from cdc.mapping.letter_case import folded
from cdc.mapping.map_tables import map_schema
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import names_alike, read_tables


async def read_known_tables(record: Record, config: Config, also: Iterable[str] = ()) -> KnownTables:
    """What is known of the copies of a source, and whether copies of the tables `also` stand there already."""
    columns, leftovers = await _remembered(record)
    names = {*_targets(config, columns, leftovers), *(target_name(config, name) for name in also)}
    alike, owned = await _called_alike(record, config, [*columns, *also])
    tables = await read_tables(record.connection, config.target.schema, sorted(names | alike))
    return KnownTables(columns, leftovers, tables, owned)


async def known_targets(record: Record, config: Config) -> list[str]:
    """The names of the copies of a source, whether they stand or not: the catalogue is not asked."""
    columns, leftovers = await _remembered(record)
    alike, owned = await _called_alike(record, config, columns)
    return sorted(_targets(config, columns, leftovers) | (alike & owned))


async def map_wanted(
    record: Record, config: Config, schema: SourceSchema, profiles: Mapping[str, TableProfile] | None = None
) -> tuple[TableMap, ...]:
    """The maps of all tables of a file as configured, under the names that adopted ones have; nothing was decided yet.

    Raises `MappingError` as `map_schema` does.
    """
    known_tables = await read_known_tables(record, config, [table.name for table in schema.tables])
    return map_schema(schema, known_tables.named(schema, config), profiles)


async def _called_alike(record: Record, config: Config, tables: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """What stands in Postgres under the names of adopted tables, without regard to case; and what the source owns."""
    names = [folded(target_name(config, name)) for name in tables if config.adopts(name)]
    if not names:
        return frozenset(), frozenset()
    alike = await names_alike(record.connection, config.target.schema, names)
    return frozenset(alike), frozenset(await record.ownership.targets(config.target.schema))


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
