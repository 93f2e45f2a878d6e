"""A session: both ends open and settled. It drains what is there, tidies up, and is thrown away on any error."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import SourceFull, SourceUnavailable
from cdc.facts.changes import Position
from cdc.facts.table_map import TableMap
from cdc.observe.daemon_state import DaemonState, difference_in
from cdc.observe.shadow_alarm import tell_shadow_reads
from cdc.postgres.apply.saved_rows import Replaced
from cdc.postgres.apply.target import PostgresTarget
from cdc.postgres.apply.type_outgrown import TypeOutgrown
from cdc.postgres.connection.changelog_lease import is_kept
from cdc.postgres.connection.open import hang_up, show_life
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.record.status import TargetFindings, findings
from cdc.postgres.server.endpoint import Endpoint
from cdc.postgres.tables import sequences
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.file_watch import Watch
from cdc.stream.batch_check import BatchCheck
from cdc.stream.open import OpenedStream, StreamOpener, identify
from cdc.stream.outgrown import note_outgrown
from cdc.stream.relief import relieve
from cdc.stream.row_counts import RowCounts
from cdc.target.protocol import Target
from cdc.tombstones.returns import Returns

QUIET_SECONDS: Final = 0.5  # pruning and sequences wait for a pause of the application this long
BUSY_FACTOR: Final = 10  # unless so many times the usual number of entries wait to be pruned

UNTOUCHED_SECONDS: Final = 1.0  # much longer than a commit takes to be seen once it is written: 9 ms were measured
LOOK_ANYWAY_SECONDS: Final = 60.0  # an idle file is looked into for a moment although nobody seems to have touched it
KEPT_ENTRIES: Final = 2_000_000  # as many are pruned even while somebody compares: it may hang, or be frozen
NO_LIMIT: Final = 2**63

# Opens a further target, where it stood before; or, when it begins now, where Postgres stands.
OpenTarget = Callable[[Sequence[TableMap], Position], Awaitable[Target]]


class Session:
    """Both ends open, the lock held, capture known to be whole, and each target where it stands.

    Once `finish_due`, it is to be closed: the next one settles what this one could not. Postgres is the target that
    status and metrics tell of; further ones get every change as well, each at its own pace.
    """

    def __init__(self, config: Config, watch: Watch, daemon_state: DaemonState, opened: OpenedStream) -> None:
        self.source = opened.source
        self._config = config
        self.record = opened.applier.record
        self._watch = watch
        self._daemon_state = daemon_state
        self._audit_sync = opened.audit_sync
        self.maps = opened.maps
        replaced = Replaced(self.record, config.state.dir, opened.saving)
        self._postgres = PostgresTarget(
            opened.applier, opened.position, opened.resync, replaced, opened.holding, opened.tell, daemon_state.beat
        )
        self._targets: list[Target] = [self._postgres]
        self._finish_after_resync = opened.finish_after_resync
        self._oldest = opened.oldest_seq
        self._returns = Returns(config, opened.maps)
        self._check = BatchCheck(self.record, config, daemon_state, opened.maps)
        self._counts = RowCounts(self.record, opened.maps)
        self._moved_at = self._pruned_at = time.monotonic()
        self._forgot_at = 0.0
        self._beat_at = 0.0
        self._numbered_at: Position | None = None
        self._touched_at = 0.0
        self._let_go_at: float | None = None

    @classmethod
    async def open(
        cls,
        config: Config,
        endpoint: Endpoint,
        watch: Watch,
        daemon_state: DaemonState | None = None,
        further: Sequence[OpenTarget] = (),
        role: str = "daemon",
    ) -> Self:
        """Open both ends and settle whatever changed since the last time; raises when that needs a person.

        `role` says who has the source's lock then: a daemon gives way to another daemon, and waits for a command.
        """
        daemon_state = daemon_state or DaemonState()
        await relieve(config)
        look = await asyncio.to_thread(source_file.look, config)
        connection = await endpoint.connect(role)
        try:
            daemon_state.backend = await show_life(connection, daemon_state.beat)
            daemon_state.behind_since = None
            record = await identify(connection, config, look)
            # From here on nobody else moves the position or the tables.
            await lock_source(connection, record.source_id)
            await StreamOpener(config, record).require_active(look)
            opened = await StreamOpener(config, record).settle(look)
            session = cls(config, watch, daemon_state, opened)
        except BaseException:
            await hang_up(connection)
            raise
        try:
            for open_target in further:
                session._targets.append(await open_target(opened.maps, opened.position))
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def position(self) -> Position:
        """The state of the file that Postgres shows."""
        return self._postgres.position

    @property
    def wal(self) -> bool:
        """Whether the file is in WAL mode, in which a commit is seen a moment after its file event."""
        return self.source.wal

    @property
    def finish_due(self) -> bool:
        """Whether this is to be settled anew: no table waits any more, so indexes and constraints can be looked at now.

        Or something in Postgres reacts to writes that did not when this began.
        """
        return (self._finish_after_resync and not self._postgres.resync) or self._check.settles

    async def close(self) -> None:
        """Let go of both ends."""
        self.source.close()
        self._returns.tell(at_once=True)
        # Each target is closed, whatever becomes of another; the trail before them, over the connection of Postgres.
        async with AsyncExitStack() as targets:
            for target in self._targets:
                targets.push_async_callback(target.close)
            await self._audit_sync.close()

    async def drain(self) -> bool:
        """Move each target to what is there, in one transaction of its own; False when nothing was to do."""
        moved = [await self._drain_into(target) for target in self._targets]
        return any(moved)

    async def _drain_into(self, target: Target) -> bool:
        if target.is_settled and (self._asleep() or not await self.source.has_news(target.position)):
            return False
        began = time.monotonic()
        changes = await self.source.read(target.position)
        self._daemon_state.behind_since = changes.oldest_at
        try:
            applied = await target.apply(changes, self.source, began)
        except TypeOutgrown as outgrown:
            await note_outgrown(self.record, self.maps, outgrown)
            raise
        self._moved_at = time.monotonic()
        self._daemon_state.behind_since = None
        if target is self._postgres:
            self._daemon_state.applied(applied)
            self._returns.note(applied)
            await self._check.look(applied)
            if held := sum(table.quarantined for table in applied.tables.values()):
                logger.bind(rows=held).warning("rows went to quarantine: see `cdc quarantine list`")
        return True

    def _asleep(self) -> bool:
        """Whether the file was let go as idle and nothing has touched it since: no reason to open it.

        A new session knows nothing yet: what the one before failed to apply may still wait in an untouched file.
        """
        if self._let_go_at is None or self.source.is_open or self._is_touched():
            return False
        # An application can stand still for any time between writing a commit and letting it be seen.
        return time.monotonic() - self._let_go_at < LOOK_ANYWAY_SECONDS

    async def move_sequences(self) -> None:
        """Let numbers for new rows in Postgres go on after SQLite's: whoever ends here could go on there."""
        if self._numbered_at != self.position:
            await sequences.advance(self.record.connection, self.maps, await self.source.high_water())
            self._numbered_at = self.position

    async def tidy(self) -> None:
        """Heartbeat, pruning, sequences, and leaving an idle file alone."""
        now = time.monotonic()
        if now - self._moved_at >= QUIET_SECONDS:
            await self.move_sequences()
        if now - self._beat_at >= self._config.replicate.heartbeat_seconds:
            traces = self.source.traces()
            for target in self._targets:
                await target.heartbeat(traces)
            self._beat_at = now
            self._daemon_state.heartbeat(await self._findings())
            await tell_shadow_reads(self.record.shadow, self._daemon_state)
            await self._audit_sync.sync()
            self._returns.tell()
            if self.source.is_open:
                await self.source.check()
                await self._count_rows()
            await self._prune_if_due(now)
            await self._forget_deleted(now)
        if self.source.is_open and now - self._moved_at > self._config.replicate.idle_close_seconds:
            await self._let_go_untouched()

    async def _let_go_untouched(self) -> None:
        """Close a file that nobody has touched for a while.

        In WAL a commit writes its pages first, which is what can be noticed, and is seen by readers only afterwards,
        which nothing tells of. So a file that was touched just now may have news that cannot be seen yet.
        """
        # In this order: a commit before the question shows in its answer, and one after it to the watch.
        if self._is_touched() or time.monotonic() - self._touched_at < UNTOUCHED_SECONDS:
            return
        if not await self.source.has_news(self.position):
            self.source.close()
            self._let_go_at = time.monotonic()

    def _is_touched(self) -> bool:
        """Whether somebody wrote to one of the files since this was asked last."""
        if not self._watch.changed():
            return False
        self._touched_at = time.monotonic()
        return True

    async def _count_rows(self) -> None:
        """Say at once where rows do not add up; not while tables wait to be read as a whole."""
        if not self._postgres.is_settled:
            return
        for miscount in await self._counts.look(self.source, self.position):
            logger.bind(table=miscount.table, remedy=miscount.remedy).error(miscount.text())
            self._daemon_state.alarm(difference_in(miscount.table), miscount.text(), miscount.remedy)
            details = {"table": miscount.table, "rows": miscount.text()}
            trail.record(self._config.state.dir, "count rows", "failed", details)

    async def _prune_if_due(self, now: float) -> None:
        # What one target has not got for good, or not got at all, stays in the changelog for it.
        durable = min([await target.durable() for target in self._targets])
        prunable = durable - self._oldest
        options = self._config.replicate
        many = prunable >= options.prune_entries
        old = prunable > 0 and now - self._pruned_at >= options.prune_seconds
        quiet = now - self._moved_at >= QUIET_SECONDS
        if (many or old) and (quiet or prunable >= BUSY_FACTOR * options.prune_entries):
            if prunable < KEPT_ENTRIES:
                durable = min(durable, await self._kept_from())
                if durable <= self._oldest:
                    return
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

    async def _forget_deleted(self, now: float) -> None:
        """Take tombstones away whose days are over: in a pause, and in the file not more often than it is pruned."""
        days = self._config.tombstones.kept_days
        if now - self._moved_at < QUIET_SECONDS:
            return
        await self.record.tombstones.prune(days)
        due = self.source.is_open and now - self._forgot_at >= self._config.replicate.prune_seconds
        if not due or not any(mapped.source.buries for mapped in self.maps):
            return
        self._forgot_at = now
        try:
            await self.source.forget_deleted(days)
        except (SourceFull, SourceUnavailable) as error:
            logger.bind(error=error.message, remedy=error.remedy).warning("deleted keys are not forgotten")

    async def _kept_from(self) -> int:
        """The entry up to which pruning may go at most: who compares needs what is newer, now or for a switch."""
        if await is_kept(self.record.connection, self.record.source_id):
            return 0
        prepared = await self.record.switch.read()
        return NO_LIMIT if prepared.verified_seq is None else prepared.verified_seq

    async def _findings(self) -> TargetFindings | None:
        """What `/metrics` tells of Postgres; it is not asked when nobody reads that."""
        if self._config.metrics.listen is None:
            return None
        return await findings(self.record)
