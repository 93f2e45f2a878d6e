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

NEWEST_ROWS: Final = 300  # of which every column is looked at
_FURTHER_ROWS: Final = 100_000  # in which values of a column are looked for that has none in those


def written_forms(connection: apsw.Connection, mapped: TableMap, target: TargetTable) -> Mapping[str, WrittenForm]:
    """How the application writes each column that can be written back, by its name in Postgres."""
    columns = fed_columns(mapped, target)
    with translated(f"looking at how the values of table {mapped.source.name} are written"):
        newest = fetch_values(connection, f"{_select(columns)} {_newest(mapped, NEWEST_ROWS)}")
        samples = list(zip(*newest, strict=True)) or [() for _ in columns]
        return {
            column.target: column.returned.learn(sample if _has_value(sample) else _further(connection, mapped, column))
            for column, sample in zip(columns, samples, strict=True)
        }


def _has_value(sample: tuple[Value, ...]) -> bool:
    return any(value is not None for value in sample)


def _further(connection: apsw.Connection, mapped: TableMap, column: FedColumn) -> tuple[Value, ...]:
    older = f"SELECT v FROM ({_select([column])} AS v {_newest(mapped, _FURTHER_ROWS)})"
    return tuple(row[0] for row in fetch_values(connection, f"{older} WHERE v IS NOT NULL LIMIT {NEWEST_ROWS}"))


def _select(columns: list[FedColumn]) -> str:
    return f"SELECT {', '.join(quote(column.name) for column in columns)}"


def _newest(mapped: TableMap, rows: int) -> str:
    """The newest rows as far as their order tells: the last ones by rowid, or by the key where there is none."""
    alias = mapped.source.rowid_alias
    places = mapped.source.key.columns if alias is None else (alias,)
    order = ", ".join(f"{quote(name)} DESC" for name in places)
    return f"FROM {quote(mapped.source.name)} ORDER BY {order} LIMIT {rows}"
