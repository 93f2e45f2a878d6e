"""Rows of a copy that Postgres would not get, and the children that this leaves without a parent."""

from collections.abc import Iterable, Sequence
from typing import Final

import apsw

from cdc.facts.table_map import TableMap
from cdc.facts.values import InvalidText, KeyValues
from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import bindable, fetch_values

FOUND_AT_ONCE: Final = 1_000


class KeptOut:
    """Keys of rows that stay behind, in temporary tables of the connection to a copy: they may outgrow memory."""

    def __init__(self, connection: apsw.Connection, tables: Sequence[TableMap]) -> None:
        self._connection = connection
        self._names = {m.source.name: f"_cdc_kept_out_{place}" for place, m in enumerate(tables)}
        with translated("the notes of the rehearsal"):
            for mapped in tables:
                columns = ", ".join(_columns(mapped))
                connection.execute(f"CREATE TEMP TABLE {self._name(mapped)}({columns}, PRIMARY KEY ({columns}))")

    def add(self, mapped: TableMap, keys: Iterable[KeyValues]) -> None:
        """Note keys of rows that stay behind."""
        with translated("the notes of the rehearsal"), self._connection:
            for key in keys:
                marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in key)
                bound = list(map(bindable, key))
                self._connection.execute(f"INSERT OR IGNORE INTO {self._name(mapped)} VALUES ({marks})", bound)

    def orphans(
        self, child: TableMap, columns: Sequence[str], parent: TableMap, parent_columns: Sequence[str]
    ) -> list[KeyValues]:
        """Keys of children that do not stay behind yet but whose parent is missing or does; a bounded number.

        Columns are named as in Postgres.
        """
        places = range(1, len(columns) + 1)
        refers_to_any = " AND ".join(f"c.r{n} IS NOT NULL" for n in places)
        is_parent = " AND ".join(f"p.r{n} = c.r{n}" for n in places)
        sql = (
            f"SELECT {', '.join(f'c.{k}' for k in _columns(child))} FROM ({_rows(child, columns)}) AS c "
            f"WHERE {refers_to_any} AND NOT {self._is_noted(child, 'c')} "
            f"AND NOT EXISTS (SELECT 1 FROM ({_rows(parent, parent_columns)}) AS p WHERE {is_parent} "
            f"AND NOT {self._is_noted(parent, 'p')}) LIMIT {FOUND_AT_ONCE}"
        )
        with translated(f"looking for orphans of {child.source.name}"):
            return fetch_values(self._connection, sql)

    def _name(self, mapped: TableMap) -> str:
        return f"temp.{self._names[mapped.source.name]}"

    def _is_noted(self, mapped: TableMap, alias: str) -> str:
        same = " AND ".join(f"k.{key} IS {alias}.{key}" for key in _columns(mapped))
        return f"EXISTS (SELECT 1 FROM {self._name(mapped)} AS k WHERE {same})"


def _rows(mapped: TableMap, columns: Sequence[str]) -> str:
    """A query for the key of each row, `k1` and so on, and some columns as they go to Postgres, `r1` and so on."""
    own = quote(mapped.source.name)
    expressions = {c.target: c.expression for c in mapped.columns}
    keys = (f"{own}.{quote(c)} AS {k}" for c, k in zip(mapped.source.key.columns, _columns(mapped), strict=True))
    values = (f"({expressions[name]}) AS r{n}" for n, name in enumerate(columns, 1))
    return f"SELECT {', '.join([*keys, *values])} FROM {own}"


def _columns(mapped: TableMap) -> list[str]:
    return [f"k{place}" for place, _ in enumerate(mapped.source.key.columns)]
