"""A session: both ends open and settled. It drains what is there, tidies up, and is thrown away on any error."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Self

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import SourceFull, SourceUnavailable
from cdc.facts.changes import AppliedBatch, Position, Round
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.apply.saved_rows import Replaced
from cdc.postgres.apply.staged import StageRefused
from cdc.postgres.connection.open import Connection, hang_up, show_life
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.record import position
from cdc.postgres.record.audit import Begun
from cdc.postgres.record.position import Durable
from cdc.postgres.record.status import TargetFindings, findings
from cdc.postgres.server.endpoint import Endpoint
from cdc.postgres.tables import sequences
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream.open import OpenedStream, StreamOpener, identify
from cdc.stream.pull import Pull
from cdc.stream.relief import relieve
from cdc.stream.row_counts import RowCounts

QUIET_SECONDS: Final = 0.5  # pruning and sequences wait for a pause of the application this long
RESYNC_TABLES: Final = 100  # read as a whole in one transaction: each takes locks, of which Postgres has so many
BUSY_FACTOR: Final = 10  # unless so many times the usual number of entries wait to be pruned


class Session:
    """Both ends open, the lock held, capture known to be whole, and the position as Postgres has it.

    Once `finish_due`, it is to be closed: the next one settles what this one could not.
    """

    def __init__(
        self,
        config: Config,
        connection: Connection,
        watch: Watch,
        daemon_state: DaemonState,
        settling: StreamOpener,
        ready: OpenedStream,
    ) -> None:
        self.source = ready.source
        self.position = ready.position
        self._config = config
        self._connection = connection
        self._source_id = settling.source_id
        self._watch = watch
        self._daemon_state = daemon_state
        self._audit = settling.audit
        self._audit_sync = ready.audit_sync
        self._applier = ready.applier
        self._maps = ready.maps
        self._resync = ready.resync  # parents first
        self._replaced = Replaced(connection, settling.source_id, config.state.dir, ready.saving)
        self._finish_after_resync = ready.finish_after_resync
        self._second_look: frozenset[str] = frozenset()
        self._oldest = ready.oldest_seq
        self._durable = Durable()
        self._moved_at = self._pruned_at = time.monotonic()
        self._beat_at = 0.0
        self._counts = RowCounts(connection, settling.source_id, ready.maps)
        self._numbered_at: Position | None = None
        self._let_go = False

    @classmethod
    async def open(
        cls, config: Config, target: Endpoint, watch: Watch, daemon_state: DaemonState | None = None
    ) -> Self:
        """Open both ends and settle whatever changed since the last time; raises when that needs a person."""
        daemon_state = daemon_state or DaemonState()
        await relieve(config)
        look = await asyncio.to_thread(sqlite.look, config)
        connection = await target.connect("daemon")
        try:
            daemon_state.backend = await show_life(connection, daemon_state.beat)
            daemon_state.behind_since = None
            source_id = await identify(connection, config, look)
            await lock_source(connection, source_id)
            settling = StreamOpener(config, connection, source_id)
            return cls(config, connection, watch, daemon_state, settling, await settling.settle(look))
        except BaseException:
            await hang_up(connection)
            raise

    @property
    def finish_due(self) -> bool:
        """Whether indexes and constraints waited for tables that are all read by now."""
        return self._finish_after_resync and not self._resync

    async def close(self) -> None:
        """Let go of both ends."""
        self.source.close()
        try:
            await self._audit_sync.close()
        finally:
            await hang_up(self._connection)

    async def drain(self) -> bool:
        """Apply everything that is there in one transaction; False when nothing was."""
        staged_only = bool(self._resync or self._second_look)
        if not staged_only and (self._asleep() or not await self.source.has_news(self.position)):
            return False
        began = time.monotonic()
        changes = await self.source.read(self.position)
        self._daemon_state.behind_since = changes.oldest_at
        begun = Begun(self.position.seq, began, _lag(changes))
        if not staged_only and (applied := await self._applier.apply_directly(changes, begun)):
            self._moved(changes.position, applied)
            return True
        portion, rest = self._resync[:RESYNC_TABLES], self._resync[RESYNC_TABLES:]
        self._moved(*await self._apply_staged(changes, begun, portion))
        if portion:
            await self._audit("compare whole tables", tables=", ".join(portion))
        self._resync = rest
        return True

    async def _apply_staged(self, changes: Round, begun: Begun, resync: Sequence[str]) -> tuple[Position, AppliedBatch]:
        """Apply from a round on, with some tables as a whole; again and row by row where a stage refuses rows."""
        try:
            return await self._apply_batch(changes, begun, resync, careful=False)
        except StageRefused:
            return await self._apply_batch(changes, begun, resync, careful=True)

    async def _apply_batch(
        self, changes: Round, begun: Begun, resync: Sequence[str], *, careful: bool
    ) -> tuple[Position, AppliedBatch]:
        names = {*(read.table for read in changes.tables), *resync}
        with self._replaced.kept(resync):
            async with self._applier.batch(names, careful=careful) as batch:
                batch.replaced = self._replaced
                batch.second_look(self._second_look)
                reached = await Pull(batch, self.source, changes, resync, self._daemon_state.beat).run()
                await batch.merge()
                if resync:
                    await self._replaced.tell()
                    await batch.clear_resync(resync)
                applied = await batch.commit(begun, reached, reached.seq - begun.after_seq)
        # One more look only: what is refused again by itself has to wait for a change.
        self._second_look = frozenset() if self._second_look else frozenset(batch.refused)
        return reached, applied

    def _asleep(self) -> bool:
        """Whether the file was let go as idle and nothing has touched it since: no reason to open it.

        A new session knows nothing yet: what the one before failed to apply may still wait in an untouched file.
        """
        return self._let_go and not self.source.is_open and not self._watch.changed()

    async def move_sequences(self) -> None:
        """Let numbers for new rows in Postgres go on after SQLite's: whoever ends here could go on there."""
        if self._numbered_at != self.position:
            await sequences.advance(self._connection, self._maps, await self.source.high_water())
            self._numbered_at = self.position

    async def tidy(self) -> None:
        """Heartbeat, pruning, sequences, and leaving an idle file alone."""
        now = time.monotonic()
        if now - self._moved_at >= QUIET_SECONDS:
            await self.move_sequences()
        if now - self._beat_at >= self._config.replicate.heartbeat_seconds:
            await position.heartbeat(self._connection, self._source_id, self.source.traces())
            self._beat_at = now
            self._daemon_state.heartbeat(await self._findings())
            await self._audit_sync.sync()
            if self.source.is_open:
                await self.source.check()
                await self._count_rows()
            await self._prune_if_due(now)
        if self.source.is_open and now - self._moved_at > self._config.replicate.idle_close_seconds:
            self._watch.changed()
            if not await self.source.has_news(self.position):
                self.source.close()
                self._let_go = True

    async def _count_rows(self) -> None:
        """Say at once where rows do not add up; not while tables wait to be read as a whole."""
        if self._resync or self._second_look:
            return
        for miscount in await self._counts.look(self.source, self.position):
            logger.bind(table=miscount.table, remedy=miscount.remedy).error(miscount.text())
            trail.record(
                self._config.state.dir, "count rows", "failed", {"table": miscount.table, "rows": miscount.text()}
            )

    def _moved(self, reached: Position, applied: AppliedBatch) -> None:
        self.position = reached
        self._daemon_state.behind_since = None
        self._daemon_state.applied(applied)
        self._moved_at = time.monotonic()
        if held := sum(table.quarantined for table in applied.tables.values()):
            logger.bind(rows=held).warning("rows went to quarantine: see `cdc quarantine list`")

    async def _prune_if_due(self, now: float) -> None:
        durable = await self._durable.advance(self._connection)
        await self._durable.mark(self._connection, self.position.seq)
        prunable = durable - self._oldest
        options = self._config.replicate
        many = prunable >= options.prune_entries
        old = prunable > 0 and now - self._pruned_at >= options.prune_seconds
        quiet = now - self._moved_at >= QUIET_SECONDS
        if (many or old) and (quiet or prunable >= BUSY_FACTOR * options.prune_entries):
            self._pruned_at = now
            try:
                deleted = await self.source.prune(durable, self.position)
            except (SourceFull, SourceUnavailable) as error:
                # Even a deletion needs room, and a disk that can be written. Rows flow meanwhile without.
                logger.bind(error=error.message, remedy=error.remedy).warning("the changelog is not pruned")
                return
            self._oldest += deleted
            self._daemon_state.pruned(deleted)
            logger.bind(entries=deleted).debug("pruned the changelog")

    async def _findings(self) -> TargetFindings | None:
        """What `/metrics` tells of Postgres; it is not asked when nobody reads that."""
        if self._config.metrics.listen is None:
            return None
        return await findings(self._connection, self._source_id)


def _lag(changes: Round) -> float | None:
    return None if changes.oldest_at is None else max(0.0, time.time() - changes.oldest_at)
