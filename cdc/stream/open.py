"""Before the loop: both databases are looked at, and whatever changed since the last time is settled or refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from loguru import logger

from cdc.audit import trail
from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import FileReplaced, TargetError
from cdc.evolve import views
from cdc.evolve.follow import SchemaFollower
from cdc.facts.changes import Position
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.first_copy.unmatched_names import tell_unmatched
from cdc.identity.active_side import postgres_active
from cdc.identity.continuity import Continuity, no_capture
from cdc.identity.file_location import settle_path
from cdc.notes import emergency_note, end_note
from cdc.postgres.apply import fitness
from cdc.postgres.apply.direct import Applier
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl import helper_keys, retype
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.record import own_schema, stream_row
from cdc.postgres.record.audit_sync import AuditSync
from cdc.postgres.record.durable import commit_durably
from cdc.postgres.record.known_tables import current_tables, map_wanted
from cdc.postgres.record.record import Record
from cdc.postgres.record.stream_row import StreamState
from cdc.postgres.record.tombstone_writer import TombstoneWriter
from cdc.postgres.record.waiting_tables import Waiting
from cdc.postgres.tables import catalogue
from cdc.reverse.emergency import give_postgres_up
from cdc.reverse.sides import not_the_fenced_file, settle_sides
from cdc.sqlite.changelog.source import Source
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.errors import not_set_up
from cdc.stream.heal import heal
from cdc.values.converter import compile_converter


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """What the loop relies on: both ends ready, the position, and the tables to read as a whole first.

    `finish_after_resync` says that indexes and constraints are to be looked at after these: by settling anew. `saving`
    are those whose rows are saved before they are replaced, `holding` those in which rows with a tombstone wait.
    """

    source: Source
    applier: Applier
    maps: tuple[TableMap, ...]
    position: Position
    resync: tuple[str, ...]
    saving: frozenset[str]
    holding: frozenset[str]
    finish_after_resync: bool
    oldest_seq: int
    audit_sync: AuditSync
    tell: Tell


class StreamOpener:
    """Settles one source over one connection, which must hold the source's lock."""

    def __init__(self, config: Config, record: Record) -> None:
        self._config = config
        self._record = record
        self._connection = record.connection
        self._continuity = Continuity(config, record, self.audit)
        self._follower = SchemaFollower(config, record, self.audit)

    async def require_active(self, look: Look) -> None:
        """Raise `PostgresActive` when applications write to Postgres; else see to it that they can write to SQLite.

        What is lost of the schema `cdc` is made again first: both directions go by it.
        """
        await heal(self._record, self._config, look, self.audit)
        state = await self._record.stream.read()
        phase = state.phase if state else Phase.NEW
        if state and phase.active is Side.POSTGRES and emergency_note.read(self._config) is None:
            raise postgres_active(self._config.source.path)
        maps = (await current_tables(self._record, self._config, look.schema)).fed if state else ()
        if state and state.position and phase.active is Side.POSTGRES:
            await give_postgres_up(self._config, self._record, state.position, maps, self.audit)
            phase = Phase.REPLICATE
        await settle_sides(self._config, self._record, phase, maps, self.audit)
        keys = ApplicationKeys(self._connection, self._config.target.schema)
        with translated("giving unique keys their form"):
            async with self._connection.transaction():
                await keys.make_deferrable(maps)

    async def settle(self, look: Look) -> OpenedStream:
        """Make sure of everything the loop relies on: position, capture, targets, mapping."""
        await self._require_its_own(look)
        look = await self._continuity.ensure(look, await self._position())
        state = await self._state()
        for held in look.schema.waiting:
            logger.bind(object=held.name, reason=held.reason, remedy=held.remedy).warning("a table waits")
        tell_unmatched(look.schema, self._config)
        look, maps, awaited = await self._follower.follow(look, state)
        await views.drop_outdated(self._record, self._config, look.schema, list(maps.values()))
        maps, targets = await self._fit(maps, awaited)
        # Once more: those that were made just now did not count before.
        await self._record.ownership.claim(self._config, list(maps.values()))
        finish_after_resync = (await self._state()).finish_after_resync
        await self._expand_resync(state, maps)
        resync = await self._record.stream.keep_resync(list(maps))
        if finish_after_resync and not resync:
            await self._follower.finish(list(maps.values()), targets)
            targets = await self._read_targets(maps.values())
        applier = await self._applier(maps, targets)
        await self._disable_triggers(targets)
        # Not before capture is whole: by this counter the next session sees whether something changed unseen.
        await self._record.stream.store_schema_version(look.counter)
        await self._record.stream.enter(Phase.REPLICATE)
        reached = await self._position()
        await self._record.sightings.note(look.traces)
        audit_sync = AuditSync(self._config, self._record)
        await audit_sync.open()
        in_order = [table.source_name for table in applier.families.in_order(resync)]
        return OpenedStream(
            source=Source(self._config, look, maps, reached),
            applier=applier,
            maps=tuple(maps.values()),
            position=reached,
            resync=tuple(sorted(in_order, key=lambda name: not applier.families.tables[name].retyped)),
            saving=await self._record.stream.saving(),
            holding=await self._record.stream.holding(),
            finish_after_resync=finish_after_resync and bool(resync),
            oldest_seq=look.oldest_seq,
            audit_sync=audit_sync,
            tell=self.audit,
        )

    async def _applier(self, maps: dict[str, TableMap], targets: dict[str, TargetTable]) -> Applier:
        tables = [(m, targets[m.target], compile_converter(m, targets[m.target])) for m in maps.values()]
        applier = Applier(self._record, tables, TombstoneWriter(self._record, self._config.tombstones.kept_days))
        await applier.prepare()
        # After `prepare`, which lets commits return before they are on the disk.
        if self._config.replicate.durable_commits:
            await commit_durably(self._connection)
        return applier

    async def _disable_triggers(self, targets: dict[str, TargetTable]) -> None:
        for target in targets.values():
            if names := await self._record.disabled_triggers.disable(target.schema, target.name):
                await self.audit("disable triggers", table=target.name, triggers=", ".join(names))

    async def _require_its_own(self, look: Look) -> None:
        """Raises when the tables are another source's, replication was ended, or the file is a copy."""
        if await self._record.stream.read() is None:
            mapped = await map_wanted(self._record, self._config, look.schema)
            await self._record.ownership.require_free(self._config, mapped)
        state = await self._state()
        if state.ended_at is not None:
            raise end_note.ended(self._config, state.ended_at)
        end_note.forget(self._config)
        await settle_path(self._record, self._config, state.source_path)

    async def audit(self, action: str, **details: str) -> None:
        """Every step that changes something beside rows is told: in the log and in the audit trail."""
        logger.bind(**details).info(action)
        trail.record(self._config.state.dir, action, "done", details)

    async def _state(self) -> StreamState:
        state = await self._record.stream.read()
        if state is None or state.position is None:
            raise stream_row.never_loaded()
        return state

    async def _expand_resync(self, state: StreamState, maps: Mapping[str, TableMap]) -> None:
        """`*` stands for every table: whoever made the schema `cdc` whole did not know which there are."""
        if "*" in state.resync:
            await self._record.stream.request_resync(list(maps))

    async def _read_targets(self, maps: Iterable[TableMap]) -> dict[str, TargetTable]:
        """The targets as they are, but for columns that get another type with the next batch."""
        by_target = {m.target: m for m in maps}
        targets = await catalogue.read_tables(self._connection, self._config.target.schema, list(by_target))
        return {
            name: await retype.once_retyped(self._connection, by_target[name], target)
            for name, target in targets.items()
        }

    async def _position(self) -> Position:
        position = (await self._state()).position
        assert position is not None
        return position

    async def _add_helper_keys(self, maps: Sequence[TableMap]) -> None:
        """Noted first: rows that are there already get numbers that say nothing of them, and are compared."""
        lacking = await helper_keys.lacking(self._connection, maps)
        await self._record.stream.request_resync([m.source.name for m in lacking])
        for mapped in lacking:
            await helper_keys.add(self._connection, mapped)
            crash_point("helper_key.added")
            await self.audit("add helper key", table=mapped.target)

    async def _fit(
        self, maps: dict[str, TableMap], awaited: Mapping[str, Waiting]
    ) -> tuple[dict[str, TableMap], dict[str, TargetTable]]:
        """The maps whose targets can take their rows, with these; the other tables, and those `awaited`, wait alone."""
        await self._add_helper_keys([m for name, m in maps.items() if name not in awaited])
        targets = await self._read_targets(maps.values())
        noted_targets = await self._record.waiting.targets()
        chosen = [
            m.target
            for name, m in maps.items()
            if m.target not in targets and noted_targets.get(name, m.target) != m.target
        ]
        if chosen:
            raise TargetError(
                f"tables are missing in Postgres: {', '.join(chosen)}",
                remedy="run `cdc schema`, or correct `target` in the configuration",
            )
        held: dict[str, Waiting] = {}
        for m in maps.values():
            waits = awaited.get(m.source.name)
            if waits := waits or await fitness.unfit(self._connection, m, targets.get(m.target)):
                held[m.source.name] = waits
                logger.bind(table=waits.source_table, reason=waits.reason, remedy=waits.remedy).warning("a table waits")
        returning = await self._record.waiting.note(list(maps.values()), held)
        if returning:
            await self.audit("take up tables", tables=", ".join(returning))
        fit = {name: m for name, m in maps.items() if name not in held}
        return fit, {m.target: targets[m.target] for m in fit.values()}


