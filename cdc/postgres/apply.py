"""Applying what was read: Postgres moves to one committed state of SQLite in one transaction, with the position.

Two ways in. A small batch goes *directly*, by one prepared statement over arrays. Everything else is *staged*: rounds
are copied into temporary tables until they hold the state of one snapshot, then merged once. Whatever the direct way
cannot settle (a unique value that changes owners, a parent that is missing, a value Postgres refuses) is done again
staged.

Foreign keys stay enforced. Before rows move, the stage is made consistent: children whose parent will not exist go to
quarantine, so that Postgres never has to cascade on its own.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from cdc.convert import TableConverter
from cdc.errors import TargetError
from cdc.faults import crash_point
from cdc.keys import decode_key, encode_key
from cdc.model import KeyValues, Position, Reason, Rejection, Round, TableMap, TableRows, TargetTable
from cdc.postgres import merge
from cdc.postgres.codecs import use_exact_codecs
from cdc.postgres.connection import Connection, translated
from cdc.postgres.merge import AppliedTable, Reference
from cdc.postgres.position import SQL as STREAM_SQL
from cdc.postgres.quarantine import Held, Quarantine, orphans

DIRECT_ROWS: Final = 500  # beyond this, staging costs less than arrays
_REFUSED: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
_IN_THE_WAY: Final = (
    asyncpg.UniqueViolationError,
    asyncpg.ExclusionViolationError,
    asyncpg.ForeignKeyViolationError,
)

_PASSIVE: Final = ("NO ACTION", "RESTRICT")

Place = tuple[int, int]  # a ctid

_CONSTRAINT_REMEDY: Final = "correct the row in SQLite, or the constraint in Postgres, then `cdc quarantine retry`"


class Applier:
    """Applies to one schema over one connection, which must hold the source's lock."""

    def __init__(
        self,
        connection: Connection,
        source_id: str,
        tables: Sequence[tuple[TableMap, TargetTable, TableConverter]],
    ) -> None:
        self.connection = connection
        self.source_id = source_id
        self.quarantine = Quarantine(connection, source_id)
        applied = [AppliedTable(place, *parts) for place, parts in enumerate(tables)]
        self.references = _references(applied)
        self.tables = {table.source_name: table for table in _parents_first(applied, self.references)}
        self.referenced = {r.parent.source_name for r in self.references if r.parent}
        self._acting = {r.parent.source_name for r in self.references if r.parent and _acts(r)}
        acting = [r for r in self.references if r.parent and (_acts(r) or r.key.on_update not in _PASSIVE)]
        self._dragging = {r.parent.source_name for r in acting if r.parent and r.drags}
        self.cascading = {r.parent.source_name for r in acting if r.parent and r.drags and r.key.on_delete == "CASCADE"}
        self._family = {name: {name} for name in self.tables}
        for reference in self.references:
            if reference.parent is not None:
                self._family[reference.parent.source_name].add(reference.child.source_name)
        self._staged_before = False
        self._referred: set[tuple[str, str]] = set()

    async def prepare(self) -> None:
        """Set the session up; call once after connecting."""
        with translated("preparing the session"):
            # Data and position are lost together or not at all, so a commit need not wait for the disk.
            await self.connection.execute("SET synchronous_commit = off; SET idle_in_transaction_session_timeout = 0")
            await use_exact_codecs(self.connection)
            await self.quarantine.refresh()
            self._referred = {(r["schema"], r["name"]) for r in await self.connection.fetch(merge.REFERRED_TABLES)}

    def may_vacate(self, table: AppliedTable) -> bool:
        """Whether rows can be deleted and inserted again without anybody noticing: no table at all refers to them."""
        return table.whole and (table.target.schema, table.target.name) not in self._referred

    async def apply_directly(self, changes: Round, lag_seconds: float | None) -> bool:
        """Apply one complete small round; False when it must be staged, with nothing changed."""
        if (
            not changes.complete
            or changes.rescan
            or sum(len(t.rows) + len(t.gone) for t in changes.tables) > DIRECT_ROWS
        ):
            return False
        work = self._direct_work(changes)
        if work is None:
            return False
        try:
            with translated("applying changes"):
                await self._run_directly(work, changes, lag_seconds)
        except TargetError as error:
            if isinstance(error.__cause__, _REFUSED):
                return False
            raise
        crash_point("apply.after_commit")
        return True

    @asynccontextmanager
    async def batch(self) -> "AsyncIterator[Batch]":
        """One transaction that ends in a commit only through `Batch.commit`."""
        with translated("applying changes"):
            await self._create_stages()
            transaction = self.connection.transaction()
            await transaction.start()
            try:
                await self.connection.execute("SET CONSTRAINTS ALL DEFERRED")
                batch = Batch(self)
                yield batch
            except BaseException:
                await self._forget(transaction)
                raise
            if batch.finished:
                await transaction.commit()
                crash_point("apply.after_commit")
                if self.quarantine.tables:
                    await self.quarantine.refresh()
            else:
                await transaction.rollback()

    async def _forget(self, transaction: "asyncpg.transaction.Transaction") -> None:
        if not self.connection.is_closed():
            await transaction.rollback()
            await self.quarantine.refresh()

    async def _create_stages(self) -> None:
        if not self._staged_before:
            for table in self.tables.values():
                await self.connection.execute(table.create_stage())
            self._staged_before = True

    def _direct_work(self, changes: Round) -> "list[_Direct] | None":
        """What to upsert and delete, parents first; None when something needs the stage."""
        work: dict[str, _Direct] = {}
        for read in changes.tables:
            table = self.tables[read.table]
            converted = table.converter.rows(read.rows)
            gone = [key for raw in read.gone if not isinstance(key := table.converter.key(raw), Rejection)]
            if converted.rejected or self._touches_quarantine(read.table) or (gone and read.table in self._acting):
                return None
            if read.table in self._dragging:
                return None
            work[read.table] = _Direct(table, converted.rows, gone)
        return [work[name] for name in self.tables if name in work]

    def _touches_quarantine(self, name: str) -> bool:
        """Whether rows of this table, or children that may wait for them, are in quarantine."""
        return bool(self.quarantine.tables) and not self.quarantine.tables.isdisjoint(self._family[name])

    async def _run_directly(self, work: "list[_Direct]", changes: Round, lag_seconds: float | None) -> None:
        """One statement, and so one transaction and one round trip: foreign keys are checked at its end."""
        position = changes.position
        arguments: list[object] = [self.source_id, position.seq, position.entry, changes.entries, lag_seconds]
        parts: list[str] = []
        for step in work:
            for statement, columns in step.statements(len(arguments) + 1):
                parts.append(f"part_{len(parts)} AS ({statement})")
                arguments += columns
        crash_point("apply.before_commit")
        moves = f"WITH {', '.join(parts)} " if parts else ""
        await self.connection.execute(moves + STREAM_SQL["store_position"], *arguments)

    async def store_position(self, position: Position, changes: int, lag_seconds: float | None) -> None:
        """Store the position; always inside the transaction that applied the changes up to it."""
        await self.connection.execute(
            STREAM_SQL["store_position"], self.source_id, position.seq, position.entry, changes, lag_seconds
        )


