"""Tables that wait alone, because what stands for them in Postgres cannot take their rows: dropped, renamed, altered.

The others go on, so changes of one that waits are passed by: it is noted here, and compared as a whole when it fits
again. Its shape is noted too, so that the daemon sees when somebody changed it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import TargetHindered
from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart
from cdc.postgres.tables.counts import has_rows
from cdc.sql_names import qualified

SQL: Final = load("waiting")
_STREAM: Final = load("stream")
_WITH_ROWS: Final = " with rows"  # ends the shape of a target that is waited for to become empty


@dataclass(frozen=True, slots=True)
class Waiting:
    """A source table that waits for its target, and what lets it go on: where `until_empty`, that it has no rows."""

    source_table: str
    target: str
    reason: str
    remedy: str
    until_empty: bool = False


class WaitingTables(RecordPart):
    """The tables of one source that wait."""

    async def read(self) -> tuple[Waiting, ...]:
        """The tables of a source that wait; none where the schema `cdc` is of a version that knew none."""
        with translated("reading which tables wait"):
            if not await self._knows("target_table"):
                return ()
            rows = await self._connection.fetch(SQL["waiting"], self._source_id)
        return tuple(Waiting(row["source_table"], row["target"], row["reason"], row["remedy"]) for row in rows)

    async def targets(self) -> dict[str, str]:
        """The targets of the source tables when the daemon settled last."""
        with translated("reading the targets"):
            return {
                row["source_table"]: row["target"] for row in await self._connection.fetch(SQL["read"], self._source_id)
            }

    async def note(self, maps: Sequence[TableMap], held: Mapping[str, Waiting]) -> list[str]:
        """Note what the targets are like now, and which source tables are `held` up by theirs.

        Returns the tables that are to be compared as a whole, as is noted too: they waited, or have other types.
        """
        if not maps:
            return []
        with translated("noting which tables wait"):
            async with self._connection.transaction():
                await self._connection.execute(SQL["forget"], self._source_id, [m.source.name for m in maps])
                noted = {
                    row["source_table"]: tuple(row)
                    for row in await self._connection.fetch(SQL["read"], self._source_id)
                }
                shapes = await self._shapes(maps[0].schema, [m.target for m in maps])
                current = {m.source.name: _facts(m, shapes[m.target], held.get(m.source.name)) for m in maps}
                for name, facts in current.items():
                    if noted.get(name) != facts:
                        await self._connection.execute(SQL["note"], self._source_id, *facts)
                returning = [name for name, facts in current.items() if name in noted and _returns(noted[name], facts)]
                if returning:
                    await self._connection.execute(_STREAM["request_resync"], self._source_id, returning)
                    # What was made anew has no foreign keys, as far as rows were missing.
                    await self._connection.execute(_STREAM["note_finish_after_resync"], self._source_id, True)
        return returning

    async def accept_types(self, tables: Sequence[str]) -> None:
        """The columns of some source tables got their types from us: nobody else changed them."""
        with translated("noting what tables are like"):
            await self._connection.execute(SQL["accept_types"], self._source_id, list(tables))

    async def require_unchanged(self) -> None:
        """Raises `TargetHindered`, to settle anew, when the target of a table that waits has changed."""
        with translated("looking at the tables that wait"):
            waiting = await self._connection.fetch(SQL["waiting"], self._source_id)
            if not waiting:
                return
            schema = waiting[0]["schema"]
            shapes = await self._shapes(schema, [row["target"] for row in waiting])
            until_empty = [row["target"] for row in waiting if row["shape"].endswith(_WITH_ROWS)]
            standing = [name for name in until_empty if shapes[name][1]]
            filled = {name for name in standing if await has_rows(self._connection, qualified(schema, name))}
        now = {name: shape + _WITH_ROWS * (name in filled) for name, (_, shape) in shapes.items()}
        changed = [row["target"] for row in waiting if now[row["target"]] != row["shape"]]
        if changed:
            raise TargetHindered(
                f"tables that wait were changed in Postgres: {', '.join(changed)}",
                remedy="they are looked at by itself",
            )

    async def _shapes(self, schema: str, targets: Sequence[str]) -> dict[str, tuple[str, str]]:
        records = await self._connection.fetch(SQL["shapes"], schema, targets)
        return {name: (types, shape) for name, types, shape in records}


def _facts(mapped: TableMap, shape: tuple[str, str], why: Waiting | None) -> tuple[Any, ...]:
    types, all_of_it = shape
    all_of_it += _WITH_ROWS * bool(why and why.until_empty)
    return mapped.source.name, mapped.target, types, all_of_it, why and why.reason, why and why.remedy


def _returns(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    """Whether a table fits now that waited before, or whose columns had other types; both as `_facts` has them."""
    _, _, types_before, _, waited, _ = before
    _, _, types, _, waits, _ = now
    return waits is None and (waited is not None or types != types_before)
