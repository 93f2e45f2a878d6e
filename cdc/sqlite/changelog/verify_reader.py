"""SQLite's side of the comparison: raw rows page by page, and which keys were logged meanwhile.

Nothing of the apply path is used to read rows. Each page is a short read transaction of its own, so that a writer in
rollback-journal mode waits for milliseconds only; what changes between two pages is told by the changelog.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import apsw

from cdc.config import Config
from cdc.errors import SourceBusy, SourceChanged
from cdc.facts.changes import Position
from cdc.facts.key_range import KeyRange
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues, NullKey, Row, Value
from cdc.sqlite.capture.schema_signature import signature
from cdc.sqlite.changelog.errors import emptied, entry_lost, target_behind
from cdc.sqlite.changelog.file_identity import FileIdentity
from cdc.sqlite.changelog.positions import position_at
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.changelog.verify_rows import ComparedRows, Page
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.functions import provide
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import locking, read_transaction

PAGE_ROWS: Final = 5_000
PAGE_ROWS_JOURNAL: Final = 500  # a few milliseconds, in which a rollback-journal writer waits for its commit
NEWS_ENTRIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Logged:
    """A key in the changelog; `key` is None where an entry says only that something in the table changed."""

    table: str
    key: KeyValues | None
    seq: int


class Reader:
    """Reads one application's file for a comparison; raises `SourceChanged` when it is not the file of `position`."""

    def __init__(self, config: Config, look: Look, maps: Sequence[TableMap], position: Position) -> None:
        self._path: Path = config.source.path
        self._identity = FileIdentity.of(self._path)
        self._connection = open_source(self._path, config.source.busy_timeout_seconds)
        self._page_rows = PAGE_ROWS if look.journal_mode == "wal" else PAGE_ROWS_JOURNAL
        tables = look.capture.tables if look.capture else {}
        widths = {m.source.name: m.source_key_width for m in maps}
        self._names = {tid: (t.name, widths[t.name]) for tid, t in tables.items() if t.name in widths}
        self._nullable = {m.source.name for m in maps if m.source.null_rowid is not None}
        self._signature = look.signature
        self._seen = position.seq
        self._rows = ComparedRows(self._connection)
        provide(self._connection, maps)
        # Nothing is pruned that was not applied before, so what was there when the file was looked at says it.
        if look.newest is not None and position.seq < look.oldest_seq:
            raise target_behind(self._path, position.seq, look.oldest_seq)
        self._require(position)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def page(self, mapped: TableMap, after: KeyValues | None, last: int | None = None, most: int = PAGE_ROWS) -> Page:
        """The next rows after a place, from the start when it is None; of a table in ranges up to the key `last`."""
        with self._reading(mapped):
            return self._rows.page(mapped, after, last, min(most, self._page_rows))

    def range_after(self, mapped: TableMap, after: int | None, rows: int) -> KeyRange:
        """The keys of the next so many rows after a key; the last range has no end. See `KeyRange`."""
        with self._reading(mapped):
            return self._rows.range_after(mapped, after, rows)

    @contextmanager
    def _reading(self, mapped: TableMap) -> Iterator[None]:
        """A short snapshot of a table, which the application may have altered or dropped since it was looked at."""
        with translated(f"reading table {mapped.source.name}"), read_transaction(self._connection):
            try:
                yield
            except apsw.SQLError as error:
                if signature(self._connection) == self._signature:
                    raise
                raise SourceBusy(
                    f"the application changed its schema while table {mapped.source.name} was compared",
                    remedy="run `cdc verify` again: a schema that is followed is compared as it is now",
                ) from error

    def look_up(self, mapped: TableMap, keys: Sequence[KeyValues]) -> list[Row]:
        """The rows that have exactly one of these keys, in one snapshot."""
        with self._reading(mapped):
            return [row for key in keys for row in self._rows.with_key(mapped, key)]

    def version(self) -> int:
        """A number that is another one once anybody else has committed something to the file."""
        with translated("reading the file's version"), locking(self._connection):
            return int(self._connection.pragma("data_version"))

    def news(self, take: Callable[[list[Logged]], object]) -> int:
        """Hand over every entry that was logged between the last call and this one; returns the newest one's number.

        Raises `SourceBusy` when entries were pruned before they could be read, so that the comparison must begin
        again from a newer position.
        """
        newest: int | None = None
        while True:
            with translated("reading the changelog"), read_transaction(self._connection):
                self._require_unpruned()
                # An application may write faster than its entries are read: what comes meanwhile is for the next call.
                newest = newest or self._connection.execute("SELECT max(seq) FROM _cdc_changelog").get
                if newest == self._seen:
                    return self._seen
                columns = self._connection.execute("SELECT name FROM pragma_table_info('_cdc_changelog')").fetchall()
                sql = "SELECT * FROM _cdc_changelog WHERE seq > ? ORDER BY seq LIMIT ?"
                entries = self._rows.read(sql, (self._seen, NEWS_ENTRIES), len(columns))
            if not entries:
                return self._seen
            places = {str(row[0]): place for place, row in enumerate(columns)}
            take([found for entry in entries if (found := self._logged(entry, places)) is not None])
            self._seen = int(cast("int", entries[-1][places["seq"]]))
            if self._seen >= newest:
                return self._seen

    def _logged(self, entry: tuple[Value, ...], places: dict[str, int]) -> Logged | None:
        known = self._names.get(cast("int", entry[places["tid"]]))
        if known is None:
            return None
        name, width = known
        key: KeyValues | None = tuple(entry[places[f"k{n}"]] for n in range(1, width + 1))
        if name in self._nullable and None in (key or ()):
            # Entries of an older form have no rowid, and do not say which row they are about.
            rowid = cast("int | None", entry[places[f"k{width + 1}"]] if f"k{width + 1}" in places else None)
            key = None if rowid is None else (NullKey(rowid),) * width
        return Logged(name, None if entry[places["op"]] == "*" else key, cast("int", entry[places["seq"]]))

    def _require(self, position: Position) -> None:
        with read_transaction(self._connection):
            self._require_unpruned()
            there = position_at(self._connection, position.seq)
            oldest = self._connection.execute("SELECT min(seq) FROM _cdc_changelog").get
        if there != position and (oldest or 0) <= position.seq:
            raise entry_lost(self._path, position.seq)

    def _require_unpruned(self) -> None:
        if FileIdentity.of(self._path) != self._identity:
            raise SourceChanged(
                f"the SQLite file {self._path} was replaced during the comparison",
                remedy="if the new file is the right one, run `cdc load --resync`: it compares every row",
            )
        oldest = self._connection.execute("SELECT min(seq) FROM _cdc_changelog").get
        if oldest is None:
            raise emptied(self._path)
        if oldest > self._seen + 1:
            raise SourceBusy(
                "changes were applied and pruned while the comparison was reading",
                remedy="run `cdc verify` again, best when the application is quieter",
            )
