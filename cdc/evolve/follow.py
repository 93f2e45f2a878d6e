"""Following a change of the application's file, before the next batch: what is new is made, what is gone is left alone.

Everything can be given again: whatever a daemon that dies in between did not finish is found and done by the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from loguru import logger

from cdc.config import Config
from cdc.errors import TargetNotEmpty
from cdc.evolve.detect import SchemaChanges
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.mapping.known import Decisions, remember
from cdc.postgres.apply import loaded_orphans
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl import runner, schema_script
from cdc.postgres.record import leftover_record, position
from cdc.postgres.record.leftover_record import Leaving, Leftover
from cdc.postgres.record.quarantine import Quarantine, keys_of
from cdc.postgres.tables.statement import Made, Statement
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.changelog.source_file import Look

Tell = Callable[..., Awaitable[None]]  # an action of the audit trail and its details


class SchemaFollower:
    """Follows one source over one connection, which must hold the source's lock; `tell` records each step."""

    def __init__(self, config: Config, connection: Connection, source_id: str, tell: Tell) -> None:
        self._config = config
        self._connection = connection
        self._source_id = source_id
        self._schema = config.target.schema
        self._audit = tell

    async def follow(
        self,
        look: Look,
        maps: Mapping[str, TableMap],
        decided: Decisions,
        leftovers: Sequence[Leftover],
        findings: SchemaChanges,
    ) -> Look:
        """Note what must be compared, extend the targets, make capture whole, let go of what is gone.

        `decided` is what is known of the tables that are fed, `leftovers` of those that are not. Returns the file as
        it is then. Raises `CaptureLost` when the application went on changing its schema meanwhile.
        """
        await self._audit("follow a change of the file", reasons="; ".join(findings.reasons))
        await position.request_resync(self._connection, self._source_id, findings.resync)
        if findings.resync:
            await position.set_unfinished(self._connection, self._source_id, unfinished=True)
        await self._leave(maps, decided, leftovers, findings)
        new = [maps[name] for name in findings.new_tables]
        await runner.preflight(self._connection, new)
        await runner.apply(self._connection, schema_script.script(new, self._schema).before_load if new else ())
        await runner.apply(self._connection, await runner.missing_columns(self._connection, list(maps.values())))
        await runner.apply(self._connection, await runner.needless_not_null(self._connection, list(maps.values())))
        crash_point("follow.before_capture")
        if findings.reinstall:
            look = await asyncio.to_thread(sqlite.install, self._config, look)
        crash_point("follow.after_capture")
        await self._remember(maps, leftovers)
        return look

    async def _leave(
        self,
        maps: Mapping[str, TableMap],
        decided: Decisions,
        leftovers: Sequence[Leftover],
        findings: SchemaChanges,
    ) -> None:
        """Leave what is fed no longer as it is, but for what would refuse rows that SQLite may hold by now.

        A table that comes back may lack columns that it had.
        """
        leaving = Leaving(self._connection, self._source_id, self._schema)
        lost = {name: (decided[name], findings.lost_columns[name]) for name in findings.lost_columns}
        for back in (left for left in leftovers if left.column is None and left.source_table in maps):
            fed = set(maps[back.source_table].target_columns)
            lost[back.source_table] = (dict(back.decided), tuple(name for name in back.decided if name not in fed))
        for name, (known, columns) in lost.items():
            for column in columns:
                await leaving.column(maps[name], column, {column: known[column]})
        for name in findings.lost_tables:
            await leaving.table(name, self._config.options(name).target or name, decided[name])
        still = list(maps.values())
        loosened = await leaving.loosen(still, schema_script.script(still, self._schema).after_load)
        if lost or findings.lost_tables or loosened:
            await self._look_at_quarantine(maps)

    async def _look_at_quarantine(self, maps: Mapping[str, TableMap]) -> None:
        """What is gone may be what kept rows out, and no change of theirs would tell that they fit now."""
        held = await keys_of(self._connection, self._source_id, None)
        await position.request_resync(self._connection, self._source_id, [name for name in maps if name in held])

    async def _remember(self, maps: Mapping[str, TableMap], leftovers: Sequence[Leftover]) -> None:
        """Keep what is decided now; what is fed again is no leftover any more."""
        fed = {(m.target, column) for m in maps.values() for column in (None, *m.target_columns)}
        back = [left for left in leftovers if (left.target, left.column) in fed]
        with translated("keeping the mapping"):
            async with self._connection.transaction():
                for left in back:
                    await leftover_record.take_up(self._connection, self._source_id, left)
                await position.store_columns(self._connection, self._source_id, remember(maps.values()))
        crash_point("follow.after_mapping")

    async def finish(self, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> None:
        """Make the indexes and constraints that are missing, now that every row is there; one that fails is left out.

        So it is when new tables and columns are full, and when what was a leftover is fed again.
        """
        statements = schema_script.script(maps, self._schema).after_load
        leftovers = await leftover_record.read(self._connection, self._source_id)
        await Leaving(self._connection, self._source_id, self._schema).make_way(maps, leftovers, statements)
        statements = tuple(replace(statement, optional=True) for statement in statements)
        await self._apply([s for s in statements if s.kind is not Made.FOREIGN_KEY])
        quarantine = Quarantine(self._connection, self._source_id)
        await loaded_orphans.remove(self._connection, quarantine, maps, targets)
        await self._apply([s for s in statements if s.kind is Made.FOREIGN_KEY])
        await self._apply(await runner.missing_not_null(self._connection, maps))
        crash_point("follow.before_finished")
        await position.set_unfinished(self._connection, self._source_id, unfinished=False)

    async def _apply(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            try:
                await runner.apply(self._connection, [statement], _told, together=False)
            except TargetNotEmpty as error:
                _told(statement, error.message)


def _told(statement: Statement, reason: str | None) -> None:
    if reason is None:
        logger.bind(object=statement.object).info("made in Postgres what SQLite has")
    elif reason != runner.EXISTS:
        logger.bind(object=statement.object, reason=reason).warning("an index or constraint was left out")
