"""What becomes of a provisional type that a value does not fit: the next session asks the whole column."""

from collections.abc import Sequence
from typing import Final

from cdc.facts.table_map import TableMap
from cdc.faults import crash_point
from cdc.mapping import known
from cdc.postgres.apply.type_outgrown import TypeOutgrown
from cdc.postgres.ddl import retype
from cdc.postgres.record.record import Record

# Once so many values fitted a type it stands, and one that does not fit waits in quarantine: a slip among many values
# of one form must not turn them all into texts.
ENOUGH_VALUES: Final = 1000


async def note_outgrown(record: Record, maps: Sequence[TableMap], outgrown: TypeOutgrown) -> None:
    """Remember that the types of some columns are to be decided anew; those with enough values stand from now on."""
    state = await record.stream.read()
    if state is None:
        return  # whoever opens the stream next says so
    mapped = next(m for m in maps if m.source.name == outgrown.table)
    columns = known.outgrown(state.columns, [(outgrown.table, name) for name in outgrown.columns])
    for name in outgrown.columns:
        if await retype.holds_many(record.connection, mapped, name, ENOUGH_VALUES):
            columns[outgrown.table][name] = known.for_good(columns[outgrown.table][name])
    crash_point("outgrown.before_noted")
    await record.stream.store_columns(columns)
    crash_point("outgrown.after_noted")
