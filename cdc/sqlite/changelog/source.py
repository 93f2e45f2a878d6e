"""The SQLite end of a stream: what the file looks like now, and reads of it off the event loop.

One connection is held while changes flow and closed when the file is idle: a reader that is held for ever keeps a -wal
alive that would be replayed over a file moved into its place.
"""

import asyncio
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import apsw

from cdc.config import Config
from cdc.faults import stall_point
from cdc.model import (
    InvalidText,
    KeyValues,
    NullKey,
    Position,
    Round,
    Row,
    SourceSchema,
    TableMap,
    TableRows,
    Traces,
    WaitingTable,
)
from cdc.sqlite import changelog, own_tables, rows, traces, triggers
from cdc.sqlite.catalogue import read_schema
from cdc.sqlite.changelog import Budget, Changelog, FileIdentity
from cdc.sqlite.connection import (
    journal_mode,
    locking,
    open_source,
    read_transaction,
    translated,
    write_transaction,
)
from cdc.sqlite.dependents import Dependents
from cdc.sqlite.own_tables import Continuing
from cdc.sqlite.rows import Cursor
from cdc.sqlite.triggers import Capture, Signature

WAL = "wal"
NO_TRACES = Traces("", "", "", 0)
FEW_ENTRIES = 100  # read in less time than it takes to change to another thread and back, or little more


@dataclass(frozen=True, slots=True)
class Look:
    """What the file held in one snapshot: schema, capture (None when it carries none), and what is wrong with it.

    `newest` is None when no entry is there. `remains` says that something of capture is there, `renumbered` that rows
    may have other rowids than were captured, `traces` what the files themselves told before.
    """

    schema: SourceSchema
    capture: Capture | None
    damaged: tuple[str, ...]
    signature: Signature
    journal_mode: str
    newest: Position | None
    oldest_seq: int
    remains: bool = False
    renumbered: bool = False
    traces: Traces = NO_TRACES

    def without(self, names: Container[str]) -> "Look":
        """The same, as if the file did not have the tables of these names."""
        tables = tuple(table for table in self.schema.tables if table.name not in names)
        return replace(self, schema=replace(self.schema, tables=tables))


@contextmanager
def opened(config: Config) -> Iterator[apsw.Connection]:
    """A connection to the application's file for the time of a block."""
    connection = open_source(config.source.path, config.source.busy_timeout_seconds)
    try:
        yield connection
    finally:
        connection.close()


def look(config: Config) -> Look:
    """Read all that decides whether the stream can go on, in one snapshot."""
    seen = _traces(config)
    with opened(config) as connection, translated(f"SQLite file {config.source.path}"):
        mode = journal_mode(connection)
        with read_transaction(connection):
            return _look(connection, read_schema(connection, config), mode, seen)


def _traces(config: Config) -> Traces:
    """What the files tell before SQLite opens them; whoever opens a file that is not there says so."""
    try:
        return traces.read(config.source.path)
    except OSError:
        return NO_TRACES


def _look(connection: apsw.Connection, schema: SourceSchema, mode: str, seen: Traces) -> Look:
    capture = triggers.read_capture(connection, schema.tables)
    return Look(
        schema=schema,
        capture=capture,
        damaged=triggers.damaged(connection, capture) if capture else (),
        signature=triggers.signature(connection),
        journal_mode=mode,
        newest=changelog.newest(connection) if capture else None,
        oldest_seq=_oldest(connection) if capture else 0,
        remains=triggers.has_remains(connection),
        renumbered=capture is not None and not own_tables.is_marked(connection),
        traces=seen,
    )


def relieve(config: Config, *, as_last: bool = False) -> int:
    """Take triggers of ours out that make each write of the application fail; returns how many.

    With `as_last` it leaves the file as the application's last connection would: it may be about to be moved away.
    """
    with opened(config) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, not as_last)
        with read_transaction(connection):
            if not triggers.makes_writes_fail(connection):
                return 0
        return triggers.relieve(connection)


def waiting(config: Config) -> tuple[WaitingTable, ...]:
    """The tables that wait, see `cdc.model.WaitingTable`."""
    with opened(config) as connection, read_transaction(connection):
        return read_schema(connection, config).waiting


