"""What the daemon does while applications write to Postgres: it carries what they change back into SQLite."""

import asyncio
import time
from typing import Final, Self

from loguru import logger

from cdc.audit import trail
from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import SourceChanged
from cdc.facts.changes import Position
from cdc.facts.table_map import TableMap
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.connection.open import hang_up, show_life
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.outbox.reading import OutboxLag
from cdc.postgres.record.audit_sync import AuditSync
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.stream_row import never_loaded
from cdc.postgres.server.endpoint import Endpoint
from cdc.postgres.tables import catalogue, sequences
from cdc.postgres.tables.hashed_rows import snapshot
from cdc.reverse.carrier import Carried, Carrier
from cdc.reverse.forms import forms_from_json
from cdc.reverse.sides import not_refused, settle_sides
from cdc.sqlite.apply.sequences import follow_sequences
from cdc.sqlite.changelog import file_traces, positions, source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.transactions import read_transaction, write_transaction
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.past_fence import opened_past_fence
from cdc.threads import to_its_end

UNCARRIED: Final = "changes that SQLite cannot hold"  # the name of the alarm


class ReverseSession:
    """Both ends open and the lock held; thrown away on any error, like the session of the other direction."""

    finish_due = False
    wal = False

    def __init__(
        self,
        config: Config,
        record: Record,
        maps: tuple[TableMap, ...],
        carrier: Carrier,
        position: Position,
        daemon_state: DaemonState,
        audit_sync: AuditSync,
    ) -> None:
        self.record = record
        self.maps = maps
        self.carrier = carrier
        self.position = position
        self._config = config
        self._daemon_state = daemon_state
        self._audit_sync = audit_sync
        self._beat_at = 0.0

    @classmethod
    async def open(cls, config: Config, endpoint: Endpoint, daemon_state: DaemonState, role: str = "daemon") -> Self:
        """Open both ends; raises `SourceChanged` when the file is not the one that was fenced at the cutover.

        `role` is as in the other direction.
        """
        look = await asyncio.to_thread(source_file.look, config)
        if look.capture is None:
            raise not_the_fenced_file(config)
        connection = await endpoint.connect(role)
        try:
            daemon_state.backend = await show_life(connection, daemon_state.beat)
            record = Record(connection, look.capture.source_id)
            await lock_source(connection, record.source_id)
            return await cls._settled(config, record, look, daemon_state)
        except BaseException:
            await hang_up(connection)
            raise

    @classmethod
    async def _settled(cls, config: Config, record: Record, look: Look, daemon_state: DaemonState) -> Self:
        state = await record.stream.read()
        if state is None or state.position is None:
            raise never_loaded()
        maps = tuple((await current_tables(record, config, look.schema)).fed)
        await settle_sides(config, record, state.phase, maps, _telling(config))
        await asyncio.to_thread(_require_fenced, config, state.position)
        targets = await catalogue.read_tables(record.connection, config.target.schema, [m.target for m in maps])
        forms = forms_from_json((await record.switch.read()).forms)
        carrier = Carrier(config, record, maps, targets, forms)
        await carrier.uncarried.retry()
        audit_sync = AuditSync(config, record)
        await audit_sync.open()
        return cls(config, record, maps, carrier, state.position, daemon_state, audit_sync)

    async def drain(self) -> bool:
        """Carry what waits; False when nothing does."""
        began = time.monotonic()
        carried = await self.carrier.carry()
        if carried is None:
            return False
        self._tell(carried, time.monotonic() - began)
        return True

    async def lag(self) -> OutboxLag:
        """What waits in Postgres."""
        return await self.carrier.outbox.lag()

    async def follow_sequences(self) -> int:
        """Let SQLite number new rows after those of Postgres, rows that are gone too; returns of how many tables."""
        async with snapshot(self.record.connection):
            numbers = await sequences.next_numbers(self.record.connection, self.maps)
        following = {n.mapped.source.name: n.next for n in numbers}
        await to_its_end(_follow, self._config, self.maps, following)
        return len(following)

    async def move_sequences(self) -> None:
        """Nothing is to be done when the daemon ends: SQLite's numbers follow with a rollback."""

    async def tidy(self) -> None:
        """Show that it lives; what is fenced needs no pruning."""
        if time.monotonic() - self._beat_at < self._config.replicate.heartbeat_seconds:
            return
        await self.record.heartbeat(await asyncio.to_thread(file_traces.read, self._config.source.path))
        self._beat_at = time.monotonic()
        self._daemon_state.heartbeat(None)
        await self._audit_sync.sync()
        await asyncio.to_thread(_require_fenced, self._config, self.position)
        await self._tell_uncarried()

    async def close(self) -> None:
        """Let go of both ends."""
        await self._audit_sync.close()
        await hang_up(self.record.connection)

    def _tell(self, carried: Carried, seconds: float) -> None:
        rows = carried.rows
        counts = {kind: sum(getattr(rows, kind).values()) for kind in ("inserted", "updated", "deleted")}
        logger.bind(entries=carried.entries, seconds=round(seconds, 3), **counts).debug("carried back to SQLite")

    async def _tell_uncarried(self) -> None:
        if waiting := await self.carrier.uncarried.read():
            first = waiting[0]
            words = f"{len(waiting):,} rows of Postgres cannot be held by SQLite: {first}"
            if UNCARRIED not in self._daemon_state.alarms:
                logger.bind(table=first.source_table, reason=str(first), remedy=first.remedy).error(
                    "a row of Postgres cannot be held by SQLite"
                )
            self._daemon_state.alarm(UNCARRIED, words, first.remedy)
        else:
            self._daemon_state.calm(UNCARRIED)


def _require_fenced(config: Config, position: Position) -> None:
    """Raise when the file is another one, went on, or is open."""
    with source_file.opened(config) as connection, read_transaction(connection):
        if positions.newest(connection) != position:
            raise not_the_fenced_file(config)
    if not fence.look(config).permanent:
        raise not_refused(config)


def _follow(config: Config, maps: tuple[TableMap, ...], numbers: dict[str, int]) -> None:
    with opened_past_fence(config) as connection, write_transaction(connection):
        follow_sequences(connection, maps, numbers)


def not_the_fenced_file(config: Config) -> SourceChanged:
    """The error of a file that was replaced, restored or written to since the cutover."""
    return SourceChanged(
        f"{config.source.path} is not the file that was fenced at the cutover, or was written to since",
        remedy="put that file back; Postgres has everything, and goes on meanwhile",
    )


def _telling(config: Config) -> Tell:
    async def tell(action: str, **details: str) -> None:
        logger.bind(**details).info(action)
        trail.record(config.state.dir, action, "done", details)

    return tell
