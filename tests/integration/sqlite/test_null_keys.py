"""SQLite lets the declared key of an ordinary table be NULL, in any number of rows: each is known by its rowid."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from harness import application, load, make_config
from harness import live as follow
from replicated_pair import Pair, replicated

from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.values import NullKey
from cdc.sqlite.capture.triggers import install
from cdc.sqlite.changelog import source_file
from cdc.sqlite.schema.read import read_schema
from cdc.verify import verify
from cdc.verify.compare_table import Comparison

ONE = "CREATE TABLE t(id TEXT PRIMARY KEY, v TEXT, n INTEGER)"
TWO = "CREATE TABLE t(a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b))"


class Silent:
    """Nobody looks."""

    def start(self, what: str, total: int | None) -> None: ...

    def advance(self, n: int) -> None: ...

    def finish(self) -> None: ...


def test_the_key_of_such_a_row_is_its_rowid() -> None:
    key = (NullKey(17), NullKey(17))
    assert decode_key(encode_key(key)) == key
    assert encode_key((None,)) != encode_key((NullKey(0),))


@pytest.mark.parametrize("wal", [True, False])
async def test_each_row_without_a_key_is_held_by_itself(tmp_path: Path, database: str, wal: bool) -> None:
    async with replicated(tmp_path, database, ONE, wal=wal) as pair:
        await pair.write(
            "INSERT INTO t VALUES ('a', 'x', 1)", *(f"INSERT INTO t VALUES (NULL, 'x', {n})" for n in range(7))
        )
        assert await pair.held() == {f"t NULL (rowid {n})": "value" for n in range(2, 9)}
        assert await pair.rows("SELECT id FROM t") == [("a",)]
        assert await pair.differences() == []


async def test_a_row_without_a_key_is_updated_deleted_and_given_one_alone(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, ONE) as pair:
        await pair.write("INSERT INTO t VALUES (NULL, 'one', 1), (NULL, 'two', 2), (NULL, 'three', 3)")
        await pair.write("DELETE FROM t WHERE n = 1")
        assert set(await pair.held()) == {"t NULL (rowid 2)", "t NULL (rowid 3)"}
        await pair.write("UPDATE t SET id = 'b' WHERE n = 2")
        assert set(await pair.held()) == {"t NULL (rowid 3)"}
        assert await pair.rows("SELECT id, v FROM t") == [("b", "two")]
        await pair.write("UPDATE t SET id = NULL WHERE n = 2", "UPDATE t SET rowid = 9 WHERE n = 3")
        assert set(await pair.held()) == {"t NULL (rowid 2)", "t NULL (rowid 9)"}
        assert await pair.differences() == []
        await pair.write("INSERT OR REPLACE INTO t(rowid, id, v, n) VALUES (9, 'c', 'four', 4)")
        assert set(await pair.held()) == {"t NULL (rowid 2)"}
        assert await pair.differences() == []


async def test_a_part_of_the_key_is_enough(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TWO) as pair:
        await pair.write("INSERT INTO t VALUES ('a', NULL, 'x'), ('a', NULL, 'y'), (NULL, 1, 'z'), ('a', 1, 'w')")
        assert len(await pair.held()) == 3
        assert await pair.differences() == []
        await pair.write("DELETE FROM t WHERE v IN ('x', 'w')")
        assert len(await pair.held()) == 2
        assert await pair.differences() == []


async def test_a_comparison_counts_them_and_misses_them(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, ONE) as pair:
        await pair.write("INSERT INTO t VALUES ('a', 'x', 1), (NULL, 'y', 2), (NULL, 'z', 3)")
        found = (await verify(pair.config, None, False, Silent())).tables[0]
        assert (found.matched, found.quarantined, found.missing) == (1, 2, 0)
        await forget_one(pair)
        found = (await verify(pair.config, None, False, Silent())).tables[0]
        assert (found.matched, found.quarantined, found.missing) == (1, 1, 1)
        await verify(pair.config, None, True, Silent())
        await pair.write()
        assert await pair.differences() == []


@pytest.mark.parametrize("applied", [False, True], ids=["not yet", "applied"])
async def test_one_that_is_written_during_a_comparison_is_known_by_its_rowid(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    async with replicated(tmp_path, database, ONE) as pair:
        await pair.write("INSERT INTO t VALUES (NULL, 'x', 1)")
        run = Comparison.run

        async def meanwhile(comparison: Comparison, advance: Callable[[int], None]) -> None:
            pair.app.execute("INSERT INTO t VALUES (NULL, 'y', 2)")
            await run(comparison, advance)
            if applied:
                await pair.replica.sync()

        monkeypatch.setattr(Comparison, "run", meanwhile)
        found = (await verify(pair.config, None, False, Silent())).tables[0]
        assert (found.missing, found.pending, found.quarantined) == ((0, 0, 2) if applied else (0, 1, 1))


async def test_its_key_is_logged_again_with_the_rowid(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, ONE) as pair:
        await pair.write("INSERT INTO t VALUES (NULL, 'x', 1), (NULL, 'y', 2)")
        assert source_file.log_again(pair.config, {"t": [(NullKey(2),)]}) == 1
        assert pair.app.execute("SELECT k1, k2 FROM _cdc_changelog ORDER BY seq DESC").fetchone() == (None, 2)


async def test_an_entry_that_does_not_say_which_of_them_has_the_table_read_as_a_whole(
    tmp_path: Path, database: str
) -> None:
    async with replicated(tmp_path, database, ONE) as pair:
        await pair.write("INSERT INTO t VALUES (NULL, 'x', 1), (NULL, 'y', 2)")
        pair.app.execute("DELETE FROM t WHERE n = 1")
        await pair.write("UPDATE _cdc_changelog SET k2 = NULL WHERE seq = (SELECT max(seq) FROM _cdc_changelog)")
        assert set(await pair.held()) == {"t NULL (rowid 2)"}
        assert await pair.differences() == []


async def forget_one(pair: Pair) -> None:
    await pair.rows("DELETE FROM cdc.quarantine WHERE key = 'n2'")


async def test_capture_of_before_is_replaced_and_what_it_logged_is_read_as_a_whole(
    tmp_path: Path, database: str
) -> None:
    """Entries of an older form do not say which row without a key they are about."""
    config = make_config(tmp_path, tmp_path / "app.db", database)
    with closing(application(config.source.path)) as app:
        app.execute(ONE)
        await load(config)
        as_before(app)
        app.execute("INSERT INTO t VALUES (NULL, 'x', 1), (NULL, 'y', 2), ('a', 'z', 3)")
        async with follow(config) as replica:
            pair = Pair(config, app, replica)
            await pair.write()
            assert len(await pair.held()) == 2
            assert await pair.differences() == []
            await pair.write("DELETE FROM t WHERE n = 1")
            assert len(await pair.held()) == 1
            assert await pair.differences() == []


def as_before(app: apsw.Connection) -> None:
    """Leave the file as the version before left it: with triggers that log the declared key alone."""
    for name in ("ai", "bi", "bu", "bd"):
        app.execute(f"DROP TRIGGER _cdc_1_{name}")
    app.execute("ALTER TABLE _cdc_changelog DROP COLUMN k2")
    for name, event, row in (("bi", "INSERT", "NEW"), ("bu", "UPDATE", "OLD"), ("bd", "DELETE", "OLD")):
        body = f"INSERT INTO _cdc_changelog(tid, op, at, k1) VALUES (1, 'I', julianday('now'), {row}.id)"
        app.execute(f"CREATE TRIGGER _cdc_1_{name} BEFORE {event} ON t BEGIN {body}; END")


async def test_vacuum_which_may_number_them_anew_has_them_read_again(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, ONE) as pair:
        await pair.write(
            "INSERT INTO t VALUES (NULL, 'x', 1), (NULL, 'y', 2), (NULL, 'z', 3)", "DELETE FROM t WHERE n = 1"
        )
        pair.app.execute("VACUUM")
        await pair.write("DELETE FROM t WHERE n = 2")
        assert len(await pair.held()) == 1
        assert await pair.differences() == []


def test_only_a_key_that_can_be_null_costs_a_column_more() -> None:
    app = apsw.Connection(":memory:")
    app.execute("CREATE TABLE a(id TEXT NOT NULL PRIMARY KEY); CREATE TABLE b(id TEXT PRIMARY KEY) WITHOUT ROWID")
    config = make_config(Path("/nowhere"), Path("app.db"), "postgresql://localhost/app")
    install(app, read_schema(app, config).tables)
    assert "k2" not in [row[0] for row in app.execute("SELECT name FROM pragma_table_info('_cdc_changelog')")]
