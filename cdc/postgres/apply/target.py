"""Postgres as a target of a stream: it moves in one transaction, with its position, directly or by a stage."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from cdc.audit.actions import Tell
from cdc.facts.changes import AppliedBatch, Position, Round, Traces
from cdc.postgres.apply.direct import Applier
from cdc.postgres.apply.saved_rows import Replaced
from cdc.postgres.apply.stage_rows import StageRefused
from cdc.postgres.connection.open import hang_up
from cdc.postgres.record.commit import Begun
from cdc.postgres.record.durable import Durable
from cdc.target.protocol import ChangeReader
from cdc.target.pull import Pull

RESYNC_TABLES: Final = 100  # read as a whole in one transaction: each takes locks, of which Postgres has so many


class PostgresTarget:
    """One source's tables in one database, over the applier's connection, which holds the lock; see `Target`.

    `resync` are source tables that are yet to be read as a whole, parents first. In those that are `holding`, rows with
    a tombstone wait.
    """

    def __init__(
        self,
        applier: Applier,
        at: Position,
        resync: Sequence[str],
        replaced: Replaced,
        holding: frozenset[str],
        tell: Tell,
        beat: Callable[[], None],
    ) -> None:
        self.position = at
        self.resync = tuple(resync)
        self._record = applier.record
        self._connection = applier.connection
        self._applier = applier
        self._replaced = replaced
        self._holding = holding
        self._audit = tell
        self._beat = beat
        self._second_look: frozenset[str] = frozenset()
        self._durable = Durable()

    @property
    def is_settled(self) -> bool:
        """Whether no table waits to be read as a whole, and no row that was refused for a second look."""
        return not self.resync and not self._second_look

    async def apply(self, changes: Round, reader: ChangeReader, began: float) -> AppliedBatch:
        """Move on from `position`; see `cdc.target.protocol.Target.apply`."""
        lag = None if changes.oldest_at is None else max(0.0, time.time() - changes.oldest_at)
        begun = Begun(self.position.seq, began, lag)
        if self.is_settled and (applied := await self._applier.apply_directly(changes, begun)):
            self.position = changes.position
            return applied
        # The rest has its turn with the next batches: `is_settled` stays False until then.
        # Rows are staged in the types that columns are yet to get, so all tables of such columns come first.
        retyped = sum(bool(self._applier.families.tables[name].retyped) for name in self.resync)
        most = max(RESYNC_TABLES, retyped)
        portion, rest = self.resync[:most], self.resync[most:]
        try:
            applied = await self._apply_staged(changes, reader, begun, portion, careful=False)
        except StageRefused:
            # Some row of many: one by one it is found, and waits in quarantine.
            applied = await self._apply_staged(changes, reader, begun, portion, careful=True)
        if portion:
            await self._audit("compare whole tables", tables=", ".join(portion))
        self.resync = rest
        return applied

    async def _apply_staged(
        self, changes: Round, reader: ChangeReader, begun: Begun, resync: Sequence[str], *, careful: bool
    ) -> AppliedBatch:
        names = {*(read.table for read in changes.tables), *resync}
        with self._replaced.kept(resync):
            async with self._applier.batch(names, careful=careful) as batch:
                batch.replaced = self._replaced
                batch.returned.holding = self._holding & frozenset(resync)
                batch.second_look(self._second_look)
                reached = await Pull(batch, reader, changes, resync, self._beat).run()
                await batch.merge()
                if resync:
                    await self._replaced.tell()
                    await batch.clear_resync(resync)
                applied = await batch.commit(begun, reached, reached.seq - begun.after_seq)
        # One more look only: what is refused again by itself has to wait for a change.
        self._second_look = frozenset() if self._second_look else frozenset(batch.refused)
        self.position = reached
        return applied

    async def durable(self) -> int:
        """The number of the newest change that the server has flushed to its disk; asking marks the present one."""
        durable = await self._durable.advance(self._connection)
        await self._durable.mark(self._connection, self.position.seq)
        return durable

    async def heartbeat(self, traces: Traces) -> None:
        """Show in Postgres that the source is followed, and from where in which file."""
        await self._record.heartbeat(traces)

    async def close(self) -> None:
        """Hang up: the lock goes with the connection."""
        await hang_up(self._connection)
