"""Rows of a copy that break a CHECK of their own table: written past it, or before it was there."""

from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from cdc.facts.source_schema import Table
from cdc.facts.values import KeyValues
from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows.exact_values import fetch_values

MOST_KEYS: Final = 10_000  # told by name, the others are counted


def count_breaking(database: Path, table: Table, check: str) -> int:
    """How many rows of a copy's table break a CHECK; 0 when SQLite cannot say, as without a function of its own."""
    with closing(open_copy(database)) as connection:
        return breaking(connection, table, check)[0]


def breaking(connection: apsw.Connection, table: Table, check: str) -> tuple[int, list[KeyValues]]:
    """How many rows break a CHECK, and the keys of some. As SQLite has it, NULL breaks nothing."""
    keys = ", ".join(f"{quote(table.name)}.{quote(name)}" for name in table.key.columns)
    broken = f"FROM {quote(table.name)} WHERE NOT ({check}\n)"  # the line end closes a comment
    with translated(f"looking at CHECKs of table {table.name}"):
        try:
            count = int(connection.execute(f"SELECT count(*) {broken}").get)
        except apsw.SQLError:
            return 0, []
        return count, fetch_values(connection, f"SELECT {keys} {broken} LIMIT {MOST_KEYS}") if count else []
