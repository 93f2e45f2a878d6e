"""How capture comes into the application's file, stays whole, is found damaged, and goes without a trace."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from cdc.config import decode_config
from cdc.errors import SourceBusy, SourceError
from cdc.facts.source_schema import Table
from cdc.sqlite.capture.removal import remove
from cdc.sqlite.capture.schema_signature import signature
from cdc.sqlite.capture.triggers import Installed, damaged, install, read_capture
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.schema.read import read_schema

CONFIG = decode_config({"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}})
SCHEMA = """
CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE);
CREATE TABLE tags(name TEXT NOT NULL PRIMARY KEY, hits INT);
INSERT INTO users(email) VALUES ('a@example.org');
"""
OURS = "SELECT type, name FROM sqlite_schema WHERE name LIKE '\\_cdc\\_%' ESCAPE '\\'"


@pytest.fixture(params=["wal", "delete"])
def application(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "app.db"))
    connection.pragma("journal_mode", request.param)
    connection.execute(SCHEMA)
    yield connection
    connection.close()


@pytest.fixture
def ours(tmp_path: Path, application: apsw.Connection) -> Iterator[apsw.Connection]:
    assert application.filename
    connection = open_source(tmp_path / "app.db", busy_timeout_seconds=0)
    yield connection
    connection.close()


def tables_of(connection: apsw.Connection) -> tuple[Table, ...]:
    return read_schema(connection, CONFIG).tables


def installed(connection: apsw.Connection) -> Installed:
    return install(connection, tables_of(connection))


def rows(connection: apsw.Connection, sql: str) -> list[object]:
    return list(connection.execute(sql).fetchall())


def test_capture_starts_at_once_for_connections_that_are_open(
    application: apsw.Connection, ours: apsw.Connection
) -> None:
    insert = "INSERT INTO users(email) VALUES (?)"
    application.execute(insert, ("b@example.org",))
    assert installed(ours).changed == ("tags", "users")
    application.execute(insert, ("c@example.org",))
    assert rows(application, "SELECT tid, op, k1 FROM _cdc_changelog") == [(0, "B", None), (2, "I", 3)]


def test_installing_again_writes_nothing(application: apsw.Connection, ours: apsw.Connection) -> None:
    first = installed(ours)
    seen = application.data_version()
    again = installed(ours)
    assert again == Installed(first.capture, ())
    assert application.data_version() == seen
    assert read_capture(ours, tables_of(ours)) == first.capture


def test_without_installation_there_is_no_capture(ours: apsw.Connection) -> None:
    assert read_capture(ours, tables_of(ours)) is None


def test_the_file_keeps_its_identity_and_two_files_differ(ours: apsw.Connection) -> None:
    other = apsw.Connection(":memory:")
    first = installed(ours).capture.source_id
    ours.execute("CREATE TABLE more(a)")
    assert installed(ours).capture.source_id == first
    assert installed(other).capture.source_id != first


@pytest.mark.parametrize(
    "event",
    [
        "DROP TRIGGER _cdc_2_ai",
        "CREATE TRIGGER newer AFTER INSERT ON users BEGIN SELECT 1; END",
        "CREATE UNIQUE INDEX later ON users(lower(email))",
        "DROP TABLE users; CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE)",
        "DROP TRIGGER _cdc_2_bu; CREATE TRIGGER _cdc_2_bu AFTER UPDATE ON users BEGIN SELECT 1; END",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = '_cdc_2_bd'",
    ],
)
def test_what_breaks_capture_of_a_table_is_found_and_mended(
    application: apsw.Connection, ours: apsw.Connection, event: str
) -> None:
    capture = installed(ours).capture
    before = signature(ours)
    assert damaged(ours, capture) == ()
    application.execute(event)
    after = signature(ours)
    assert after != before
    current = read_capture(ours, tables_of(ours))
    assert current is not None
    assert damaged(ours, current) == ("users",)
    assert installed(ours).changed == ("users",)
    assert damaged(ours, installed(ours).capture) == ()


def test_a_trigger_dropped_and_made_anew_shows_in_the_signature(
    application: apsw.Connection, ours: apsw.Connection
) -> None:
    installed(ours)
    sql = str(application.execute("SELECT sql FROM sqlite_schema WHERE name = '_cdc_2_bd'").fetchall()[0][0])
    before = signature(ours)
    application.execute(f"BEGIN; DROP TRIGGER _cdc_2_bd; {sql}; COMMIT")
    assert signature(ours) != before


def test_rows_alone_leave_the_signature_as_it_is(application: apsw.Connection, ours: apsw.Connection) -> None:
    installed(ours)
    before = signature(ours)
    application.execute("INSERT INTO users(email) VALUES ('z'); DELETE FROM users")
    assert signature(ours) == before


def test_a_renamed_column_is_followed_by_sqlite_itself(application: apsw.Connection, ours: apsw.Connection) -> None:
    installed(ours)
    application.execute("ALTER TABLE users RENAME COLUMN email TO address")
    assert installed(ours).changed == ()


def test_a_vacuum_does_no_harm(application: apsw.Connection, ours: apsw.Connection) -> None:
    capture = installed(ours).capture
    application.execute("VACUUM")
    assert damaged(ours, capture) == ()
    assert installed(ours).changed == ()


def test_a_table_with_a_new_key_gets_a_new_id_and_ids_never_come_back(
    application: apsw.Connection, ours: apsw.Connection
) -> None:
    assert installed(ours).capture.tid("TAGS") == 1
    for key, tid in (("hits", 3), ("name", 4), ("hits", 5)):
        application.execute(
            f"DROP TABLE tags; CREATE TABLE tags(name TEXT NOT NULL, hits INT NOT NULL, PRIMARY KEY({key}))"
        )
        assert installed(ours).capture.tid("tags") == tid
    assert rows(ours, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'tags' ORDER BY name") == [
        (f"_cdc_5_{suffix}",) for suffix in ("bd", "bi", "bu")
    ]


def test_a_renamed_table_is_captured_under_its_new_name(application: apsw.Connection, ours: apsw.Connection) -> None:
    installed(ours)
    application.execute("ALTER TABLE users RENAME TO people; CREATE TABLE users(id INTEGER PRIMARY KEY)")
    found = installed(ours)
    assert found.changed == ("people", "users")
    assert (found.capture.tid("people"), found.capture.tid("users")) == (3, 2)
    application.execute("INSERT INTO people(email) VALUES ('p')")
    assert rows(application, "SELECT tid, k1 FROM _cdc_changelog WHERE op = 'I'") == [(3, 2)]


def test_tables_no_longer_wanted_lose_their_triggers(application: apsw.Connection, ours: apsw.Connection) -> None:
    installed(ours)
    users = tuple(t for t in tables_of(ours) if t.name == "users")
    assert install(ours, users).capture.tables.keys() == {2}
    application.execute("INSERT INTO tags VALUES ('t', 1)")
    assert rows(application, "SELECT count(*) FROM _cdc_changelog WHERE tid = 1") == [(0,)]
    assert installed(ours).capture.tid("tags") == 1


def test_a_wider_key_widens_the_changelog(application: apsw.Connection, ours: apsw.Connection) -> None:
    installed(ours)
    application.execute("CREATE TABLE wide(a INT, b INT, c INT, PRIMARY KEY(c, a, b)) WITHOUT ROWID")
    assert installed(ours).changed == ("wide",)
    application.execute("INSERT INTO wide VALUES (1, 2, 3)")
    assert rows(application, "SELECT k1, k2, k3 FROM _cdc_changelog WHERE op = 'I'") == [(3, 1, 2)]


def test_a_lost_changelog_is_made_anew_without_using_ids_twice(
    application: apsw.Connection, ours: apsw.Connection
) -> None:
    first = installed(ours).capture
    application.execute("DROP TABLE _cdc_changelog")
    assert read_capture(ours, tables_of(ours)) is None
    assert installed(ours).capture == first
    # A connection that still remembers a schema without the changelog learns of the new one by its next read.
    application.execute("SELECT count(*) FROM tags").fetchall()
    application.execute("INSERT INTO tags VALUES ('t', 1); DROP TABLE _cdc_table")
    assert installed(ours).capture.tables.keys() == {2, 3}


def test_a_locked_file_is_left_as_it_was(application: apsw.Connection, ours: apsw.Connection) -> None:
    tables = tables_of(ours)
    application.execute("BEGIN IMMEDIATE")
    with pytest.raises(SourceBusy, match="installing change capture"):
        install(ours, tables)
    application.execute("COMMIT")
    assert rows(application, OURS) == []
    assert not ours.in_transaction


def test_capture_of_another_format_is_refused(application: apsw.Connection, ours: apsw.Connection) -> None:
    installed(ours)
    application.execute("UPDATE _cdc_state SET format = 99")
    with pytest.raises(SourceError, match="format 99"):
        read_capture(ours, tables_of(ours))


def test_a_file_that_forgot_its_identity_gets_one(application: apsw.Connection, ours: apsw.Connection) -> None:
    before = installed(ours).capture
    application.execute("DELETE FROM _cdc_state")
    assert read_capture(ours, tables_of(ours)) is None
    after = installed(ours)
    assert (after.capture.tables, after.changed) == (before.tables, ())
    assert after.capture.source_id != before.source_id


def test_a_changelog_built_anew_with_constraints_is_replaced(
    application: apsw.Connection, ours: apsw.Connection
) -> None:
    """A NOT NULL would let the application's OR IGNORE drop entries, a type would bend keys."""
    installed(ours)
    application.execute(
        "DROP TABLE _cdc_changelog;"
        "CREATE TABLE _cdc_changelog(seq INTEGER PRIMARY KEY, tid INTEGER NOT NULL, op TEXT, at REAL, k1 INTEGER)"
    )
    assert read_capture(ours, tables_of(ours)) is None
    installed(ours)
    assert rows(ours, "SELECT type FROM pragma_table_info('_cdc_changelog') WHERE type <> ''") == [("INTEGER",)]
    application.execute("INSERT INTO tags VALUES ('010', 1)")
    assert rows(ours, "SELECT op, k1 FROM _cdc_changelog WHERE op <> 'B'") == [("I", "010")]


