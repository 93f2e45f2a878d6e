"""A mapping that is given later is applied: at the next start, and when a daemon reads its configuration again."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness import Daemon, Live, execute, value, wait_for
from replicated_pair import Pair, replicated

from cdc.config import ColumnOptions, TableOptions
from cdc.config.sections import Formats
from cdc.first_copy import create_schema
from cdc.first_copy.preflight import build_plan

TABLE = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME, doc TEXT, n INTEGER)",
    "INSERT INTO t VALUES (1, '2024-02-29 12:00:00', '{\"a\": 1}', 1), (2, '2024-03-01 12:00:00', '[]', 2)",
)


async def configure(
    pair: Pair, columns: Mapping[str, Any] | None = None, adopt: bool | None = None, **sections: Any
) -> None:
    """Go on with another configuration, as a daemon that is started anew."""
    await pair.replica.close()
    chosen = {name: ColumnOptions(**options) for name, options in (columns or {}).items()}
    tables = {"t": TableOptions(columns=chosen, adopt=adopt)}
    pair.config = msgspec.structs.replace(pair.config, tables=tables, **sections)
    pair.replica = Live(pair.config)
    await pair.replica.sync()


async def type_of(pair: Pair, column: str) -> str:
    """The type of a column in Postgres."""
    sql = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = '{}'"
    ((found,),) = await pair.rows(sql.format(column))
    return str(found)


@pytest.mark.parametrize(
    ("column", "options", "type_", "values"),
    [
        ("doc", {"type": "jsonb"}, "jsonb", ['{"a": 1}', "[]"]),
        ("at", {"type": "text"}, "text", ["2024-02-29 12:00:00", "2024-03-01 12:00:00"]),
        ("at", {"type": "literal"}, "text", ["'2024-02-29 12:00:00'", "'2024-03-01 12:00:00'"]),
        ("at", {"format": "iso utc"}, "timestamp with time zone", None),
        ("n", {"type": "numeric(9,2)"}, "numeric(9,2)", None),
        ("n", {"expression": "n * 2"}, "bigint", [2, 4]),
        ("doc", {"type": "varchar(2)", "on_invalid": "cut"}, "character varying(2)", ['{"', "[]"]),
    ],
)
async def test_what_is_chosen_later_is_applied_to_every_row(
    tmp_path: Path, database: str, column: str, options: dict[str, Any], type_: str, values: list[Any] | None
) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await configure(pair, {column: options})
        assert await type_of(pair, column) == type_
        if values is not None:
            assert [row[0] for row in await pair.rows(f"SELECT {column} FROM t ORDER BY id")] == values
        await configure(pair, {column: {}})
        assert await pair.differences() == []
        assert await pair.held() == {}
        await pair.replica.close()


async def test_what_is_chosen_and_stays_is_no_change(tmp_path: Path, database: str) -> None:
    options = {"t": TableOptions(columns={"doc": ColumnOptions(type="jsonb"), "n": ColumnOptions(on_invalid="null")})}
    async with replicated(tmp_path, database, *TABLE, tables=options) as pair:
        before = await value(database, FOLLOWED)
        await pair.replica.close()
        await pair.replica.sync()
        await pair.write("INSERT INTO t(id) VALUES (7)")
        assert await value(database, FOLLOWED) == before


async def test_rows_that_waited_are_tried_again(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await pair.write("INSERT INTO t(id, n) VALUES (3, 'three'), (4, 4.5)")
        assert await pair.held() == {"t 3": "value", "t 4": "value"}
        await configure(pair, {"n": {"on_invalid": "round"}})
        assert await pair.held() == {"t 3": "value"}
        await configure(pair, {"n": {"type": "text", "on_invalid": "text"}})
        assert await pair.held() == {}
        assert await pair.rows("SELECT n FROM t ORDER BY id") == [("1",), ("2",), ("three",), ("4.5",)]
        await pair.replica.close()


async def test_formats_of_a_type_are_applied_to_rows_that_wait(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await pair.write("INSERT INTO t(id, at) VALUES (3, '2024-02-29T12:00:00Z')")
        assert await pair.held() == {"t 3": "value"}
        await configure(pair, formats=Formats(timestamp="iso utc"))
        assert await pair.held() == {}
        assert await type_of(pair, "at") == "timestamp without time zone"
        await pair.replica.close()


async def test_what_stands_on_a_column_gives_way_and_comes_back(tmp_path: Path, database: str) -> None:
    extra = ("CREATE INDEX by_doc ON t(doc)", "CREATE VIEW docs AS SELECT doc FROM t")
    async with replicated(tmp_path, database, *TABLE, *extra) as pair:
        assert await pair.rows("SELECT count(*) FROM docs") == [(2,)]
        await configure(pair, {"doc": {"type": "jsonb"}})
        indexes = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisprimary"
        assert any("gin" in row[0] for row in await pair.rows(indexes))
        await configure(pair, {"doc": {"type": "text"}})
        assert [row for row in await pair.rows(indexes) if "gin" in row[0]] == []
        assert [row for row in await pair.rows(indexes) if "btree (doc" in row[0]]
        await pair.replica.close()


async def test_a_daemon_that_runs_applies_what_it_reads_again(tmp_path: Path, database: str) -> None:
    """The remedy in quarantine names a type: written down and read again, the row arrives by itself."""
    async with replicated(tmp_path, database, *TABLE) as pair:
        await pair.write("INSERT INTO t(id, n) VALUES (3, 'three')")
        remedy = await value(database, "SELECT remedy FROM cdc.quarantine")
        assert "give n a type" in remedy
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            pair.app.execute("INSERT INTO t(id) VALUES (4)")
            await wait_for(lambda: _count(database, 3), "the daemon follows", daemon=daemon)
            daemon.file.write_text(daemon.file.read_text() + '\n[tables.t.columns.n]\ntype = "literal"\n')
            daemon.process.send_signal(signal.SIGHUP)
            await wait_for(lambda: _count(database, 4), "the row arrives", daemon=daemon)
            assert daemon.terminate() == 0
        assert await pair.rows("SELECT n FROM t ORDER BY id") == [("1",), ("2",), ("'three'",), (None,)]
        assert await pair.held() == {}


async def _count(dsn: str, rows: int) -> bool:
    return bool(await value(dsn, "SELECT count(*) = $1 FROM t", rows))


FOLLOWED = "SELECT count(*) FROM cdc.audit WHERE entry::text LIKE '%follow a change%'"


async def test_a_table_of_others_is_read_by_the_new_rules_and_stays_as_it_is(tmp_path: Path, database: str) -> None:
    made = "CREATE TABLE t(id bigint PRIMARY KEY, at timestamptz, n integer)"
    rows = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME, n INTEGER)",
        "INSERT INTO t VALUES (1, '2024-02-29 12:00:00', 1), (2, '2024-02-29T12:00:00Z', 2.5)",
    )
    options = {"t": TableOptions(adopt=True)}
    async with replicated(tmp_path, database, *rows, prepared=made, tables=options) as pair:
        assert await pair.held() == {"t 1": "value", "t 2": "value"}
        await configure(pair, adopt=True, formats=Formats(timestamptz="iso utc"))
        assert await pair.held() == {"t 2": "value"}
        await configure(
            pair, {"n": {"on_invalid": "round", "type": "numeric"}}, adopt=True, formats=pair.config.formats
        )
        assert await pair.rows("SELECT n FROM t ORDER BY id") == [(1,), (3,)]
        assert await type_of(pair, "n") == "integer"
        followed = await value(database, FOLLOWED)
        await pair.replica.close()
        await pair.replica.sync()
        assert await value(database, FOLLOWED) == followed
        await pair.replica.close()


async def test_a_table_that_somebody_dropped_waits_and_is_made_as_chosen(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await execute(database, "DROP TABLE t")
        await configure(pair, {"doc": {"type": "jsonb"}})
        await pair.replica.close()
        await create_schema.create_schema(pair.config)
        await pair.replica.sync()
        assert await type_of(pair, "doc") == "jsonb"
        assert await pair.differences() == []
        await pair.replica.close()


async def test_a_refused_change_leaves_a_daemon_with_what_it_had(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await pair.replica.close()
        with Daemon(pair.config) as daemon:
            pair.app.execute("INSERT INTO t(id) VALUES (3)")
            await wait_for(lambda: _count(database, 3), "the daemon follows", daemon=daemon)
            daemon.file.write_text(daemon.file.read_text() + '\n[tables.t.columns.id]\ntype = "text"\n')
            daemon.process.send_signal(signal.SIGHUP)
            await wait_for(
                lambda: _said(daemon, "cannot be changed once rows were copied"), "it says so", daemon=daemon
            )
            pair.app.execute("INSERT INTO t(id) VALUES (4)")
            await wait_for(lambda: _count(database, 4), "the daemon follows", daemon=daemon)
            assert daemon.terminate() == 0


async def _said(daemon: Daemon, words: str) -> bool:
    return words in daemon.words()


# --- what `cdc plan` says of it ---------------------------------------------------------------------------------------


async def test_the_plan_looks_at_the_file_of_now(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await pair.write("INSERT INTO t(id, n) VALUES (3, 'three')", "CREATE TABLE later(id INTEGER PRIMARY KEY)")
        plan = await build_plan(pair.config)
        assert {table.source: table.rows for table in plan.tables} == {"later": 0, "t": 3}
        assert [(risk.table, risk.column, risk.rows) for risk in plan.risks if risk.level == "quarantine"] == [
            ("t", "n", 1)
        ]


async def test_the_plan_tells_what_the_next_start_changes(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, *TABLE) as pair:
        await pair.write("INSERT INTO t(id, n) VALUES (3, 'three')")
        columns = {"n": ColumnOptions(type="literal"), "doc": ColumnOptions(on_invalid="replace")}
        changed = msgspec.structs.replace(pair.config, tables={"t": TableOptions(columns=columns)})
        plan = await build_plan(changed)
        assert [str(revision) for revision in plan.pending] == [
            "t.doc is read otherwise: on_invalid changed",
            "t.n becomes literal, it is bigint: type changed",
        ]
        assert [risk for risk in plan.risks if risk.level == "quarantine"] == []
        await configure(pair, {"n": {"type": "literal"}, "doc": {"on_invalid": "replace"}})
        assert (await build_plan(pair.config)).pending == ()
        assert await pair.differences() == []
        await pair.replica.close()
