"""The application's file as a stream begins with it: looked at in one snapshot, capture put into it or taken out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import apsw

from cdc.config import Config
from cdc.facts.changes import Position, Traces
from cdc.facts.profile import TableProfile, together
from cdc.facts.source_schema import SourceSchema, WaitingTable
from cdc.facts.table_map import TableMap
from cdc.facts.values import InvalidText, KeyValues, NullKey
from cdc.sqlite.capture import fence_state, own_tables, removal, triggers
from cdc.sqlite.capture.own_tables import Continuing
from cdc.sqlite.capture.schema_signature import Signature, signature
from cdc.sqlite.capture.triggers import Capture
from cdc.sqlite.changelog import buried_keys, errors, file_traces, positions
from cdc.sqlite.connection.errors import not_set_up, translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import journal_mode, read_transaction, write_transaction
from cdc.sqlite.rows import largest_keys
from cdc.sqlite.rows.exact_values import bindable
from cdc.sqlite.schema.profile import profile_columns
from cdc.sqlite.schema.read import read_schema

NO_TRACES = Traces("", "", "", 0)
PROFILED_ROWS: Final = 500  # in one read: a writer in rollback-journal mode waits so long for its commit


@dataclass(frozen=True, slots=True)
class Look:
    """What the file held in one snapshot: schema, capture (None when it carries none), and what is wrong with it.

    `newest` is None when no entry is there. `remains` says that something of capture is there, `renumbered` that rows
    may have other rowids than were captured, `traces` what the files themselves told before. `fence_steps` are those by
    which the fence moved the schema counter.
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
    fence_steps: int = 0

    @property
    def counter(self) -> int:
        """SQLite's schema counter but for the steps of the fence, in which nothing was written unseen."""
        return self.signature.schema_version - self.fence_steps


def opened(config: Config) -> closing[apsw.Connection]:
    """A connection to the application's file for the time of a block."""
    return closing(open_source(config.source.path, config.source.busy_timeout_seconds))


def look(config: Config) -> Look:
    """Read all that decides whether the stream can go on, in one snapshot."""
    traces = _traces(config)
    with opened(config) as connection, translated(f"SQLite file {config.source.path}"):
        mode = journal_mode(connection)
        with read_transaction(connection):
            return _look(connection, read_schema(connection, config), mode, traces)


def _traces(config: Config) -> Traces:
    """What the files tell before SQLite opens them; whoever opens a file that is not there says so."""
    try:
        return file_traces.read(config.source.path)
    except OSError:
        return NO_TRACES


def _look(connection: apsw.Connection, schema: SourceSchema, mode: str, traces: Traces) -> Look:
    capture = triggers.read_capture(connection, schema.tables)
    return Look(
        schema=schema,
        capture=capture,
        damaged=triggers.damaged(connection, capture) if capture else (),
        signature=signature(connection),
        journal_mode=mode,
        newest=positions.newest(connection) if capture else None,
        oldest_seq=positions.oldest_seq(connection) if capture else 0,
        remains=triggers.has_remains(connection),
        renumbered=capture is not None and not own_tables.is_marked(connection),
        traces=traces,
        fence_steps=fence_state.steps(connection),
    )


def profiled(config: Config, schema: SourceSchema, columns: Mapping[str, Sequence[str]]) -> dict[str, TableProfile]:
    """What some columns hold now, by table and name, read in pages: a writer in rollback-journal mode waits for each.

    What is written between two pages is judged when it is applied. Raises `CaptureLost` when the schema is no longer
    `schema`.
    """
    with opened(config) as connection:
        return {name: together(_pages(connection, config, schema, name, wanted)) for name, wanted in columns.items()}


def _pages(
    connection: apsw.Connection, config: Config, schema: SourceSchema, name: str, columns: Sequence[str]
) -> Iterator[TableProfile]:
    """Profiles of a table's rows, each of a page of them that was read by itself."""
    with read_transaction(connection):
        table, version = read_schema(connection, config).table(name), signature(connection).schema_version
    if table is None or table != schema.table(name):
        raise errors.schema_changed()
    after, more = None, True
    while more:
        with read_transaction(connection):
            if signature(connection).schema_version != version:
                raise errors.schema_changed()
            found, after = profile_columns(connection, table, columns, after, PROFILED_ROWS)
        more = after is not None
        yield found


