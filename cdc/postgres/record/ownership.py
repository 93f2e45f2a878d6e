"""A target table has one owner: the source that feeds it. No other source may, or each would wipe the other's rows."""

import shlex
from collections.abc import Sequence
from typing import Final

import asyncpg

from cdc.config import Config
from cdc.errors import TargetTaken
from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.source_lock import lock_key
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("stream")
MOST_NAMED: Final = 5


class Ownership(RecordPart):
    """The target tables that one source may feed."""

    async def claim(self, config: Config, maps: Sequence[TableMap]) -> None:
        """Make the source the owner of the targets of these maps; raises `TargetTaken` when one is another's.

        Part of the caller's transaction where there is one. Tables that it owns already cost one look.
        """
        place = (self._source_id, config.target.schema, [m.target for m in maps])
        with translated("looking whose the tables in Postgres are"):
            if not await self._connection.fetchval(SQL["unclaimed"], *place):
                return
            async with self._connection.transaction():
                # One claim at a time: whether another one counts is seen only once that source has registered as well.
                await self._connection.execute("SELECT pg_advisory_xact_lock($1)", lock_key("claims"))
                await self._connection.execute(SQL["claim"], *place)
                _refuse(await self._connection.fetch(SQL["owned_by_others"], *place), config)

    async def targets(self, schema: str) -> list[str]:
        """The names of the tables in a schema that the source owns."""
        with translated("looking whose the tables in Postgres are"):
            if not await self._knows("owned_table"):
                return []
            rows = await self._connection.fetch(SQL["owned"], self._source_id, schema)
        return [row["target_table"] for row in rows]

    async def require_free(self, config: Config, maps: Sequence[TableMap]) -> None:
        """Raises `TargetTaken` when the target of one of these maps is another source's; claims nothing."""
        place = (self._source_id, config.target.schema, [m.target for m in maps])
        with translated("looking whose the tables in Postgres are"):
            if await self._knows("owned_table"):
                _refuse(await self._connection.fetch(SQL["owned_by_others"], *place), config)


def _refuse(taken: Sequence[asyncpg.Record], config: Config) -> None:
    if not taken:
        return
    owner, since = taken[0]["source_path"], f"{taken[0]['since']:%Y-%m-%d %H:%M} UTC"
    names = [f"{config.target.schema}.{row['target_table']}" for row in taken if row["source_path"] == owner]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    tables = f"{', '.join(names[:MOST_NAMED])}{more}"
    if owner == str(config.source.path):
        raise TargetTaken(
            f"what was replicated from {owner} before is still in Postgres since {since}: {tables}",
            remedy="if the file that is there now takes the place of the one before, run `cdc load --resync`: "
            "it compares every row",
        )
    raise TargetTaken(
        f"another file feeds these tables in Postgres: {owner}, since {since}: {tables}",
        remedy="choose another `schema` in [target], or another `target` for the table; when that file is not to be "
        f"replicated any more, `cdc cleanup --release {shlex.quote(owner)}` frees its tables",
    )
