"""Each trap of SQLite by name: the keys of all rows that changed are logged, and the application notices nothing."""

import sqlite3
from contextlib import closing

import apsw
import pytest

from cdc.config import decode_config
from cdc.sqlite.capture.triggers import Capture, install
from cdc.sqlite.schema.read import read_schema

CONFIG = decode_config({"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}})


class Application:
    """An application with capture in its file; `logged` tells the entries that a statement left."""

    def __init__(self, *setup: str) -> None:
        self.connection = apsw.Connection(":memory:")
        self.run(*setup)
        self.capture: Capture = install(self.connection, read_schema(self.connection, CONFIG).tables).capture

    def run(self, *statements: str) -> None:
        for sql in statements:
            self.connection.execute(sql).fetchall()

    def fail(self, sql: str) -> None:
        with pytest.raises(apsw.Error):
            self.connection.execute(sql).fetchall()

    def newest(self) -> int:
        return int(str(self.connection.execute("SELECT max(seq) FROM _cdc_changelog").fetchall()[0][0]))

    def logged(self, *statements: str, failing: bool = False) -> set[object]:
        """Keys (a tuple where composite) logged by the statements, `*` for a whole table, with type kept."""
        before = self.newest()
        if failing:
            self.fail(*statements)
        else:
            self.run(*statements)
        rows = self.connection.execute("SELECT tid, op, * FROM _cdc_changelog WHERE seq > ?", (before,)).fetchall()
        return {exact("*" if op == "*" else self._key(int(str(tid)), rest)) for tid, op, *rest in rows}

    def _key(self, tid: int, row: list[object]) -> object:
        width = len(self.capture.tables[tid].key.columns)
        key = tuple(row[4 : 4 + width])
        return key[0] if width == 1 else key


def exact(key: object) -> object:
    """A key that differs from all that SQLite keeps apart: 1 is not 1.0 here."""
    return (type(key).__name__, key)


def keys(*found: object) -> set[object]:
    return {exact(key) for key in found}


BASE = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, w)"
ROWS = "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)"


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
@pytest.mark.parametrize(
    ("columns", "indexes", "replace", "removed"),
    [
        ("v, w", ["t(v)"], "REPLACE INTO t VALUES (9, 'a', 9)", [1]),
        ("v, w", ["t(v, w)"], "REPLACE INTO t VALUES (9, 'b', 2)", [2]),
        ("v, w", ["t(v) WHERE w > 1"], "REPLACE INTO t VALUES (9, 'b', 9)", [2]),
        ("v, w", ["t(upper(v))"], "REPLACE INTO t VALUES (9, 'A', 9)", [1]),
        ("v, w", ["t(v COLLATE NOCASE)"], "REPLACE INTO t VALUES (9, 'C', 9)", [3]),
        ("v, w", ["t(v)", "t(w)"], "REPLACE INTO t VALUES (1, 'b', 3)", [2, 3]),
        ("v, w, g AS (v || w) UNIQUE", [], "REPLACE INTO t VALUES (9, 'a', 1)", [1]),
        ("v UNIQUE ON CONFLICT REPLACE, w", [], "INSERT INTO t VALUES (9, 'a', 9)", [1]),
        ("v, w", ["t(v)"], "UPDATE OR REPLACE t SET v = 'c' WHERE id = 1", [3]),
        ("v, w", ["t(v || w)"], "UPDATE OR REPLACE t SET v = 'c', w = 3 WHERE id = 1", [3]),
        ("v, w, g AS (v || 'x') UNIQUE", [], "UPDATE OR REPLACE t SET v = 'c' WHERE id = 1", [3]),
        ("v, w", [], "UPDATE OR REPLACE t SET id = 3 WHERE id = 1", [1, 3]),
    ],
)
def test_rows_removed_by_replace_are_logged(
    recursive: str, columns: str, indexes: list[str], replace: str, removed: list[int]
) -> None:
    application = Application(
        f"PRAGMA recursive_triggers = {recursive}",
        f"CREATE TABLE t(id INTEGER PRIMARY KEY, {columns})",
        *(f"CREATE UNIQUE INDEX i{number} ON {index}" for number, index in enumerate(indexes)),
        ROWS,
    )
    assert application.logged(replace) >= keys(*removed)


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
@pytest.mark.parametrize(
    ("table", "row", "replace", "removed"),
    [
        ("t(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v)", "'Ab', 1", "REPLACE INTO t VALUES ('aB', 2)", "Ab"),
        ("t(k TEXT NOT NULL COLLATE RTRIM PRIMARY KEY, v)", "'a', 1", "REPLACE INTO t VALUES ('a ', 2)", "a"),
        ("t(k PRIMARY KEY, v) WITHOUT ROWID", "1, 1", "REPLACE INTO t VALUES (1.0, 2)", 1),
        ("t(k TEXT PRIMARY KEY, v UNIQUE) WITHOUT ROWID", "'a', 1", "REPLACE INTO t VALUES ('b', 1)", "a"),
        ("t(k TEXT PRIMARY KEY, v)", "'a', 1", "REPLACE INTO t(rowid, k, v) VALUES (1, 'c', 3)", "a"),
        ("t(k TEXT PRIMARY KEY, v INT UNIQUE) STRICT", "'a', 1", "REPLACE INTO t VALUES ('b', 1)", "a"),
        ("t(v UNIQUE, w)", "'a', 1", "REPLACE INTO t(rowid, v) VALUES (7, 'a')", 1),
        ("t(k TEXT PRIMARY KEY, v UNIQUE)", "NULL, 1", "REPLACE INTO t VALUES ('b', 1)", 1),
        ("t(k TEXT, l INT, v UNIQUE, PRIMARY KEY(k, l))", "'a', 1, 5", "REPLACE INTO t VALUES ('b', 1, 5)", ("a", 1)),
    ],
)
def test_rows_removed_by_replace_are_logged_under_every_kind_of_key(
    recursive: str, table: str, row: str, replace: str, removed: object
) -> None:
    settings = f"PRAGMA recursive_triggers = {recursive}"
    application = Application(settings, f"CREATE TABLE {table}", f"INSERT INTO t VALUES ({row})")
    assert exact(removed) in application.logged(replace)


def test_a_null_that_becomes_the_default_is_looked_up_as_the_default() -> None:
    application = Application(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT NOT NULL DEFAULT x UNIQUE)", "INSERT INTO t(id) VALUES (1)"
    )
    assert application.logged("INSERT OR REPLACE INTO t VALUES (2, NULL)") == keys(1, 2)


