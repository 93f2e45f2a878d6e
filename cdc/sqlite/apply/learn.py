"""The forms in which an application writes its columns, learned from the newest rows of a table."""

from collections.abc import Mapping
from typing import Final

import apsw

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import Value
from cdc.facts.written_form import WrittenForm
from cdc.sql_names import quote
from cdc.sqlite.apply.fed_columns import FedColumn, fed_columns
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import fetch_values

NEWEST_ROWS: Final = 300  # of which a column is looked at
_FURTHER_ROWS: Final = 100_000  # in which values of a column are looked for that has none in those
_LONGEST: Final = 10_000  # characters or bytes; what is longer is not read


def written_forms(connection: apsw.Connection, mapped: TableMap, target: TargetTable) -> Mapping[str, WrittenForm]:
    """How the application writes each column that can be written back, by its name in Postgres.

    Read before the first row comes back, and kept from then on, for what this tool writes is no example.
    """
    with translated(f"looking at how the values of table {mapped.source.name} are written"):
        return {
            column.target: column.returned.learn(_sample(connection, mapped, column))
            for column in fed_columns(mapped, target)
        }


def _sample(connection: apsw.Connection, mapped: TableMap, column: FedColumn) -> list[Value]:
    if not column.returned.has_choice:
        return []
    newest = _values(connection, mapped, column, NEWEST_ROWS)
    return newest if any(v is not None for v in newest) else _values(connection, mapped, column, _FURTHER_ROWS)


def _values(connection: apsw.Connection, mapped: TableMap, column: FedColumn, rows: int) -> list[Value]:
    """Values of the newest rows, as far as their order tells: of the last ones by rowid, or else by the key."""
    source = mapped.source
    own = quote(source.name)
    places = source.key.columns if source.rowid_alias is None else (source.rowid_alias,)
    order = ", ".join(f"{own}.{quote(name)} DESC" for name in places)
    newest = f"SELECT {own}.{quote(column.name)} AS v FROM {own} ORDER BY {order} LIMIT {rows}"
    # NULLs come last: among many rows they say no more than among few.
    sql = f"SELECT v FROM ({newest}) WHERE coalesce(length(v), 0) <= {_LONGEST} ORDER BY v IS NULL LIMIT {NEWEST_ROWS}"
    return [row[0] for row in fetch_values(connection, sql)]
