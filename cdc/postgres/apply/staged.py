"""The staged way of applying: rounds are staged until they are one state of SQLite, then rows move and are committed.

Before rows move, the stage is made consistent: children whose parent will not exist go to quarantine, so that Postgres
never has to cascade on its own. Moving rows of each round while the next is read was tried and measured: slower.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from cdc.facts.changes import AppliedBatch, Position, Reason, Rejection, TableRows, Tally
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.values import KeyValues
from cdc.faults import crash_point
from cdc.mapping.known import retyped
from cdc.postgres.apply import fk_sql
from cdc.postgres.apply.fk_graph import Families
from cdc.postgres.apply.fk_sql import FamilyLink
from cdc.postgres.apply.move import IN_THE_WAY, Mover, Place
from cdc.postgres.apply.optional_indexes import give_way
from cdc.postgres.apply.outcome import unmoved
from cdc.postgres.apply.returned_rows import ReturnedRows
from cdc.postgres.apply.saved_rows import Replaced
from cdc.postgres.apply.stage_rows import stage_gone, stage_rows
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.apply.stages import Stages
from cdc.postgres.apply.type_outgrown import TypeOutgrown
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.refusals import CONSTRAINT_REMEDY, REFUSED, is_refusal
from cdc.postgres.ddl import retype
from cdc.postgres.record.commit import Begun, store_position
from cdc.postgres.record.quarantine import Held, orphans
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.postgres.record.tombstone_writer import TombstoneWriter
from cdc.postgres.tables.key_map import SOURCE_KEY, Crosswalk
from cdc.postgres.tables.source_key_sql import read_key
from cdc.sql_names import listed
from cdc.values.converter import Converted

_TWIN: Final = "another row has the same key in Postgres"


class Batch:
    """One open transaction: stage rounds until they are whole, merge, commit with the position.

    `converted` is what was converted before of what will be staged: nothing is converted twice.

    A `careful` one finds the rows that Postgres refuses to stage (too wide for a page, say), and puts them into
    quarantine. It guards each step with a savepoint, so it is not made without need.

    `refused` are the source tables of which Postgres refused rows. When values change owners among several rows, one
    that is fine may be refused with the others: it fits as soon as the others stand where they belong, so those tables
    deserve a `second_look`.
    """

    def __init__(
        self,
        record: Record,
        families: Families,
        quarantine: QuarantineWriter,
        tombstones: TombstoneWriter,
        stages: Stages,
    ) -> None:
        self._record = record
        self._connection = record.connection
        self._families = families
        self._quarantine = quarantine
        self._tombstones = tombstones
        self._stages = stages
        self.returned = ReturnedRows(record.connection, quarantine, tombstones)
        self._mover = Mover(record.connection, families)
        self._staged: dict[str, int] = {}  # by source table, how often it was since its stage held one row a key
        self._touched: set[str] = set()  # have changes: rows that a constraint refused may fit now
        self._retried: set[str] = set()  # have had their refused rows named by `releasable`
        self._leaving: set[str] = set()  # have keys staged as gone: children may lose their parent
        self._whole: set[str] = set()  # were staged as a whole
        self._retyped: set[str] = set()  # have columns of another type since this batch
        self._moved: dict[str, Counter[str]] = {}
        self._unmoved: dict[str, int] = {}
        self._reacts = False
        self._altered: Counter[str] = Counter()
        self.careful = False
        self.converted: Sequence[tuple[TableRows, Converted]] = ()
        self.refused: set[str] = set()
        self.replaced: Replaced | None = None
        self.finished = False

    def second_look(self, names: Collection[str]) -> None:
        """Try the refused rows of these source tables again, although nothing of them changed."""
        self._touched |= set(names)

    async def stage(self, tables: Sequence[TableRows]) -> None:
        """Copy what one snapshot gave into the stage; a key staged again is newer."""
        with translated("staging changes"):
            for read in tables:
                await self._stage_table(self._families.tables[read.table], read)
            for read in self._families.remembered(tables):
                await self._tombstones.bury(read)
        crash_point("apply.after_stage")

    async def begin_whole(self, name: str) -> None:
        """A source table will be staged as a whole: what is staged or in quarantine of it is void."""
        table = self._families.tables[name]
        with translated("staging a whole table"):
            await self._stages.need(name)
            if self._staged.pop(name, 0):
                await self._connection.execute(f"TRUNCATE {table.stage}")
            await self._quarantine.release_table(name)

    async def end_whole(self, name: str) -> None:
        """A source table was staged as a whole: what was not seen is gone."""
        table = self._families.tables[name]
        await self._keep_latest(table)
        with translated("staging what is gone"):
            if table.buries:
                await self._tombstones.bury_unseen(name, table.stage_unseen(), table.unseen_key())
            else:
                await self._connection.execute(table.stage_unseen())
        self._staged[name] = 1
        self._leaving.add(name)
        self._whole.add(name)

    async def releasable(self) -> dict[str, list[KeyValues]]:
        """Quarantined keys whose cause may be gone with what is staged: they must be read again before the merge."""
        keys: dict[str, list[KeyValues]] = {}
        if not self._quarantine.tables:
            return keys
        with translated("looking for rows to release"):
            for reference in self._families.references:
                child, parent = reference.child.source_name, reference.parent
                if parent is None or parent.source_name not in self._staged or child not in self._quarantine.tables:
                    continue
                if query := fk_sql.find_released(reference):
                    rows = await self._connection.fetch(query, self._record.source_id, reference.waits_table, child)
                    keys.setdefault(child, []).extend(decode_key(row["key"]) for row in rows)
            for name in self._touched - self._retried:
                keys.setdefault(name, []).extend(await self._quarantine.retriable(name))
                self._retried.add(name)
        # A key may wait for several parents, and be read only once.
        return {name: list({encode_key(k): k for k in waiting}.values()) for name, waiting in keys.items() if waiting}

    def ask_again(self, names: Iterable[str]) -> None:
        """Rows of these tables that `releasable` named could not be read: name them once more."""
        self._retried -= set(names)

    async def merge(self) -> None:
        """Move the targets to the staged state. What Postgres refuses goes to quarantine and the rest goes on."""
        crash_point("apply.before_merge")
        await self._retype()
        crosswalks = [(t, t.crosswalk) for t in self._families.in_order(self._staged) if t.crosswalk]
        for name in self._staged:
            await self._keep_latest(self._families.tables[name])
        for table, crosswalk in crosswalks:
            await self._settle_keys(table, crosswalk)
        # This ends: room is made once, and each further attempt has fewer rows staged, or fewer indexes to please.
        while True:
            await self._settle_orphans()
            try:
                # A savepoint: what an attempt moved is undone with it, and the stages are as they were.
                async with self._connection.transaction():
                    staged = self._families.in_order(self._staged)
                    if self.replaced:
                        await self.replaced.save(staged)
                    self._moved = await self._mover.move(staged)
                    # Checks what was deferred now: refused by the commit, nothing could be resolved any more.
                    await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                break
            except (asyncpg.InternalServerError, *REFUSED) as error:
                if not is_refusal(error):
                    raise
                await self._resolve(error)
        self._unmoved, self._reacts = await unmoved(self._connection, staged, self._moved, self._mover.twice)
        await self.returned.note(staged)
        for table, crosswalk in crosswalks:
            for statement in crosswalk.remember(whole=table.source_name in self._whole):
                await self._connection.execute(statement)
        crash_point("apply.after_merge")

    async def _retype(self) -> None:
        """Give columns the types that their rows are staged in: what the rows of these tables are then is compared."""
        for table in (self._families.tables[name] for name in self._whole):
            if table.retyped:
                await retype.alter(self._connection, table.mapped)
                self._retyped.add(table.source_name)

    async def commit(self, begun: Begun, position: Position, changes: int) -> AppliedBatch:
        """Store the position and what was done; the transaction commits when the batch ends."""
        tables: dict[str, Tally] = {name: dict(rows) for name, rows in self._moved.items() if any(rows.values())}
        for name, rows in (await self._quarantine.tell()).items():
            tables[name] = {**tables.get(name, {}), **rows}
        for name, values in self._altered.items():
            tables[name] = {**tables.get(name, {}), "altered": values}
        if self._retyped and (state := await self._record.stream.read()):
            await self._record.stream.store_columns(retyped(state.columns, self._retyped))
            await self._record.waiting.accept_types(list(self._retyped))
        for name, returned in (+self.returned.counts).items():
            tables[name] = {**tables.get(name, {}), "returned": returned}
        applied = await store_position(self._record, begun, position, changes, tables)
        crash_point("apply.before_commit")
        self.finished = True
        return replace(applied, unmoved=self._unmoved, reacts=self._reacts)

    async def clear_resync(self, names: Sequence[str]) -> None:
        """Note that these source tables were read as a whole: the next batch need not do so again."""
        await self._record.stream.clear_resync(names)

    async def _stage_table(self, table: AppliedTable, read: TableRows) -> None:
        await self._stages.need(read.table)
        converted = next((c for rows, c in self.converted if rows is read), None) or table.converter.rows(read.rows)
        if read.table in self._quarantine.tables:
            await self._quarantine.release(read.table, [*converted.keys, *read.gone])
        if converted.altered:
            self._altered[read.table] += sum(converted.altered.values())
        if outgrown := outgrown_columns(table, converted.rejected):
            raise TypeOutgrown(read.table, outgrown)
        converted, held = await self.returned.hold(table, converted)
        rejected = [*converted.rejected, *held]
        if converted.rows:
            rejected += await stage_rows(self._connection, table, converted, careful=self.careful)
        gone = [*read.gone, *(key for key, _ in rejected)]
        if gone and await stage_gone(self._connection, table, gone):
            self._leaving.add(read.table)
        await self._quarantine.put(read.table, [Held(encode_key(key), why) for key, why in rejected])
        self._staged[read.table] = self._staged.get(read.table, 0) + 1
        self._touched.add(read.table)

    async def _settle_keys(self, table: AppliedTable, crosswalk: Crosswalk) -> None:
        """Bring the stage of a table with a crosswalk to one row for each key of Postgres."""
        await self._connection.execute(crosswalk.find_gone())
        while twins := await self._connection.fetch(crosswalk.reject_twins()):
            why = Rejection(", ".join(table.key), Reason.CONSTRAINT, _TWIN, CONSTRAINT_REMEDY)
            await self._quarantine.put(table.source_name, [Held(record[SOURCE_KEY], why) for record in twins])
            await self._connection.execute(crosswalk.find_gone())
            self.refused.add(table.source_name)
        await self._connection.execute(crosswalk.leave_old_keys())
        await self._connection.execute(crosswalk.keep_taken())
        self._leaving.add(table.source_name)

    async def _keep_latest(self, table: AppliedTable) -> None:
        if self._staged.get(table.source_name, 0) > 1:
            await self._connection.execute(table.keep_latest())
            self._staged[table.source_name] = 1

    async def _settle_orphans(self) -> None:
        """Repeat until no child is without its parent: an orphan that leaves may leave orphans of its own.

        This ends, for each round but the last marks further rows as gone.
        """
        settled = False
        while not settled:
            settled = True
            for reference in self._families.references:
                if await self._settle(reference):
                    settled = False

    async def _settle(self, reference: FamilyLink) -> bool:
        """Hold the children that lose their parent, and those that come without one; returns whether there were any."""
        child = reference.child.source_name
        orphaned: list[asyncpg.Record] = []
        if self._may_abandon(reference) and (query := fk_sql.find_abandoned(reference)):
            await self._stages.need(child)
            orphaned += await self._connection.fetch(query)
            dragging = fk_sql.stage_dragged(reference)
            if dragging:
                await self._connection.execute(dragging)
            if orphaned or dragging:
                self._staged.setdefault(child, 1)
        if child in self._staged:
            orphaned += await self._connection.fetch(fk_sql.find_orphans(reference))
        if orphaned:
            await self._quarantine.put(child, orphans(reference.key, orphaned))
            self._leaving.add(child)
        return bool(orphaned)

    def _may_abandon(self, reference: FamilyLink) -> bool:
        """Whether children can lose their parent: it leaves, or is referred to by columns that can change."""
        parent = reference.parent
        if parent is None or parent.source_name not in self._staged:
            return False
        return parent.source_name in self._leaving or not set(reference.key.parent_columns) <= set(parent.key)

    async def _resolve(self, error: asyncpg.PostgresError) -> None:
        """Make the next attempt different: make room for unique values first, else quarantine what is refused."""
        if isinstance(error, asyncpg.StatementTooComplexError):
            raise error  # that says something of the server, its stack depth, and nothing of a row
        if isinstance(error, IN_THE_WAY) and not self._mover.making_room:
            self._mover.making_room = True
            return
        refused = await self._mover.find_refused(self._families.in_order(self._staged))
        if not refused:
            raise error
        for table, places in refused.items():
            if await self._give_way(table, places):
                continue
            for place, why in places.items():
                marked = await self._connection.fetchval(table.reject_subset(), [place])
                await self._quarantine.put(table.source_name, [Held(read_key(marked), why)])
            self._leaving.add(table.source_name)
            self.refused.add(table.source_name)

    async def _give_way(self, table: AppliedTable, refused: dict[Place, Rejection]) -> bool:
        """Whether indexes were dropped that had no room for some of the refused rows."""
        places = [place for place, why in refused.items() if why.reason is Reason.LIMIT]
        if not places or table.mapped.adopted:
            return False
        rows = f"SELECT {listed(table.columns)} FROM {table.stage} WHERE ctid = ANY($1::tid[])"
        return bool(await give_way(self._record, table.target, table.columns, rows, places))


def outgrown_columns(table: AppliedTable, rejected: Sequence[tuple[KeyValues, Rejection]]) -> frozenset[str]:
    """The columns of a provisional type that values did not fit which another type might hold."""
    if not table.provisional:
        return frozenset()
    return table.provisional & {why.column for _, why in rejected if why.by_type}
