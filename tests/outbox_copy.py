"""A copy of tables that knows of them what an outbox tells, for tests that ask whether that is everything."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from cdc.facts.changed_rows import ChangedRows, Texts
from cdc.facts.source_schema import Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.outbox.reading import Outbox
from cdc.postgres.outbox.triggers import TEXT_SETTINGS
from cdc.postgres.record import own_schema
from cdc.sql_names import qualified, quote

SOURCE = "a source"
WAIT = 20.0


def mapped(target: str, key: Sequence[str], *others: str) -> TableMap:
    """A map of a target with these columns; of the source nothing counts but its name."""
    columns = tuple(ColumnMap(name, quote(name), "", name) for name in (*key, *others))
    source = Table(target, (), Key(KeyKind.COLUMNS, tuple(key)))
    return TableMap(source, "public", target, columns, tuple(key))


async def nothing() -> None:
    """What else is to be done in the same transaction."""


class OutboxCopy:
    """Tables guarded by a connection of replication, and their rows as far as its outbox has told of them."""

    def __init__(self, connection: Connection, maps: Sequence[TableMap]) -> None:
        self.connection = connection
        self.maps = maps
        self.guard = WriteGuard(connection, SOURCE)
        self.outbox = Outbox(connection, SOURCE)
        self.rows: dict[str, dict[Texts, Texts]] = {m.target: {} for m in maps}
        self.pages: list[ChangedRows] = []

    async def open(self) -> None:
        await self.guard.open_writes(self.maps, WAIT, nothing)

    async def close(self) -> None:
        await self.guard.close_writes(self.maps, WAIT, nothing)

    async def follow(self) -> None:
        """Read what is noted, take it over, and only then forget it."""
        self.pages = []
        async with self.outbox.reading(self.maps) as reading:
            async for page in reading.pages():
                self._take(page)
        await self.outbox.forget(reading)

    def _take(self, page: ChangedRows) -> None:
        rows = self.rows[page.mapped.target]
        begins = not self.pages or self.pages[-1].mapped != page.mapped
        self.pages.append(page)
        assert page.rows.keys() <= set(page.keys)
        if page.whole and begins:
            rows.clear()
        for key in page.keys:
            rows.pop(key, None)
        rows.update(page.rows)

    async def truth(self) -> dict[str, dict[Texts, Texts]]:
        """The rows as they are."""
        async with self.connection.transaction(isolation="repeatable_read"):
            for setting in TEXT_SETTINGS.items():
                await self.connection.execute("SELECT set_config($1, $2, true)", *setting)
            return {m.target: await self._rows(m) for m in self.maps}

    async def _rows(self, m: TableMap) -> dict[Texts, Texts]:
        texts = ", ".join(f"{quote(name)}::text" for name in m.target_columns)
        records = await self.connection.fetch(f"SELECT {texts} FROM {qualified(m.schema, m.target)}")
        return {tuple(record)[: len(m.key)]: tuple(record) for record in records}


@asynccontextmanager
async def outbox_copy(dsn: str, ddl: str, *maps: TableMap) -> AsyncIterator[OutboxCopy]:
    """Tables made by a script, with fence and outbox on them: closed to all but its connection, and nothing noted.

    All that is done over the connection is done by an owner that is no superuser.
    """
    connection = await connect(dsn, purpose="daemon")
    name, owner = named_after(dsn), f"{named_after(dsn)}_owner"
    await connection.execute(f"CREATE ROLE {owner}; GRANT ALL ON DATABASE {name} TO {owner}")
    await connection.execute(f"GRANT ALL ON SCHEMA public TO {owner}; SET ROLE {owner}")
    try:
        await own_schema.create(connection)
        await connection.execute(ddl)
        await lock_source(connection, SOURCE)
        copy = OutboxCopy(connection, maps)
        await copy.guard.install(maps, WAIT)
        copy.rows = await copy.truth()
        yield copy
    finally:
        await connection.execute("ROLLBACK; RESET ROLE")
        await connection.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {owner}")
        await connection.close()


def named_after(dsn: str) -> str:
    """The name of the database, which nothing else on the server has."""
    return dsn.partition("@/")[2].partition("?")[0]


@asynccontextmanager
async def application(dsn: str, **settings: str) -> AsyncIterator[Connection]:
    """A connection of an application, in whose session some settings are its own."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "shop", **settings})
    try:
        yield connection
    finally:
        await connection.close()
