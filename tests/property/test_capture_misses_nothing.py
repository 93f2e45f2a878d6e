"""Whatever SQL the application runs, the key of every row that changed is in the changelog.

`CDC_WORKLOADS=20000` runs more workloads, `CDC_FIRST_SEED=17` replays from a seed.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import apsw
import pytest
from moved_entries import with_moved_entries
from raising import LONGEST_PATTERN, RaisingSchemaMaker, strict
from workloads import Workload, make_workload

from cdc.config import decode_config
from cdc.facts.source_schema import Table
from cdc.sql_names import quote
from cdc.sqlite.capture.triggers import Capture, install
from cdc.sqlite.schema.read import read_schema

CONFIG = decode_config({"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}})
WORKLOADS = int(os.environ.get("CDC_WORKLOADS", "300"))
FIRST_SEED = int(os.environ.get("CDC_FIRST_SEED", "1"))
STATEMENTS = 40

Rows = dict[str, Counter[str]]


@dataclass
class Moment:
    """What the file holds at one moment: each table's rows by key, and the changelog by number."""

    rows: dict[int, Rows]
    entries: dict[int, tuple[int, str, str]]
    in_transaction: bool

    @property
    def newest(self) -> int:
        return max(self.entries)


def exact(columns: Iterable[str]) -> str:
    """SQL for the columns as one text that tells 1 from 1.0 and '1', and holds texts that are no UTF-8 too."""
    return " || ' ' || ".join(f"typeof({c}) || ':' || hex({c})" for c in columns)


def look(application: apsw.Connection, capture: Capture) -> Moment:
    rows = {tid: rows_of(application, table) for tid, table in capture.tables.items()}
    entries: dict[int, tuple[int, str, str]] = {0: (0, "B", "")}
    for tid, table in capture.tables.items():
        key = exact(f"k{place}" for place, _ in enumerate(identity(table), 1))
        found = application.execute(f"SELECT seq, tid, op, {key} FROM _cdc_changelog WHERE tid = ?", (tid,))
        entries |= {int(str(row[0])): (int(str(row[1])), str(row[2]), str(row[3])) for row in found}
    return Moment(rows, entries, application.in_transaction)


def identity(table: Table) -> list[str]:
    """SQL that tells a row from all others: its key, and where that has a NULL, its rowid too."""
    columns = [c if c == table.rowid_alias else quote(c) for c in table.key.columns]
    if table.null_rowid is None:
        return columns
    null = " OR ".join(f"{column} IS NULL" for column in columns)
    return [*columns, f"(CASE WHEN {null} THEN {table.null_rowid} END)"]


def rows_of(application: apsw.Connection, table: Table) -> Rows:
    key = exact(identity(table))
    row = exact(quote(c.name) for c in table.columns if c.generated != "virtual")  # which may fail to be computed
    rows: Rows = {}
    for found, content in application.execute(f"SELECT {key}, {row} FROM {quote(table.name)}"):
        rows.setdefault(str(found), Counter())[str(content)] += 1
    return rows


def missed(before: Moment, after: Moment) -> list[str]:
    """Keys whose rows differ between two moments and that no entry made in between names."""
    fresh = [entry for seq, entry in after.entries.items() if seq > before.newest]
    logged = {(tid, key) for tid, _, key in fresh}
    whole = {tid for tid, op, _ in fresh if op == "*"}
    found = []
    for tid, rows in after.rows.items():
        keys = before.rows[tid].keys() | rows.keys()
        changed = [key for key in keys if before.rows[tid].get(key) != rows.get(key)]
        found += [f"table {tid}: {key}" for key in changed if (tid, key) not in logged and tid not in whole]
    return found


def attempt(application: apsw.Connection, sql: str) -> None:
    try:
        application.execute(sql).fetchall()
    except (
        apsw.Error,
        UnicodeDecodeError,
        ValueError,
    ):  # RETURNING can show a text that is no UTF-8; its row is written
        return


def misses(workload: Workload, weaken: Callable[[apsw.Connection], None] | None = None) -> Iterator[str]:
    """Runs the workload and tells each statement or transaction after which a changed key was not in the changelog."""
    application = apsw.Connection(":memory:")
    application.limit(apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 20)
    application.limit(apsw.SQLITE_LIMIT_LENGTH, 1_000_000)
    application.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_PATTERN)
    application.create_scalar_function("strict", strict, 1, deterministic=True)
    for sql in workload.setup:
        attempt(application, sql)
    capture = install(application, read_schema(application, CONFIG).tables).capture
    if weaken is not None:
        weaken(application)
    committed = previous = look(application, capture)
    for sql in workload.statements:
        attempt(application, sql)
        now = look(application, capture)
        # What a rollback takes back was never seen by a reader, and its entries are gone with it.
        rolled_back = "ROLLBACK" in sql or (previous.in_transaction and not now.in_transaction)
        if not rolled_back:
            yield from (f"{sql}: {miss}" for miss in missed(previous, now))
        if not now.in_transaction:
            yield from (f"transaction ended by {sql}: {miss}" for miss in missed(committed, now))
            committed = now
        previous = now


def without_before_insert(application: apsw.Connection) -> None:
    triggers = application.execute("SELECT name FROM sqlite_schema WHERE name GLOB '_cdc_*_bi'").fetchall()
    for (name,) in triggers:
        application.execute(f"DROP TRIGGER {quote(str(name))}")


@pytest.mark.parametrize("portable", [False, True])
def test_every_changed_key_is_in_the_changelog(portable: bool) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + WORKLOADS):
        workload = make_workload(seed, STATEMENTS, portable=portable)
        found = list(misses(workload if portable else with_moved_entries(workload, seed)))
        assert not found, f"seed {seed}, portable={portable}: {found}"


def test_every_changed_key_is_in_the_changelog_where_expressions_fail() -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + WORKLOADS):
        found = list(misses(with_moved_entries(make_workload(seed, STATEMENTS, schemas=RaisingSchemaMaker), seed)))
        assert not found, f"seed {seed}: {found}"


def test_without_the_look_up_before_inserts_misses_are_noticed() -> None:
    """The oracle has teeth: taking one trigger away shows."""
    assert any(next(misses(make_workload(seed, STATEMENTS), without_before_insert), None) for seed in range(1, 40))