@dataclass(frozen=True, slots=True)
class _Direct:
    """The changes of one table on the direct way: converted rows, and the keys that are gone."""

    table: AppliedTable
    rows: Sequence[tuple[object, ...]]
    gone: Sequence[tuple[object, ...]]

    def statements(self, first: int) -> Iterator[tuple[str, list[list[object]]]]:
        """Statements and their parameters (one array a column), numbered from `first`."""
        if self.gone:
            keys = [list(column) for column in zip(*self.gone, strict=True)]
            yield self.table.delete_arrays(first), keys
            first += len(keys)
        if self.rows:
            yield self.table.upsert_arrays(first), [list(column) for column in zip(*self.rows, strict=True)]


class Batch:
    """One open transaction: stage rounds until they are whole, merge once, commit with the position."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier
        self._connection = applier.connection
        self._quarantine = applier.quarantine
        self._staged: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._retried: set[str] = set()
        self._making_room = False
        self.finished = False

    async def stage(self, tables: Sequence[TableRows]) -> None:
        """Copy what one snapshot gave into the stage; a key staged again is newer."""
        with translated("staging changes"):
            for read in tables:
                await self._stage_table(self._applier.tables[read.table], read)
        crash_point("apply.after_stage")

    async def begin_whole(self, name: str) -> None:
        """A source table will be staged as a whole: what is known of its quarantine is void."""
        await self._quarantine.release_table(name)

    async def end_whole(self, name: str) -> None:
        """A source table was staged as a whole: what was not seen is gone."""
        table = self._applier.tables[name]
        await self._keep_latest(table)
        await self._connection.execute(table.stage_unseen())
        self._staged[name] = 1
        self._leaving.add(name)

    async def releasable(self) -> dict[str, list[KeyValues]]:
        """Quarantined keys whose cause may be gone with what is staged: they must be read again before the merge."""
        keys: dict[str, list[KeyValues]] = {}
        if not self._quarantine.tables:
            return keys
        with translated("looking for rows to release"):
            for reference in self._applier.references:
                await self._find_released(reference, keys)
            for name in set(self._staged) - self._retried:
                keys.setdefault(name, []).extend(await self._quarantine.retriable(name))
                self._retried.add(name)
        # A key may wait for several parents, and be read only once.
        return {name: list({encode_key(k): k for k in found}.values()) for name, found in keys.items() if found}

    async def merge(self) -> None:
        """Move the targets to the staged state. What Postgres refuses goes to quarantine and the rest goes on."""
        crash_point("apply.before_merge")
        for name in self._staged:
            await self._keep_latest(self._applier.tables[name])
        while True:
            await self._settle_orphans()
            try:
                async with self._connection.transaction():
                    await self._move_rows()
                    await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                break
            except _REFUSED as error:
                await self._resolve(error)
        crash_point("apply.after_merge")

    async def commit(self, position: Position, changes: int, lag_seconds: float | None) -> None:
        """Store the position; the transaction commits when the batch ends."""
        await self._applier.store_position(position, changes, lag_seconds)
        crash_point("apply.before_commit")
        self.finished = True

    async def clear_resync(self) -> None:
        """Every table that had to be read as a whole was."""
        await self._connection.execute(STREAM_SQL["clear_resync"], self._applier.source_id)

    async def _stage_table(self, table: AppliedTable, read: TableRows) -> None:
        converted = table.converter.rows(read.rows)
        if read.table in self._quarantine.tables:
            await self._quarantine.release(read.table, [*converted.keys, *read.gone])
        if converted.rows:
            await self._copy(table, converted.rows, table.columns)
        rejected = [key for key, _ in converted.rejected]
        gone = [key for raw in (*read.gone, *rejected) if not isinstance(key := table.converter.key(raw), Rejection)]
        if gone:
            await self._copy(table, [(*key, True) for key in gone], (*table.key, "_cdc_gone"))
            self._leaving.add(read.table)
        await self._quarantine.put(read.table, [Held(encode_key(key), why) for key, why in converted.rejected])
        self._staged[read.table] = self._staged.get(read.table, 0) + 1

    async def _copy(self, table: AppliedTable, rows: Sequence[tuple[object, ...]], columns: Sequence[str]) -> None:
        await self._connection.copy_records_to_table(table.stage, records=rows, columns=list(columns))

    async def _keep_latest(self, table: AppliedTable) -> None:
        if self._staged.get(table.source_name, 0) > 1:
            await self._connection.execute(table.keep_latest())
            self._staged[table.source_name] = 1

    async def _find_released(self, reference: Reference, keys: dict[str, list[KeyValues]]) -> None:
        child = reference.child.source_name
        if reference.parent is None or child not in self._quarantine.tables:
            return
        if reference.parent.source_name in self._staged and (query := merge.find_released(reference)):
            found = await self._connection.fetch(query, self._applier.source_id, reference.waits_table, child)
            keys.setdefault(child, []).extend(decode_key(record["key"]) for record in found)

    async def _settle_orphans(self) -> None:
        """Repeat until no child is without its parent: an orphan that leaves may leave orphans of its own."""
        settled = False
        while not settled:
            settled = True
            for reference in self._applier.references:
                if await self._settle(reference):
                    settled = False

    async def _settle(self, reference: Reference) -> bool:
        child = reference.child
        changed = False
        if self._may_abandon(reference) and (query := merge.find_abandoned(reference)):
            changed = await self._abandon(reference, query)
            if query := merge.stage_dragged(reference):
                await self._connection.execute(query)
                self._staged.setdefault(child.source_name, 1)
        if child.source_name in self._staged:
            found = await self._connection.fetch(merge.find_orphans(reference))
            await self._hold_orphans(reference, found)
            if found:
                self._leaving.add(child.source_name)
                changed = True
        return changed

    def _may_abandon(self, reference: Reference) -> bool:
        """Whether children can lose their parent: it leaves, or is referred to by columns that can change."""
        parent = reference.parent
        if parent is None or parent.source_name not in self._staged:
            return False
        return parent.source_name in self._leaving or not set(reference.key.parent_columns) <= set(parent.key)

    async def _abandon(self, reference: Reference, query: str) -> bool:
        abandoned = await self._connection.fetch(query)
        await self._hold_orphans(reference, abandoned)
        if abandoned:
            self._staged.setdefault(reference.child.source_name, 1)
            self._leaving.add(reference.child.source_name)
        return bool(abandoned)

    async def _hold_orphans(self, reference: Reference, found: "list[asyncpg.Record]") -> None:
        await self._quarantine.put(reference.child.source_name, orphans(reference.key, found))

    async def _move_rows(self) -> None:
        """Parents first for upserts, children first for deletes; a table nobody refers to deletes first."""
        staged = [table for name, table in self._applier.tables.items() if name in self._staged]
        if self._making_room:
            await self._make_room(staged)
        for table in staged:
            if table.source_name not in self._applier.referenced:
                await self._connection.execute(table.delete_from_stage)
            await self._connection.execute(table.upsert_from_stage)
        for table in reversed(staged):
            if table.source_name in self._applier.referenced:
                await self._connection.execute(table.delete_from_stage)
        bent = {r.child.source_name for r in self._applier.references if r.drags}
        for table in staged:
            if table.source_name in bent:
                await self._connection.execute(table.upsert_from_stage)

    async def _make_room(self, staged: Sequence[AppliedTable]) -> None:
        """Free unique values that change owners; a parent stays, because children hang on it."""
        repointed = await self._repoint()
        for table in reversed(staged):
            if self._applier.may_vacate(table):
                await self._connection.execute(table.vacate())
                continue
            if repointed and table.source_name not in self._applier.cascading:
                await self._connection.execute(table.delete_from_stage)
            for statement in filter(None, map(table.park, table.swappable)):
                # Where not even a stand-in is taken, the value has to wait for its row.
                with suppress(*_REFUSED):
                    async with self._connection.transaction():
                        await self._connection.execute(statement)

    async def _repoint(self) -> bool:
        """Whether no child that stays refers to a parent that leaves, so that parents can leave first."""
        try:
            async with self._connection.transaction():
                for reference in self._applier.references:
                    if reference.child.source_name in self._staged:
                        await self._connection.execute(merge.repoint(reference))
        except _REFUSED:
            return False  # a foreign key or a unique one that cannot wait
        return True

    async def _resolve(self, error: asyncpg.PostgresError) -> None:
        """Make the next attempt different: make room for unique values first, else quarantine what is refused."""
        if isinstance(error, _IN_THE_WAY) and not self._making_room:
            self._making_room = True
            return
        refused = await self._find_refused()
        if not refused:
            raise error
        for table, places in refused.items():
            for place, words in places.items():
                marked = await self._connection.fetchval(table.reject_subset(), [place])
                why = Rejection("", Reason.CONSTRAINT, words, _CONSTRAINT_REMEDY)
                await self._quarantine.put(table.source_name, [Held(merge.read_key(marked), why)])
            self._leaving.add(table.source_name)

    async def _find_refused(self) -> dict[AppliedTable, dict[Place, str]]:
        """Which staged rows Postgres refuses, with its words; tried for real, parents first, and undone."""
        refused: dict[AppliedTable, dict[Place, str]] = {}
        trial = self._connection.transaction()
        await trial.start()
        # Rows go in one by one here, so a value may be wanted before its owner gave it up.
        await self._make_room([table for name, table in self._applier.tables.items() if name in self._staged])
        for table in self._applier.tables.values():
            if table.source_name in self._staged:
                if table.source_name not in self._applier.referenced:
                    await self._connection.execute(table.delete_from_stage)
                places = await self._connection.fetch(f"SELECT ctid FROM {table.stage} WHERE NOT _cdc_gone")
                found: dict[Place, str] = {}
                await self._try_rows(table, [record["ctid"] for record in places], found)
                if found:
                    refused[table] = found
        await trial.rollback()
        return refused

    async def _try_rows(self, table: AppliedTable, places: list[Place], refused: dict[Place, str]) -> None:
        """Upsert rows in halves, keeping what Postgres takes, until each refused row stands alone."""
        if not places:
            return
        try:
            async with self._connection.transaction():
                await self._connection.execute(table.upsert_subset, places)
                if table.check_uniques:
                    await self._connection.execute(table.check_uniques)
        except _REFUSED as error:
            if len(places) == 1:
                refused[places[0]] = str(error.args[0])
                return
            middle = len(places) // 2
            await self._try_rows(table, places[:middle], refused)
            await self._try_rows(table, places[middle:], refused)


def _references(tables: Sequence[AppliedTable]) -> list[Reference]:
    """Foreign keys of the targets whose columns are all replicated, parents first."""
    by_name = {(t.target.schema, t.target.name): t for t in tables}
    found: list[Reference] = []
    for child in tables:
        for key in child.target.foreign_keys:
            parent = by_name.get((key.parent_schema, key.parent))
            known = parent is None or set(key.parent_columns) <= set(parent.columns)
            if known and set(key.columns) <= set(child.columns):
                found.append(Reference(key, child, parent))
    order = {t.source_name: place for place, t in enumerate(_parents_first(tables, found))}
    return sorted(found, key=lambda r: order[r.child.source_name])


def _parents_first(tables: Sequence[AppliedTable], references: Sequence[Reference]) -> list[AppliedTable]:
    """Tables so that a parent stands before its children; within a cycle the given order stays."""
    parents: dict[str, list[AppliedTable]] = {}
    for reference in references:
        if reference.parent is not None:
            parents.setdefault(reference.child.source_name, []).append(reference.parent)
    done: dict[str, AppliedTable] = {}
    open_: set[str] = set()

    def visit(table: AppliedTable) -> None:
        if table.source_name in done or table.source_name in open_:
            return
        open_.add(table.source_name)
        for parent in parents.get(table.source_name, []):
            visit(parent)
        done[table.source_name] = table

    for table in tables:
        visit(table)
    return list(done.values())


def _acts(reference: Reference) -> bool:
    """Whether Postgres would change children by itself when the parent is deleted."""
    return reference.key.on_delete not in _PASSIVE
