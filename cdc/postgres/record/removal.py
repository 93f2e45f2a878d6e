"""Taking what Postgres remembers of a source away for good: its rows, and the schema `cdc` with the last source."""

from typing import Final

from cdc.errors import TargetError
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.record import own_schema
from cdc.postgres.record.part import RecordPart
from cdc.sql_names import qualified, quote

SQL: Final = load("removal")
_SOURCE: Final = "source_id"


async def is_there(connection: Connection) -> bool:
    """Whether anything that this tool makes is in a schema `cdc`."""
    return await own_schema.missing(connection) != own_schema.expected().keys()


async def left(connection: Connection) -> list[str]:
    """What is in the schema `cdc`, such as `table cdc.stream`; nothing where there is no such schema."""
    with translated("looking at the schema cdc"):
        return [row[0] for row in await connection.fetch(SQL["left"])]


async def require_alone(connection: Connection) -> None:
    """Raise `TargetError` when something of others leans on what this tool made in the schema `cdc`."""
    with translated("looking what leans on the schema cdc"):
        leaners = [row[0] for row in await connection.fetch(SQL["leaners"])]
    if leaners:
        raise TargetError(
            f"something of others in Postgres leans on the schema cdc: {'; '.join(leaners)}",
            remedy="drop or change that first, then give the command again: nothing is dropped along",
        )


class SourceRemoval(RecordPart):
    """What is known of one source, on its way out."""

    async def others(self) -> list[str]:
        """The files of other sources that Postgres remembers, whose rows stay."""
        with translated("looking for other sources"):
            if await self._connection.fetchval("SELECT to_regclass('cdc.stream')") is None:
                return []
            return [row[0] for row in await self._connection.fetch(SQL["others"], self._source_id)]

    async def remove(self) -> list[str]:
        """Forget the source; with the last one the schema goes, unless others have something in it, which is returned.

        All or nothing, and nothing of anybody else's with it. Raises `TargetError` when others lean on it.
        """
        with translated("taking away what is known of the source"):
            async with self._connection.transaction():
                if await self._connection.fetchval("SELECT to_regclass('cdc.stream')") is not None:
                    # A source that comes now waits, and then finds no such table, or its own row.
                    await self._connection.execute("LOCK TABLE cdc.stream IN ACCESS EXCLUSIVE MODE")
                if await self.others():
                    await self._forget()
                    return []
                await require_alone(self._connection)
                return await self._drop()

    async def _forget(self) -> None:
        """Delete the rows of the source from every table of the schema `cdc`."""
        for table in sorted({part.table for part in own_schema.expected() if part.name == _SOURCE}):
            sql = f"DELETE FROM {qualified(own_schema.SCHEMA, table)} WHERE {_SOURCE} = $1"
            await self._connection.execute(sql, self._source_id)

    async def _drop(self) -> list[str]:
        tables = sorted({part.table for part in own_schema.expected()})
        listed = ", ".join(qualified(own_schema.SCHEMA, table) for table in tables)
        await self._connection.execute(f"DROP TABLE IF EXISTS {listed}")
        others = [row[0] for row in await self._connection.fetch(SQL["left"])]
        if not others:
            await self._connection.execute(f"DROP SCHEMA IF EXISTS {quote(own_schema.SCHEMA)}")
        return others
