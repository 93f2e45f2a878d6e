"""A part of what Postgres remembers of one source: some tables of the schema `cdc`, bound to the source once."""

from cdc.postgres.connection.open import Connection


async def knows(connection: Connection, table: str) -> bool:
    """Whether the schema `cdc` has that table; one that an older version made may not, and there may be none at all.

    Asked, not tried: an error would end the transaction that a caller may be in.
    """
    return bool(await connection.fetchval("SELECT to_regclass('cdc.' || $1::text) IS NOT NULL", table))


class RecordPart:
    """One source's rows in some tables of the schema `cdc`, over one connection."""

    def __init__(self, connection: Connection, source_id: str) -> None:
        self._connection = connection
        self._source_id = source_id

    async def _knows(self, table: str) -> bool:
        return await knows(self._connection, table)
