"""The largest number that each integer key ever had: where numbers for new rows have to go on."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import apsw

from cdc.facts.source_schema import Affinity, KeyKind, Table
from cdc.facts.table_map import TableMap
from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_copy


def of_copy(database: Path, maps: Iterable[TableMap]) -> dict[str, int]:
    """The largest keys in a snapshot, by source table; see `read`."""
    with closing(open_copy(database)) as connection, translated("reading the highest keys"):
        return read(connection, maps)


def read(connection: apsw.Connection, maps: Iterable[TableMap]) -> dict[str, int]:
    """By source table, the largest key as far as SQLite remembers: also of rows that are gone, with AUTOINCREMENT.

    Tables whose key is no integer, and those that never had a row, are left out.
    """
    largest = {m.source.name: _highest(connection, m.source) for m in maps if _is_number(m.source)}
    return {name: key for name, key in largest.items() if key > 0}


def _is_number(table: Table) -> bool:
    """Whether one number is the key; one that is not the rowid may hold texts all the same."""
    if table.key.kind is not KeyKind.COLUMNS:
        return True
    return len(table.key.columns) == 1 and table.column(table.key.columns[0]).affinity is Affinity.INTEGER


def _highest(connection: apsw.Connection, table: Table) -> int:
    key, name = quote(table.key.columns[0]), quote(table.name)
    # By the key's index, from its end: texts and blobs come after all numbers.
    highest = connection.execute(
        f"SELECT {key} FROM {name} WHERE typeof({key}) = 'integer' ORDER BY {key} DESC LIMIT 1"
    ).get
    if table.autoincrement:
        remembered = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).get
        return max(int(highest or 0), int(remembered or 0))
    return int(highest or 0)
