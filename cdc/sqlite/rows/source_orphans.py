"""Rows of a copy that Postgres would not get, and the children that this leaves without a parent, by their causes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import apsw

from cdc.facts.table_map import TableMap
from cdc.facts.values import InvalidText, KeyValues
from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import bindable, fetch_values

FOUND_AT_ONCE: Final = 1_000
SEVERAL: Final = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """Children that refer to parents by some columns, all named as in Postgres; in SQL they are `c` and `p`."""

    child: TableMap
    columns: Sequence[str]
    parent: TableMap
    parent_columns: Sequence[str]

    @property
    def refers_to_any(self) -> str:
        """SQL that is true for a child without a NULL in those columns: with one it refers to nothing."""
        return " AND ".join(f"c.r{n} IS NOT NULL" for n, _ in enumerate(self.columns, 1))

    @property
    def is_parent(self) -> str:
        """SQL that is true for a child and its parent."""
        return " AND ".join(f"p.r{n} = c.r{n}" for n, _ in enumerate(self.columns, 1))


class KeptOut:
    """Keys of rows that stay behind, and why, in temporary tables of the connection to a copy: they may outgrow memory.

    A cause is a number of the caller's, above 0. A row that stays behind for several of them has `SEVERAL`.
    """

    def __init__(self, connection: apsw.Connection, tables: Sequence[TableMap]) -> None:
        self._connection = connection
        self._tables = tables
        self._names = {m.source.name: f"_cdc_kept_out_{place}" for place, m in enumerate(tables)}
        with translated("the notes of the rehearsal"):
            for mapped in tables:
                columns = ", ".join(_columns(mapped))
                connection.execute(
                    f"CREATE TEMP TABLE {self._name(mapped)}({columns}, cause INTEGER, PRIMARY KEY ({columns}))"
                )

    def add(self, mapped: TableMap, keys: Iterable[KeyValues], cause: int) -> None:
        """Note keys of rows that stay behind for that cause, if for another one too then for several."""
        with translated("the notes of the rehearsal"), self._connection:
            for key in keys:
                marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in key)
                bound = list(map(bindable, key))
                self._connection.execute(
                    f"INSERT INTO {self._name(mapped)} VALUES ({marks}, ?) ON CONFLICT DO UPDATE "
                    f"SET cause = iif(cause = excluded.cause, cause, {SEVERAL})",
                    [*bound, cause],
                )

    def orphans(self, reference: Reference) -> list[tuple[KeyValues, int | None]]:
        """Children that do not stay behind yet but whose parent is missing or does; a bounded number of them.

        With each key goes the cause that keeps its parent behind, None where the file has no parent.
        """
        child, parent = reference.child, reference.parent
        among = f"FROM ({_rows(parent, reference.parent_columns)}) AS p"
        held = f"(SELECT {_one_cause('n.cause')} {among} JOIN {self._name(parent)} AS n ON {_same(parent, 'n', 'p')} "
        sql = (
            f"SELECT {', '.join(f'c.{k}' for k in _columns(child))}, {held}WHERE {reference.is_parent}) "
            f"FROM ({_rows(child, reference.columns)}) AS c "
            f"WHERE {reference.refers_to_any} AND NOT {self._is_noted(child, 'c')} "
            f"AND NOT EXISTS (SELECT 1 {among} WHERE {reference.is_parent} AND NOT {self._is_noted(parent, 'p')}) "
            f"LIMIT {FOUND_AT_ONCE}"
        )
        with translated(f"looking for orphans of {child.source.name}"):
            found = fetch_values(self._connection, sql)
        return [(row[:-1], cast("int | None", row[-1])) for row in found]

    def settle_causes(self, references: Sequence[Reference], missing: int) -> None:
        """Once no further row stays behind: note those that do so for several causes, down to the last descendant.

        `missing` is the cause of rows whose parent the file does not have.
        """
        with translated("the notes of the rehearsal"):
            settled = False
            while not settled:
                before = self._connection.total_changes()
                for reference in references:
                    self._connection.execute(self._held_otherwise(reference, missing))
                settled = self._connection.total_changes() == before

    def counts(self) -> dict[int, int]:
        """How many rows stay behind for each cause, and for `SEVERAL`."""
        counts: Counter[int] = Counter()
        with translated("the notes of the rehearsal"):
            for mapped in self._tables:
                counts.update(
                    dict(self._connection.execute(f"SELECT cause, count(*) FROM {self._name(mapped)} GROUP BY cause"))
                )
        return counts

    def _held_otherwise(self, reference: Reference, missing: int) -> str:
        """Notes children whose parent is kept behind by another cause than their own, or is missing, as having several.

        One that the file does not have is the cause `missing` itself.
        """
        child, parent = reference.child, reference.parent
        among = f"FROM ({_rows(parent, reference.parent_columns)}) AS p"
        its_parent = f"SELECT 1 {among} WHERE {reference.is_parent}"
        same_cause = f"SELECT 1 {among} JOIN {self._name(parent)} AS n ON {_same(parent, 'n', 'p')} "
        return (
            f"UPDATE {self._name(child)} AS k SET cause = {SEVERAL} WHERE cause <> {SEVERAL} AND EXISTS ("
            f"SELECT 1 FROM ({_rows(child, reference.columns)}) AS c WHERE {_same(child, 'k', 'c')} "
            f"AND {reference.refers_to_any} AND NOT EXISTS ({its_parent} AND NOT {self._is_noted(parent, 'p')}) "
            f"AND NOT EXISTS ({same_cause}WHERE {reference.is_parent} AND n.cause = k.cause) "
            f"AND NOT (k.cause = {missing} AND NOT EXISTS ({its_parent})))"
        )

    def _name(self, mapped: TableMap) -> str:
        return f"temp.{self._names[mapped.source.name]}"

    def _is_noted(self, mapped: TableMap, alias: str) -> str:
        return f"EXISTS (SELECT 1 FROM {self._name(mapped)} AS o WHERE {_same(mapped, 'o', alias)})"


def _same(mapped: TableMap, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{key} IS {other}.{key}" for key in _columns(mapped))


def _one_cause(cause: str) -> str:
    """SQL for the cause of some rows: NULL without any."""
    return f"CASE WHEN min({cause}) = max({cause}) THEN min({cause}) WHEN count(*) THEN {SEVERAL} END"


def _rows(mapped: TableMap, columns: Sequence[str]) -> str:
    """A query for the key of each row, `k1` and so on, and some columns as they go to Postgres, `r1` and so on."""
    own = quote(mapped.source.name)
    expressions = {c.target: c.expression for c in mapped.columns}
    keys = (f"{own}.{quote(c)} AS {k}" for c, k in zip(mapped.source.key.columns, _columns(mapped), strict=True))
    values = (f"({expressions[name]}) AS r{n}" for n, name in enumerate(columns, 1))
    return f"SELECT {', '.join([*keys, *values])} FROM {own}"


def _columns(mapped: TableMap) -> list[str]:
    return [f"k{place}" for place, _ in enumerate(mapped.source.key.columns)]