def whose(config: Config) -> tuple[str | None, SourceSchema]:
    """Which file it says it is, None without capture, and its schema; also where nothing else of capture is whole."""
    with opened(config) as connection, translated(f"SQLite file {config.source.path}"), read_transaction(connection):
        schema = read_schema(connection, config)
        capture = triggers.read_capture(connection, schema.tables)
        return capture.source_id if capture else None, schema


def install(config: Config, judged: Look | None = None, continuing: Continuing | None = None) -> Look:
    """Make capture whole for all wanted tables; returns what the file held at that very moment.

    Where capture was lost it goes on as `continuing` says, or begins anew. With `judged`, raises `CaptureLost` instead
    when the schema is no longer what was judged then.
    """
    seen = _traces(config)
    with opened(config) as connection:
        mode = journal_mode(connection)
        with read_transaction(connection):
            _require_same(triggers.signature(connection), judged)
            schema = read_schema(connection, config)
            if triggers.is_whole(connection, schema.tables):
                return _look(connection, schema, mode, seen)
        with triggers.installing(connection):
            _require_same(triggers.signature(connection), judged)
            schema = read_schema(connection, config)
            triggers.make_whole(connection, schema.tables, continuing)
            return _look(connection, schema, mode, seen)


def _require_same(found: Signature, judged: Look | None) -> None:
    if judged is not None and found != judged.signature:
        raise changelog.schema_changed()


def log_again(config: Config, keys: Mapping[str, Sequence[KeyValues]]) -> int:
    """Enter keys into the changelog as if their rows had changed, which is always harmless; returns how many."""
    with opened(config) as connection, translated("logging keys again"), write_transaction(connection):
        capture = triggers.read_capture(connection, read_schema(connection, config).tables)
        logged = 0
        for name, wanted in keys.items():
            tid = capture.tid(name) if capture else None
            if tid is not None:
                logged += _log_keys(connection, tid, wanted)
    return logged


def _log_keys(connection: apsw.Connection, tid: int, keys: Sequence[KeyValues]) -> int:
    for key in keys:
        # A key that has a NULL is logged as NULLs, followed by the row's rowid.
        rowid = [key[0].rowid] if key and isinstance(key[0], NullKey) else []
        columns = ", ".join(f"k{place}" for place in range(1, len(key) + len(rowid) + 1))
        values = [*map(rows.bindable, key), *rowid]
        marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in (*key, *rowid))
        connection.execute(
            f"INSERT INTO _cdc_changelog(tid, op, at, {columns}) VALUES (?, 'S', julianday('now'), {marks})",
            (tid, *values),
        )
    return len(keys)


def _oldest(connection: apsw.Connection) -> int:
    with translated("reading the oldest changelog entry"):
        return int(connection.execute("SELECT min(seq) FROM _cdc_changelog").get or 0)


