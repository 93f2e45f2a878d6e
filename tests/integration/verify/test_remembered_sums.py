"""`--trust-changelog`: SQLite is read only of tables of which something was logged, Postgres always."""

from pathlib import Path

import apsw
import pytest
from harness import application, execute, live, make_config, up

from cdc.cli.verify import print_report
from cdc.config import Config, TableOptions
from cdc.facts.progress import Silent
from cdc.facts.row_key import decode_key
from cdc.verify import TableReport, VerifyReport, verify

NOT_READ = {"item", "short"}


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    """Two tables with a whole number as key, and two without; all were compared once."""
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, n REAL); CREATE TABLE short(id INTEGER PRIMARY KEY)")
    app.execute("CREATE TABLE loose(v TEXT); CREATE TABLE worded(k TEXT PRIMARY KEY)").fetchall()
    app.executemany("INSERT INTO item VALUES (?, ?, ?)", [(n, f"a {n}", n / 3) for n in range(1, 501)])
    app.execute(
        "INSERT INTO short VALUES (1); INSERT INTO loose VALUES ('a'); INSERT INTO worded VALUES ('a')"
    ).fetchall()
    app.close()
    made = make_config(tmp_path, tmp_path / "app.db", database)
    await up(made)
    assert (await compared(made, trust=False)).result == "equal"
    return made


async def compared(config: Config, *, trust: bool = True) -> VerifyReport:
    return await verify(config, None, False, Silent(), trust_changelog=trust)


def not_read(report: VerifyReport) -> set[str]:
    return {table.table for table in report.tables if table.summed_at}


def of(report: VerifyReport, name: str) -> TableReport:
    return next(table for table in report.tables if table.table == name)


def write(config: Config, sql: str) -> None:
    app = application(config.source.path)
    app.execute(sql).fetchall()
    app.close()


@pytest.mark.every_postgres
async def test_sqlite_is_not_read_of_tables_that_nobody_wrote_to(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        report = await compared(config)
        assert (report.result, not_read(report)) == ("equal", NOT_READ)
        assert [table.matched for table in report.tables] == [500, 1, 1, 1]
    print_report(report)
    assert "of 2 tables SQLite was read on" in capsys.readouterr().out
    assert not_read(await compared(config, trust=False)) == set()


@pytest.mark.parametrize(
    ("damage", "kind", "key"),
    [
        ("UPDATE item SET n = n + 1e-9 WHERE id = 77", "different", 77),
        ("DELETE FROM item WHERE id = 500", "missing", 500),
        ("INSERT INTO item(id) VALUES (9000)", "extra", 9000),
        ("INSERT INTO item(id) VALUES (-1)", "extra", -1),
    ],
)
async def test_what_is_changed_in_postgres_is_found_all_the_same(
    config: Config, damage: str, kind: str, key: int
) -> None:
    await execute(config.target.dsn, damage)
    for trust in (True, True, False):
        report = await compared(config, trust=trust)
        assert {k: [decode_key(key)[0] for key in keys] for k, keys in of(report, "item").samples.items()} == {
            kind: [key]
        }
        assert not_read(report) == ({"short"} if trust else set())


async def test_a_table_that_was_written_to_is_read_again(config: Config) -> None:
    write(config, "UPDATE item SET a = 'new' WHERE id = 1")
    pending = await compared(config)
    assert (of(pending, "item").pending, not_read(pending)) == (1, {"short"})
    async with live(config) as daemon:
        await daemon.sync()
    report = await compared(config)
    assert (report.result, not_read(report)) == ("equal", {"short"})
    assert not_read(await compared(config)) == NOT_READ


async def test_what_was_written_past_the_triggers_is_seen_by_a_whole_comparison(config: Config) -> None:
    app = apsw.Connection(str(config.source.path))
    app.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    app.execute("UPDATE item SET a = 'unseen' WHERE id = 3").fetchall()
    app.close()
    assert (await compared(config)).result == "equal"  # as it says
    assert (await compared(config, trust=False)).result == "different"
    assert not_read(await compared(config)) == {"short"}  # what differed is not remembered


async def test_a_table_that_has_another_name_in_postgres_is_known_by_its_own(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO item VALUES (1, 'a')").fetchall()
    app.close()
    options = {"item": TableOptions(target="things")}
    config = make_config(tmp_path, tmp_path / "app.db", database, tables=options)
    await up(config)
    assert (await compared(config)).result == "equal"
    assert not_read(await compared(config)) == {"item"}
    write(config, "UPDATE item SET a = 'b'")
    async with live(config) as daemon:
        await daemon.sync()
    report = await compared(config)
    assert (report.result, not_read(report)) == ("equal", set())


@pytest.mark.parametrize(
    "change", ["ALTER TABLE item ADD COLUMN b TEXT DEFAULT 'x'", "VACUUM", "CREATE INDEX item_a ON item(a)"]
)
async def test_after_a_change_of_the_schema_all_is_read_again(config: Config, change: str) -> None:
    write(config, change)
    async with live(config) as daemon:
        await daemon.sync()
    report = await compared(config)
    assert (report.result, not_read(report)) == ("equal", set())
    assert not_read(await compared(config)) == NOT_READ


@pytest.mark.parametrize(
    "lost",
    [
        "DELETE FROM cdc.audit",
        "UPDATE cdc.source_sums SET audit_n = audit_n - 200001",
        "UPDATE cdc.source_sums SET signature = sha256(signature)",
        "DROP TABLE cdc.source_sums",
    ],
)
async def test_where_it_is_not_known_what_was_logged_all_is_read_again(config: Config, lost: str) -> None:
    await execute(config.target.dsn, lost)
    write(config, "INSERT INTO loose VALUES ('b')")
    async with live(config) as daemon:
        await daemon.sync()
    report = await compared(config)
    assert (report.result, not_read(report)) == ("equal", set())


async def test_a_step_that_may_move_rows_ends_what_is_remembered(config: Config) -> None:
    async with live(config) as daemon:
        await daemon.sync()
    assert not_read(await compared(config)) == NOT_READ  # `run` moves none
    newest = "n = (SELECT max(n) FROM cdc.audit)"
    changed = "jsonb_set(entry::jsonb, '{action}', '\"load\"')::json"
    await execute(config.target.dsn, f"UPDATE cdc.audit SET entry = {changed} WHERE {newest}")
    await execute(config.target.dsn, "UPDATE cdc.source_sums SET audit_n = (SELECT max(n) - 1 FROM cdc.audit)")
    assert not_read(await compared(config)) == set()


async def test_a_table_with_rows_in_quarantine_is_read(config: Config) -> None:
    write(config, "INSERT INTO item VALUES (600, x'00', 1.0)")
    async with live(config) as daemon:
        await daemon.sync()
    for _ in range(2):
        report = await compared(config)
        assert (of(report, "item").quarantined, not_read(report)) == (1, {"short"})
    write(config, "DELETE FROM item WHERE id = 600")
    async with live(config) as daemon:
        await daemon.sync()
    for known in ({"short"}, NOT_READ):
        report = await compared(config)
        assert (report.result, not_read(report)) == ("equal", known)


async def test_a_change_that_was_applied_and_taken_back_by_hand_in_postgres_is_found(config: Config) -> None:
    """Postgres comes to the old sums then, which hold no more."""
    write(config, "UPDATE item SET a = 'new' WHERE id = 1")
    async with live(config) as daemon:
        await daemon.sync()
    await execute(config.target.dsn, "UPDATE item SET a = 'a 1' WHERE id = 1")
    report = await compared(config)
    assert (report.result, of(report, "item").different, not_read(report)) == ("different", 1, {"short"})
