"""One table of SQLite that rows of Postgres are written to: each row is found by its key, and only what changed is set.

Statements say OR ABORT, because a clause such as UNIQUE ON CONFLICT REPLACE in the application's schema would remove
other rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.facts.changed_rows import Texts
from cdc.facts.changes import Reason, Rejection
from cdc.facts.row_key import encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import InvalidText, Row, Value
from cdc.facts.written_form import WrittenForm
from cdc.sql_names import quote
from cdc.sqlite.apply.fed_columns import fed_columns
from cdc.sqlite.connection.functions import FAILURES, why
from cdc.sqlite.rows import select
from cdc.sqlite.rows.exact_values import Binding, bindable, fetch_values
from cdc.values.encoder import Unfit

_TAKEN: Final = {
    apsw.SQLITE_CONSTRAINT_UNIQUE,
    apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
    apsw.SQLITE_CONSTRAINT_ROWID,
}
_BROKEN: Final = {apsw.SQLITE_CONSTRAINT_CHECK, apsw.SQLITE_CONSTRAINT_NOTNULL, apsw.SQLITE_CONSTRAINT_DATATYPE}
_CORRECT: Final = "correct it in Postgres; until then SQLite keeps that row as it was"


class RowRefused(Exception):
    """SQLite cannot hold a row of Postgres."""

    def __init__(self, why: Rejection) -> None:
        super().__init__(why.detail)
        self.why = why


class ValueTaken(Exception):
    """Another row of SQLite has the unique value that a row is to get; the text is what SQLite says."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of SQLite and where it is: `place` is its rowid, or its encoded key in a table without one.

    `values` are those of the columns that are written, in their order.
    """

    place: int | str
    values: Row


class TableWriter:
    """Finds, writes and deletes rows of one table, whose `columns` are those that rows of Postgres feed."""

    def __init__(
        self, connection: apsw.Connection, mapped: TableMap, target: TargetTable, forms: Mapping[str, WrittenForm]
    ) -> None:
        self.mapped = mapped
        self.columns = fed_columns(mapped, target)
        self._connection = connection
        self._forms = [forms.get(c.target) or WrittenForm((c.returned.usual,)) for c in self.columns]
        self._own = quote(mapped.source.name)
        places = {column.target: n for n, column in enumerate(self.columns)}
        self._key = [places[name] for name in mapped.key]
        alias = mapped.source.rowid_alias
        self._rowid = None if alias is None else f"{self._own}.{quote(alias)}"
        read = ", ".join([self._rowid or "NULL", *(f"{self._own}.{quote(column.name)}" for column in self.columns)])
        self._select = f"SELECT {read} FROM {self._own} WHERE"

    # --- finding ---

    def source_key(self, key: Texts) -> Row | None:
        """A key of Postgres as the application would write it, None where it could not."""
        columns = zip(self._key, key, strict=True)
        try:
            return tuple(self.columns[n].returned.value(text, self._forms[n]) for n, text in columns)
        except Unfit:
            return None

    def find(self, key: Texts) -> StoredRow | None:
        """The row that is the one of this key in Postgres, or None."""
        wanted = self.source_key(key)
        if wanted is None:
            return None
        same = " AND ".join(
            f"{self._own}.{quote(self.columns[n].name)} = {_mark(value, place)}"
            for place, (n, value) in enumerate(zip(self._key, wanted, strict=True), 1)
        )
        # A collation, or a number of another class, may be equal and yet another key.
        rows = [
            row
            for row in fetch_values(self._connection, f"{self._select} {same}", list(map(bindable, wanted)))
            if self._has(row, key)
        ]
        if not rows:
            return None
        row = max(rows, key=lambda row: tuple(row[1 + n] for n in self._key) == wanted)
        return self._stored(row)

    def _has(self, row: Row, key: Texts) -> bool:
        pairs = zip(self._key, key, strict=True)
        return all(self.columns[n].returned.alike(row[1 + n], text) for n, text in pairs)

    def _stored(self, row: Row) -> StoredRow:
        values = row[1:]
        rowid = row[0]
        return StoredRow(rowid if isinstance(rowid, int) else encode_key(self.key_of(values)), values)

    def key_of(self, values: Row) -> Row:
        """The source key in the values of a row."""
        return tuple(values[n] for n in self._key)

    def at(self, stored: StoredRow, first: int = 1) -> tuple[str, list[Binding]]:
        """The condition that is true for one row alone, whose parameters are numbered from `first`."""
        if self._rowid is not None:
            return f"{self._rowid} = ?{first}", [bindable(stored.place)]
        key = self.key_of(stored.values)
        marks = [_mark(value, first + n) for n, value in enumerate(key)]
        return select.matches(self.mapped, lambda place: marks[place - 1]), list(map(bindable, key))

    # --- writing ---

    def changes(self, stored: StoredRow, row: Texts) -> list[tuple[int, Value]]:
        """The columns, by their place, that are other values in Postgres, each with the value to write.

        Raises `RowRefused` where SQLite has none for one of them.
        """
        return [(n, self._made(n, row[self.columns[n].place])) for n in self._unlike(stored, row)]

    def differs(self, stored: StoredRow, row: Texts) -> bool:
        """Whether a column is another value in Postgres."""
        return any(True for _ in self._unlike(stored, row))

    def _unlike(self, stored: StoredRow, row: Texts) -> Iterator[int]:
        for n, column in enumerate(self.columns):
            if not column.in_key and not column.returned.alike(stored.values[n], row[column.place]):
                yield n

    def update(self, stored: StoredRow, changes: Sequence[tuple[int, Value]]) -> None:
        """Set columns of a row; raises `ValueTaken` or `RowRefused`, and then nothing was written."""
        sets = ", ".join(
            f"{quote(self.columns[n].name)} = {_mark(v, place)}" for place, (n, v) in enumerate(changes, 1)
        )
        where, bound = self.at(stored, len(changes) + 1)
        self.run(f"UPDATE OR ABORT {self._own} SET {sets} WHERE {where}", [*(bindable(v) for _, v in changes), *bound])

    def insert(self, row: Texts) -> None:
        """Make a row, with SQLite's default in the columns that nothing feeds; raises as `update` does."""
        values = [self._made(n, row[column.place]) for n, column in enumerate(self.columns)]
        names = ", ".join(quote(column.name) for column in self.columns)
        marks = ", ".join(_mark(value, place) for place, value in enumerate(values, 1))
        self.run(f"INSERT OR ABORT INTO {self._own}({names}) VALUES ({marks})", list(map(bindable, values)))

    def delete(self, stored: StoredRow) -> None:
        """Delete a row."""
        where, bound = self.at(stored)
        self._connection.execute(f"DELETE FROM {self._own} WHERE {where}", bound)

    def written(self, key: Texts, row: Texts) -> StoredRow:
        """The row as SQLite stored it; raises `RowRefused` where it made another value of one that was written."""
        stored = self.find(key)
        wrong = [
            column
            for n, column in enumerate(self.columns)
            if stored is None or not column.returned.alike(stored.values[n], row[column.place])
        ]
        if stored is None or wrong:
            column = wrong[0]
            raise RowRefused(
                Rejection(
                    column.target,
                    Reason.VALUE,
                    f"SQLite makes another value of what is written to column {column.name}, as its type "
                    f"{column.declared or 'of none'} tells it to",
                    _CORRECT,
                )
            )
        return stored

    def run(self, sql: str, bound: Sequence[Binding] = ()) -> None:
        """Run a statement that writes one row; raises as `update` does."""
        try:
            self._connection.execute(sql, bound)
        except apsw.ConstraintError as error:
            kind = getattr(error, "extendedresult", 0)
            if kind in _TAKEN:
                raise ValueTaken(str(error)) from None
            if kind not in _BROKEN:
                raise
            raise RowRefused(Rejection("", Reason.CONSTRAINT, f"SQLite refuses it: {error}", _CORRECT)) from None
        except (apsw.MismatchError, *FAILURES) as error:
            raise RowRefused(Rejection("", Reason.CONSTRAINT, f"SQLite refuses it: {why(error)}", _CORRECT)) from None

    def _made(self, n: int, text: str | None) -> Value:
        column = self.columns[n]
        if column.in_key and text is None:
            raise RowRefused(Rejection(column.target, Reason.VALUE, f"its key has a NULL in {column.target}", _CORRECT))
        try:
            return column.returned.value(text, self._forms[n])
        except Unfit as unfit:
            raise RowRefused(
                Rejection(
                    column.target,
                    Reason.VALUE,
                    f"the value of column {column.target} {unfit}, so that SQLite has no value for it",
                    _CORRECT,
                )
            ) from None


def _mark(value: Value, place: int) -> str:
    # The plus keeps the cast from lending its affinity to the column it is compared with.
    return f"+CAST(?{place} AS TEXT)" if isinstance(value, InvalidText) else f"?{place}"