@pytest.mark.parametrize(
    ("schema", "first", "replace"),
    [
        # The default is stored as 1.0, but the expression would see the text '1'.
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, b REAL NOT NULL DEFAULT '1'); CREATE UNIQUE INDEX i ON t(length(b))",
         "INSERT INTO t VALUES (1, 1.5)", "INSERT OR REPLACE INTO t VALUES (2, NULL)"),
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, b REAL NOT NULL DEFAULT '1', g AS (length(b)) UNIQUE)",
         "INSERT INTO t VALUES (1, 1.5), (2, 22.5)", "UPDATE OR REPLACE t SET b = NULL WHERE id = 2"),
        # Nobody knows what the default's function will give.
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, b NOT NULL DEFAULT (abs(random() % 1)) UNIQUE)",
         "INSERT INTO t VALUES (1, 0)", "INSERT OR REPLACE INTO t VALUES (2, NULL)"),
        # The rowid is chosen after BEFORE triggers have run.
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, b); CREATE UNIQUE INDEX i ON t(id % 2)",
         "INSERT INTO t VALUES (1, 0), (2, 0)", "INSERT OR REPLACE INTO t(b) VALUES (1)"),
    ],
)  # fmt: skip
def test_where_the_stored_value_cannot_be_foreseen_the_whole_table_is_marked(
    schema: str, first: str, replace: str
) -> None:
    application = Application(schema, first)
    assert exact("*") in application.logged(replace)


@pytest.mark.parametrize(
    ("table", "row", "update", "found"),
    [
        ("t(id INTEGER PRIMARY KEY, v)", "(1, 1)", "UPDATE t SET id = 5", [1, 5]),
        ("t(id INTEGER PRIMARY KEY, v)", "(1, 1)", "UPDATE t SET rowid = 5", [1, 5]),
        ("t(v, w)", "(1, 1)", "UPDATE t SET _rowid_ = 5", [1, 5]),
        ("t(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v)", "('Ab', 1)", "UPDATE t SET k = 'aB'", ["Ab", "aB"]),
        ("t(k PRIMARY KEY, v) WITHOUT ROWID", "(1, 1)", "UPDATE t SET k = 1.0", [1, 1.0]),
        ("t(k INT NOT NULL DEFAULT 7 PRIMARY KEY, v)", "(1, 1)", "UPDATE OR REPLACE t SET k = NULL", [1, None, "*"]),
        ("t(k TEXT PRIMARY KEY, v)", "('a', 1)", "UPDATE t SET k = NULL", ["a", None]),
        ("t(a, b, PRIMARY KEY(b, a))", "(1, 2)", "UPDATE t SET a = 3", [(2, 1), (2, 3)]),
        ("t(id INTEGER PRIMARY KEY, v)", "(1, 1)", "UPDATE t SET v = v", [1]),
    ],
)  # fmt: skip
def test_an_update_logs_the_old_key_and_the_new_one(table: str, row: str, update: str, found: list[object]) -> None:
    assert Application(f"CREATE TABLE {table}", f"INSERT INTO t VALUES {row}").logged(update) == keys(*found)


