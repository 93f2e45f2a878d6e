"""What applications changed in Postgres, read for the way back: keys that were noted, with the rows they have now.

Entries and rows are read in one snapshot, so a key comes with the row that the newest of its entries tells of. To read
an entry twice does no harm: it says that a row changed, not how.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

from cdc.facts.changed_rows import ChangedRows
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.outbox.table_locks import SQL
from cdc.postgres.outbox.triggers import TEXT_SETTINGS, key_texts
from cdc.postgres.record.part import RecordPart
from cdc.postgres.tables.catalogue import read_tables
from cdc.sql_names import listed, qualified, quote, quote_literal

MOST_ROWS: Final = 1_000  # of a page
MOST_CHARACTERS: Final = 16_000_000  # of a page, if its rows are like those of the one before
MOST_NOTED: Final = 20_000  # entries of a table among which single keys are looked for; of more, any may be there
_FIRST_ROWS: Final = 10
_WAITING_IN: Final = ("outbox", "uncarried")


class OutboxLag(NamedTuple):
    """How many entries wait to be read, and since when the oldest one does."""

    entries: int
    oldest: datetime | None


class WaitingKeys(NamedTuple):
    """Keys with an entry that waits to be read, and others whose row SQLite cannot hold."""

    on_way: frozenset[str]
    uncarried: frozenset[str]


class OutboxReading:
    """What one snapshot shows, read once. `finished` are the targets that have been read to their end."""

    def __init__(self, connection: Connection, source_id: str, snapshot: str, maps: Sequence[TableMap]) -> None:
        self._connection = connection
        self._source_id = source_id
        self._maps = maps
        self.snapshot = snapshot
        self.finished: list[str] = []

    async def pages(self) -> AsyncIterator[ChangedRows]:
        """The changed rows, table by table in the order of the maps. A table that is read whole has a page at least.

        A key whose row has it in another writing by now (`1.0` and `1.00` are one key to Postgres) comes without a row,
        and beside it the key as the row has it: whoever deletes before writing does right.
        """
        with translated("reading what changed in Postgres"):
            noted = await self._connection.fetch(SQL["noted"], self._source_id)
            whole = {row["target"]: row["whole"] for row in noted}
            for mapped in self._maps:
                if mapped.target not in whole:
                    continue
                async for page in self._whole(mapped) if whole[mapped.target] else self._changed(mapped):
                    yield page
                self.finished.append(mapped.target)

    async def everything(self) -> AsyncIterator[ChangedRows]:
        """Every row of every table, whatever was noted."""
        with translated("reading all of Postgres"):
            for mapped in self._maps:
                async for page in self._whole(mapped):
                    yield page

    async def _whole(self, mapped: TableMap) -> AsyncIterator[ChangedRows]:
        keys = listed(mapped.key, "t")
        sql = f"SELECT {key_texts(mapped.key, 't')}, {_texts(mapped)} FROM {_name(mapped)} AS t ORDER BY {keys}"
        empty = True
        async for page in self._fetched(sql):
            rows = {tuple(key): tuple(values) for key, *values in page}
            yield ChangedRows(mapped, tuple(rows), rows, whole=True)
            empty = False
        if empty:
            yield ChangedRows(mapped, (), {}, whole=True)

    async def _changed(self, mapped: TableMap) -> AsyncIterator[ChangedRows]:
        # Whatever it is, it stays that from here on; and that it is gone is an error like others.
        await self._connection.execute(f"LOCK TABLE ONLY {_name(mapped)} IN ACCESS SHARE MODE")
        types = await _table(self._connection, mapped)
        async for page in self._fetched(_changed_sql(mapped, types), self._source_id, mapped.target):
            rows = {tuple(own): tuple(values) for _, there, own, *values in page if there}
            keys = dict.fromkeys(tuple(noted) for noted, *_ in page) | dict.fromkeys(rows)
            yield ChangedRows(mapped, tuple(keys), rows)

    async def _fetched(self, sql: str, *arguments: str) -> AsyncIterator[Sequence[Any]]:
        cursor = await self._connection.cursor(sql, *arguments)
        size = _FIRST_ROWS
        while page := await cursor.fetch(size):
            yield page
            size = _fitting(page)


class Outbox(RecordPart):
    """What was noted of writes to one source's target tables, over one connection."""

    @asynccontextmanager
    async def reading(self, maps: Sequence[TableMap], exported: str | None = None) -> AsyncIterator[OutboxReading]:
        """One state of Postgres to read what is noted for these tables in; a transaction that only reads.

        It is the state that another transaction has `exported`, where that is given.
        """
        with translated("reading what changed in Postgres"):
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                if exported is not None:
                    await self._connection.execute(f"SET TRANSACTION SNAPSHOT {quote_literal(exported)}")
                yield await self.reading_within(maps)

    async def reading_within(self, maps: Sequence[TableMap]) -> OutboxReading:
        """The same in a transaction of the caller: what that one wrote is read as well."""
        for setting in TEXT_SETTINGS.items():
            await self._connection.execute("SELECT set_config($1, $2, true)", *setting)
        snapshot = await self._connection.fetchval(SQL["snapshot"])
        return OutboxReading(self._connection, self._source_id, snapshot, maps)

    async def forget(self, reading: OutboxReading) -> int:
        """Forget exactly the entries that were read, of tables that were read to their end; returns how many.

        For a time when what they told of is safe elsewhere.
        """
        facts = (self._source_id, reading.finished, reading.snapshot)
        with translated("forgetting what was read of changes in Postgres"):
            return int(await self._connection.fetchval(SQL["forget"], *facts))

    async def forget_all(self) -> None:
        """Forget every entry: nobody will carry them."""
        with translated("forgetting changes in Postgres"):
            await self._connection.execute(SQL["drop_entries"], self._source_id)

    async def waiting(self, mapped: TableMap, key_form: str, keys: Sequence[str]) -> WaitingKeys:
        """What waits of some keys of a table, which are given as `key_form` makes them (see `TargetRows`)."""
        types = {c.name: c.type for c in (await _table(self._connection, mapped)).columns}
        made = ", ".join(f"o.key[{n}]::{types[name]} AS {quote(name)}" for n, name in enumerate(mapped.key, 1))
        facts = (self._source_id, mapped.target)
        with translated("reading what waits to be carried back"):
            entries = await self._connection.fetchrow(SQL["entries"], *facts)
            assert entries is not None
            asked = ["uncarried"] if (any_key := entries["whole"] or entries["keys"] > MOST_NOTED) else _WAITING_IN
            found = {}
            for table in asked:
                of_table = "o.source_id = $1 AND o.target = $2 AND o.key IS NOT NULL"
                noted = f"SELECT {made} FROM cdc.{table} AS o WHERE {of_table}"
                sql = f"SELECT key FROM (SELECT {key_form} AS key FROM ({noted}) AS t) AS k WHERE key = ANY($3::text[])"
                rows = await self._connection.fetch(sql, *facts, list(keys))
                found[table] = frozenset(row["key"] for row in rows)
        on_way = frozenset(keys) if any_key else found["outbox"]
        return WaitingKeys(on_way, found["uncarried"] - on_way)

    async def lag(self) -> OutboxLag:
        """What waits."""
        with translated("counting what changed in Postgres"):
            (lag,) = await self._connection.fetch(SQL["lag"], self._source_id)
        return OutboxLag(*lag)