def test_collations_only_the_application_knows_do_not_stop_capture(
    application: apsw.Connection, ours: apsw.Connection
) -> None:
    application.create_collation("app", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
    application.execute(
        "CREATE TABLE words(word TEXT COLLATE app NOT NULL PRIMARY KEY); INSERT INTO words VALUES ('Ab')"
    )
    installed(ours)
    application.execute("REPLACE INTO words VALUES ('aB')")
    # By rowid: nobody else could find a row under that collation.
    assert rows(application, "SELECT op, k1 FROM _cdc_changelog WHERE op <> 'B'") == [("R", 1), ("I", 2)]


def test_a_trigger_that_could_not_run_is_never_left_behind(application: apsw.Connection, ours: apsw.Connection) -> None:
    """A view of the application that takes the changelog's place would make each of its writes fail."""
    application.execute("CREATE VIEW _cdc_changelog AS SELECT 1")
    with pytest.raises(SourceError):
        installed(ours)
    assert rows(application, OURS) == [("view", "_cdc_changelog")]
    application.execute("INSERT INTO users(email) VALUES ('still works')")


def test_removing_leaves_no_trace(application: apsw.Connection, ours: apsw.Connection) -> None:
    application.execute(
        "CREATE TRIGGER theirs AFTER INSERT ON users BEGIN SELECT 1; END; CREATE INDEX i ON users(email)"
    )
    everything = "SELECT rowid, type, name, tbl_name, rootpage, sql FROM sqlite_schema"
    before = rows(application, everything)
    assert not remove(ours)
    installed(ours)
    application.execute("INSERT INTO users(email) VALUES ('x'); DELETE FROM users")
    assert remove(ours)
    assert not remove(ours)
    assert rows(application, everything) == before
    assert rows(application, "SELECT name FROM sqlite_sequence") == [("users",)]
    application.execute("INSERT INTO users(email) VALUES ('works as before')")


def test_capture_brings_no_sequence_table(ours: apsw.Connection) -> None:
    fresh = apsw.Connection(":memory:")
    fresh.execute("CREATE TABLE t(a)")
    installed(fresh)
    fresh.execute("INSERT INTO t VALUES (1)")
    assert rows(fresh, "SELECT name FROM sqlite_schema WHERE name LIKE 'sqlite_seq%'") == []


def test_a_crash_before_the_commit_leaves_nothing_behind(tmp_path: Path, application: apsw.Connection) -> None:
    script = (
        "import sys; from pathlib import Path; from cdc.config import decode_config\n"
        "from cdc.sqlite.capture import triggers\n"
        "from cdc.sqlite.connection.open import open_source\n"
        "from cdc.sqlite.schema.read import read_schema\n"
        "ours = open_source(Path(sys.argv[1]))\n"
        "config = decode_config({'source': {'path': 'x'}, 'target': {'dsn': 'x'}})\n"
        "triggers.install(ours, read_schema(ours, config).tables)\n"
    )
    environment = {**os.environ, "CDC_CRASH_AT": "capture.before_commit"}
    command = [sys.executable, "-c", script, str(tmp_path / "app.db")]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert rows(application, OURS) == []
    application.execute("INSERT INTO users(email) VALUES ('still works')")
