"""Which columns of a SQLite table are written by rows of Postgres: those that a column there was plainly made of."""

from dataclasses import dataclass

from cdc.facts.source_schema import Affinity, Column, KeyKind
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.values.returned import ReturnedColumn


@dataclass(frozen=True, slots=True)
class FedColumn:
    """A column by its name in SQLite, and the place of its text in rows of Postgres."""

    name: str
    target: str
    declared: str
    place: int
    in_key: bool
    returned: ReturnedColumn


def fed_columns(mapped: TableMap, target: TargetTable) -> list[FedColumn]:
    """The columns of a mapped table that are written: none that is computed, here or there."""
    found = []
    for place, column in enumerate(mapped.columns):
        there, here = target.column(column.target), _column(mapped, column)
        if there is not None and here is not None and not here.generated:
            returned = ReturnedColumn(mapped, column, there, here)
            in_key = column.target in mapped.key
            found.append(FedColumn(here.name, column.target, here.declared_type, place, in_key, returned))
    return found


def _column(mapped: TableMap, column: ColumnMap) -> Column | None:
    """The column of SQLite that a column of Postgres is made of; the rowid is one, too."""
    source = mapped.source
    if column.source is not None:
        return source.column(column.source)
    if source.key.kind is KeyKind.ROWID and column.target in mapped.key:
        return Column(source.key.columns[0], "INTEGER", Affinity.INTEGER, not_null=True)
    return None
