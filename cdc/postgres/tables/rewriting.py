"""An application that writes rows of Postgres once more: what a rehearsal has instead of the real one."""

from collections.abc import Mapping, Sequence

import asyncpg

from cdc.facts.row_rewrite import STAMP, RowRewrite, RowWrite
from cdc.facts.values import KeyValues
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.sql_names import listed, qualified, quote, quote_literal


class PostgresWriter:
    """Writes over one connection. Keys are texts, as Postgres writes them."""

    def __init__(self, connection: Connection, rewrites: Mapping[str, RowRewrite]) -> None:
        self.connection = connection
        self._rewrites = rewrites

    async def write(self, writes: Sequence[RowWrite]) -> int | None:
        """Write some rows in one transaction; returns how many, None when writes are refused now.

        Raises `TargetError` for all else.
        """
        hit = 0
        with translated("writing to the copy"):
            try:
                async with self.connection.transaction():
                    for write in writes:
                        sql, bound = _statement(self._rewrites[write.table], write)
                        done = await self.connection.execute(sql, *bound)
                        hit += int(done.rpartition(" ")[2])
            except asyncpg.ReadOnlySQLTransactionError:
                return None
        return hit

    async def keys(self, table: str, most: int) -> list[KeyValues]:
        """Keys of some rows, at most so many."""
        rewrite = self._rewrites[table]
        texts = ", ".join(f"{quote(column)}::text" for column in rewrite.mapped.key)
        with translated("reading keys of the copy"):
            rows = await self.connection.fetch(f"SELECT {texts} FROM {_table(rewrite)} LIMIT $1", most)
        return [tuple(row) for row in rows]

    async def number(self, table: str, key: KeyValues) -> int:
        """The number behind the stamp of a row; 0 where there is no such row, or it has none."""
        rewrite = self._rewrites[table]
        assert rewrite.text is not None
        number = f"split_part({quote(rewrite.text[1])}, {quote_literal(STAMP)}, 2)"
        with translated("reading rows of the copy"):
            found = await self.connection.fetchval(
                f"SELECT {number} FROM {_table(rewrite)} WHERE {_is_key(rewrite)}", *key
            )
        return int(found) if found else 0


def _statement(rewrite: RowRewrite, write: RowWrite) -> tuple[str, tuple[object, ...]]:
    """The statement that writes a row, and what is bound in it."""
    table, place = _table(rewrite), len(write.key) + 1
    if write.replaces:
        columns = listed(rewrite.stored)
        gone = f"DELETE FROM {table} WHERE {_is_key(rewrite)} RETURNING {columns}"
        put = f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM gone"
        return f"WITH gone AS ({gone}) {put}", write.key
    if rewrite.text is None:
        name = quote(rewrite.mapped.key[0])
        return f"UPDATE {table} SET {name} = {name} WHERE {_is_key(rewrite)}", write.key
    column, stamp = quote(rewrite.text[1]), quote_literal(STAMP)
    new = f"split_part(coalesce({column}, ''), {stamp}, 1) || {stamp} || ${place}::text"
    return f"UPDATE {table} SET {column} = {new} WHERE {_is_key(rewrite)}", (*write.key, str(write.number))


def _table(rewrite: RowRewrite) -> str:
    return qualified(rewrite.mapped.schema, rewrite.mapped.target)


def _is_key(rewrite: RowRewrite) -> str:
    columns = zip(rewrite.mapped.key, rewrite.key_types, strict=True)
    return " AND ".join(f"{quote(name)} = ${n}::text::{kind}" for n, (name, kind) in enumerate(columns, 1))
