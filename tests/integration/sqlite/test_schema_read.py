"""What the catalogue tells about a file, and how a file that cannot be used is refused."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from cdc.config import Config, decode_config
from cdc.errors import SourceBusy, SourceError, SourceUnavailable
from cdc.facts.source_schema import Affinity, ForeignKey, Key, KeyKind, SourceSchema, Table
from cdc.sqlite.capture.triggers import install
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_copy, open_source
from cdc.sqlite.connection.transactions import journal_mode, read_transaction
from cdc.sqlite.schema.read import affinity, read_schema

ROWID = Key(KeyKind.ROWID, ("_rowid_",))


def config(**tables: object) -> Config:
    raw = {"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}}
    return decode_config({**raw, "replicate": {"exclude": ["private_*"]}, "tables": tables})


def schema_of(sql: str, **tables: object) -> SourceSchema:
    application = apsw.Connection(":memory:")
    application.execute(sql)
    return read_schema(application, config(**tables))


def table_of(sql: str, **tables: object) -> Table:
    return schema_of(sql, **tables).tables[0]


@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("CREATE TABLE t(id INTEGER PRIMARY KEY)", Key(KeyKind.INTEGER, ("id",))),
        ("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT)", Key(KeyKind.INTEGER, ("id",))),
        ("CREATE TABLE t(id INTEGER, PRIMARY KEY(id DESC))", Key(KeyKind.INTEGER, ("id",))),
        ("CREATE TABLE t(id INTEGER PRIMARY KEY) STRICT", Key(KeyKind.INTEGER, ("id",))),
        ("CREATE TABLE t(id INTEGER PRIMARY KEY DESC)", Key(KeyKind.COLUMNS, ("id",), nullable=True)),
        ("CREATE TABLE t(id INT PRIMARY KEY)", Key(KeyKind.COLUMNS, ("id",), nullable=True)),
        ("CREATE TABLE t(id TEXT NOT NULL PRIMARY KEY)", Key(KeyKind.COLUMNS, ("id",))),
        ("CREATE TABLE t(id TEXT PRIMARY KEY) STRICT", Key(KeyKind.COLUMNS, ("id",))),
        ("CREATE TABLE t(id TEXT PRIMARY KEY) WITHOUT ROWID", Key(KeyKind.COLUMNS, ("id",))),
        ("CREATE TABLE t(id INTEGER PRIMARY KEY) WITHOUT ROWID", Key(KeyKind.COLUMNS, ("id",))),
        ("CREATE TABLE t(a, b, PRIMARY KEY(b, a)) WITHOUT ROWID", Key(KeyKind.COLUMNS, ("b", "a"))),
        ("CREATE TABLE t(a NOT NULL, b, PRIMARY KEY(a, b))", Key(KeyKind.COLUMNS, ("a", "b"), nullable=True)),
        ('CREATE TABLE t("a ""b" TEXT NOT NULL PRIMARY KEY)', Key(KeyKind.COLUMNS, ('a "b',))),
        ("CREATE TABLE t(a)", ROWID),
        ("CREATE TABLE t(_rowid_, a)", Key(KeyKind.ROWID, ("rowid",))),
        ("CREATE TABLE t(_ROWID_, RowId)", Key(KeyKind.ROWID, ("oid",))),
        ("CREATE TABLE t(id TEXT PRIMARY KEY); INSERT INTO t VALUES (NULL)", ROWID),
    ],
)
def test_each_kind_of_table_gets_the_key_that_identifies_its_rows(sql: str, key: Key) -> None:
    assert table_of(sql).key == key


def test_the_operator_can_choose_the_rowid_over_a_declared_key() -> None:
    sql = "CREATE TABLE t(id TEXT NOT NULL PRIMARY KEY)"
    assert table_of(sql, t={"key": "rowid"}).key == ROWID


def test_a_recorded_key_wins_while_it_still_identifies_rows() -> None:
    application = apsw.Connection(":memory:")
    application.execute("CREATE TABLE t(id TEXT PRIMARY KEY, v)")
    install(application, read_schema(application, config()).tables)
    application.execute("INSERT INTO t VALUES (NULL, 1)")
    assert read_schema(application, config()).tables[0].key == Key(KeyKind.COLUMNS, ("id",), nullable=True)
    application.execute("ALTER TABLE t RENAME COLUMN id TO key")
    assert read_schema(application, config()).tables[0].key == ROWID


def test_what_cannot_be_replicated_is_named_with_its_reason() -> None:
    found = schema_of(
        "CREATE TABLE a(x); CREATE VIEW b AS SELECT 1; CREATE VIRTUAL TABLE c USING fts5(x);"
        "CREATE TABLE private_d(x); CREATE TABLE e(rowid, _rowid_, oid);"
        "CREATE TABLE f(id INTEGER PRIMARY KEY AUTOINCREMENT)"
    )
    assert [t.name for t in found.tables] == ["a", "f"]
    assert [view.name for view in found.views] == ["b"]
    reasons = {left.name: left.reason for left in found.left_out}
    assert reasons.keys() >= {"c", "c_data", "c_content", "private_d", "e"}
    assert not any(name.startswith(("sqlite_", "_cdc_")) for name in reasons)
    assert "virtual" in reasons["c"]
    assert "configuration" in reasons["private_d"]
    assert "rowid" in reasons["e"]


def test_columns_carry_all_that_a_target_needs() -> None:
    table = table_of(
        """CREATE TABLE t( -- a comment, with (parentheses
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            "na,me" VARCHAR(10) COLLATE nocase NOT NULL DEFAULT 'x''y' CHECK (length("na,me") > 0),
            price DECIMAL(10, 2) DEFAULT (1 + 1),
            total AS (price /* twice ) */ * 2) STORED,
            low TEXT GENERATED ALWAYS AS (lower("na,me") -- low)
            ) VIRTUAL,
            CONSTRAINT "check (1" CHECK (price > 0 AND price IN (1, 2)) CHECK (id > 0)
        )"""
    )
    name, price = table.column("NA,ME"), table.column("price")
    assert (name.collation, name.not_null, name.default, name.affinity) == ("NOCASE", True, "'x''y'", Affinity.TEXT)
    assert (price.declared_type, price.affinity, price.default) == ("DECIMAL(10, 2)", Affinity.NUMERIC, "1 + 1")
    assert (table.column("total").generated, table.column("low").generated) == ("stored", "virtual")
    assert table.column("total").generated_expression == "price /* twice ) */ * 2"
    assert table.column("low").generated_expression == 'lower("na,me")'
    assert table.checks == ('length("na,me") > 0', "price > 0 AND price IN (1, 2)", "id > 0")
    assert table.autoincrement
    assert not table.strict


def test_indexes_carry_terms_collations_and_predicates() -> None:
    table = table_of(
        """CREATE TABLE t(a, b TEXT COLLATE RTRIM, c UNIQUE);
           CREATE UNIQUE INDEX i ON t(b COLLATE NOCASE DESC, lower(a) COLLATE nocase ASC, a = c COLLATE nocase)
               WHERE c IS NOT NULL -- the end
        """
    )
    index = next(i for i in table.indexes if i.name == "i")
    assert [(t.column, t.expression, t.collation, t.descending) for t in index.terms] == [
        ("b", None, "NOCASE", True),
        (None, "lower(a)", "NOCASE", False),
        (None, "a = c COLLATE nocase", "BINARY", False),
    ]
    assert (index.unique, index.origin, index.predicate) == (True, "c", "c IS NOT NULL")
    assert [i.origin for i in table.indexes if i.name != "i"] == ["u"]


def test_foreign_keys_name_the_parents_columns_even_when_unwritten() -> None:
    found = schema_of(
        """CREATE TABLE p(x, y, PRIMARY KEY(y, x));
           CREATE TABLE c(a REFERENCES c2(k) ON DELETE SET NULL, y, x,
                          FOREIGN KEY(y, x) REFERENCES P ON UPDATE CASCADE);
           CREATE TABLE c2(k UNIQUE)"""
    )
    child = found.table("c")
    assert child is not None
    assert child.foreign_keys == (
        ForeignKey(("a",), "c2", ("k",), on_delete="SET NULL"),
        ForeignKey(("y", "x"), "P", ("y", "x"), on_update="CASCADE"),
    )


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("BIGINT", Affinity.INTEGER),
        ("CHARINT", Affinity.INTEGER),
        ("varchar(3)", Affinity.TEXT),
        ("", Affinity.BLOB),
        ("DOUBLE PRECISION", Affinity.REAL),
        ("FLOATING POINT", Affinity.INTEGER),
        ("BOOLEAN", Affinity.NUMERIC),
        ("ANY", Affinity.NUMERIC),
    ],
)
def test_affinity_follows_the_first_rule_that_fits(declared: str, expected: Affinity) -> None:
    assert affinity(declared) is expected


def test_any_keeps_values_as_they_are_in_strict_tables() -> None:
    assert table_of("CREATE TABLE t(a ANY) STRICT").column("a").affinity is Affinity.BLOB


# --- opening ---


def make_file(path: Path, mode: str = "wal") -> apsw.Connection:
    application = apsw.Connection(str(path))
    application.pragma("journal_mode", mode)
    application.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    return application


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may open anything, so permissions are tried as somebody else; others are somebody else already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def not_there(path: Path) -> None:
    assert not path.exists()


def directory(path: Path) -> None:
    path.mkdir()


def other_content(path: Path) -> None:
    path.write_bytes(b"This is not SQLite format 3, or it is encrypted. " * 100)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(not_there, "does not exist"), (directory, "is a folder"), (other_content, "not a SQLite database")],
)
@pytest.mark.parametrize("open_file", [open_source, open_copy])
def test_what_is_no_database_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], None], reason: str, open_file: Callable[[Path], apsw.Connection]
) -> None:
    make(tmp_path / "app.db")
    with pytest.raises(SourceUnavailable, match=reason) as refused:
        open_file(tmp_path / "app.db")
    assert "app.db" in refused.value.message
    assert refused.value.remedy


def test_a_damaged_schema_is_refused(tmp_path: Path) -> None:
    application = make_file(tmp_path / "app.db", "delete")
    application.execute("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE nonsense('")
    application.close()
    with pytest.raises(SourceError), translated("the file"):
        read_schema(open_source(tmp_path / "app.db"), config())


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    make_file(tmp_path / "app.db", "delete").close()
    (tmp_path / "app.db").chmod(0o600 if os.geteuid() == 0 else 0)
    with as_nobody(), pytest.raises(SourceUnavailable, match="SQLite file"):
        open_source(tmp_path / "app.db")


def test_closing_leaves_the_applications_log_alone(tmp_path: Path) -> None:
    application = make_file(tmp_path / "app.db")
    application.wal_autocheckpoint(0)
    application.execute("INSERT INTO t VALUES (2)")
    application.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    application.close()
    before = (tmp_path / "app.db-wal").stat().st_size
    ours = open_source(tmp_path / "app.db")
    ours.execute("INSERT INTO t VALUES (3)")
    ours.close()
    assert (tmp_path / "app.db-wal").stat().st_size > before


def test_a_file_that_stays_locked_is_busy(tmp_path: Path) -> None:
    application = make_file(tmp_path / "app.db", "delete")
    application.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SourceBusy, match="locked"):
        open_source(tmp_path / "app.db", busy_timeout_seconds=0)


def test_a_snapshot_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    application = make_file(tmp_path / "app.db")
    application.close()
    copy = open_copy(tmp_path / "app.db")
    assert copy.execute("SELECT a FROM t").fetchall() == [(1,)]
    assert [p.name for p in tmp_path.iterdir()] == ["app.db"]


def test_a_snapshot_with_a_log_beside_it_is_read_with_its_log(tmp_path: Path) -> None:
    application = make_file(tmp_path / "app.db")
    assert open_copy(tmp_path / "app.db").execute("SELECT a FROM t").fetchall() == [(1,)]
    application.close()


def test_a_read_transaction_sees_one_moment_and_always_ends(tmp_path: Path) -> None:
    application = make_file(tmp_path / "app.db")
    ours = open_source(tmp_path / "app.db")
    with read_transaction(ours):
        assert ours.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
        application.execute("INSERT INTO t VALUES (2)")
        assert ours.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
    assert ours.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    with pytest.raises(SourceError), translated("the query"), read_transaction(ours):
        ours.execute("SELECT nothing")
    assert not ours.in_transaction


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate"])
def test_the_journal_mode_is_told_in_lower_case(tmp_path: Path, mode: str) -> None:
    application = make_file(tmp_path / "app.db", mode)
    # TRUNCATE and PERSIST belong to a connection, not to the file.
    assert journal_mode(application) == mode
