"""What becomes of a stream whose schema `cdc` lost something: it is made again, and what nobody knows now is compared.

A position that is lost is never guessed: the stream goes on from the newest entry of the changelog, and every table is
read as a whole first. That is done by itself where the tables in Postgres are marked as made for this source; where
others made them, a person says so with `cdc load --resync`. After a cutover nothing goes from the file to Postgres: a
file that refuses writes for good, and a Postgres that notes what is written there, say which side counts, and the end
of the file is the position.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cdc.audit import trail
from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import TargetTaken
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.first_copy.snapshots import read_copy, snapshots_folder
from cdc.identity.active_side import refuse_finalized
from cdc.mapping.known import Decisions, map_known, recall, remember
from cdc.postgres.ddl.schema_script import mark
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record import own_schema
from cdc.postgres.record.known_tables import map_wanted, read_known_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.status import never_started
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.catalogue import read_tables
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.fence import fence
from cdc.sqlite.snapshot.snapshot import latest

_RETURNING: Final = "stream while SQLite follows"
_UNKNOWN: Final = {
    _RETURNING: "the position: it is the end of the file, which has refused writes since the cutover",
    "stream": "the position: every table is compared as a whole",
    "mapping": "what was decided about columns: read again from the newest snapshot and from Postgres",
    "quarantine": "which rows are held: every table is compared as a whole",
    "crosswalk": "which row is which: every table is compared as a whole",
    "target_table": "which tables had waited: every table is compared as a whole",
    "owned_table": "which source feeds a table: found out again where only one can",
    "sighting": "where the stream stood in the last minutes",
    "pending": "what the application dropped and Postgres still has: `cdc verify` says what nothing feeds",
    "audit": "entries of the audit trail: the audit file may have them",
    "outbox": "which rows applications changed in Postgres: tables where that is noted are read as a whole",
    "uncarried": "which rows SQLite cannot hold: tables where writes are noted are read as a whole",
    "switch": "what was prepared for a cutover, and how the application writes its values: learned from it again",
    "switch_step": "the steps of earlier switches",
    "rehearsal": "when a switch was rehearsed",
    "disabled_trigger": "which triggers to enable again at cutover",
    "withheld_right": "which rights to write were withheld: grant them again by hand",
    "verified_table": "how far the comparison in the background was: it begins anew",
    "source_sums": "what tables of SQLite came to: they are read again",
    "repaired_row": "which rows were repaired before, by which a repair that does not last is seen",
    "tombstone": "which rows were deleted lately: one that comes back is taken for a new one",
    "left_out": "which indexes and constraints could not be made: `cdc schema` tries them again",
    "made_view": "which views were made",
    "schema_finding": "what was found of the schema: it is looked at again",
    "verification": "the results of earlier comparisons",
}


async def heal(record: Record, config: Config, look: Look, tell: Tell, *, accepted: bool = False) -> None:
    """Make the schema `cdc` whole, and the stream's row and decisions where they are lost.

    `accepted` says that a person wants the file as it is now in Postgres. Nothing happens before the first load.
    """
    connection = record.connection
    lost = await own_schema.make_whole(connection)
    state = await record.stream.read()
    # A stream in these phases had a position.
    if state is None or (state.position is None and state.phase in {Phase.REPLICATE, Phase.CUTOVER}):
        if not (tables := await _ours(record, config, look, accepted=accepted)):
            return
        try:
            await record.ownership.require_free(config, tables)
        except TargetTaken:
            return  # they are another's: whoever wants them is told so
        follows = await _follows_postgres(record, config, tables)
        if follows is None or (state is not None and state.phase.active is Side.POSTGRES and not follows):
            return  # who opens both databases next refuses in words
        await _go_on(record, config, look, () if follows else tables)
        if follows:
            await record.stream.enter(Phase.CUTOVER)
        state, lost = await record.stream.read(), lost | {_RETURNING if follows else "stream"}
    if state is not None and state.position is not None and not state.columns:
        await record.stream.store_columns(await _decisions(record, config, look))
        lost |= {"mapping"}
    if lost:
        await tell("heal the schema cdc", lost="; ".join(_UNKNOWN.get(table, table) for table in sorted(lost)))
    if "disabled_trigger" in lost:
        await _tell_disabled(record, config, look, tell)


async def heal_now(config: Config, *, accepted: bool = False) -> None:
    """Heal for a command, before it does its own work, over a connection of its own; nothing where nothing was set up.

    Raises errors of either database, and `Finalized`.
    """
    if never_started(config):
        return
    refuse_finalized(config)
    look = await asyncio.to_thread(source_file.look, config)
    if look.capture is None:
        return

    async def tell(action: str, **details: str) -> None:
        trail.record(config.state.dir, action, "done", details)

    async with connected(config, "schema") as connection:
        await heal(Record(connection, look.capture.source_id), config, look, tell, accepted=accepted)


async def _ours(record: Record, config: Config, look: Look, *, accepted: bool) -> tuple[TableMap, ...]:
    """The mapped tables that stand in Postgres for this source; empty where that cannot be told."""
    maps = await map_wanted(record, config, look.schema)
    targets = await read_tables(record.connection, config.target.schema, [m.target for m in maps])
    marks = {m.target: mark(m) for m in maps}
    ours = await own_schema.ours(record.connection, config.target.schema, marks)
    return tuple(m for m in maps if m.target in ours or (accepted and m.adopted and m.target in targets))


async def _follows_postgres(record: Record, config: Config, tables: Sequence[TableMap]) -> bool | None:
    """Whether applications write to Postgres, as both databases show it; None where only SQLite says so."""
    if not (await asyncio.to_thread(fence.look, config)).permanent:
        return False
    guards = (await WriteGuard(record.connection, record.source_id).look(tables)).values()
    return True if all(guard.captured and not guard.fenced for guard in guards) else None


async def _go_on(record: Record, config: Config, look: Look, tables: Sequence[TableMap]) -> None:
    assert look.newest is not None, "a file with capture has a newest entry"
    await own_schema.create(record.connection)
    await record.stream.register(str(config.source.path), config.target.schema)
    await own_schema.go_on_with_audit(record.connection)
    await record.reposition(look.newest, [m.source.name for m in tables])


async def _decisions(record: Record, config: Config, look: Look) -> Decisions:
    """What must have been decided: by the data of the newest snapshot, and by the columns as they are in Postgres."""
    snapshot = latest(snapshots_folder(config), config.source.path)
    copy = await asyncio.to_thread(read_copy, config, snapshot.database) if snapshot else None
    first = remember(await map_wanted(record, config, copy.schema, copy.profiles)) if copy else {}
    known_tables = await read_known_tables(record, config, [table.name for table in look.schema.tables])
    maps = recall(map_known(look.schema, known_tables.named(look.schema, config), first), first)
    targets = await read_tables(record.connection, config.target.schema, [m.target for m in maps])
    return remember((_as_it_is(m, targets[m.target]) for m in maps if m.target in targets), targets)


def _as_it_is(mapped: TableMap, target: TargetTable) -> TableMap:
    """The map with the columns that the target has, of the types that they have there."""
    pairs = ((column, target.column(column.target)) for column in mapped.columns)
    return replace(mapped, columns=tuple(_as_there(c, actual.type) for c, actual in pairs if actual))


def _as_there(column: ColumnMap, type_: str) -> ColumnMap:
    """A column that was undecided may have been decided since."""
    if column.literal and type_ == column.type:
        return column
    return replace(column, type=type_, literal=False)


async def _tell_disabled(record: Record, config: Config, look: Look, tell: Tell) -> None:
    tables = [m.target for m in await map_wanted(record, config, look.schema)]
    if names := await own_schema.disabled_triggers(record.connection, config.target.schema, tables):
        await tell("forget triggers", triggers=", ".join(names))
