"""Reading the changelog: the current state of every key logged since a position, in one short snapshot."""

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import apsw

from cdc.errors import FileReplaced
from cdc.facts.changes import Cursor, Position, Round, TableRows
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues, NullKey, Row
from cdc.faults import freeze_point
from cdc.sql_names import quote
from cdc.sqlite.capture.own_tables import has_state, is_marked
from cdc.sqlite.capture.schema_signature import Signature, signature
from cdc.sqlite.capture.triggers import Capture
from cdc.sqlite.changelog import logged_rows
from cdc.sqlite.changelog.budget import Budget, BudgetExceeded, Meter
from cdc.sqlite.changelog.errors import broken_off, schema_changed
from cdc.sqlite.changelog.file_identity import FileIdentity
from cdc.sqlite.changelog.positions import as_position, newest, newest_entry, position_at, seconds_since_epoch
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.functions import FAILURES, provide
from cdc.sqlite.connection.transactions import locking, read_transaction, stopped_after
from cdc.sqlite.rows import exact_values, largest_keys, select
from cdc.sqlite.rows.computed_dependencies import Dependents

FIRST_PAGE_ROWS: Final = 256
COUNTING_SECONDS: Final = 0.02  # of one snapshot


class Changelog:
    """Reads rounds from one open connection. Everything is checked in the very snapshot that is read.

    `identity` is what the path named just before it was opened, `expected` what sqlite_schema looked like when capture
    was known to be whole.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        path: Path,
        identity: FileIdentity,
        capture: Capture,
        maps: Mapping[str, TableMap],
        expected: Signature,
    ) -> None:
        self._connection = connection
        self._path = path
        self._identity = identity
        self._expected = expected
        self._compared = False
        self._held: ExitStack | None = None
        self._let_go = False
        self._using = threading.Lock()
        self._names = {tid: table.name for tid, table in capture.tables.items() if table.name in maps}
        self._maps = {name: maps[name] for name in self._names.values()}
        # Made when a table has its first change: most of many never do.
        self._reads: dict[int, tuple[select.Query, ...]] = {}
        self._dependents = Dependents(self._maps)
        provide(connection, self._maps.values())
        self._same: tuple[Row, Position] | None = None  # an entry known to be the one at a position
        self._bytes_per_entry = 1.0
        self._page_rows = FIRST_PAGE_ROWS

    def ahead(self, after: Position) -> int:
        """How many entries newer than the position can be seen; a hint, without a check.

        Below zero when the changelog is not the one that the position belongs to, which a read will find out, and when
        the schema changed: a new table, or one whose triggers are gone, leaves no entry that would tell of it.
        """
        with translated("looking at the changelog"), locking(self._connection):
            # Two statements see two states of the file. What is committed between them is seen by the next call.
            try:
                entry = newest_entry(self._connection)
                if self._connection.execute("PRAGMA schema_version").get != self._expected.schema_version:
                    return -1
            except apsw.SQLError:
                entry = None  # the file was overwritten: the read that follows finds out by what
        if entry is None:
            return -1
        if (entry, after) == self._same:
            return 0
        latest = as_position(entry)
        if latest.seq != after.seq:
            return latest.seq - after.seq
        if latest != after:
            return -1  # overwritten by a copy that went its own way by as many changes
        self._same = entry, after
        return 0

    def check(self, after: Position) -> None:
        """Refuse a file or a trigger set that is not the known one: triggers can go and leave the version as it was."""
        self._compared = False
        with self._snapshot(after):
            if not has_state(self._connection):
                raise broken_off()

    def hold(self) -> None:
        """Let every read that follows be of one snapshot, until `let_go`.

        What is written meanwhile is not seen, so reading comes to an end under every writer. In WAL nobody waits for
        it; in rollback-journal mode a writer cannot commit.
        """
        with self._using:
            held = ExitStack()
            held.enter_context(read_transaction(self._connection))
            self._held, self._let_go = held, False

    def let_go(self) -> None:
        """Have each read be of a snapshot of its own again: at once, or after the read that another thread is at."""
        # Said before the lock is tried: a reader that has the lock asks for this only after giving it back, so that one
        # of the two ends the hold, whoever comes last.
        self._let_go = True
        self._end_hold()

    def _end_hold(self) -> None:
        """End the hold, unless another thread is reading: then that one does, at the end of `_snapshot`."""
        if self._using.acquire(blocking=False):
            with ExitStack() as stack:
                stack.callback(self._using.release)
                held, self._held, self._let_go = self._held, None, False
                if held is not None:
                    held.close()

    def read(self, after: Position, budget: Budget) -> Round:
        """The state of every key logged after the position, as far as the budget goes."""
        entries = min(budget.entries, max(1, int(budget.bytes / self._bytes_per_entry)))
        while True:
            try:
                return self._read(after, entries, budget.bytes if entries > 1 else None)
            except BudgetExceeded:
                entries = max(1, entries // 4)

    def read_keys(self, keys: Mapping[str, Sequence[KeyValues]], at: Position) -> tuple[TableRows, ...]:
        """The state of the given keys, provided that nothing newer than `at` was logged meanwhile.

        Returns nothing when something was: then the caller must read on first.
        """
        with self._snapshot(at):
            if newest(self._connection) != at:
                return ()
            return tuple(self._look_up(name, of_table) for name, of_table in keys.items() if name in self._maps)

    def read_page(
        self, name: str, at: Cursor | None, reached: Position, budget: Budget
    ) -> tuple[list[Row], Cursor | None]:
        """One page of a whole table, the first one without a cursor; the cursor that it returns is None at the end.

        `reached` is the newest position that was read.
        The end is the table's last row when the first page was read: rows that come behind it are logged, and an
        application that writes without a pause would keep it out of reach.
        """
        with self._snapshot(reached):
            table = self._maps[name]
            at = at or select.begin(self._connection, table)
            if at is None:
                return [], None
            rows, end = select.page(self._connection, table, at, min(self._page_rows, budget.entries))
        # The next page is as long as rows of this size allow, and at most twice as long as this one.
        meter = Meter(None)
        meter.weigh(rows)
        fitting = budget.bytes * len(rows) // max(1, meter.bytes)
        self._page_rows = max(1, min(fitting, 2 * self._page_rows))
        return rows, end

    def high_water(self, at: Position) -> dict[str, int]:
        """The largest integer key that each table ever had, by source table."""
        with self._snapshot(at), translated("reading the highest keys"):
            return largest_keys.read(self._connection, self._maps.values())

    def count(self, expected: Mapping[str, int], at: Position) -> dict[str, int]:
        """Rows by source table, up to one more than expected; none when something newer than `at` was logged.

        Ends early, with what it has, when that takes long: a writer may wait for it.
        """
        counted: dict[str, int] = {}
        with self._snapshot(at), translated("counting rows"), stopped_after(self._connection, COUNTING_SECONDS):
            if newest(self._connection) != at:
                return counted
            with suppress(apsw.InterruptError):
                for name, rows_there in expected.items():
                    some = f"SELECT count(*) FROM (SELECT 1 FROM {quote(name)} LIMIT ?)"
                    counted[name] = int(self._connection.execute(some, (rows_there + 1,)).get or 0)
        return counted

    def _read(self, after: Position, entries: int, most_bytes: int | None) -> Round:
        connection = self._connection
        with self._snapshot(after), translated("reading changes"):
            latest = newest(connection)
            assert latest is not None  # there is an entry at the position
            upto = latest if latest.seq <= after.seq + entries else position_at(connection, after.seq + entries)
            if upto.seq == after.seq:
                return Round(upto, (), complete=True, entries=0, newest=latest.seq)
            span = (after.seq, upto.seq)
            tables, rescan = self._dependents.follow(connection, *self._read_tables(span, most_bytes))
            oldest = "SELECT at FROM _cdc_changelog WHERE seq > ? ORDER BY seq LIMIT 1"
            first = connection.execute(oldest, (after.seq,)).get
            freeze_point("changes.read")
        return Round(
            position=upto,
            tables=tables,
            complete=upto.seq == latest.seq,
            entries=upto.seq - after.seq,
            rescan=rescan,
            oldest_at=seconds_since_epoch(first),
            newest=latest.seq,
        )

    @contextmanager
    def _snapshot(self, after: Position) -> Iterator[None]:
        """One snapshot for what is read inside, checked before: the one that is held, or one of its own."""
        try:
            with self._using, ExitStack() as own:
                if self._held is None:
                    own.enter_context(read_transaction(self._connection))
                self._check(after)
                yield
        finally:
            if self._let_go:
                self._end_hold()

    def _check(self, after: Position) -> None:
        """Refuse a file, a changelog or a trigger set that is not the one the position belongs to."""
        # A file that is moved there after this is met by the next read: this one goes on in the file that it has open.
        if FileIdentity.of(self._path) != self._identity:
            raise FileReplaced(
                f"another file was moved over {self._path}",
                remedy="if the new file is the right one, run `cdc load --resync`: it compares every row",
            )
        self._check_schema()
        if position_at(self._connection, after.seq) != after or not is_marked(self._connection):
            raise broken_off()

    def _check_schema(self) -> None:
        """The whole signature once for each connection and each heartbeat, else the counter that every DDL moves.

        Comparing all objects takes time by their number. What the counter does not show (triggers deleted through
        writable_schema) leaves no entry to be read either: its tables are compared as a whole once it is seen.
        """
        if not self._compared:
            if signature(self._connection) != self._expected:
                raise schema_changed()
            self._compared = True
        elif self._connection.execute("PRAGMA schema_version").get != self._expected.schema_version:
            raise schema_changed()

    def _read_tables(
        self, span: tuple[int, int], most_bytes: int | None
    ) -> tuple[tuple[TableRows, ...], tuple[str, ...]]:
        summed = "SELECT tid, sum(op = '*'), count(*) FROM _cdc_changelog WHERE seq > ? AND seq <= ? GROUP BY tid"
        counts = cast("list[tuple[int, int, int]]", self._connection.execute(summed, span).fetchall())
        if sum(entries for _, _, entries in counts) != span[1] - span[0]:
            raise broken_off()  # numbers have no gaps, so somebody deleted entries
        fed = [(tid, markers) for tid, markers, _ in counts if tid in self._names]
        meter = Meter(most_bytes)
        tables = tuple(self._read_table(tid, span, meter) for tid, _ in fed)
        self._bytes_per_entry = max(1.0, meter.bytes / max(1, span[1] - span[0]))
        # Before rowids were logged with them, an entry with a NULL in its key could mean any of several rows.
        unclear = {t.table for t in tables if any(None in key for key in t.gone)}
        return tables, tuple(self._names[tid] for tid, markers in fed if markers or self._names[tid] in unclear)

    def _read_table(self, tid: int, span: tuple[int, int], meter: Meter) -> TableRows:
        name = self._names[tid]
        width = self._maps[name].source_key_width
        if tid not in self._reads:
            self._reads[tid] = tuple(logged_rows.queries(self._maps[name]))
        result = TableRows(name)
        # Behind the key stands whether the row exists, then the row.
        for query, by_rowid in zip(self._reads[tid], (False, True), strict=False):
            rows = self._fetch(query, (*span, tid), meter)
            result.rows.extend(row[width + 1 :] for row in rows if row[width])
            gone = [row[:width] for row in rows if not row[width]]
            result.gone.extend(_by_rowid(key) if by_rowid else key for key in gone)
            if gone and not by_rowid:
                sql = logged_rows.departures(self._maps[name])
                left = exact_values.fetch_values(self._connection, sql, (*span, tid))
                result.deleted.extend((row[:width], seconds_since_epoch(row[width])) for row in left)
        return result

    def _fetch(self, query: select.Query, bindings: exact_values.Bindings, meter: Meter) -> list[Row]:
        try:
            cursor = exact_values.read(self._connection, query.sql, bindings)
            rows: list[Row] = []
            while part := list(itertools.islice(cursor, select.SLICE_ROWS)):
                meter.weigh(part)
                rows += part
        except FAILURES:
            return list(select.carefully(self._connection, query, bindings))
        return list(select.identified(query, rows))

    def _look_up(self, name: str, keys: Sequence[KeyValues]) -> TableRows:
        mapped = self._maps[name]
        result = TableRows(name)
        for key in keys:
            rest, bound = select.with_key(mapped, key)
            rows = select.fetch(self._connection, select.select(mapped, rest), bound)
            result.rows.extend(rows)
            if not rows:
                result.gone.append(key)
        return result


def _by_rowid(key: KeyValues) -> KeyValues:
    return tuple(NullKey(cast("int", rowid)) for rowid in key)