def _changed_sql(mapped: TableMap, there: TargetTable) -> str:
    """The keys that were noted, each with whether its row exists, the row's own key, and its values."""
    types = {column.name: column.type for column in there.columns}
    is_row = " AND ".join(f"t.{quote(name)} = k.key[{n}]::{types[name]}" for n, name in enumerate(mapped.key, 1))
    return (
        f"SELECT k.key, t.ctid IS NOT NULL, {key_texts(mapped.key, 't')}, {_texts(mapped)} "
        f"FROM (SELECT DISTINCT key FROM cdc.outbox WHERE source_id = $1 AND target = $2) AS k "
        f"LEFT JOIN {_name(mapped)} AS t ON {is_row}"
    )


async def _table(connection: Connection, mapped: TableMap) -> TargetTable:
    return (await read_tables(connection, mapped.schema, [mapped.target]))[mapped.target]


def _texts(mapped: TableMap) -> str:
    return ", ".join(f"t.{quote(column)}::text" for column in mapped.target_columns)


def _name(mapped: TableMap) -> str:
    return qualified(mapped.schema, mapped.target)


def _fitting(page: Sequence[Any]) -> int:
    """How many rows like these make a page."""
    characters = sum(len(value) for row in page for value in row if isinstance(value, str))
    return max(1, min(MOST_ROWS, MOST_CHARACTERS * len(page) // max(1, characters)))
