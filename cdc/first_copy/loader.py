"""Phase 1: the first copy, from the snapshot into empty tables; indexes and constraints follow the rows.

Each table is loaded by one transaction that also notes that it is done, so a load that was killed goes on with the
rest. Rows that Postgres cannot hold, and orphans, go to quarantine on the way.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import TargetError, TargetNotEmpty
from cdc.evolve import views
from cdc.facts.changes import Rejection
from cdc.facts.progress import Progress
from cdc.facts.row_key import encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues, Row
from cdc.faults import crash_point
from cdc.first_copy.create_schema import mapped_for
from cdc.first_copy.snapshots import Copy, read_copy, verified_snapshot, without_capture
from cdc.identity.file_location import settle_path
from cdc.mapping.map_tables import map_schema
from cdc.notes import end_note
from cdc.postgres.apply import loaded_orphans
from cdc.postgres.apply.copy import copy_accepted, copy_rows, has_rows, make_empty, prepare_for_load
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.refusals import is_refusal
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.ddl import runner, schema_script
from cdc.postgres.ddl.admission import hold_refused
from cdc.postgres.ddl.check_constraints import CheckConstraint, checks, hold_breaking
from cdc.postgres.record import own_schema
from cdc.postgres.record.quarantine import Held
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables import sequences
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.counts import count_rows
from cdc.postgres.tables.csv_file import save_rows
from cdc.postgres.tables.statement import Made, Statement
from cdc.postgres.translate.views import translate_views
from cdc.sql_names import qualified
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows import largest_keys, select
from cdc.sqlite.rows.broken_checks import count_breaking
from cdc.sqlite.snapshot.snapshot import Snapshot
from cdc.values.converter import Converted, TableConverter, compile_converter

CHUNK_ROWS: Final = 256  # small enough for the server to work on one while the next is made
CHUNK_BYTES: Final = 4 * 1024 * 1024


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
        run = _Load(record, snapshot, maps, progress, config)
        try:
            return await run.run(config, copy)
        finally:
            run.close()


class _Load:
    """One run of the load over one connection."""

    def __init__(
        self,
        record: Record,
        snapshot: Snapshot,
        maps: tuple[TableMap, ...],
        progress: Progress,
        config: Config,
    ) -> None:
        self._record = record
        self._connection = record.connection
        self._snapshot = snapshot
        self._maps = maps
        self._progress = progress
        self._quarantine = QuarantineWriter(record)
        self._altered: dict[str, dict[str, int]] = {}
        self._config = config
        # Opened once: each time, SQLite reads the whole schema, which takes long where there are thousands of tables.
        self._copied = open_copy(snapshot.database)

    async def run(self, config: Config, copy: Copy) -> LoadReport:
        """Rows of every table that lacks them, then indexes and constraints, then the position."""
        assert copy.position is not None
        with translated("loading"):
            await prepare_for_load(self._connection)
            done = await self._record.loaded.read(self._snapshot.manifest.id)
        targets = await read_tables(self._connection, config.target.schema, [m.target for m in self._maps])
        missing = [m for m in self._maps if m.source.name not in done]
        # Foreign keys that stand already want rows in their order and take no orphans: that is the stream's trade. So
        # is what adopted tables hold already, and a key that has to be remembered row by row.
        stands = any(m.adopted or m.crosswalk for m in self._maps) or any(
            target.foreign_keys for target in targets.values()
        )
        later = missing if stands else []
        for mapped in later:
            await self._settle_existing(mapped, targets[mapped.target])
        loaded = {m.source.name: await self._table(m, targets) for m in missing if not later}
        crash_point("load.before_constraints")
        await self._finish(config, targets)
        if not later:
            await self._views(config, copy)
        crash_point("load.before_position")
        async with self._connection.transaction():
            await self._record.begin_at(copy.position, self._snapshot.manifest.id)
            await self._record.stream.request_resync([m.source.name for m in later])
        crash_point("load.after_position")
        held = await self._record.quarantine.counts()
        tables = await self._counted({**done, **loaded}, held)
        return LoadReport(tables, sum(held.values()), tuple(done), tuple(m.source.name for m in later), self._altered)

    def close(self) -> None:
        """Close the snapshot."""
        self._copied.close()

    async def _counted(self, copied: dict[str, int], held: dict[str, int]) -> dict[str, int]:
        """Rows of each table; what was copied may have left again, as an orphan, where some rows are held."""
        targets = {m.target: m.source.name for m in self._maps if m.source.name in held and m.source.name in copied}
        if not targets:
            return copied
        counts = await count_rows(self._connection, self._maps[0].schema, list(targets))
        return {**copied, **{targets[target]: rows for target, rows in counts.items()}}

    async def _table(self, mapped: TableMap, targets: dict[str, TargetTable]) -> int:
        target = targets.get(mapped.target)
        if target is None:
            raise TargetError(f"table {mapped.target} is missing in Postgres", remedy="run `cdc schema` first")
        converter = compile_converter(mapped, target)
        try:
            count = await self._fill(mapped, target, converter, self._copy)
        except TargetError as error:
            if not is_refusal(error):
                raise
            # One statement for the whole table is fastest, and says nothing of which row it was.
            await self._quarantine.refresh()
            count = await self._fill(mapped, target, converter, self._copy_accepted)
        crash_point("load.after_table_commit")
        return count

    async def _fill(self, mapped: TableMap, target: TargetTable, converter: TableConverter, copy: "_Copy") -> int:
        name = mapped.source.name
        self._progress.start(name, self._snapshot.manifest.tables.get(name))
        chunks = select.chunks(self._copied, mapped, CHUNK_ROWS, CHUNK_BYTES)
        feed = _Feed(chunks, converter, self._progress)
        try:
            with translated(f"loading {mapped.target}"):
                async with self._connection.transaction():
                    await self._make_empty(mapped, target)
                    count = await copy(mapped, target, feed)
                    await self._record.loaded.mark(name, self._snapshot.manifest.id, count)
                    crash_point("load.before_table_commit")
        finally:
            feed.close()
            self._progress.finish()
        if feed.altered:
            self._altered[name] = dict(feed.altered)
        return count

    async def _make_empty(self, mapped: TableMap, target: TargetTable) -> None:
        await self._settle_existing(mapped, target)
        # In one transaction with the COPY, so that readers never see the table empty in between.
        await make_empty(self._connection, target)
        await self._quarantine.release_table(mapped.source.name)

    async def _settle_existing(self, mapped: TableMap, target: TargetTable) -> None:
        """Only what an earlier load of ours left may be there; rows of others are saved to a file first, or refused."""
        loaded_before = await self._record.loaded.was_loaded(mapped.source.name)
        if loaded_before or not await has_rows(self._connection, target):
            return
        if self._config.target.existing_rows == "refuse":
            raise TargetNotEmpty(
                f"table {target.schema}.{target.name} in Postgres has rows that this tool did not load",
                remedy='empty it, choose another `schema` in [target], or set `existing_rows = "replace"` there: they '
                "are saved to a file first",
            )
        # A load that is given again finds what it saved. A table of our making may be taken over several times.
        time = "" if mapped.adopted else f".{self._snapshot.manifest.id}"
        file = self._config.state.dir / "replaced" / f"{target.schema}.{target.name}{time}.csv"
        count = await save_rows(self._connection, target, file)
        trail.record(
            self._config.state.dir, "save rows", "done", {"table": target.name, "rows": count, "file": str(file)}
        )

    async def _copy(self, mapped: TableMap, target: TargetTable, feed: "_Feed") -> int:
        count = 0
        while not feed.ended:
            count += await copy_rows(self._connection, mapped, target, feed.chunks())
            await self._quarantine.put(mapped.source.name, feed.take_held())
            await self._quarantine.tell()
        return count

    async def _copy_accepted(self, mapped: TableMap, target: TargetTable, feed: "_Feed") -> int:
        """Chunk by chunk; the rows that Postgres refuses go to quarantine, as those that cannot be converted do."""
        count = 0
        async for converted in feed.converted():
            refused = await copy_accepted(self._connection, mapped, target, converted.rows)
            held = [Held(encode_key(converted.keys[place]), why) for place, why in refused.items()]
            await self._quarantine.put(mapped.source.name, [*feed.take_held(), *held])
            await self._quarantine.tell()
            count += len(converted.rows) - len(refused)
        return count

    async def _finish(self, config: Config, targets: dict[str, TargetTable]) -> None:
        """Unique keys, then indexes and foreign keys once no child is without its parent, then sequences."""
        script = schema_script.script(self._maps, config.target.schema)
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
            return
        await runner.apply(self._connection, [replace(check.statement, optional=True)], self._outcome, together=False)

    async def _views(self, config: Config, copy: Copy) -> None:
        """Postgres holds what the snapshot holds, so both must answer alike now."""
        translated = translate_views(copy.schema.views, self._maps, config.target.schema).translated
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
        if reason is not None and reason != runner.EXISTS:
            logger.bind(object=statement.object, reason=reason).warning("an index was left out")
            details = {"table": statement.table, "index": statement.object, "why": reason}
            trail.record(self._config.state.dir, "leave out index", "done", details)


_Copy = Callable[[TableMap, TargetTable, "_Feed"], Awaitable[int]]


class _Feed:
    """Chunks of a table from the snapshot, read and converted on the event loop: measured faster than in a thread.

    A COPY ends early when many rows were rejected, so that they can be written down before more are read.
    """

    _MOST_HELD: Final = 10_000

    def __init__(self, chunks: Generator[list[Row], None, None], converter: TableConverter, progress: Progress) -> None:
        self._chunks = chunks
        self._converter = converter
        self._progress = progress
        self._held: list[tuple[KeyValues, Rejection]] = []
        self.altered: Counter[str] = Counter()
        self.ended = False

    async def chunks(self) -> AsyncIterator[list[tuple[object, ...]]]:
        """The rows of converted chunks until the table ends, or until enough rows were rejected."""
        async for converted in self.converted():
            yield converted.rows
            if len(self._held) >= self._MOST_HELD:
                return

    async def converted(self) -> AsyncIterator[Converted]:
        """Converted chunks with their keys until the table ends."""
        for chunk in self._chunks:
            converted = self._converter.rows(chunk)
            self._held += converted.rejected
            self.altered.update(converted.altered)
            self._progress.advance(len(chunk))
            yield converted
        self.ended = True

    def take_held(self) -> list[Held]:
        """The rows rejected since the last call."""
        held, self._held = self._held, []
        return [Held(encode_key(key), why) for key, why in held]

    def close(self) -> None:
        """End the reading, wherever it is."""
        self._chunks.close()
