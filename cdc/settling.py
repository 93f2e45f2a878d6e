"""Before the loop: both databases are looked at, and whatever changed since the last time is settled or refused."""

from dataclasses import dataclass

from loguru import logger

from cdc import audit, removal, views
from cdc.config import Config
from cdc.convert import compile_converter
from cdc.decisions import Decisions, map_known, with_leftovers
from cdc.drift import judge, lost_tables, refuse_lost_columns, refuse_lost_tables, without_rekeyed
from cdc.errors import SourceChanged, TargetError
from cdc.following import Following
from cdc.mapping import map_schema
from cdc.model import Position, TableMap, TargetTable
from cdc.postgres import catalogue, ownership, pending, position
from cdc.postgres.apply import Applier
from cdc.postgres.connection import Connection
from cdc.postgres.position import StreamState
from cdc.sqlite.connection import not_set_up
from cdc.sqlite.source import Look, Source
from cdc.trail import Trail
from cdc.whereabouts import settle_path


@dataclass(frozen=True, slots=True)
class Settled:
    """What the loop relies on: both ends ready, the position, and the tables to read as a whole first.

    `unfinished` says that indexes and constraints are to be looked at after these: by settling anew. `saving` are those
    whose rows are saved before they are replaced.
    """

    source: Source
    applier: Applier
    maps: tuple[TableMap, ...]
    position: Position
    resync: tuple[str, ...]
    saving: frozenset[str]
    unfinished: bool
    oldest_seq: int
    trail: Trail


class Settling:
    """Settles one source over one connection, which must hold the source's lock."""

    def __init__(self, config: Config, connection: Connection, source_id: str) -> None:
        self._config = config
        self._connection = connection
        self.source_id = source_id
        self._following = Following(config, connection, source_id, self.audit)

    async def settle(self, look: Look) -> Settled:
        """Make sure of everything the loop relies on: position, capture, targets, mapping."""
        await position.bring_up_to_date(self._connection)
        if await position.read(self._connection, self.source_id) is None:
            mapped = map_schema(look.schema, self._config)
            await ownership.require_free(self._connection, self._config, self.source_id, mapped)
        state = await self._state()
        if state.ended_at is not None:
            raise removal.ended(self._config, state.ended_at)
        removal.forget(self._config)
        await settle_path(self._connection, self._config, self.source_id, state.source_path)
        look, maps = await self._follow(look, state)
        await ownership.claim(
            self._connection, self._config, self.source_id, list(maps.values())
        )  # which are all there now
        await views.drop_outdated(self._connection, self._config, self.source_id, look.schema, list(maps.values()))
        targets = await self._targets(maps)
        unfinished = (await self._state()).unfinished
        resync = await position.keep_resync(self._connection, self.source_id, list(maps))
        if unfinished and not resync:
            await self._following.finish(list(maps.values()), targets)
            targets = await self._targets(maps)
        tables = [(m, targets[m.target], compile_converter(m, targets[m.target])) for m in maps.values()]
        applier = Applier(self._connection, self.source_id, tables)
        await applier.prepare()
        for target in targets.values():
            names = await position.disable_triggers(self._connection, self.source_id, target)
            if names:
                await self.audit("disable triggers", table=target.name, triggers=", ".join(names))
        await position.store_schema_version(self._connection, self.source_id, look.signature.schema_version)
        await position.set_phase(self._connection, self.source_id, "replicate")
        trail = Trail(self._config, self._connection, self.source_id)
        await trail.open()
        return Settled(
            source=Source(self._config, look, maps),
            applier=applier,
            maps=tuple(maps.values()),
            position=await self._position(),
            resync=tuple(table.source_name for table in applier.families.in_order(resync)),
            saving=await position.saving(self._connection, self.source_id),
            unfinished=unfinished and bool(resync),
            oldest_seq=look.oldest_seq,
            trail=trail,
        )

    async def audit(self, action: str, **details: str) -> None:
        """Every step that changes something beside rows is told: in the log and in the audit trail."""
        logger.bind(**details).info(action)
        audit.record(self._config.state.dir, action, "done", details)

    async def _state(self) -> StreamState:
        state = await position.read(self._connection, self.source_id)
        if state is None or state.position is None:
            raise position.never_loaded()
        return state

    async def _follow(self, look: Look, state: StreamState) -> tuple[Look, dict[str, TableMap]]:
        """The file as it is once all that changed is followed, and its maps; raises when that needs a person."""
        await pending.forget_gone(self._connection, self.source_id, self._config.target.schema)
        leftovers = await pending.read(self._connection, self.source_id)
        decided = await self._still_there(state.columns)
        refuse_lost_tables(lost_tables(look.schema, decided), self._config.adopts)
        known = with_leftovers(decided, leftovers)
        mapped = map_known(look.schema, self._config, known)
        targets = await self._found([m.target for m in mapped])
        maps = {m.source.name: m for m in without_rekeyed(mapped, targets, known)}
        await ownership.claim(self._connection, self._config, self.source_id, mapped)
        waiting = {m.source.name for m in mapped} - maps.keys()
        findings = judge(look.without(waiting), maps, decided, state.schema_version)
        if not findings.nothing:
            refuse_lost_columns(maps, decided)
            look = await self._following.follow(look, maps, decided, leftovers, findings)
        return look, maps

    async def _found(self, targets: list[str]) -> dict[str, TargetTable]:
        return await catalogue.read_tables(self._connection, self._config.target.schema, targets)

    async def _position(self) -> Position:
        found = (await self._state()).position
        assert found is not None
        return found

    async def _still_there(self, decided: Decisions) -> Decisions:
        """The remembered columns without tables that are excluded now and columns that were dropped in Postgres."""
        wanted = {name: columns for name, columns in decided.items() if self._config.replicate.wants(name)}
        names = {name: self._config.options(name).target or name for name in wanted}
        found = await self._found(list(names.values()))
        return {
            name: {c: d for c, d in columns.items() if _has_column(found.get(names[name]), c)}
            for name, columns in wanted.items()
        }

    async def _targets(self, maps: dict[str, TableMap]) -> dict[str, TargetTable]:
        targets = await self._found([m.target for m in maps.values()])
        missing = [m.target for m in maps.values() if m.target not in targets]
        if missing:
            raise TargetError(
                f"tables are missing in Postgres: {', '.join(missing)}",
                remedy="run `cdc schema`, then `cdc load --resync`",
            )
        return targets


async def identify(connection: Connection, config: Config, look: Look) -> str:
    """The stream's id as the file carries it; raises when the file lost it, or was never set up."""
    if look.capture is not None:
        return look.capture.source_id
    if found := await position.find_by_path(connection, str(config.source.path), config.target.schema):
        state, note = await position.read(connection, found), removal.read(config)
        if state and (since := state.ended_at or (note and note.since)):
            raise removal.ended(config, since)
        raise SourceChanged(
            f"{config.source.path} carries no capture any more: it was overwritten, replaced or restored",
            remedy="if this file is the right one, run `cdc load --resync`: it compares every row and goes on",
        )
    await ownership.require_free(connection, config, "", map_schema(look.schema, config))
    raise not_set_up(config.source.path)


def _has_column(table: TargetTable | None, name: str) -> bool:
    return table is None or table.column(name) is not None
