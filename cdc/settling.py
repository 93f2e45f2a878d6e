"""Before the loop: both databases are looked at, and whatever changed since the last time is settled or refused."""

import asyncio
from dataclasses import dataclass

from loguru import logger

from cdc import audit
from cdc.config import Config
from cdc.convert import compile_converter
from cdc.decisions import Decisions, recall, remember
from cdc.drift import Findings, judge, refuse_lost_tables
from cdc.errors import SourceChanged, TargetError
from cdc.faults import crash_point
from cdc.mapping import map_schema
from cdc.model import Position, TableMap, TargetTable
from cdc.postgres import catalogue, ddl, position, schema
from cdc.postgres.apply import Applier
from cdc.postgres.connection import Connection
from cdc.postgres.position import StreamState
from cdc.sqlite import source as sqlite
from cdc.sqlite.connection import not_set_up
from cdc.sqlite.source import Look, Source
from cdc.trail import Trail


@dataclass(frozen=True, slots=True)
class Settled:
    """What the loop relies on: both ends ready, the position, and the tables to read as a whole first."""

    source: Source
    applier: Applier
    maps: tuple[TableMap, ...]
    position: Position
    resync: tuple[str, ...]
    oldest_seq: int
    trail: Trail


class Settling:
    """Settles one source over one connection, which must hold the source's lock."""

    def __init__(self, config: Config, connection: Connection, source_id: str) -> None:
        self._config = config
        self._connection = connection
        self.source_id = source_id

    async def settle(self, look: Look) -> Settled:
        """Make sure of everything the loop relies on: position, capture, targets, mapping."""
        await position.bring_up_to_date(self._connection)
        state = await self._state()
        decided = await self._still_there(state.columns)
        refuse_lost_tables(look.schema, decided)
        maps = self._maps(look, decided)
        findings = judge(look, maps, decided, state.schema_version)
        if not findings.nothing:
            look, decided = await self._mend(look, decided, findings)
            maps = self._maps(look, decided)
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
            resync=tuple(name for name in (await self._state()).resync if name in maps),
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

    async def _position(self) -> Position:
        found = (await self._state()).position
        assert found is not None
        return found

    async def _still_there(self, decided: Decisions) -> Decisions:
        """The remembered columns without tables that are excluded now and columns that were dropped in Postgres."""
        wanted = {name: columns for name, columns in decided.items() if self._config.replicate.wants(name)}
        names = {name: self._config.options(name).target or name for name in wanted}
        found = await catalogue.read_tables(self._connection, self._config.target.schema, list(names.values()))
        return {
            name: {c: d for c, d in columns.items() if _has_column(found.get(names[name]), c)}
            for name, columns in wanted.items()
        }

    def _maps(self, look: Look, decided: Decisions) -> dict[str, TableMap]:
        return {m.source.name: m for m in recall(map_schema(look.schema, self._config), decided)}

    async def _targets(self, maps: dict[str, TableMap]) -> dict[str, TargetTable]:
        targets = await catalogue.read_tables(
            self._connection, self._config.target.schema, [m.target for m in maps.values()]
        )
        missing = [m.target for m in maps.values() if m.target not in targets]
        if missing:
            raise TargetError(
                f"tables are missing in Postgres: {', '.join(missing)}",
                remedy="run `cdc schema`, then `cdc load --resync`",
            )
        return targets

    async def _mend(self, look: Look, decided: Decisions, findings: Findings) -> tuple[Look, Decisions]:
        """Follow the application: note what must be compared, extend the targets, make capture whole."""
        await self.audit("follow a change of the file", reasons="; ".join(findings.reasons))
        await position.request_resync(self._connection, self.source_id, findings.resync)
        maps = self._maps(look, decided)
        new = [maps[name] for name in findings.new_tables]
        if new:
            script = ddl.script(new, self._config.target.schema)
            await schema.preflight(self._connection, new)
            await schema.apply(self._connection, (*script.before_load, *script.after_load))
        await schema.apply(self._connection, await schema.missing_columns(self._connection, list(maps.values())))
        crash_point("follow.before_capture")
        if findings.reinstall:
            look = await asyncio.to_thread(sqlite.install, self._config)
        crash_point("follow.after_capture")
        await position.store_columns(self._connection, self.source_id, remember(maps.values()))
        return look, remember(maps.values())


async def identify(connection: Connection, config: Config, look: Look) -> str:
    """The stream's id as the file carries it; raises when the file lost it, or was never set up."""
    if look.capture is not None:
        return look.capture.source_id
    if await position.find_by_path(connection, str(config.source.path), config.target.schema):
        raise SourceChanged(
            f"{config.source.path} carries no capture any more: it was overwritten, replaced or restored",
            remedy="if this file is the right one, run `cdc load --resync`: it compares every row and goes on",
        )
    raise not_set_up(config.source.path)


def _has_column(table: TargetTable | None, name: str) -> bool:
    return table is None or table.column(name) is not None
