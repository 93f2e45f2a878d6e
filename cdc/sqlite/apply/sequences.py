"""SQLite's AUTOINCREMENT goes on after the numbers that Postgres gave away, also where their rows are gone."""

from collections.abc import Iterable, Mapping

import apsw

from cdc.facts.table_map import TableMap
from cdc.sqlite.connection.errors import translated


def follow_sequences(connection: apsw.Connection, maps: Iterable[TableMap], next_numbers: Mapping[str, int]) -> None:
    """Have each table begin with its next number, by source table, unless it is beyond that already.

    Tables without AUTOINCREMENT are left out: they number rows after the largest that is there. Inside a transaction of
    the caller, which may have to be undone as a whole.
    """
    with translated("setting SQLite's sequences after those of Postgres"):
        for name in (m.source.name for m in maps if m.source.autoincrement and m.source.name in next_numbers):
            last = next_numbers[name] - 1
            # An ordinary table, which may be written (https://www.sqlite.org/autoinc.html).
            connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last, name))
            if not connection.changes():
                connection.execute("INSERT INTO sqlite_sequence(name, seq) VALUES (?, ?)", (name, last))
