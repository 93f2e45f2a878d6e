"""Rows of which each waits for a unique value that another one still has: they change places all at once.

SQLite looks at its unique constraints after every row, so a swap has no order in which it goes. All rows that wait are
taken out of their table, changed where they are kept meanwhile, and put back: copied by SQLite itself, so that columns
which nothing feeds, broken texts and rowids come back as they were.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import apsw

from cdc.facts.changed_rows import Texts
from cdc.facts.changes import Reason, Rejection
from cdc.facts.values import InvalidText
from cdc.sql_names import quote
from cdc.sqlite.apply.table_writer import RowRefused, TableWriter, ValueTaken
from cdc.sqlite.rows.exact_values import bindable
from cdc.sqlite.schema.row_identity import rowid_column

Waiting = Callable[[], Iterator[tuple[Texts, Texts]]]

_TAKEN: Final = "give it a value there that no other row of SQLite has; until then SQLite keeps that row as it was"


class Contest:
    """The rows of one table that wait for values of each other."""

    def __init__(self, connection: apsw.Connection, writer: TableWriter) -> None:
        self._connection = connection
        self._writer = writer
        source = writer.mapped.source
        self._own = quote(source.name)
        self._names = [column.name for column in source.columns if not column.generated]
        if source.rowid_alias is not None and rowid_column(source) is None:
            self._names.append(source.rowid_alias)
        self._kept = [f"c{n}" for n in range(len(self._names))]

    def settle(self, waiting: Waiting) -> tuple[Counter[str], dict[Texts, Rejection]]:
        """Write all that can be written; returns what was done, and the keys that stay as they were with the reason.

        A row that is refused keeps its old values, which others may have been waiting for: then they are refused in the
        next round, so there are as many rounds as refusals lead to others.
        """
        refused: dict[Texts, Rejection] = {}
        while True:
            self._connection.execute("SAVEPOINT cdc_round")
            done, more = self._round(partial(_without, refused, waiting))
            if more:
                self._connection.execute("ROLLBACK TO cdc_round")
            self._connection.execute("RELEASE cdc_round")
            if not more:
                return done, refused
            refused |= more

    def _round(self, waiting: Waiting) -> tuple[Counter[str], dict[Texts, Rejection]]:
        # Without types, so that nothing is converted on the way.
        self._connection.execute(f"CREATE TEMP TABLE _cdc_taken_out(n INTEGER PRIMARY KEY, {', '.join(self._kept)})")
        done, refused = Counter[str](), dict[Texts, Rejection]()
        for n, (key, row) in enumerate(waiting()):
            with _refusing(key, refused):
                self._take_out(n, key, row)
        # New rows come last: SQLite would give them rowids of those that are taken out.
        for kind, write in (("updated", self._put_back), ("inserted", self._insert)):
            for n, (key, row) in enumerate(waiting()):
                if key not in refused and self._is_taken_out(n) is (kind == "updated"):
                    with _refusing(key, refused), self._connection:
                        write(n, row)
                        self._writer.written(key, row)
                        done[kind] += 1
        self._connection.execute("DROP TABLE temp._cdc_taken_out")
        return done, refused

    def _take_out(self, n: int, key: Texts, row: Texts) -> None:
        """Keep a row of SQLite, changed as Postgres has it, and delete it from its table; new rows have none."""
        stored = self._writer.find(key)
        if stored is None:
            return
        changes = self._writer.changes(stored, row)
        where, bound = self._writer.at(stored, 2)
        names = ", ".join(f"{self._own}.{quote(name)}" for name in self._names)
        into = f"INSERT INTO temp._cdc_taken_out(n, {', '.join(self._kept)})"
        self._connection.execute(f"{into} SELECT ?1, {names} FROM {self._own} WHERE {where}", [n, *bound])
        for place, value in changes:
            column = self._kept[self._names.index(self._writer.columns[place].name)]
            mark = "CAST(?1 AS TEXT)" if isinstance(value, InvalidText) else "?1"
            change = f"UPDATE temp._cdc_taken_out SET {column} = {mark} WHERE n = ?2"
            self._connection.execute(change, [bindable(value), n])
        self._writer.delete(stored)

    def _is_taken_out(self, n: int) -> bool:
        return self._connection.execute("SELECT 1 FROM temp._cdc_taken_out WHERE n = ?", (n,)).get is not None

    def _put_back(self, n: int, _row: Texts) -> None:
        into = f"INSERT OR ABORT INTO {self._own}({', '.join(map(quote, self._names))})"
        self._writer.run(f"{into} SELECT {', '.join(self._kept)} FROM temp._cdc_taken_out WHERE n = ?", (n,))

    def _insert(self, _n: int, row: Texts) -> None:
        self._writer.insert(row)


@contextmanager
def _refusing(key: Texts, refused: dict[Texts, Rejection]) -> Iterator[None]:
    """Keeps the reason why a row cannot be written."""
    try:
        yield
    except RowRefused as error:
        refused[key] = error.why
    except ValueTaken as error:
        detail = f"another row of SQLite has a value that is unique there: {error}"
        refused[key] = Rejection("", Reason.CONSTRAINT, detail, _TAKEN)


def _without(refused: Container[Texts], waiting: Waiting) -> Iterator[tuple[Texts, Texts]]:
    return (pair for pair in waiting() if pair[0] not in refused)
