"""Applying what was read: Postgres moves to one committed state of SQLite in one transaction, with the position.

Two ways in. A small batch goes *directly*, by one prepared statement over arrays. Everything else is *staged*: rounds
are copied into temporary tables until they hold the state of one snapshot, then merged once (see `batch`). Whatever
the direct way cannot settle (a unique value that changes owners, a parent that is missing, a value Postgres refuses)
is done again staged. Foreign keys stay enforced either way.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from cdc.errors import TargetError
from cdc.facts.changes import AppliedBatch, Rejection, Round, TableRows, TableTally, Tally
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues
from cdc.faults import crash_point
from cdc.postgres.apply.fk_graph import Families
from cdc.postgres.apply.stage_sql import TURNS, AppliedTable
from cdc.postgres.apply.staged import Batch
from cdc.postgres.apply.stages import Stages
from cdc.postgres.connection.codecs import use_exact_codecs
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.refusals import is_refusal
from cdc.postgres.connection.statements import load
from cdc.postgres.record.commit import FREE, Begun, MovingStatement, store_position
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.postgres.record.tombstone_writer import BURY_PARAMETERS, TombstoneWriter
from cdc.values.converter import Converted, TableConverter

DIRECT_ROWS: Final = 500  # beyond this, staging costs less than arrays
MOST_ARGUMENTS: Final = 32_767  # of one statement; the driver takes no more, and a column needs one


class Applier:
    """Applies to one schema over one connection, which must hold the source's lock."""

    def __init__(
        self,
        record: Record,
        tables: Sequence[tuple[TableMap, TargetTable, TableConverter]],
        tombstones: TombstoneWriter,
    ) -> None:
        self.record = record
        self.connection = record.connection
        self.quarantine = QuarantineWriter(record)
        self.tombstones = tombstones
        self.families = Families([AppliedTable(place, record.source_id, *parts) for place, parts in enumerate(tables)])
        self.stages = Stages(record.connection, self.families)
        self._converted: list[tuple[TableRows, Converted]] = []  # of the round that was tried directly last

    async def prepare(self) -> None:
        """Set the session up; call once after connecting."""
        with translated("preparing the session"):
            # Data and position are lost together or not at all, so a commit need not wait for the disk.
            # A batch's transaction is idle whenever the next round is read.
            await self.connection.execute("SET synchronous_commit = off; SET idle_in_transaction_session_timeout = 0")
            # The stage has no index: what joins it to its target hashes it, in memory where it can.
            # Nor has it statistics, so its cost is overrated: compiling a statement would take longer than to run it.
            await self.connection.execute("SET work_mem = '32MB'; SET jit = off")
            await use_exact_codecs(self.connection)
            await self.connection.execute(f"CREATE TEMP SEQUENCE {TURNS}")
            await self.quarantine.refresh()
            await self.tombstones.refresh()
            referred = await self.connection.fetch(load("catalogue")["referred_tables"])
            self.families.referred = {(r["schema"], r["name"]) for r in referred}

    async def apply_directly(self, changes: Round, begun: Begun) -> AppliedBatch | None:
        """Apply one complete small round; None when it must be staged, with nothing changed in Postgres.

        What was converted is kept for the batch that stages the same round.
        """
        self._converted.clear()
        if not self._may_go_directly(changes):
            return None
        work = self._direct_work(changes)
        # Tables of very many columns: how many rows they have does not count, a column is one array.
        most = FREE + BURY_PARAMETERS
        if work is None or most + sum(step.arguments for step in work) > MOST_ARGUMENTS:
            return None
        try:
            with translated("applying changes"):
                applied = await self._run_directly(work, changes, begun)
        except TargetError as error:
            if is_refusal(error):
                return None
            raise
        crash_point("apply.after_commit")
        return replace(applied, unmoved=await self._unmoved(work, applied))

    @asynccontextmanager
    async def batch(self, names: Iterable[str] = (), *, careful: bool = False) -> "AsyncIterator[Batch]":
        """One transaction that ends in a commit only through `Batch.commit`; `careful` as `Batch` has it.

        `names` are source tables that are known to have changes.
        """
        with translated("applying changes"):
            await self.stages.prepare(names)
            transaction = self.connection.transaction()
            await transaction.start()
            try:
                # A child may move before its parent. Keys that others made may not be deferrable: see `Families.rings`.
                await self.connection.execute("SET CONSTRAINTS ALL DEFERRED")
                batch = Batch(self.record, self.families, self.quarantine, self.tombstones, self.stages)
                batch.converted = self._converted
                batch.careful = careful
                yield batch
            except BaseException:
                await self._forget(transaction)
                raise
            if batch.finished:
                await transaction.commit()
                crash_point("apply.after_commit")
                await self.stages.committed()
                # The last held row of a table may have been released.
                if self.quarantine.tables:
                    await self.quarantine.refresh()
            else:
                await self._forget(transaction)

    async def _forget(self, transaction: "asyncpg.transaction.Transaction") -> None:
        self.stages.undone()
        # A connection that is gone has taken its transaction with it.
        if not self.connection.is_closed():
            await transaction.rollback()
            await self.quarantine.refresh()

    def _may_go_directly(self, changes: Round) -> bool:
        """What can be told of a round before a row of it is converted, the cheapest first."""
        if not changes.complete or changes.rescan:
            return False
        if sum(len(read.rows) + len(read.gone) for read in changes.tables) > DIRECT_ROWS:
            return False
        return not any(self._needs_stage(read) for read in changes.tables)

    def _needs_stage(self, read: TableRows) -> bool:
        """Whether moving rows of a table takes more than its own rows: other rows follow, wait, or lend their key."""
        families = self.families
        if families.tables[read.table].crosswalk is not None or read.table in families.dragging:
            return True
        if read.gone and read.table in families.acting:
            return True
        # Rows of its own that are in quarantine, or children that may wait there for one of these rows.
        return bool(self.quarantine.tables) and not self.quarantine.tables.isdisjoint(families.household(read.table))

    def _direct_work(self, changes: Round) -> "list[_Direct] | None":
        """What to upsert and delete, parents first; None when a value does not fit, which is for the stage to hold."""
        work: dict[str, _Direct] = {}
        for read in changes.tables:
            table = self.families.tables[read.table]
            converted = table.converter.rows(read.rows)
            self._converted.append((read, converted))
            if converted.rejected:
                return None
            gone = [key for raw in read.gone if not isinstance(key := table.converter.key(raw), Rejection)]
            doubted = converted.keys if read.table in self.tombstones.tables else ()
            work[read.table] = _Direct(table, converted.rows, gone, sum(converted.altered.values()), doubted)
        return [work[table.source_name] for table in self.families.in_order(work)]

    async def _run_directly(self, work: "list[_Direct]", changes: Round, begun: Begun) -> AppliedBatch:
        """One statement, and so one transaction and one round trip: foreign keys are checked at its end."""
        parts: list[MovingStatement] = []
        free = FREE
        for step in work:
            for part in step.parts(free, self.tombstones):
                parts.append(part)
                free += len(part.arguments)
        parts += self.tombstones.burying(self.families.remembered(changes.tables), free)
        crash_point("apply.before_commit")
        tables = {step.table.source_name: step.tally for step in work}
        asks = " OR ".join(step.table.reacts for step in work) or "false"
        return await store_position(self.record, begun, changes.position, changes.entries, tables, parts, asks)

    async def _unmoved(self, work: "list[_Direct]", applied: AppliedBatch) -> dict[str, int]:
        """Rows by source table that are not as this batch, just committed, wrote them; see `outcome`."""
        wrong: dict[str, int] = {}
        with translated("checking what was applied"):
            for step in work:
                done = applied.tables.get(step.table.source_name, TableTally())
                for statement, arguments in step.checks(done, all_of_it=applied.reacts):
                    if rows := await self.connection.fetchval(statement, *arguments):
                        wrong[step.table.source_name] = wrong.get(step.table.source_name, 0) + rows
        return wrong


