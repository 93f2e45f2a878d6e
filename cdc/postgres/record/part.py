"""A part of what Postgres remembers of one source: some tables of the schema `cdc`, bound to the source once."""

from cdc.postgres.connection.open import Connection


class RecordPart:
    """One source's rows in some tables of the schema `cdc`, over one connection."""

    def __init__(self, connection: Connection, source_id: str) -> None:
        self._connection = connection
        self._source_id = source_id