async def identify(connection: Connection, config: Config, look: Look) -> Record:
    """The stream by the id that the file carries, or where the file lost it, the stream from its path.

    Raises when the file was never set up, or nothing in it says that it is the one that was followed.
    """
    if look.capture is not None and await own_schema.missing(connection):
        return Record(connection, look.capture.source_id)  # by what is left nobody can be found; it is healed first
    id_by_path = await stream_row.find_by_path(connection, str(config.source.path), config.target.schema)
    if look.capture is None:
        if id_by_path is None:
            nobody = Record(connection, "")
            await nobody.ownership.require_free(config, await map_wanted(nobody, config, look.schema))
            raise not_set_up(config.source.path)
        previous = Record(connection, id_by_path)
        state, note = await previous.stream.read(), end_note.read(config)
        _require_before_cutover(config, state)
        if state and (since := state.ended_at or (note and note.since)):
            raise end_note.ended(config, since)
        if not look.remains:
            raise no_capture(config.source.path)
        return previous
    carried = Record(connection, look.capture.source_id)
    if id_by_path not in (None, carried.source_id) and await carried.stream.read() is None:
        _require_before_cutover(config, await Record(connection, str(id_by_path)).stream.read())
        raise FileReplaced(
            f"{config.source.path} carries the capture of another file than the one that was replicated from here: "
            "it was overwritten, replaced or restored",
            remedy="if this file is the right one, run `cdc load --resync`: it compares every row and goes on",
        )
    return carried


def _require_before_cutover(config: Config, state: StreamState | None) -> None:
    """Another file in the place of the fenced one is for nobody to accept: Postgres has what it lacks."""
    if state is not None and state.phase.active is Side.POSTGRES:
        raise not_the_fenced_file(config)
