"""While the fence is up no random statement changes a row, in any random schema, whatever triggers the application has.

`CDC_WORKLOADS=20000` runs more, `CDC_FIRST_SEED=17` replays from a seed.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress

import apsw
import pytest
from workloads import Workload, make_workload

from cdc.config import decode_config
from cdc.sqlite.capture.triggers import install
from cdc.sqlite.fence import fence_triggers
from cdc.sqlite.schema.read import read_schema

CONFIG = decode_config({"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}})
WORKLOADS = int(os.environ.get("CDC_WORKLOADS", "60"))
FIRST_SEED = int(os.environ.get("CDC_FIRST_SEED", "1"))
STATEMENTS = 30

Connection = apsw.Connection | sqlite3.Connection


def newest() -> apsw.Connection:
    return apsw.Connection(":memory:")


def older() -> sqlite3.Connection:
    """The SQLite that Python came with."""
    return sqlite3.connect(":memory:", isolation_level=None)


def run(connection: Connection, statements: list[str]) -> None:
    for sql in statements:
        with suppress(apsw.Error, sqlite3.Error):
            connection.execute(sql).fetchall()


def fenced(setup: list[str], *, first: bool) -> bytes:
    """The application's database with capture, and with the fence up.

    Whose triggers were made first decides whose run first: capture may have been made anew since.
    """
    connection = newest()
    run(connection, setup)
    tables = read_schema(connection, CONFIG).tables
    if first:
        fence_triggers.carry_out(connection, fence_triggers.plan(connection, CONFIG))
    install(connection, tables)
    if not first:
        fence_triggers.carry_out(connection, fence_triggers.plan(connection, CONFIG))
    assert not fence_triggers.plan(connection, CONFIG).lacking
    connection.execute("UPDATE _cdc_state SET fenced = 'never'")
    return connection.serialize("main")


def opened(open_: Callable[[], Connection], content: bytes, workload: Workload) -> Connection:
    connection = open_()
    connection.deserialize("main", content) if isinstance(connection, apsw.Connection) else connection.deserialize(
        content
    )
    run(connection, [sql for sql in workload.setup if sql.startswith("PRAGMA")])
    return connection


def rows(connection: Connection, workload: Workload) -> list[list[tuple[object, ...]]]:
    """All rows exactly, and how much was logged."""
    queries = ["SELECT count(*), max(seq) FROM _cdc_changelog"]
    for table in workload.tables:
        exact = [f"quote({c})" for c in (*([table.rowid] if table.rowid else ()), *(c.name for c in table.writable))]
        queries.append(f"SELECT {', '.join(exact)} FROM {table.name}")
    return [connection.execute(query).fetchall() for query in queries]


@pytest.mark.parametrize("open_", [newest, older])
def test_no_statement_changes_a_row(open_: Callable[[], Connection]) -> None:
    would_change = 0
    for seed in range(FIRST_SEED, FIRST_SEED + WORKLOADS):
        workload = make_workload(seed, STATEMENTS)
        content = fenced(workload.setup, first=seed % 2 == 0)
        connection = opened(open_, content, workload)
        before = rows(connection, workload)
        run(connection, workload.statements)
        assert rows(connection, workload) == before, f"seed {seed}"
        run(connection, ["ROLLBACK", "UPDATE _cdc_state SET fenced = 0", *workload.statements])
        would_change += rows(connection, workload) != before
    assert would_change > WORKLOADS / 2