def high_water(config: Config, maps: Sequence[TableMap]) -> tuple[Position | None, dict[str, int]]:
    """The newest entry, and by source table the largest key of that moment; see `largest_keys.read`."""
    with opened(config) as connection, translated("reading the highest keys"), read_transaction(connection):
        return positions.newest(connection), largest_keys.read(connection, maps)


def schema_version(config: Config) -> int:
    """SQLite's schema counter, which every change of the schema moves."""
    with opened(config) as connection, read_transaction(connection):
        return signature(connection).schema_version


def relieve(config: Config, *, as_last: bool = False) -> int:
    """Take triggers of ours out that make each write of the application fail; returns how many.

    With `as_last` it leaves the file as the application's last connection would: it may be about to be moved away.
    """
    with opened(config) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, not as_last)
        # Asked in passing first, and again under the lock: a file in order is not locked for writing.
        with read_transaction(connection):
            if not triggers.makes_writes_fail(connection):
                return 0
        return removal.relieve(connection)


def waiting(config: Config) -> tuple[WaitingTable, ...]:
    """The tables that wait, see `cdc.facts.source_schema.WaitingTable`."""
    with opened(config) as connection, read_transaction(connection):
        return read_schema(connection, config).waiting


def whose(config: Config) -> tuple[str | None, SourceSchema]:
    """The id that capture gave the file, None without capture, and the schema; triggers need not be whole for that."""
    with opened(config) as connection, translated(f"SQLite file {config.source.path}"), read_transaction(connection):
        schema = read_schema(connection, config)
        capture = triggers.read_capture(connection, schema.tables)
        return capture.source_id if capture else None, schema


def install(config: Config, judged: Look | None = None, continuing: Continuing | None = None) -> Look:
    """Make capture whole for all wanted tables; returns what the file held at that very moment.

    Where capture was lost it goes on as `continuing` says, or begins anew. With `judged`, raises `CaptureLost` instead
    when the schema is no longer what was judged then.
    """
    traces = _traces(config)
    with opened(config) as connection:
        mode = journal_mode(connection)
        with read_transaction(connection):
            _require_same(signature(connection), judged)
            schema = read_schema(connection, config)
            if triggers.is_whole(connection, schema.tables):
                return _look(connection, schema, mode, traces)
        # The application may alter its schema until the file is locked, so all of it is read anew.
        with triggers.installing(connection):
            _require_same(signature(connection), judged)
            schema = read_schema(connection, config)
            triggers.make_whole(connection, schema.tables, continuing)
            return _look(connection, schema, mode, traces)


def _require_same(current: Signature, judged: Look | None) -> None:
    if judged is not None and current != judged.signature:
        raise errors.schema_changed()


def log_again(
    config: Config,
    keys: Mapping[str, Sequence[KeyValues]],
    allowed: Mapping[str, Sequence[KeyValues]] = MappingProxyType({}),
) -> int:
    """Enter keys into the changelog as if their rows had changed, which is always harmless; returns how many.

    Those that are `allowed` may be put in again from now on, where the file refuses keys that were deleted.
    """
    with opened(config) as connection, translated("logging keys again"), write_transaction(connection):
        buried_keys.end(connection, allowed)
        capture = triggers.read_capture(connection, read_schema(connection, config).tables)
        logged = 0
        for name, of_table in keys.items():
            tid = capture.tid(name) if capture else None
            if tid is not None:
                logged += _log_keys(connection, tid, of_table)
    return logged


def _log_keys(connection: apsw.Connection, tid: int, keys: Sequence[KeyValues]) -> int:
    for key in keys:
        # A key that has a NULL is logged as NULLs, followed by the row's rowid.
        rowid = [key[0].rowid] if key and isinstance(key[0], NullKey) else []
        columns = ", ".join(f"k{place}" for place in range(1, len(key) + len(rowid) + 1))
        values = [*map(bindable, key), *rowid]
        marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in (*key, *rowid))
        connection.execute(
            f"INSERT INTO _cdc_changelog(tid, op, at, {columns}) VALUES (?, 'S', julianday('now'), {marks})",
            (tid, *values),
        )
    return len(keys)


def remove_capture(config: Config) -> bool:
    """Take capture out of the application's file without a trace; False when there was none."""
    with opened(config) as connection:
        return removal.remove(connection)


def release_triggers(config: Config) -> int:
    """Take the triggers out of the file, but not what was logged; returns how many there were."""
    with opened(config) as connection:
        return removal.release(connection)


def require_capture(config: Config) -> None:
    """Raises `SourceError` when the file was never set up."""
    if look(config).capture is None:
        raise not_set_up(config.source.path)
