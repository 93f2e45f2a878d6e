"""Rows that come back from Postgres change what was changed there, whatever constraints and keys SQLite has."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdc.config import decode_config
from cdc.facts.changed_rows import ChangedRows, Texts
from cdc.facts.changes import Reason
from cdc.facts.drained import Drained
from cdc.facts.row_key import encode_key
from cdc.facts.target_schema import TargetTable, TargetUnique
from cdc.mapping.map_tables import map_table
from cdc.mapping.type_names import column_of_type
from cdc.sqlite.apply.drain import Drain
from cdc.sqlite.apply.kept_pages import KeptPages
from cdc.sqlite.apply.learn import written_forms
from cdc.sqlite.apply.sequences import follow_sequences
from cdc.sqlite.schema.read import read_schema

Rows = Mapping[Texts, Texts | None]


class Back:
    """A file that an application wrote, and rows of its one table `t` on their way back."""

    def __init__(self, *statements: str, replicate: Mapping[str, object] | None = None, **options: object) -> None:
        self.db = apsw.Connection(":memory:")
        for sql in statements:
            self.db.execute(sql)
        sections = {"source": {"path": "a.db"}, "target": {"dsn": "x"}, "replicate": dict(replicate or {})}
        config = decode_config({**sections, "tables": {"t": options}})
        self.mapped = map_table(read_schema(self.db, config).tables[0], config)
        columns = [column_of_type(c.target, c.type, not_null=False) for c in self.mapped.columns]
        unique = TargetUnique("t_pkey", self.mapped.key, primary=True)
        self.target = TargetTable("public", "t", tuple(c for c in columns if c), (unique,))
        self.forms = written_forms(self.db, self.mapped, self.target)

    def drain(self, *pages: Rows, whole: bool = False, held: Iterable[str] = ()) -> Drained:
        """What becomes of some pages of rows by their keys, None for a row that is gone."""
        drain = Drain(self.db, {"t": self.target}, {"t": self.forms}, {"t": set(held)})
        drain.begin()
        with KeptPages([self.mapped]) as kept:
            for page in pages:
                there = {key: row for key, row in page.items() if row is not None}
                kept.add(ChangedRows(self.mapped, tuple(page), there, whole))
            for changed in kept:
                drain.take(changed)
        done = drain.settle()
        drain.commit()
        assert self.db.execute("PRAGMA integrity_check").get == "ok"
        assert self.db.execute("SELECT count(*) FROM temp.sqlite_schema").get == 0
        return done

    def rows(self, columns: str = "*") -> list[Sequence[object]]:
        return list(self.db.execute(f"SELECT {columns} FROM t ORDER BY 1"))


def told(done: Drained) -> str:
    """What was done, in words, without what was not."""
    counts = {
        "inserted": sum(done.inserted.values()),
        "updated": sum(done.updated.values()),
        "deleted": sum(done.deleted.values()),
        "refused": len(done.refused),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def numbered(*rows: tuple[str | None, ...]) -> Rows:
    """Rows by their first column."""
    return {(row[0],): row for row in rows}


# --- what is touched --------------------------------------------------------------------------------------------------


def test_only_columns_that_were_changed_in_postgres_are_written() -> None:
    back = Back(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT, n TEXT, kept DEFAULT 'new', twice AS (n || n))",
        "INSERT INTO t VALUES (1, '2024-01-01T00:00:00Z', '1.50', x'00'), (2, '2024-01-02 00:00+00:00', 'none', 5)",
        "INSERT INTO t VALUES (4, '2024-01-01T00:00:00Z', '2.50', CAST(x'ff' AS TEXT))",
        skip=["kept"],
        columns={"at": {"type": "timestamptz"}, "n": {"type": "numeric", "format": "number"}},
    )
    read = "id, at, n, hex(kept), typeof(kept), twice"
    before = back.rows(read)
    unchanged = ("1", "2024-01-01 00:00:00+00", "1.5", None)
    done = back.drain(
        numbered(unchanged, ("2", "2024-01-02 00:00:00+00", "7", None), ("3", "2024-02-01 10:00:00+00", None, None))
    )
    assert told(done) == "1 inserted, 1 updated"
    assert back.rows(read) == [
        before[0],
        (2, "2024-01-02 00:00+00:00", "7", "35", "integer", "77"),
        (3, "2024-02-01T10:00:00Z", None, "6E6577", "text", None),
        before[2],
    ]


@pytest.mark.parametrize("suffix", ["", "WITHOUT ROWID"])
def test_the_newest_values_are_looked_at_and_then_older_ones(suffix: str) -> None:
    back = Back(
        f"CREATE TABLE t(id INT PRIMARY KEY, at TEXT, gone TEXT, doc TEXT) {suffix}",
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        "INSERT INTO t SELECT i, iif(i > 800, '2024-01-01T00:00:00Z', '2024-01-01 00:00+00'), "
        "iif(i = 5, '2024-01-01 00:00+00', NULL), iif(i > 800, '[1,' || hex(zeroblob(9000)) || ']', '[1,2]') FROM n",
        columns={name: {"type": "timestamptz"} for name in ("at", "gone")} | {"doc": {"type": "jsonb"}},
    )
    assert back.forms["at"].forms[0] == "YYYY-MM-DDTHH:MM:SS[.ffffff]Z"
    assert back.forms["gone"].forms == ("YYYY-MM-DD HH:MM[:SS[.f]]+00",)
    assert back.forms["doc"].forms == ("compact, unicode",)


def test_a_row_is_found_by_exactly_its_key() -> None:
    back = Back(
        "CREATE TABLE t(a, b TEXT COLLATE NOCASE, v TEXT, PRIMARY KEY(a, b))",
        "INSERT INTO t VALUES (1, 'x', 'integer'), ('1', 'x', 'text'), (1.5, 'x', 'real'), (x'31', 'x', 'blob')",
    )
    changed: Rows = {
        ("1", "x"): ("1", "x", "changed"),
        ("'1'", "x"): None,
        ("1.5", "X"): None,  # nobody's key
        ("x'31'", "x"): ("x'31'", "x", "also"),
        ("CAST(x'ff' AS TEXT)", "x"): ("CAST(x'ff' AS TEXT)", "x", "broken"),
    }
    assert told(back.drain(changed)) == "1 inserted, 2 updated, 1 deleted"
    assert back.rows("hex(a), typeof(a), b, v") == [
        ("31", "integer", "x", "changed"),
        ("31", "blob", "x", "also"),
        ("312E35", "real", "x", "real"),
        ("FF", "text", "x", "broken"),
    ]


def test_rows_without_a_declared_key_keep_their_rowids() -> None:
    back = Back("CREATE TABLE t(v TEXT)", "INSERT INTO t(rowid, v) VALUES (3, 'a'), (7, 'b')")
    assert told(back.drain({("7",): ("7", "c"), ("3",): None, ("9",): ("9", "d")})) == (
        "1 inserted, 1 updated, 1 deleted"
    )
    assert back.rows("rowid, v") == [(7, "c"), (9, "d")]


# --- unique values that change owners ---------------------------------------------------------------------------------

UNIQUE_TABLES = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE, kept)",
    "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE ON CONFLICT REPLACE, kept)",
    "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE ON CONFLICT IGNORE, kept) STRICT".replace("kept", "kept ANY"),
    "CREATE TABLE t(id INT PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE, kept) WITHOUT ROWID",
    "CREATE TABLE t(id INT NOT NULL, u TEXT, kept, g AS (u || 'x') STORED UNIQUE, PRIMARY KEY(id))",
)


@pytest.mark.parametrize("table", UNIQUE_TABLES)
def test_unique_values_move_between_rows_of_one_page_and_of_several(table: str) -> None:
    values = ", ".join(f"({n}, '{u}', x'0{n}')" for n, u in enumerate("abcdefg", 1))
    back = Back(table, f"INSERT INTO t(id, u, kept) VALUES {values}", skip=["kept", "g"])
    swapped, chained = numbered(("1", "b"), ("2", "a")), numbered(("3", "d"), ("4", "e"))
    ended, cycled = numbered(("5", "new"), ("8", "c")), numbered(("6", "g"))
    assert told(back.drain(swapped, chained, cycled, ended, {("7",): ("7", "f")})) == "1 inserted, 7 updated"
    kept = [(1, "b"), (2, "a"), (3, "d"), (4, "e"), (5, "new"), (6, "g"), (7, "f")]
    assert back.rows("id, u, hex(kept)") == [*((n, u, f"0{n}") for n, u in kept), (8, "c", "")]


def test_rows_that_change_places_keep_what_nothing_feeds() -> None:
    back = Back(
        "CREATE TABLE t(k TEXT PRIMARY KEY, u UNIQUE, any, broken, number REAL)",
        "INSERT INTO t(rowid, k, u, any, broken, number) VALUES (5, 'a', 1, 'x', CAST(x'61ff' AS TEXT), 3)",
        "INSERT INTO t(rowid, k, u, any, broken, number) VALUES (9, 'b', 2, 1, 7.0, -0.0)",
        skip=["broken", "number"],
        columns={"u": {"type": "bigint"}, "any": {"type": "literal"}},
    )
    unfed = "k, rowid, hex(broken), typeof(broken), number, typeof(number)"
    before = back.rows(unfed)
    broken = "CAST(x'ff' AS TEXT)"
    assert told(back.drain({("a",): ("a", "2", broken), ("b",): ("b", "1", "'1'")})) == "2 updated"
    assert back.rows(unfed) == before
    assert back.rows("k, u, hex(any), typeof(any)") == [("a", 2, "FF", "text"), ("b", 1, "31", "text")]


@pytest.mark.parametrize("clause", ["", "ON CONFLICT REPLACE", "ON CONFLICT IGNORE"])
def test_a_value_that_is_unique_in_sqlite_alone_is_refused_with_what_hangs_on_it(clause: str) -> None:
    back = Back(
        f"CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE {clause})",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    )
    done = back.drain(numbered(("2", "A"), ("3", "b"), ("4", "free"), ("5", "d")))
    assert [(r.key, r.why.reason) for r in done.refused] == [
        (("2",), Reason.CONSTRAINT),
        (("3",), Reason.CONSTRAINT),
    ]
    assert (
        "another row of SQLite has a value that is unique there: UNIQUE constraint failed" in done.refused[0].why.detail
    )
    assert back.rows() == [(1, "a"), (2, "b"), (3, "c"), (4, "free"), (5, "d")]


keys = st.integers(1, 6)
states = st.dictionaries(keys, st.tuples(st.sampled_from("abcdef"), st.integers(1, 7)), max_size=6).filter(
    lambda rows: all(len({row[n] for row in rows.values()}) == len(rows) for n in (0, 1))
)


@settings(max_examples=80, deadline=None)
@example({1: ("a", 1), 6: ("b", 2)}, {6: ("a", 1), 1: ("b", 3), 2: ("c", 2)}, Random(1), "", False)
@given(states, states, st.randoms(use_true_random=False), st.sampled_from(["", "WITHOUT ROWID"]), st.booleans())
def test_any_state_becomes_any_other(
    before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]], random: Random, suffix: str, whole: bool
) -> None:
    back = Back(f"CREATE TABLE t(id INT PRIMARY KEY NOT NULL, u TEXT UNIQUE, v INT UNIQUE) {suffix}")
    back.db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(key, *row) for key, row in before.items()])
    rows: dict[Texts, Texts | None] = {(str(k),): (str(k), u, str(v)) for k, (u, v) in after.items()}
    if not whole:
        rows |= {(str(key),): None for key in before.keys() - after.keys()}
    order = random.sample(list(rows), len(rows))
    pages = [{key: rows[key]} for key in order] if random.random() < 0.5 else [{key: rows[key] for key in order}]
    assert not back.drain(*(pages or [{}]), whole=whole).refused
    assert back.rows() == [(key, *after[key]) for key in sorted(after)]


# --- what SQLite refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "options", "text", "detail"),
    [
        ("v TEXT CHECK (length(v) < 3)", {}, "long", "SQLite refuses it: CHECK constraint failed: length(v) < 3"),
        ("v TEXT NOT NULL", {}, None, "SQLite refuses it: NOT NULL constraint failed: t.v"),
        ("v STRING", {}, "010", "SQLite makes another value of what is written to column v, as its type STRING tells"),
        ("v REAL", {}, "NaN", "the value of column v is NaN, which SQLite does not have"),
        ("v NUMERIC", {}, "0.12345678901234567890", "the value of column v has no such form"),
        ("v TEXT", {"type": "timestamp"}, "infinity", "the value of column v is infinite, or outside of the days"),
        ("v TEXT", {"type": "literal"}, "anything", "the value of column v is no SQL literal"),
        ("v INT", {"format": "epoch ms"}, "12024-01-01 00:00:00+00", "the value of column v has no such form"),
        ("v TEXT", {"type": "jsonb", "empty": "null"}, None, ""),
    ],
)
def test_a_row_that_sqlite_cannot_hold_stays_as_it_was(
    column: str, options: dict[str, str], text: str | None, detail: str
) -> None:
    back = Back(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {column}, w)", columns={"v": options, "w": {"type": "bigint"}})
    back.db.execute("INSERT INTO t(id, v, w) VALUES (1, '', 1)")
    done = back.drain(numbered(("1", text, "2"), ("2", text, "3")))
    if detail:
        assert [r.key for r in done.refused] == [("1",), ("2",)]
        assert all(r.table == "t" and r.why.detail.startswith(detail) and r.why.remedy for r in done.refused)
        assert back.rows() == [(1, "", 1)]
    else:
        assert not done.refused


def test_a_row_that_was_refused_is_not_when_it_comes_again() -> None:
    back = Back("CREATE TABLE t(id INTEGER PRIMARY KEY, v INT CHECK (v > 0) UNIQUE)", "INSERT INTO t VALUES (1, 1)")
    assert not back.drain(numbered(("2", "-1"), ("3", "1")), numbered(("2", "5"), ("3", "6"))).refused
    assert back.rows() == [(1, 1), (2, 5), (3, 6)]


# --- rows that Postgres does not have ---------------------------------------------------------------------------------

KEYED = ("INTEGER PRIMARY KEY, v)", "INT PRIMARY KEY, v)", "INT PRIMARY KEY, v) WITHOUT ROWID")


@pytest.mark.parametrize("key", KEYED)
def test_a_whole_table_has_no_other_rows_but_those_that_are_held(key: str) -> None:
    back = Back(f"CREATE TABLE t(id {key}", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'held'), (4, 'd')")
    if key.startswith("INT PRIMARY KEY, v)") and not key.endswith("ROWID"):
        back.db.execute("INSERT INTO t VALUES (NULL, 'without a key')")
    held = [encode_key((3,))]
    done = back.drain(numbered(("1", "'a'")), numbered(("5", "'e'"), ("4", "'D'")), whole=True, held=held)
    assert told(done) == "1 inserted, 1 updated, 1 deleted"
    assert [row for row in back.rows() if row[0]] == [(1, "a"), (3, "held"), (4, "D"), (5, "e")]
    assert told(back.drain({}, whole=True, held=held)) == "3 deleted"
    assert back.rows()[-1] == (3, "held")


def test_a_row_in_quarantine_is_only_replaced_by_one_of_postgres() -> None:
    back = Back(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v INT CHECK (v <> 0) UNIQUE)",
        "INSERT INTO t VALUES (1, 'no number'), (2, 'nor this'), (3, 'none'), (4, 'waits'), (5, 'waits, too'), (6, 6)",
    )
    held = [encode_key((n,)) for n in range(1, 6)]
    first: Rows = {("1",): None, ("2",): ("2", "5"), ("3",): ("3", "0"), ("4",): ("4", "6"), ("5",): ("5", "5")}
    done = back.drain(first, {("2",): None, ("3",): None, ("5",): None, ("6",): ("6", "7")}, held=held)
    assert done.overwritten == (("t", encode_key((2,))), ("t", encode_key((4,))))
    assert back.rows() == [(1, "no number"), (3, "none"), (4, 6), (5, "waits, too"), (6, 7)]


# --- the transaction --------------------------------------------------------------------------------------------------


def test_foreign_keys_and_triggers_of_the_application_have_no_say() -> None:
    back = Back(
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "INSERT INTO p VALUES (1)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, parent INT REFERENCES t(id) ON DELETE CASCADE)",
        "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2)",
        "CREATE TRIGGER refuse BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'fenced'); END",
        replicate={"tables": ["t"]},
    )
    assert told(back.drain({("1",): None, ("2",): ("2", "9")}, {("9",): ("9", None)})) == (
        "1 inserted, 1 updated, 1 deleted"
    )
    assert back.rows() == [(2, 9), (3, 2), (9, None)]
    assert back.db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_nothing_is_left_of_a_drain_that_is_undone() -> None:
    back = Back("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'a')")
    drain = Drain(back.db, {"t": back.target}, {}, {})
    drain.begin()
    drain.take(ChangedRows(back.mapped, (("1",), ("2",)), {("2",): ("2", "b")}))
    drain.undo()
    assert back.rows() == [(1, "a")]
    assert told(back.drain(numbered(("1", "b")))) == "1 updated"


def test_numbers_go_on_after_those_that_postgres_gave() -> None:
    back = Back("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)", columns={"v": {"type": "bigint"}})
    follow_sequences(back.db, [back.mapped], {"t": 5, "other": 9})
    back.db.execute("INSERT INTO t(v) VALUES (0)")
    back.drain({("5",): ("5", "1"), ("70",): ("70", "0")}, {("70",): None})
    follow_sequences(back.db, [back.mapped], {"t": 6})
    back.db.execute("INSERT INTO t(v) VALUES (2)")
    follow_sequences(back.db, [back.mapped], {"t": 100})
    back.db.execute("INSERT INTO t(v) VALUES (3)")
    assert [row[0] for row in back.rows()] == [5, 71, 100]
