"""Phase 1: the first copy, from the snapshot into empty tables; indexes and constraints follow the rows.

Each table is loaded by one transaction that also notes that it is done, so a load that was killed goes on with the
rest. Rows that Postgres cannot hold, and orphans, go to quarantine on the way.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import TargetError
from cdc.evolve import views
from cdc.facts.progress import Progress
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.first_copy.create_schema import mapped_for
from cdc.first_copy.snapshots import Copy, read_copy, verified_snapshot, without_capture
from cdc.first_copy.table_filler import TableFiller
from cdc.identity.active_side import refuse_after_cutover
from cdc.identity.file_location import settle_path
from cdc.mapping.known import outgrown
from cdc.mapping.map_tables import map_schema
from cdc.notes import end_note
from cdc.postgres.apply import loaded_orphans
from cdc.postgres.apply.copy import prepare_for_load
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.ddl import runner, schema_script
from cdc.postgres.ddl.admission import hold_refused
from cdc.postgres.ddl.check_constraints import CheckConstraint, checks, hold_breaking
from cdc.postgres.record import own_schema
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables import sequences
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.counts import count_rows
from cdc.postgres.tables.statement import EXISTS, Made, Statement
from cdc.postgres.translate.views import translate_views
from cdc.sql_names import qualified
from cdc.sqlite.rows import largest_keys
from cdc.sqlite.rows.broken_checks import count_breaking
from cdc.sqlite.snapshot.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the first copy did: rows that Postgres holds then, by source table, and how many are in quarantine instead.

    Together they are what the snapshot holds, also where the load was cut short and goes on.
    `skipped` tables were loaded before, `left_to_stream` ones are filled by the daemon's first batch. `altered` are
    values that became others by a chosen outcome, by source table and target column.
    """

    tables: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    skipped: tuple[str, ...] = ()
    left_to_stream: tuple[str, ...] = ()
    altered: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that Postgres holds now."""
        return sum(self.tables.values())

    @property
    def told(self) -> dict[str, Any]:
        """What the audit trail keeps of it."""
        altered = {"altered": self.altered} if self.altered else {}
        return {"rows": self.rows, "quarantined": self.quarantined, **altered}


async def load(config: Config, progress: Progress) -> LoadReport:
    """Load the newest snapshot into Postgres and finish the schema; goes on where a load that was killed ended."""
    snapshot = await asyncio.to_thread(verified_snapshot, config)
    copy = await asyncio.to_thread(read_copy, config, snapshot.database)
    if copy.source_id is None or copy.position is None:
        raise without_capture(snapshot)
    async with connected(config, "load") as connection:
        record = Record(connection, copy.source_id)
        state = await record.stream.read()
        refuse_after_cutover(config.source.path, state, None)
        if state is None:
            await record.ownership.require_free(config, map_schema(copy.schema, config))
            raise TargetError("the tables in Postgres do not exist yet", remedy="run `cdc schema` first")
        await lock_source(connection, copy.source_id)
        await own_schema.make_whole(connection)
        if state.position is not None and state.ended_at is not None:
            raise end_note.ended(config, state.ended_at)
        await settle_path(record, config, state.source_path)
        if state.position is not None:
            return LoadReport(skipped=tuple(t.name for t in copy.schema.tables))
        maps = await mapped_for(record, config, copy)
        await record.ownership.claim(config, maps)
        run = _Load(config, record, snapshot, maps, progress)
        try:
            return await run.run(copy)
        finally:
            run.close()


class _Load:
    """One run of the load over one connection, which holds the source's lock."""

    def __init__(
        self, config: Config, record: Record, snapshot: Snapshot, maps: tuple[TableMap, ...], progress: Progress
    ) -> None:
        self._config = config
        self._record = record
        self._connection = record.connection
        self._snapshot = snapshot
        self._maps = maps
        self._progress = progress
        self._quarantine = QuarantineWriter(record)
        self._outcomes: dict[Statement, str | None] = {}
        self._filler = TableFiller(config, record, snapshot, self._quarantine, progress)

    async def run(self, copy: Copy) -> LoadReport:
        """Rows of every table that lacks them, then indexes and constraints, then the position."""
        assert copy.position is not None
        with translated("loading"):
            await prepare_for_load(self._connection)
            done = await self._record.loaded.read(self._snapshot.manifest.id)
        targets = await read_tables(self._connection, self._config.target.schema, [m.target for m in self._maps])
        missing = [m for m in self._maps if m.source.name not in done]
        # Foreign keys that stand already want rows in their order and take no orphans, and to empty a table would empty
        # its children: that is the stream's trade. So is what adopted tables hold already, and a key that has to be
        # remembered row by row.
        needs_order = any(m.adopted or m.crosswalk for m in self._maps) or any(t.foreign_keys for t in targets.values())
        for_stream = missing if needs_order else []
        for mapped in for_stream:
            await self._filler.settle_existing(mapped, targets[mapped.target])
        loaded = {m.source.name: await self._filler.fill(m, targets.get(m.target)) for m in missing if not for_stream}
        crash_point("load.before_constraints")
        await self._finish(targets)
        if not for_stream:
            await self._views(copy)
        # The position comes last: without one no daemon begins, and a load that is given again goes on.
        crash_point("load.before_position")
        async with self._connection.transaction():
            await self._record.begin_at(copy.position, self._snapshot.manifest.id)
            await self._note_outgrown()
            await self._record.stream.request_resync([m.source.name for m in for_stream])
        crash_point("load.after_position")
        held = await self._record.quarantine.counts()
        tables = await self._counted({**done, **loaded}, held)
        left_to_stream = tuple(m.source.name for m in for_stream)
        return LoadReport(tables, sum(held.values()), tuple(done), left_to_stream, self._filler.altered)

    async def _note_outgrown(self) -> None:
        """Types that were given when an older snapshot had no values: the daemon has the data decide them."""
        state = await self._record.stream.read()
        if state and (held := await self._record.quarantine.columns()):
            await self._record.stream.store_columns(outgrown(state.columns, held))

    def close(self) -> None:
        """Close the snapshot."""
        self._filler.close()

    async def _counted(self, copied: dict[str, int], held: dict[str, int]) -> dict[str, int]:
        """Rows of each table; what was copied may have left again, as an orphan, where some rows are held."""
        targets = {m.target: m.source.name for m in self._maps if m.source.name in held and m.source.name in copied}
        if not targets:
            return copied
        counts = await count_rows(self._connection, self._maps[0].schema, list(targets))
        return {**copied, **{targets[target]: rows for target, rows in counts.items()}}

    async def _finish(self, targets: dict[str, TargetTable]) -> None:
        """Unique keys, then indexes and foreign keys once no child is without its parent, then sequences."""
        script = schema_script.script(self._maps, self._config.target.schema)
        keys = [s for s in script.after_load if s.kind is Made.FOREIGN_KEY]
        others = [s for s in script.after_load if s.kind not in (Made.FOREIGN_KEY, Made.CHECK)]
        by_target = {m.target: m for m in self._maps}

        async def hold(statement: Statement) -> None:
            mapped, target = by_target[statement.table], targets[statement.table]
            await hold_refused(self._connection, self._quarantine, mapped, target, statement)

        await self._checks(targets)
        await self._apply([s for s in others if not s.optional], "unique keys", hold)
        await loaded_orphans.remove(self._connection, self._quarantine, self._maps, targets)
        # After the rows that leave: one of them could be what an index has no room for.
        await self._apply([s for s in others if s.optional], "indexes")
        if targets:
            # Only what was loaded: the rest of the database belongs to others.
            names = ", ".join(qualified(t.schema, t.name) for t in targets.values())
            await self._connection.execute(f"ANALYZE {names}")
        await self._apply(keys, "foreign keys")
        await self._record.left_out.note(self._outcomes)
        marks = await asyncio.to_thread(largest_keys.of_copy, self._snapshot.database, self._maps)
        await sequences.advance(self._connection, self._maps, marks)

    async def _checks(self, targets: dict[str, TargetTable]) -> None:
        """CHECKs, after the rows that break them have left for quarantine."""
        for mapped in (m for m in self._maps if not m.adopted):
            for check in checks(mapped):
                if isinstance(check, CheckConstraint):
                    await self._check(mapped, targets[mapped.target], check)

    async def _check(self, mapped: TableMap, target: TargetTable, check: CheckConstraint) -> None:
        with suppress(TargetError):  # most often it is made at once, and nothing has to be looked for
            await runner.apply(self._connection, [check.statement], together=False)
            return
        database = self._snapshot.database
        in_sqlite = await asyncio.to_thread(count_breaking, database, mapped.source, check.source)
        held = await hold_breaking(self._connection, self._quarantine, mapped, target, check, in_sqlite)
        if isinstance(held, str):
            logger.bind(object=check.statement.object, reason=held).warning("a CHECK was left out")
            self._outcomes[check.statement] = held
            return
        await runner.apply(self._connection, [replace(check.statement, optional=True)], self._outcome, together=False)

    async def _views(self, copy: Copy) -> None:
        """Postgres holds what the snapshot holds, so both must answer alike now."""
        translated = translate_views(copy.schema.views, self._maps, self._config.target.schema).translated
        sums = await asyncio.to_thread(views.sums_of_copy, self._snapshot.database, translated)
        await views.make(self._record, translated, sums)

    async def _apply(self, statements: list[Statement], what: str, hold: runner.Hold | None = None) -> None:
        if not statements:
            return
        self._progress.start(what, len(statements))
        await runner.apply(self._connection, statements, self._outcome, hold, together=False)
        self._progress.finish()

    def _outcome(self, statement: Statement, reason: str | None) -> None:
        self._progress.advance(1)
        self._outcomes[statement] = reason
        if reason is not None and reason != EXISTS:
            logger.bind(object=statement.object, reason=reason).warning("an index was left out")
            details = {"table": statement.table, "index": statement.object, "why": reason}
            trail.record(self._config.state.dir, "leave out index", "done", details)