@dataclass(frozen=True, slots=True)
class _Direct:
    """The changes of one table on the direct way: rows, the keys that are gone, and how many values were altered.

    `doubted` are the source keys of the rows where some of them may have a tombstone.
    """

    table: AppliedTable
    rows: Sequence[tuple[object, ...]]
    gone: Sequence[tuple[object, ...]]
    altered: int
    doubted: Sequence[KeyValues]

    def parts(self, first: int, tombstones: TombstoneWriter) -> Iterator[MovingStatement]:
        """The statements with their parameters, one array a column, numbered from `first`."""
        if self.gone:
            keys = _by_column(self.gone)
            yield MovingStatement(self.table.delete_arrays(first), keys)
            first += len(keys)
        if self.rows:
            columns = _by_column(self.rows)
            yield MovingStatement(self.table.upsert_arrays(first), columns)
            first += len(columns)
        if self.doubted:
            yield tombstones.returning(self.table.source_name, self.doubted, first)

    def checks(self, done: TableTally, *, all_of_it: bool) -> Iterator[tuple[str, list[list[object]]]]:
        """Statements that count rows which are not as they should be, where what was `done` does not say it already."""
        if self.gone and (all_of_it or done.deleted != len(self.gone)):
            yield self.table.unmoved_arrays(gone=True), _by_column(self.gone)
        if self.rows and (all_of_it or done.upserted != len(self.rows)):
            yield self.table.unmoved_arrays(gone=False), _by_column(self.rows)

    @property
    def arguments(self) -> int:
        """How many parameters the statements have at most."""
        return len(self.table.key) + len(self.table.columns) + bool(self.doubted)

    @property
    def tally(self) -> Tally:
        """For the audit entry: what the batch did to the table. None is what the statement itself is to count."""
        tally: Tally = {"deleted": None if self.gone else 0, "upserted": None if self.rows else 0}
        tally = {**tally, "returned": None} if self.doubted else tally
        return {**tally, "altered": self.altered} if self.altered else tally


def _by_column(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