def test_upserts_log_the_row_they_change() -> None:
    application = Application("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE, n)", "INSERT INTO t VALUES (1, 'a', 0)")
    upsert = "INSERT INTO t(v, n) VALUES ('a', 1) ON CONFLICT(v) DO"
    assert application.logged(f"{upsert} UPDATE SET n = excluded.n") == keys(1)
    assert application.logged(f"{upsert} UPDATE SET id = 8") == keys(1, 8)
    # Nothing changes here; an entry too many does no harm.
    assert application.logged(f"{upsert} NOTHING") <= keys(8)


def test_every_row_of_a_delete_without_where_is_logged() -> None:
    assert Application(BASE, ROWS).logged("DELETE FROM t") == keys(1, 2, 3)


@pytest.mark.parametrize("clause", ["", "OR IGNORE", "OR REPLACE", "OR FAIL", "OR ABORT", "OR ROLLBACK"])
def test_the_statements_conflict_clause_drops_no_entry(clause: str) -> None:
    application = Application(BASE, ROWS)
    insert = f"INSERT {clause} INTO t VALUES (10, 'x', 1), (11, 'y', 2)"
    assert application.logged(insert, f"UPDATE {clause} t SET id = id + 100 WHERE id > 9") == keys(10, 11, 110, 111)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("change", ["DELETE FROM p", "UPDATE p SET id = 5", "REPLACE INTO p VALUES (1, 'again')"])
def test_rows_changed_by_foreign_key_actions_are_logged(action: str, change: str) -> None:
    application = Application(
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, v)",
        f"CREATE TABLE c(k TEXT NOT NULL PRIMARY KEY, p REFERENCES p ON DELETE {action} ON UPDATE {action})",
        "INSERT INTO p VALUES (1, 'a')",
        "INSERT INTO c VALUES ('child', 1)",
    )
    assert application.logged(change) >= keys("child", 1)


def test_chains_of_rows_that_refer_to_themselves_are_logged() -> None:
    application = Application(
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, up REFERENCES t ON DELETE CASCADE)",
        "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2)",
    )
    assert application.logged("DELETE FROM t WHERE id = 1") == keys(1, 2, 3)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ("DELETE FROM p", [1]),
        ("UPDATE p SET id = 5", [1, 5]),
        ("REPLACE INTO p VALUES (1, 'again')", [1]),
        ("REPLACE INTO p VALUES (2, 'a')", [1]),
    ],
)
def test_a_cascade_that_the_application_fails_half_way_is_still_logged(change: str, lost: list[int]) -> None:
    """RAISE(FAIL) keeps what was done so far, and no AFTER trigger of the parent ever runs."""
    application = Application(
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, v UNIQUE)",
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TRIGGER a AFTER DELETE ON c BEGIN SELECT RAISE(FAIL, 'no'); END",
        "CREATE TRIGGER b AFTER UPDATE ON c BEGIN SELECT RAISE(FAIL, 'no'); END",
        "INSERT INTO p VALUES (1, 'a')",
        "INSERT INTO c VALUES (50, 1)",
    )
    assert application.logged(change, failing=True) >= keys(*lost)
    assert application.connection.execute("SELECT * FROM p WHERE id = 1").fetchall() == []


def test_rows_that_the_applications_own_triggers_change_are_logged() -> None:
    application = Application(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE u(k TEXT NOT NULL PRIMARY KEY, n)",
        "INSERT INTO u VALUES ('count', 0)",
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN UPDATE u SET n = n + 1; DELETE FROM t WHERE v = 'old'; END",
        "INSERT INTO t VALUES (1, 'old2')",
    )
    assert application.logged("INSERT INTO t VALUES (2, 'old')") == keys(2, "count")


def test_an_after_trigger_of_the_application_cannot_hide_the_row_from_ours() -> None:
    application = Application(
        "CREATE TABLE t(id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT RAISE(FAIL, 'kept all the same'); END",
    )
    assert application.logged("INSERT INTO t VALUES (5)", failing=True) == keys(5)
    assert application.connection.execute("SELECT id FROM t").fetchall() == [(5,)]


