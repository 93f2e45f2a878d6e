"""Finding out which columns are mapped otherwise by now, and as what: both databases are asked, and nothing is done."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from loguru import logger

from cdc.config import Config
from cdc.errors import MappingError
from cdc.facts.profile import TableProfile
from cdc.facts.source_schema import SourceSchema
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.known import KnownTables, map_anew
from cdc.mapping.revision import Outdated, Revision, left_to_data, outdated, revised, revisions
from cdc.postgres.ddl import retype
from cdc.postgres.record.record import Record
from cdc.sql_names import heading

_NONE: Final[tuple[Revision, ...]] = ()


# What columns hold, named by their tables; whoever looks at a copy of the file has looked already.
Look = Callable[[Mapping[str, Sequence[str]]], Awaitable[Mapping[str, TableProfile]]]


async def revise(
    record: Record, config: Config, known: KnownTables, schema: SourceSchema, maps: Sequence[TableMap], look: Look
) -> tuple[Revision, ...]:
    """What becomes of the columns whose decision counts no more; `look` is asked where the data has the word.

    Raises `MappingError` where the operator asks for what cannot be done.
    """
    config = known.named(schema, config)
    decided = known.ever_decided(schema, config)
    # What somebody dropped in Postgres waits until it is there again.
    found = tuple(each for each in outdated(maps, decided, known.targets) if _stands(each, known.targets))
    if not found:
        return _NONE
    anew = map_anew(schema, config, decided)
    wanted = left_to_data(found, anew)
    profiles = await look(wanted) if wanted else {}
    made = revisions(found, map_anew(schema, config, decided, profiles) if profiles else anew, profiles)
    by_name = {m.source.name: m for m in maps}
    for mapped in revised(maps, made):
        await retype.require_types(record.connection, mapped)
    waiting = await record.quarantine.tables()
    return tuple([await _looked_at(record, by_name[r.table], r, waits=r.table in waiting) for r in made])


def _stands(found: Outdated, targets: Mapping[str, TargetTable]) -> bool:
    target = targets.get(found.mapped.target)
    return target is not None and target.column(found.column.target) is not None


async def _looked_at(record: Record, mapped: TableMap, revision: Revision, *, waits: bool) -> Revision:
    """The revision with what Postgres says of it."""
    revision = replace(revision, waits=waits)
    if not revision.retypes:
        return revision
    if names := await retype.readers(record.connection, mapped, revision.target):
        if revision.keys:
            section = heading("tables", revision.table, "columns", revision.column)
            raise MappingError(
                f"{section}: the column cannot become {revision.wanted}, for views in Postgres read it: "
                f"{', '.join(names)}",
                remedy="drop these views, start again, and make them anew",
            )
        reason = f"views in Postgres read it: {', '.join(names)}"
        logger.bind(object=f"{mapped.target}.{revision.target}", reason=reason).warning("a column keeps its type")
        return revision.given_up()
    return replace(revision, empty=await retype.holds_nothing(record.connection, mapped, revision.target))
