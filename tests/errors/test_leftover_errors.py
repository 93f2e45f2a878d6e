"""What the application dropped cannot be dropped in Postgres yet, or not by everybody at once."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode
from cdc.postgres.ddl import drop_leftover

APPLY = ("schema", "--apply-pending")


@pytest.fixture
def left(site: Installation) -> Installation:
    """A site where a column is left over in Postgres."""
    site.followed()
    site.sql("ALTER TABLE t DROP COLUMN v")
    site.followed()
    assert site.status()["pending"][0]["column"] == "v"
    return site


def test_a_view_of_the_operator_needs_the_column(left: Installation) -> None:
    left.target_sql("CREATE VIEW shown AS SELECT v FROM t; CREATE VIEW too AS SELECT v FROM t WHERE v > 'a'")
    told = refused(
        left,
        APPLY,
        "{leftover} cannot be dropped in Postgres, other objects depend on it: {error}",
        ExitCode.CRITICAL,
        changes=("state/dropped", ".cdc/dropped"),
    )
    assert "t.v cannot be dropped" in told
    assert "view shown depends on column v of table t; view too" in told
    left.target_sql("DROP VIEW shown, too")
    assert left.run("-q", *APPLY)[0] == ExitCode.OK
    assert left.status()["pending"] == []


def test_somebody_holds_the_table(left: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_leftover, "LOCK_SECONDS", 0.2)
    with held(left.dsn, "SELECT FROM t"):
        refused(
            left,
            APPLY,
            "table {table} in Postgres is used by somebody for longer than {lock_seconds} seconds",
            ExitCode.UNAVAILABLE,
        )
    assert left.run("-q", *APPLY)[0] == ExitCode.OK


@contextmanager
def held(dsn: str, query: str) -> Iterator[None]:
    """A transaction of somebody else that has read a table stays open for the time of a block."""
    began, done = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(dsn)
        async with connection.transaction():
            await connection.execute(query)
            began.set()
            await asyncio.to_thread(done.wait, 60)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    assert began.wait(60)
    try:
        yield
    finally:
        done.set()
        thread.join(60)
