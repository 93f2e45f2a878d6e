"""What a switch leaves as it is, and what nothing here can check: told before it, for somebody to look after."""

from collections.abc import Iterator, Sequence
from typing import Final

from cdc.config import Config
from cdc.cutover.surveyed import Surveyed
from cdc.facts.table_map import TableMap
from cdc.mapping.adopted_sequences import unmoved
from cdc.mapping.reversible import way_back
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.tables.sequences import sequences_of
from cdc.postgres.translate.defaults import is_null

_PAST_TRIGGERS: Final = (
    "writes that fire no trigger in SQLite: blob handles, connections that switch triggers off, virtual tables",
    "changes of the schema, which neither fence refuses",
)


async def unmoved_sequences(config: Config, connection: Connection, maps: Sequence[TableMap]) -> tuple[str, ...]:
    """Sequences beside adopted tables that give numbers which may be taken, unless somebody moves them."""
    if not any(m.adopted for m in maps):
        return ()
    found = unmoved(maps, await sequences_of(connection, config.target.schema))
    names = dict.fromkeys(sequence.name for sequence in found)
    return tuple(f"sequence {name} is not moved: `cdc plan` says why, and what moves it" for name in names)


async def in_postgres_alone(config: Config, connection: Connection, seen: Surveyed) -> tuple[str, ...]:
    """Tables that no table of SQLite is the source of: an application may have made them since the cutover."""
    with translated("asking which tables are in Postgres alone"):
        rows = await connection.fetch(load("switch")["unfed"], config.target.schema, [m.target for m in seen.maps])
    return tuple(f"table {row[0]} is in Postgres alone, and its rows stay there" for row in rows)


def without_default(seen: Surveyed) -> Iterator[str]:
    """Columns that an application may leave out of an INSERT in SQLite alone."""
    for mapped in seen.maps:
        target = seen.targets.get(mapped.target)
        for column in mapped.columns:
            source = mapped.source.column(column.source) if column.source else None
            there = target.column(column.target) if target else None
            if source is None or there is None or source.default is None or is_null(source.default):
                continue
            if not (there.has_default or there.generated or there.identity):
                fails = "fails there" if there.not_null else "gives NULL there"
                yield f"{mapped.source.name}.{source.name} has a default in SQLite alone: an INSERT without it {fails}"


def partly(maps: Sequence[TableMap]) -> tuple[str, ...]:
    """What of rows that are written in Postgres does not come back to SQLite, by table."""
    return tuple(f"on the way back, {m.source.name}: {why}" for m in maps for why in way_back(m).reasons)


def unchecked(config: Config, seen: Surveyed) -> tuple[str, ...]:
    """What nobody can check, or nothing here was told how to."""
    found = [
        *_PAST_TRIGGERS,
        *(f"{name} is neither fenced nor carried back: {why}" for name, why in seen.fence.unfenceable.items()),
    ]
    if not config.cutover.flags:
        found.append("whether the application follows: no [[cutover.flags]] tells it where to go")
    if not config.cutover.checks:
        found.append("whether the application followed: no [[cutover.checks]] asks it")
    return tuple(found)
