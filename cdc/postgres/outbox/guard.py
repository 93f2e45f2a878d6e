"""Which of the target tables applications may write to, and whether what they write is noted.

What changes for several tables is one transaction, so no writer ever finds some of them open and others not.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.nullable_keys import may_be_null
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.outbox.table_locks import AGAINST_ALL, AGAINST_WRITERS, SQL, locked
from cdc.postgres.outbox.triggers import FENCE, OUTBOX, body, comment, make_function, make_triggers, switch
from cdc.postgres.outbox.withheld import WithheldRights
from cdc.postgres.record.disabled_triggers import DisabledTriggers
from cdc.postgres.record.part import RecordPart
from cdc.postgres.tables.catalogue import read_tables
from cdc.sql_names import qualified


class Astray(NamedTuple):
    """A table that applications are to write to: whether it is `fenced`, whether some writes to it go unnoted."""

    target: str
    fenced: bool
    silent: bool


@dataclass(frozen=True, slots=True)
class TableGuard:
    """What stands on one target table: whether the fence is up, whether writes are noted, what of it is missing.

    `missing` are names of triggers, also of such that would note another key than the table has. `WriteGuard.install`
    puts them there.
    """

    fenced: bool
    captured: bool
    missing: tuple[str, ...]


class WriteGuard(RecordPart):
    """The fences and outboxes of one source's target tables, over a connection of the role that owns the tables.

    With `withhold`, other roles have no right to write either while a fence is up; they get it back with the fence.
    `wait` is for how many seconds transactions in flight are waited for before `TargetHindered` names them.
    """

    def __init__(self, connection: Connection, source_id: str, *, withhold: bool = False) -> None:
        super().__init__(connection, source_id)
        self._withhold = withhold
        self._rights = WithheldRights(connection, source_id)

    async def reasons(self, maps: Sequence[TableMap]) -> dict[str, str]:
        """The targets whose writes cannot all be captured, each with its reason, such as `is partitioned: ...`."""
        with translated("asking which tables can be captured"):
            rows = await self._connection.fetch(SQL["uncapturable"], *_places(maps))
        unnamed: dict[str, str] = {}
        for schema in {mapped.schema for mapped in maps}:
            here = [mapped for mapped in maps if mapped.schema == schema]
            targets = await read_tables(self._connection, schema, [mapped.target for mapped in here])
            unnamed |= {mapped.target: _without_name(mapped, targets.get(mapped.target)) for mapped in here}
        reasons = unnamed | {row["target"]: row["reason"] for row in rows if row["reason"]}
        return {target: reason for target, reason in reasons.items() if reason}

    async def look(self, maps: Sequence[TableMap]) -> dict[str, TableGuard]:
        """How each target is guarded now."""
        with translated("looking at fences and outboxes"):
            rows = await self._connection.fetch(SQL["triggers"], self._source_id, *_places(maps))
        return {
            mapped.target: _guard([row for row in rows if row["target"] == mapped.target], mapped) for mapped in maps
        }

    async def astray(self, maps: Sequence[TableMap]) -> list[Astray]:
        """Which of the tables that applications write to are not open and noted as they should be; a cheap look."""
        with translated("looking at fences and outboxes"):
            rows = await self._connection.fetch(SQL["astray"], self._source_id, *_places(maps), len(OUTBOX))
        return [Astray(*row) for row in rows]

    async def note_anew(self, maps: Sequence[TableMap], wait: float) -> None:
        """Open tables and note writes to them again. Nobody knows what went unnoted: they are asked for as a whole."""
        with translated("noting writes again"):
            for mapped in maps:
                async with self._locked([mapped], wait):
                    await self._make(mapped)
                    await self._connection.execute(switch(mapped, fence=False, outbox=True))
                    await self._rights.give_back(mapped.schema, mapped.target)
                    await self._connection.execute(SQL["ask_for_all"], self._source_id, mapped.target)

    async def install(self, maps: Sequence[TableMap], wait: float) -> None:
        """Make what is missing, table by table: its fence is up then, and its outbox off. Others stay as they are."""
        guards = await self.look(maps)
        with translated("putting up fences and outboxes"):
            for mapped in maps:
                missing = guards[mapped.target].missing
                if not missing and not self._withhold:
                    continue
                async with self._locked([mapped], wait):
                    if missing:
                        await self._make(mapped)
                        await self._connection.execute(switch(mapped, fence=True, outbox=False))
                    if self._withhold:
                        await self._rights.take(mapped.schema, mapped.target)

    async def guarded(self) -> list[str]:
        """The tables that something of ours stands on, as qualified names."""
        with translated("looking at fences and outboxes"):
            rows = await self._connection.fetch(SQL["functions"], comment(self._source_id))
        return sorted({table for row in rows for table in row["tables"]})

    async def remove(self, wait: float) -> None:
        """Take everything off the tables again, and forget what was noted; then anybody may write."""
        with translated("taking down fences and outboxes"):
            for function in await self._connection.fetch(SQL["functions"], comment(self._source_id)):
                async with locked(self._connection, function["tables"], wait, AGAINST_ALL):
                    await self._connection.execute(f"DROP FUNCTION {function['name']} CASCADE")
            for schema, table in await self._rights.tables():
                async with locked(self._connection, [qualified(schema, table)], wait, AGAINST_WRITERS):
                    await self._rights.give_back(schema, table)
            await self._connection.execute(SQL["drop_entries"], self._source_id)

    async def arm(self, maps: Sequence[TableMap], wait: float) -> None:
        """Note writes from now on, whoever makes them; the fence stays as it is."""
        await self._switch_outbox(maps, wait, on=True)

    async def disarm(self, maps: Sequence[TableMap], wait: float) -> None:
        """Note writes no longer; what was noted stays."""
        await self._switch_outbox(maps, wait, on=False)

    async def open_writes(
        self,
        maps: Sequence[TableMap],
        wait: float,
        also: Callable[[], Awaitable[None]],
        mode: str = AGAINST_WRITERS,
    ) -> None:
        """Let applications write, and note what they write; their own triggers fire again as they did before.

        `also` runs in the same transaction. The `mode` in which the tables are locked is for what it needs: a lock that
        had to become a stronger one could meet a reader that is about to write, and end in a deadlock with it.
        """
        triggers = DisabledTriggers(self._connection, self._source_id)
        with translated("letting applications write to Postgres"):
            async with self._locked(maps, wait, mode):
                for mapped in maps:
                    await self._connection.execute(switch(mapped, fence=False, outbox=True))
                    await self._rights.give_back(mapped.schema, mapped.target)
                    await triggers.restore(mapped.schema, mapped.target)
                await also()

    async def close_writes(self, maps: Sequence[TableMap], wait: float, also: Callable[[], Awaitable[None]]) -> None:
        """Let applications write no longer: whatever one of them was told is committed has been noted by then.

        Their triggers do not fire any more, and the outbox stays on. `also` runs in the same transaction.
        """
        triggers = DisabledTriggers(self._connection, self._source_id)
        with translated("letting applications write to Postgres no longer"):
            async with self._locked(maps, wait):
                guards = await self.look(maps)
                for mapped in maps:
                    await self._connection.execute(switch(mapped, fence=True))
                    if self._withhold:
                        await self._rights.take(mapped.schema, mapped.target)
                    if not guards[mapped.target].fenced:
                        # While it was open, its triggers were the application's: those that fire now are to come back.
                        await triggers.forget(mapped.schema, mapped.target)
                    await triggers.disable(mapped.schema, mapped.target)
                await also()

    async def _make(self, mapped: TableMap) -> None:
        for sql in (*make_function(mapped, self._source_id), *make_triggers(mapped, self._source_id)):
            await self._connection.execute(sql)

    async def _switch_outbox(self, maps: Sequence[TableMap], wait: float, *, on: bool) -> None:
        with translated("switching outboxes"):
            async with self._locked(maps, wait):
                for mapped in maps:
                    await self._connection.execute(switch(mapped, outbox=on))

    def _locked(
        self, maps: Sequence[TableMap], wait: float, mode: str = AGAINST_WRITERS
    ) -> AbstractAsyncContextManager[None]:
        return locked(self._connection, [qualified(m.schema, m.target) for m in maps], wait, mode)


def _guard(triggers: Sequence[Any], mapped: TableMap) -> TableGuard:
    made = {trigger["name"]: trigger["enabled"] for trigger in triggers if trigger["body"] == body(mapped)}
    return TableGuard(
        fenced=any(trigger["enabled"] for trigger in triggers if trigger["name"] == FENCE),
        captured=all(made.get(name) for name in OUTBOX),
        missing=tuple(name for name in (FENCE, *OUTBOX) if name not in made),
    )


def _without_name(mapped: TableMap, there: TargetTable | None) -> str:
    """Why there may be rows of a table that its key does not name, empty when it names all."""
    if there is None or not there.is_keyed_by(mapped.key):
        return f"has no unique key on {', '.join(mapped.key)}, by which its rows are named"
    return may_be_null(mapped, there)


def _places(maps: Sequence[TableMap]) -> tuple[list[str], list[str]]:
    return [mapped.schema for mapped in maps], [mapped.target for mapped in maps]
