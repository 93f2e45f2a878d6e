"""What the daemon does while applications write to Postgres: it carries what they change back into SQLite."""

import asyncio
import time
from typing import Final, Self

from loguru import logger

from cdc.audit import trail
from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import CaptureLost, FenceDown, SwitchError
from cdc.facts.changes import Position
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.identity.active_side import refuse_finalized
from cdc.identity.file_location import settle_path
from cdc.notes import emergency_note
from cdc.observe.daemon_state import DaemonState, WaitingBack
from cdc.observe.shadow_alarm import tell_shadow_reads
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
from cdc.reverse.forms import FormsByTable, forms_from_json, forms_to_json, learn_forms
from cdc.reverse.sides import keep_open, not_refused, not_the_fenced_file, settle_sides
from cdc.sqlite.apply.full_text import rebuild_indexes
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
        refuse_finalized(config, state)
        await settle_path(record, config, state.source_path)
        maps = tuple((await current_tables(record, config, look.schema)).fed)
        targets = await catalogue.read_tables(record.connection, config.target.schema, [m.target for m in maps])
        forms = forms_from_json((await record.switch.read()).forms)
        _require_same_tables(maps, targets, forms)
        await settle_sides(config, record, state.phase, maps, _telling(config))
        await asyncio.to_thread(_require_fenced, config, state.position)
        if "*" in state.resync:  # by whoever made the schema `cdc` whole; due once SQLite is written to again
            await record.stream.request_resync([m.source.name for m in maps])
            await record.stream.keep_resync([m.source.name for m in maps])
        if not forms:
            forms = await _learned_again(config, record, maps, targets, state.position)
        carrier = Carrier(config, record, maps, targets, forms)
        await carrier.uncarried.retry()
        audit_sync = AuditSync(config, record)
        await audit_sync.open()
        return cls(config, record, maps, carrier, state.position, daemon_state, audit_sync)

    async def drain(self) -> bool:
        """Carry what waits; False when nothing does. Raises `CaptureLost` once SQLite was opened without Postgres."""
        _require_not_given_up(self._config)
        waiting = await self.lag()
        self._daemon_state.waiting_back = _told(waiting)
        if not waiting.entries:
            return False
        began = time.monotonic()
        try:
            carried = await self.carrier.carry()
        except FenceDown:
            _require_not_given_up(self._config)  # while Postgres was read
            raise
        self._tell(carried, time.monotonic() - began)
        return True

    async def lag(self) -> OutboxLag:
        """What waits in Postgres."""
        return await self.carrier.outbox.lag()

    async def follow_sequences(self) -> int:
        """Let SQLite number new rows after those of Postgres, rows that are gone too; returns of how many tables.

        Full-text indexes are made anew with it: both are done before applications write to SQLite again.
        """
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
        if not (await self.lag()).entries and not await self.carrier.uncarried.count():
            await asyncio.to_thread(emergency_note.mark_returned, self._config)
        await self.record.heartbeat(await asyncio.to_thread(file_traces.read, self._config.source.path))
        self._beat_at = time.monotonic()
        self._daemon_state.heartbeat(None)
        await self._audit_sync.sync()
        await asyncio.to_thread(_require_fenced, self._config, self.position)
        await keep_open(self.record, self.maps, _telling(self._config))
        await self._tell_uncarried()
        await tell_shadow_reads(self.record.shadow, self._daemon_state)

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
            words = f"{await self.carrier.uncarried.count():,} rows of Postgres cannot be held by SQLite: {first}"
            if UNCARRIED not in self._daemon_state.alarms:
                logger.bind(table=first.source_table, reason=str(first), remedy=first.remedy).error(
                    "a row of Postgres cannot be held by SQLite"
                )
            self._daemon_state.alarm(UNCARRIED, words, first.remedy)
        else:
            self._daemon_state.calm(UNCARRIED)


def _told(lag: OutboxLag) -> WaitingBack:
    return WaitingBack(lag.entries, lag.oldest.timestamp() if lag.oldest else None)


def _require_not_given_up(config: Config) -> None:
    if emergency_note.read(config) is not None:
        raise CaptureLost("SQLite was opened without Postgres", remedy="the daemon gives Postgres up, and goes on")


def _require_fenced(config: Config, position: Position) -> None:
    """Raise when the file is another one, went on, or is open."""
    with source_file.opened(config) as connection, read_transaction(connection):
        if positions.newest(connection) != position:
            raise not_the_fenced_file(config)
    if not fence.look(config).permanent:
        raise not_refused(config)


def _require_same_tables(maps: tuple[TableMap, ...], targets: dict[str, TargetTable], forms: FormsByTable) -> None:
    """Raise when other tables are mapped than were at the cutover: some would stay behind, or stay open on both sides.

    Where nobody knows any more which these were, each that is mapped has to be in Postgres at least.
    """
    mapped = {m.source.name for m in maps}
    other = (mapped ^ forms.keys()) if forms else set()
    if other := other | {m.source.name for m in maps if m.target not in targets}:
        raise SwitchError(
            f"these tables are not mapped as they were at the cutover, or are gone: {', '.join(sorted(other))}",
            remedy="undo what changed: `schema`, `include`, `exclude`, `target` in the configuration, or a table",
        )


async def _learned_again(
    config: Config, record: Record, maps: tuple[TableMap, ...], targets: dict[str, TargetTable], position: Position
) -> FormsByTable:
    """How the application wrote its values: the fenced file has rows of its own still."""
    forms = await asyncio.to_thread(learn_forms, config, maps, targets)
    await record.switch.prepare(position.seq, forms_to_json(forms))
    await record.switch.forget_prepared()
    return forms


def _follow(config: Config, maps: tuple[TableMap, ...], numbers: dict[str, int]) -> None:
    with opened_past_fence(config) as connection, write_transaction(connection):
        follow_sequences(connection, maps, numbers)
        rebuild_indexes(connection)


def _telling(config: Config) -> Tell:
    async def tell(action: str, **details: str) -> None:
        logger.bind(**details).info(action)
        trail.record(config.state.dir, action, "done", details)

    return tell