@pytest.mark.parametrize("name", ["old", "new", "OLD", '"select"', '"we ""ird"', "[a b]", '"Ünï"', '"$x"'])
def test_names_of_tables_and_columns_do_not_confuse_capture(name: str) -> None:
    application = Application(
        f"CREATE TABLE {name}({name} TEXT NOT NULL PRIMARY KEY, rowid UNIQUE, _rowid_, key DEFAULT 'x')",
        f"CREATE UNIQUE INDEX i ON {name}(lower({name}), _rowid_) WHERE {name}._rowid_ > 0",
        f"INSERT INTO {name} VALUES ('a', 1, 1, 1), ('b', 2, 2, 2)",
    )
    assert application.logged(f"REPLACE INTO {name} VALUES ('c', 1, 5, 1)") == keys("a", "c")
    assert application.logged(f"REPLACE INTO {name} VALUES ('B', 9, 2, 1)") == keys("b", "B")
    assert application.logged(f"UPDATE {name} SET _rowid_ = 7 WHERE rowid = 1") == keys("c")
    assert application.logged(f"DELETE FROM {name} WHERE rowid = 1") == keys("c")


@pytest.mark.parametrize("literal", ["1", "1.0", "'1'", "x'31'", "9007199254740993", "'010'", "1e300", "'é'", "x''"])
def test_keys_are_logged_exactly(literal: str) -> None:
    application = Application("CREATE TABLE t(k PRIMARY KEY)")
    value = application.connection.execute(f"SELECT {literal}").fetchall()[0][0]
    assert application.logged(f"INSERT INTO t VALUES ({literal})") == keys(value)


def test_what_is_rolled_back_leaves_no_entry() -> None:
    application = Application(BASE, ROWS)
    before = application.newest()
    application.run(
        "BEGIN", "DELETE FROM t", "SAVEPOINT s", "INSERT INTO t(id) VALUES (9)", "ROLLBACK TO s", "ROLLBACK"
    )
    assert application.newest() == before


def test_the_application_sees_the_results_it_always_saw() -> None:
    schema = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE, n DEFAULT 5)",
        "CREATE TABLE u(id INTEGER PRIMARY KEY, last)",
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN INSERT INTO u(last) VALUES (last_insert_rowid()); END",
    )
    bare, captured = apsw.Connection(":memory:"), Application(*schema).connection
    for sql in schema:
        bare.execute(sql)
    for sql in (
        "INSERT INTO t(v) VALUES ('a'), ('b') RETURNING id, v, n",
        "REPLACE INTO t(v) VALUES ('a') RETURNING *",
        "INSERT OR IGNORE INTO t(v) VALUES ('a')",
        "INSERT INTO t(v) VALUES ('b') ON CONFLICT DO UPDATE SET n = n + 1 RETURNING *",
        "UPDATE t SET n = 0",
        "UPDATE t SET n = 0 WHERE 0",
        "DELETE FROM t WHERE v = 'a' RETURNING id",
        "INSERT INTO t(v) VALUES ('z')",
        "DELETE FROM t",
        "INSERT INTO t(v) VALUES ('y') RETURNING id",
    ):
        assert captured.execute(sql).fetchall() == bare.execute(sql).fetchall(), sql
        assert captured.changes() == bare.changes(), sql
        assert captured.last_insert_rowid() == bare.last_insert_rowid(), sql
    for table in ("t", "u", "sqlite_sequence"):
        query = f"SELECT * FROM {table}"
        assert captured.execute(query).fetchall() == bare.execute(query).fetchall()


@pytest.mark.parametrize("suffix", ["", " WITHOUT ROWID"])
def test_a_key_is_logged_as_stored_though_a_foreign_key_of_another_type_refers_to_it(suffix: str) -> None:
    """Old versions of SQLite bend NEW in AFTER triggers here, so Python's own library is asked as well."""
    table = f"CREATE TABLE t(k TEXT PRIMARY KEY, up INTEGER UNIQUE REFERENCES t DEFERRABLE INITIALLY DEFERRED){suffix}"
    insert = "INSERT INTO t VALUES ('010', 5), ('5', NULL)"
    application = Application("PRAGMA foreign_keys = ON", table)
    made = application.connection.execute("SELECT sql FROM sqlite_schema WHERE name GLOB '_cdc_*' ORDER BY rowid")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as old:
        for sql in ("PRAGMA foreign_keys = ON", table, *(str(row[0]) for row in made), insert):
            old.execute(sql)
        assert old.execute("SELECT DISTINCT k1 FROM _cdc_changelog ORDER BY 1").fetchall() == [("010",), ("5",)]
    assert application.logged(insert) == keys("010", "5")
