"""Capture in the application's file: what is installed, whether it is whole, and making it so.

`_cdc_changelog` holds keys of changed rows, `_cdc_table` says which table an id means, `_cdc_state` which file it is,
`_cdc_mark` whether its rows were numbered anew, `_cdc_tombstone`, where somebody wants it, keys that may not come back.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import apsw

from cdc.errors import SourceError
from cdc.facts.source_schema import Table
from cdc.faults import crash_point
from cdc.sql_names import quote
from cdc.sqlite.capture import fence_state, own_tables
from cdc.sqlite.capture.own_tables import FORMAT, MARK, TOMBSTONES, Continuing
from cdc.sqlite.capture.schema_objects import (
    CAPTURE_TRIGGER,
    FENCE_TRIGGER,
    StoredTrigger,
    altering_schema,
    objects_of_ours,
    triggers_by_table,
    triggers_named,
)
from cdc.sqlite.capture.trigger_sql import logged_columns, trigger_sql
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking
from cdc.sqlite.schema.read import OURS


@dataclass(frozen=True, slots=True)
class Capture:
    """What the changelog's table ids mean now; `source_id` names this file for its whole life."""

    source_id: str
    tables: Mapping[int, Table]

    def tid(self, name: str) -> int | None:
        """The id of the table of that name, compared without case, or None."""
        return next((tid for tid, table in self.tables.items() if table.name.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` left behind; `changed` names tables whose triggers it made now: changes until then are unseen."""

    capture: Capture
    changed: tuple[str, ...]


class _KeyColumn(NamedTuple):
    """A column for keys that one of our tables lacks."""

    table: str
    name: str


@dataclass(slots=True)
class _Plan:
    """What has to be done so that exactly the wanted triggers stand, newest of all; empty when all is right."""

    drop_tables: list[str] = field(default_factory=list)
    create_tables: list[str] = field(default_factory=list)
    begin: bool = False
    state: bool = False
    mark: bool = False
    columns: list[_KeyColumn] = field(default_factory=list)
    ids: dict[int, Table] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    create: dict[int, Table] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        tables = self.create_tables or self.begin or self.state or self.mark or self.columns or self.ids
        return not (tables or self.drop or self.create)


def install(connection: apsw.Connection, tables: Sequence[Table]) -> Installed:
    """Makes capture whole for exactly these tables, in one transaction; writes nothing when it already is.

    Afterwards every later change of their rows leaves its key in the changelog. Raises `SourceBusy` when the
    application holds the file for too long, `SourceError` when a table cannot be captured; then nothing was changed.
    """
    with locking(connection):
        changed: tuple[str, ...] = ()
        if not is_whole(connection, tables):
            with installing(connection):
                changed = make_whole(connection, tables)
        capture = read_capture(connection, tables)
        assert capture is not None
        return Installed(capture, changed)


def is_whole(connection: apsw.Connection, tables: Sequence[Table]) -> bool:
    """Whether the file captures exactly these tables, by tables and triggers of ours as they would be made now.

    Even an empty commit of ours could fail a transaction of the application, so this is asked before locking the file.
    """
    with translated("looking at change capture"):
        return _plan(connection, tables)[1].empty


@contextmanager
def installing(connection: apsw.Connection) -> Iterator[None]:
    """A transaction in which capture is made whole: what is read inside stays true until it is committed."""
    with translated("installing change capture"):
        with altering_schema(connection):
            yield
            crash_point("capture.before_commit")
        crash_point("capture.after_commit")


def make_whole(
    connection: apsw.Connection, tables: Sequence[Table], continuing: Continuing | None = None
) -> tuple[str, ...]:
    """Make capture of exactly these tables whole, inside `installing`; returns those whose triggers are new.

    Where it lost what says which file this is, or its changelog, it is `continuing` from there, or begins anew.
    """
    assigned, plan = _plan(connection, tables)
    _carry_out(connection, plan, assigned, continuing)
    return tuple(t.name for t in plan.create.values())


def read_capture(connection: apsw.Connection, tables: Sequence[Table]) -> Capture | None:
    """What is installed for these tables as they are keyed now, or None when the file carries no capture.

    Raises `SourceError` when another version of this tool installed it.
    """
    with translated("reading change capture"):
        if set(own_tables.lacking(connection)) - {MARK}:
            return None
        row = connection.execute("SELECT source_id, format FROM _cdc_state WHERE id = 1").fetchone()
        if row is None:
            return None
        if row[1] != FORMAT:
            raise SourceError(
                f"the SQLite file carries change capture of format {row[1]}, this version knows format {FORMAT}",
                remedy="use the version of this tool that installed it; or take capture out with "
                "`cdc cleanup --capture-only`, put in this version's with `cdc load --resync`, and start the daemon: "
                "every row is compared",
            )
        recorded = _recorded_ids(connection)
        captured = {tid: t for t in tables if (tid := recorded.get(_definition(t))) is not None}
        return Capture(str(row[0]), captured)


def has_remains(connection: apsw.Connection) -> bool:
    """Whether any table or trigger of ours is in the file, whole or not."""
    with translated("looking for change capture"):
        return bool(objects_of_ours(connection))


def makes_writes_fail(connection: apsw.Connection) -> bool:
    """Whether writes of the application fail by triggers of ours that cannot run."""
    with translated("looking at change capture"):
        return bool(failing_triggers(connection))


def failing_triggers(connection: apsw.Connection) -> list[StoredTrigger]:
    """The triggers of ours that cannot run: those of capture without a changelog, those of the fence without a state.

    A fence that stands alone asks nothing, and refuses as it should. Lets the driver's errors through.
    """
    capture, fence = (triggers_named(connection, form) for form in (CAPTURE_TRIGGER, FENCE_TRIGGER))
    failing = [] if own_tables.takes(connection, [t.sql for t in capture]) else capture
    return failing if fence_state.answers(connection) else failing + [t for t in fence if fence_state.asks(t.sql)]


def damaged(connection: apsw.Connection, capture: Capture) -> tuple[str, ...]:
    """Tables of the capture whose changes may go unseen, in name order.

    Their triggers are missing, are not what would be made now, or stand behind a newer trigger of the application.
    """
    with translated("checking change capture"):
        triggers = triggers_by_table(connection)
        return tuple(sorted(t.name for tid, t in capture.tables.items() if not _is_captured(tid, t, triggers)))


def _plan(connection: apsw.Connection, tables: Sequence[Table]) -> tuple[dict[int, Table], _Plan]:
    """The id of each wanted table, and the steps that are missing."""
    missing = own_tables.lacking(connection)
    if any(table.buries for table in tables) and not own_tables.has_tombstones(connection):
        missing.append(TOMBSTONES)
    plan = _Plan(own_tables.misshapen(connection), missing, columns=_missing_columns(connection, tables, missing))
    plan.begin = "_cdc_changelog" in missing or not own_tables.has_entries(connection)
    plan.state = "_cdc_state" not in missing and not own_tables.has_state(connection)
    plan.mark = not own_tables.is_marked(connection)
    recorded = {} if "_cdc_table" in missing else _recorded_ids(connection)
    fresh = _next_id(connection, missing)
    assigned: dict[int, Table] = {}
    for table in tables:
        tid = recorded.get(_definition(table))
        if tid is None:
            tid, fresh = fresh, fresh + 1
            plan.ids[tid] = table
        assigned[tid] = table
    triggers = triggers_by_table(connection)
    plan.create = {tid: t for tid, t in assigned.items() if not _is_captured(tid, t, triggers)}
    kept = {name for tid, t in assigned.items() if tid not in plan.create for name in trigger_sql(tid, t)}
    present = (t.name for t in chain.from_iterable(triggers.values()) if CAPTURE_TRIGGER.fullmatch(t.name))
    plan.drop = [name for name in present if name not in kept]
    return assigned, plan


def _carry_out(
    connection: apsw.Connection, plan: _Plan, assigned: Mapping[int, Table], continuing: Continuing | None
) -> None:
    for name in plan.drop:
        connection.execute(f"DROP TRIGGER {quote(name)}")
    for name in plan.drop_tables:
        connection.execute(f"DROP TABLE {quote(name)}")
    for name in plan.create_tables:
        own_tables.create(connection, name, _widest_key(assigned.values()), continuing)
    if plan.state:
        own_tables.enter_state(connection, continuing)
    if plan.begin:
        own_tables.begin(connection, continuing)
    if plan.mark:
        own_tables.mark(connection)
    for column in plan.columns:
        connection.execute(f"ALTER TABLE {column.table} ADD COLUMN {column.name}")
    for tid, table in plan.ids.items():
        row = (tid, *_definition(table))
        connection.execute("INSERT INTO _cdc_table(tid, name, kind, columns) VALUES (?, ?, ?, ?)", row)
    for tid, table in plan.create.items():
        _create_triggers(connection, tid, table)


def _create_triggers(connection: apsw.Connection, tid: int, table: Table) -> None:
    """Creates them and has SQLite compile them: one that cannot run would fail the application's own write."""
    # Where writes could not be compiled before, as with a collation that only the application has, nothing can be told.
    compiled_before = _compile_error(connection, table) is None
    for sql in trigger_sql(tid, table).values():
        connection.execute(sql)
    reason = _compile_error(connection, table) if compiled_before else None
    if reason is not None:
        raise SourceError(
            f"table {table.name} cannot be captured: a trigger on it would not run: {reason}",
            remedy="leave the table out with `exclude` in [replicate], and report its CREATE statements",
        )


def _compile_error(connection: apsw.Connection, table: Table) -> str | None:
    """Why SQLite cannot compile writes to the table, or None; a collation only the application has is such a reason."""
    name, column = quote(table.name), quote(next(c.name for c in table.columns if not c.generated))
    statements = (f"INSERT INTO {name} DEFAULT VALUES", f"UPDATE {name} SET {column} = 1", f"DELETE FROM {name}")
    try:
        for statement in statements:
            # Not from the cache: running a kept EXPLAIN looks at no schema, so it would tell of the time before.
            connection.execute(f"EXPLAIN {statement}", can_cache=False).fetchall()
    except apsw.SQLError as error:
        return str(error)
    return None


def _is_captured(tid: int, table: Table, triggers: Mapping[str, Sequence[StoredTrigger]]) -> bool:
    """Whether the table's triggers are exactly those of its capture, newer than any of the application's."""
    own = triggers.get(table.name.lower(), ())
    capture = [t for t in own if CAPTURE_TRIGGER.fullmatch(t.name)]
    if {t.name: t.sql for t in capture} != dict(trigger_sql(tid, table)):
        return False
    # SQLite runs triggers of one event from the newest to the oldest. No document promises that; it was measured.
    newest_foreign = max((t.place for t in own if not t.name.startswith(OURS)), default=0)
    return newest_foreign < min(t.place for t in capture)


def _missing_columns(connection: apsw.Connection, tables: Sequence[Table], missing: Sequence[str]) -> list[_KeyColumn]:
    """Key columns that tables of ours lack for the widest of the keys."""
    wanted = [f"k{place}" for place in range(1, _widest_key(tables) + 1)]
    holders = [name for name in ("_cdc_changelog", TOMBSTONES) if name not in missing]
    present = {name: own_tables.columns_of(connection, name) for name in holders}
    return [
        _KeyColumn(name, column)
        for name, columns in present.items()
        if columns
        for column in wanted
        if column not in columns
    ]


def _widest_key(tables: Iterable[Table]) -> int:
    """How many columns of the changelog the widest of the tables' keys takes."""
    return max((logged_columns(t) for t in tables), default=1)


def _definition(table: Table) -> tuple[str, str, str]:
    return table.name, table.key.kind.value, json.dumps(list(table.key.columns))


def _recorded_ids(connection: apsw.Connection) -> dict[tuple[str, str, str], int]:
    """The id of each table's newest recorded definition: older ones belong to the past and never come back."""
    rows = connection.execute("SELECT tid, name, kind, columns FROM _cdc_table ORDER BY tid")
    newest = {str(name): (int(str(tid)), str(kind), str(columns)) for tid, name, kind, columns in rows}
    return {(name, kind, columns): tid for name, (tid, kind, columns) in newest.items()}


def _next_id(connection: apsw.Connection, missing: Sequence[str]) -> int:
    """An id never used before; the changelog's own entries tell only where the recorded tables were lost."""
    for name in ("_cdc_table", "_cdc_changelog"):
        if name not in missing:
            largest = connection.execute(f"SELECT max(tid) FROM {name}").get
            if largest is not None:
                return int(largest) + 1
    return 1
