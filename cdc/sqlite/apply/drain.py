"""All rows that came back from Postgres at one time, written to SQLite in one transaction.

Rows come a page at a time and are written as they come; the ones whose unique values another row still has wait for the
end. Keys and rows that wait, and the rows that a whole table has, are kept in temporary tables: memory stays bounded.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import ExitStack
from functools import partial
from typing import Final

import apsw

from cdc.facts.changed_rows import ChangedRows, Texts
from cdc.facts.changes import Rejection
from cdc.facts.drained import Drained, RefusedRow, SourceKeys
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues
from cdc.facts.written_form import WrittenForm
from cdc.sql_names import quote
from cdc.sqlite.apply.contested import Contest
from cdc.sqlite.apply.table_writer import RowRefused, StoredRow, TableWriter, ValueTaken
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import write_transaction
from cdc.sqlite.rows import select
from cdc.sqlite.rows.exact_values import exact

_PAGE: Final = 500  # rows that waited, read at a time
_TABLES: Final = """
CREATE TEMP TABLE _cdc_waiting(source, key, row, PRIMARY KEY(source, key)) WITHOUT ROWID;
CREATE TEMP TABLE _cdc_seen(source, place, PRIMARY KEY(source, place)) WITHOUT ROWID;
"""


class Drain:
    """One transaction: `begin`, `take` each page, `settle` what had to wait, then `commit` or `undo`.

    `targets` and the learned `forms` are by source table, forms then by column of Postgres. `held` are encoded keys of
    rows that are in quarantine: Postgres never had them, so that they are not there says nothing. `touched` is told of
    the source keys of each page. After an error of any kind only `undo` is right.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        targets: Mapping[str, TargetTable],
        forms: Mapping[str, Mapping[str, WrittenForm]],
        held: Mapping[str, Set[str]],
        touched: Callable[[str, Iterable[KeyValues]], None] = lambda _table, _keys: None,
    ) -> None:
        self.connection = connection
        self._targets = targets
        self._forms = forms
        self._held = held
        self._touched = touched
        self._transaction = ExitStack()
        self._writers: dict[str, TableWriter] = {}
        self._whole: set[str] = set()
        self._waits: set[str] = set()  # tables of which some row waits, or did
        self._done: Mapping[str, Counter[str]] = {kind: Counter() for kind in ("inserted", "updated", "deleted")}
        self._refused: dict[tuple[str, Texts], Rejection] = {}
        self._overwritten: dict[tuple[str, Texts], str] = {}
        self._to_overwrite: dict[tuple[str, Texts], str] = {}  # by rows that wait

    def begin(self) -> None:
        """Lock the file for writing. From here on the connection fires no trigger and enforces no foreign key.

        Rows come in no order that foreign keys would allow, and all that triggers do was done in Postgres.
        """
        with translated("writing rows of Postgres back to SQLite"):
            self.connection.pragma("foreign_keys", 0)
            self.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
            self._transaction.enter_context(write_transaction(self.connection))
            self.connection.execute(_TABLES)

    def take(self, changed: ChangedRows) -> None:
        """Write the rows of a page, and delete those that are gone. What comes later is newer."""
        writer = self._writer(changed.mapped)
        name = changed.mapped.source.name
        if changed.whole:
            self._whole.add(name)
        with translated(f"writing rows of Postgres back to table {name}"):
            for key in changed.keys:
                row = changed.rows.get(key)
                self._forget(name, key)
                if row is None:
                    self._delete(writer, key)
                else:
                    self._put(writer, key, row)

    def clear(self, changed: ChangedRows) -> int:
        """Delete the rows of a page that is taken next, so that each has to be written anew; returns of how many.

        A row that is not as Postgres has it stays.
        """
        writer = self._writer(changed.mapped)
        with translated(f"clearing rows of table {changed.mapped.source.name}"):
            there = [(writer.find(key), row) for key, row in changed.rows.items()]
            alike = [found for found, row in there if found and not writer.differs(found, row)]
            for found in alike:
                writer.delete(found)
        return len(alike)

    def settle(self) -> Drained:
        """Write what waited, and delete the rows that tables which came as a whole do not have; nothing may follow."""
        with translated("writing rows of Postgres back to SQLite"):
            for name in sorted(self._whole):
                self._delete_unseen(self._writers[name])
            for name in sorted(self._waits):
                self._settle_waiting(name, self._writers[name])
            self.connection.execute("DROP TABLE temp._cdc_waiting; DROP TABLE temp._cdc_seen")
        refused = (RefusedRow(name, key, why) for (name, key), why in self._refused.items())
        waited = {row: held for row, held in self._to_overwrite.items() if row not in self._refused}
        overwritten = ((row[0], held) for row, held in (self._overwritten | waited).items())
        return Drained(**self._done, refused=tuple(refused), overwritten=tuple(overwritten))

    def source_keys(self, changed: ChangedRows) -> SourceKeys:
        """Which rows of SQLite a page tells of, also after the commit; a key that SQLite cannot have is left out."""
        writer = self._writer(changed.mapped)
        gone: list[KeyValues] = []
        there: list[KeyValues] = []
        for key in changed.keys:
            if (source_key := writer.source_key(key)) is not None:
                (there if key in changed.rows else gone).append(source_key)
        return SourceKeys(changed.mapped, gone, there)

    def commit(self) -> None:
        """Make it durable, with all that was written on the same connection since `begin`."""
        with translated("writing rows of Postgres back to SQLite"):
            self._transaction.close()

    def undo(self) -> None:
        """Leave the file as it was before `begin`."""
        undone = Exception("undone")
        self._transaction.__exit__(type(undone), undone, None)

    # --- one row ---

    def _put(self, writer: TableWriter, key: Texts, row: Texts) -> None:
        name = writer.mapped.source.name
        stored = self._find(writer, key)
        held = self._held_key(writer, stored) if stored else ""
        if stored:
            self._see(name, stored.place)
        try:
            self._write(writer, stored, key, row)
            if held:
                self._overwritten[name, key] = held
        except RowRefused as error:
            self._refused[name, key] = error.why
        except ValueTaken:
            self._waits.add(name)
            if held:
                self._to_overwrite[name, key] = held
            waiting = (name, json.dumps(key), json.dumps(row))
            self.connection.execute("INSERT INTO temp._cdc_waiting VALUES (?, ?, ?)", waiting)

    def _write(self, writer: TableWriter, stored: StoredRow | None, key: Texts, row: Texts) -> None:
        name = writer.mapped.source.name
        changes = writer.changes(stored, row) if stored else []
        if stored and not changes:
            return
        with self.connection:  # what SQLite stored may turn out to be another value
            if stored:
                writer.update(stored, changes)
            else:
                writer.insert(row)
            self._see(name, writer.written(key, row).place)
        self._done["updated" if stored else "inserted"][name] += 1

    def _delete(self, writer: TableWriter, key: Texts) -> None:
        name = writer.mapped.source.name
        stored = self._find(writer, key)
        if stored is None or (self._held_key(writer, stored) and (name, key) not in self._overwritten):
            return
        writer.delete(stored)
        self.connection.execute("DELETE FROM temp._cdc_seen WHERE source = ? AND place = ?", (name, stored.place))
        self._done["deleted"][name] += 1

    def _find(self, writer: TableWriter, key: Texts) -> StoredRow | None:
        stored = writer.find(key)
        source_key = writer.key_of(stored.values) if stored else writer.source_key(key)
        if source_key is not None:
            self._touched(writer.mapped.source.name, [source_key])
        return stored

    def _forget(self, name: str, key: Texts) -> None:
        """What was to become of this key before."""
        self._refused.pop((name, key), None)
        self._to_overwrite.pop((name, key), None)
        if name in self._waits:
            here = (name, json.dumps(key))
            self.connection.execute("DELETE FROM temp._cdc_waiting WHERE source = ? AND key = ?", here)

    def _held_key(self, writer: TableWriter, stored: StoredRow) -> str:
        """The encoded key of a row that is in quarantine, empty for others."""
        held = self._held.get(writer.mapped.source.name)
        key = encode_key(writer.key_of(stored.values)) if held else ""
        return key if held and key in held else ""

    def _see(self, name: str, place: int | str) -> None:
        if name in self._whole:
            self.connection.execute("INSERT OR IGNORE INTO temp._cdc_seen VALUES (?, ?)", (name, place))

    def _writer(self, mapped: TableMap) -> TableWriter:
        name = mapped.source.name
        if name not in self._writers:
            forms = self._forms.get(name, {})
            self._writers[name] = TableWriter(self.connection, mapped, self._targets[name], forms)
        return self._writers[name]

    # --- at the end ---

    def _settle_waiting(self, name: str, writer: TableWriter) -> None:
        done, refused = Contest(self.connection, writer).settle(partial(self._waiting, name))
        for kind, rows in done.items():
            self._done[kind][name] += rows
        self._refused |= {(name, key): why for key, why in refused.items()}

    def _waiting(self, name: str) -> Iterator[tuple[Texts, Texts]]:
        sql = "SELECT key, row FROM temp._cdc_waiting WHERE source = ? AND key > ? ORDER BY key LIMIT ?"
        last = ""
        while page := self.connection.execute(sql, (name, last, _PAGE)).fetchall():
            yield from ((tuple(json.loads(str(key))), tuple(json.loads(str(row)))) for key, row in page)
            last = str(page[-1][0])

    def _delete_unseen(self, writer: TableWriter) -> None:
        """Delete rows that Postgres does not have, though it could: their keys have no NULL, and none is held."""
        source = writer.mapped.source
        own = quote(source.name)
        for held in self._held.get(source.name, ()):
            self._see_held(writer, held)
        keyed = " AND ".join(f"{own}.{quote(name)} IS NOT NULL" for name in source.key.columns)
        unseen = "NOT IN (SELECT place FROM temp._cdc_seen WHERE source = ?1)"
        if source.rowid_alias is not None:
            rowid = f"{own}.{quote(source.rowid_alias)}"
            self.connection.execute(f"DELETE FROM {own} WHERE {rowid} {unseen} AND {keyed}", (source.name,))
            self._done["deleted"][source.name] += self.connection.changes()
            return
        keys = ", ".join(f"{own}.{quote(name)}" for name in source.key.columns)
        seen = "SELECT 1 FROM temp._cdc_seen WHERE source = ? AND place = ?"
        there = exact(self.connection, f"SELECT {keys} FROM {own} WHERE {keyed}")
        gone = [key for key in there if not self.connection.execute(seen, (source.name, encode_key(key))).get]
        for key in gone:
            rest, bound = select.with_key(writer.mapped, key)
            self.connection.execute(f"DELETE {rest}", bound)
        self._done["deleted"][source.name] += len(gone)

    def _see_held(self, writer: TableWriter, held: str) -> None:
        source = writer.mapped.source
        if source.rowid_alias is None:
            self._see(source.name, held)
            return
        rest, bound = select.with_key(writer.mapped, decode_key(held))
        rowid = f"{quote(source.name)}.{quote(source.rowid_alias)}"
        for row in self.connection.execute(f"SELECT {rowid} {rest}", bound):
            self._see(source.name, int(row[0]))