class Source:
    """Reads changes of one file under a known capture. Every read checks first that the file still is that file.

    `at` is a position in it: the newest one that was read is looked for in each read that follows.
    """

    def __init__(self, config: Config, known: Look, maps: Mapping[str, TableMap], at: Position) -> None:
        if known.capture is None:
            raise ValueError("a source without capture cannot be read")
        self._config = config
        self._known = known
        self._capture = known.capture
        self._maps = maps
        self._at = at
        self._open: tuple[apsw.Connection, Changelog] | None = None
        entries = config.replicate.round_entries if self.wal else config.replicate.round_entries_journal
        self._budget = Budget(entries, config.replicate.round_bytes)
        self._dependents = Dependents(maps)

    def dependents(self, name: str) -> tuple[str, ...]:
        """The tables whose expressions read a source table."""
        return self._dependents.of(name)

    @property
    def wal(self) -> bool:
        """Whether readers and writers of this file leave each other alone."""
        return self._known.journal_mode == WAL

    def traces(self) -> Traces:
        """What the files tell now, of the file that was known."""
        try:
            return replace(traces.read(self.path), inode=self._known.traces.inode)
        except OSError:
            return self._known.traces

    @property
    def path(self) -> Path:
        """The application's file."""
        return self._config.source.path

    async def has_news(self, after: Position) -> bool:
        """Whether anything newer than the position can be seen."""
        if self.wal and self._open is not None:
            # Microseconds, and a reader never waits in WAL: not worth a change of thread.
            return self._open[1].ahead(after) != 0
        return await asyncio.to_thread(lambda: self._changelog().ahead(after) != 0)

    async def check(self) -> None:
        """Refuse a file whose capture is not as it was, even where nothing was logged that would be read."""
        await asyncio.to_thread(lambda: self._changelog().check(self._at))

    async def read(self, after: Position) -> Round:
        """The next round after the position.

        In a thread of its own when it may take long: many entries, or a reader that waits for the writer because the
        file is in rollback-journal mode.
        """
        if self.wal and self._open is not None and self._open[1].ahead(after) <= FEW_ENTRIES:
            found = self._open[1].read(after, self._budget)
        else:
            found = await asyncio.to_thread(self._read, after)
        self._at = found.position
        return found

    async def read_keys(self, keys: Mapping[str, Sequence[KeyValues]], at: Position) -> tuple[TableRows, ...]:
        """The rows of some keys at exactly a position; nothing when the file has moved on since."""
        return await asyncio.to_thread(lambda: self._changelog().read_keys(keys, at))

    async def read_page(self, name: str, at: Cursor | None) -> tuple[list[Row], Cursor | None]:
        """A page of a whole table, see `Changelog.read_page`."""
        return await asyncio.to_thread(lambda: self._changelog().read_page(name, at, self._at, self._budget))

    async def hold(self) -> None:
        """Let every read that follows be of one snapshot, until `let_go`; see `Changelog.hold`."""
        await asyncio.to_thread(lambda: self._changelog().hold())

    def let_go(self) -> None:
        """Have each read be of a snapshot of its own again; harmless where none is held."""
        if self._open is not None:
            self._open[1].let_go()

    async def high_water(self) -> dict[str, int]:
        """The largest integer key that each table ever had, see `cdc.sqlite.high_water`."""
        return await asyncio.to_thread(lambda: self._changelog().high_water(self._at))

    async def count(self, expected: Mapping[str, int], at: Position) -> dict[str, int]:
        """Rows by source table, up to one more than expected, see `Changelog.count`."""
        return await asyncio.to_thread(lambda: self._changelog().count(expected, at))

    async def prune(self, below: int, applied: Position) -> int:
        """Delete entries older than `below` in small steps, leaving the application room between them.

        Ends before all is done when that takes long, and sooner when there are changes to apply. Returns how many.
        """
        deleted = 0
        steps = changelog.prune_steps(self._connection(), below)
        for done in range(1, _MOST_STEPS + 1):
            step = await asyncio.to_thread(next, steps, None)
            if step is None:
                break
            deleted += step
            await asyncio.sleep(_PAUSE_BETWEEN_STEPS_SECONDS)
            if done >= _LEAST_STEPS and await self.has_news(applied):
                break
        return deleted

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        opened_before, self._open = self._open, None
        if opened_before is not None:
            # A thread that was given up may still be reading: then its end closes the connection.
            with suppress(apsw.ThreadingViolationError):
                opened_before[0].close()

    @property
    def is_open(self) -> bool:
        """Whether a connection is held."""
        return self._open is not None

    def _read(self, after: Position) -> Round:
        stall_point("sqlite.read")
        return self._changelog().read(after, self._budget)

    def _connection(self) -> apsw.Connection:
        self._changelog()
        assert self._open is not None
        return self._open[0]

    def _changelog(self) -> Changelog:
        if self._open is None:
            # Before opening: a file moved into place in between then shows as another file, never goes unnoticed.
            identity = FileIdentity.of(self.path)
            connection = open_source(self.path, self._config.source.busy_timeout_seconds)
            with locking(connection):
                connection.pragma("cache_size", -_CACHE_KIB)
            known = self._known.signature
            self._open = connection, Changelog(connection, self.path, identity, self._capture, self._maps, known)
        return self._open[1]


_CACHE_KIB = 16 * 1024  # changed rows lie all over the file; SQLite's own 2 MiB make it read pages again and again
_PAUSE_BETWEEN_STEPS_SECONDS = 0.01
_MOST_STEPS = 100  # about a second in which nothing else is done
_LEAST_STEPS = 20  # so that an application which never pauses does not grow the changelog for ever
