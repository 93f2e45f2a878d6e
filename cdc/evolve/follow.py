"""Following a change of the application's file, before the next batch: what is new is made, what is gone is left alone.

Everything can be given again: whatever a daemon that dies in between did not finish is found and done by the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from loguru import logger

from cdc.config import Config
from cdc.decisions import Decisions, remember
from cdc.drift import Findings
from cdc.errors import TargetNotEmpty
from cdc.faults import crash_point
from cdc.model import TableMap, TargetTable
from cdc.postgres import ddl, orphans, pending, position, schema
from cdc.postgres.connection import Connection, translated
from cdc.postgres.pending import Leaving, Leftover
from cdc.postgres.quarantine import Quarantine, keys_of
from cdc.postgres.script import Made, Statement
from cdc.sqlite import source as sqlite
from cdc.sqlite.source import Look

Tell = Callable[..., Awaitable[None]]  # an action of the audit trail and its details


class Following:
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
        findings: Findings,
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
        await schema.preflight(self._connection, new)
        await schema.apply(self._connection, ddl.script(new, self._schema).before_load if new else ())
        await schema.apply(self._connection, await schema.missing_columns(self._connection, list(maps.values())))
        await schema.apply(self._connection, await schema.needless_not_null(self._connection, list(maps.values())))
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
        findings: Findings,
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
        loosened = await leaving.loosen(still, ddl.script(still, self._schema).after_load)
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
                    await pending.take_up(self._connection, self._source_id, left)
                await position.store_columns(self._connection, self._source_id, remember(maps.values()))
        crash_point("follow.after_mapping")

    async def finish(self, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> None:
        """Make the indexes and constraints that are missing, now that every row is there; one that fails is left out.

        So it is when new tables and columns are full, and when what was a leftover is fed again.
        """
        statements = ddl.script(maps, self._schema).after_load
        leftovers = await pending.read(self._connection, self._source_id)
        await Leaving(self._connection, self._source_id, self._schema).make_way(maps, leftovers, statements)
        statements = tuple(replace(statement, optional=True) for statement in statements)
        await self._apply([s for s in statements if s.kind is not Made.FOREIGN_KEY])
        quarantine = Quarantine(self._connection, self._source_id)
        await orphans.remove(self._connection, quarantine, maps, targets)
        await self._apply([s for s in statements if s.kind is Made.FOREIGN_KEY])
        await self._apply(await schema.missing_not_null(self._connection, maps))
        crash_point("follow.before_finished")
        await position.set_unfinished(self._connection, self._source_id, unfinished=False)

    async def _apply(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            try:
                await schema.apply(self._connection, [statement], _told, together=False)
            except TargetNotEmpty as error:
                _told(statement, error.message)


def _told(statement: Statement, reason: str | None) -> None:
    if reason is None:
        logger.bind(object=statement.object).info("made in Postgres what SQLite has")
    elif reason != schema.EXISTS:
        logger.bind(object=statement.object, reason=reason).warning("an index or constraint was left out")
