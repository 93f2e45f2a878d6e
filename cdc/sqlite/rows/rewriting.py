"""An application that writes rows of a SQLite file once more: what a rehearsal has instead of the real one.

It opens the file as any application does, and knows nothing of capture or fences.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import apsw

from cdc.facts.row_rewrite import STAMP, RowRewrite, RowWrite
from cdc.facts.values import KeyValues
from cdc.sql_names import listed, quote, quote_literal
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import Binding, fetch_values

BUSY_MS: Final = 5_000
_FENCED: Final = "cdc: this database is read-only"  # begins what `triggers/fence.sql` says


class SqliteWriter:
    """Writes to one file, in one thread at a time."""

    def __init__(self, path: Path, rewrites: Mapping[str, RowRewrite]) -> None:
        self._rewrites = rewrites
        with translated(f"SQLite file {path}"):
            self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            self._connection.set_busy_timeout(BUSY_MS)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def write(self, writes: Sequence[RowWrite]) -> int | None:
        """Write some rows in one transaction; returns how many, None when writes are refused now.

        Raises `SourceError` for all else.
        """
        connection, hit = self._connection, 0
        with translated("writing to the copy"):
            try:
                connection.execute("BEGIN IMMEDIATE")
                for write in writes:
                    connection.execute(*_statement(self._rewrites[write.table], write))
                    hit += connection.changes()
                connection.execute("COMMIT")
            except apsw.ConstraintError as error:
                if _FENCED not in str(error):
                    raise
                return None
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return hit

    def keys(self, table: str, wanted: Sequence[KeyValues], most: int) -> list[KeyValues]:
        """Keys of rows that are there: of `wanted` those that are, and for the others any; `most` where none is wanted.

        Fewer where the table has no more rows.
        """
        there = [key for key in wanted if self._exists(table, key)]
        missing = len(wanted) - len(there) if wanted else most
        if missing:
            known = set(there)
            there += [key for key in self._some(table, missing + len(there)) if key not in known][:missing]
        return there

    def number(self, table: str, key: KeyValues) -> int:
        """The number behind the stamp of a row; 0 where there is no such row, or it has none."""
        rewrite = self._rewrites[table]
        assert rewrite.text is not None
        column, stamp = quote(rewrite.text[0]), quote_literal(STAMP)
        number = f"CAST(substr({column}, instr({column}, {stamp}) + {len(STAMP)}) AS INTEGER)"
        sql = f"SELECT {number} FROM {quote(table)} WHERE {_is_key(rewrite)} AND instr({column}, {stamp})"
        return int(self._connection.execute(sql, key).get or 0)

    def _exists(self, table: str, key: KeyValues) -> bool:
        rewrite = self._rewrites[table]
        sql = f"SELECT EXISTS (SELECT 1 FROM {quote(table)} WHERE {_is_key(rewrite)})"
        fits = is_plain(key) and len(key) == len(rewrite.mapped.source.key.columns)
        return fits and bool(self._connection.execute(sql, key).get)

    def _some(self, table: str, most: int) -> Iterator[KeyValues]:
        columns = listed(self._rewrites[table].mapped.source.key.columns)
        rows = fetch_values(self._connection, f"SELECT {columns} FROM {quote(table)} LIMIT ?", (most,))
        yield from (tuple(row) for row in rows if is_plain(row))


def is_plain(key: KeyValues) -> bool:
    """Whether a key can be bound as it is."""
    return all(isinstance(value, int | float | str | bytes) for value in key)


def _statement(rewrite: RowRewrite, write: RowWrite) -> tuple[str, tuple[Binding, ...]]:
    """The statement that writes a row, and what is bound in it."""
    source, key = rewrite.mapped.source, cast("tuple[Binding, ...]", write.key)
    table = quote(source.name)
    if write.replaces:
        columns = listed(column.name for column in source.columns if not column.generated)
        return f"REPLACE INTO {table}({columns}) SELECT {columns} FROM {table} WHERE {_is_key(rewrite)}", key
    if rewrite.text is None:
        name = next(column.name for column in source.columns if not column.generated)
        return f"UPDATE {table} SET {quote(name)} = {quote(name)} WHERE {_is_key(rewrite)}", key
    column, stamp = quote(rewrite.text[0]), quote_literal(STAMP)
    text = f"coalesce({column}, '')"
    new = f"substr({text}, 1, instr({text} || {stamp}, {stamp}) - 1) || {stamp} || ?{len(key) + 1}"
    return f"UPDATE {table} SET {column} = {new} WHERE {_is_key(rewrite)}", (*key, str(write.number))


def _is_key(rewrite: RowRewrite) -> str:
    columns = rewrite.mapped.source.key.columns
    return " AND ".join(f"{quote(column)} IS ?{place}" for place, column in enumerate(columns, 1))
