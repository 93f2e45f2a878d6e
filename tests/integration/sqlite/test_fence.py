"""While the fence is up no row of the application changes; it lifts itself, and what was taken before was captured."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Final

import apsw
import pytest
from comparison import differences
from harness import Daemon, Writer, application, make_config, recorded, wait_until_caught_up, write_config
from msgspec.structs import replace
from replicated_pair import replicated

from cdc.config import Config
from cdc.errors import FenceDown, SourceBusy, SourceError
from cdc.sql_names import quote
from cdc.sqlite.capture.own_tables import Continuing
from cdc.sqlite.capture.schema_objects import FENCE_TRIGGER, objects_of_ours
from cdc.sqlite.changelog import source_file
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.past_fence import opened_past_fence

REFUSAL: Final = "cdc: this database is read-only now"
MODES: Final = pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])
# Each has columns id, v and w, and no two rows with one v.
KINDS: Final = {
    "t": "(id INTEGER PRIMARY KEY, v UNIQUE, w)",
    "without_rowid": "(id INT PRIMARY KEY, v UNIQUE, w) WITHOUT ROWID",
    "strict_one": "(id INTEGER PRIMARY KEY, v TEXT UNIQUE, w ANY) STRICT",
    "generated": "(id INTEGER PRIMARY KEY, v, w, stored AS (v || 'x') STORED UNIQUE, computed AS (w || 'y'))",
    "no_key": "(id, v, w)",
    "replacing": "(id INTEGER PRIMARY KEY ON CONFLICT REPLACE, v UNIQUE ON CONFLICT REPLACE, w)",
    "ignoring": "(id INT PRIMARY KEY ON CONFLICT IGNORE, v UNIQUE ON CONFLICT FAIL, w)",
    "left_out": "(id INTEGER PRIMARY KEY, v UNIQUE, w)",
    "fenced": "(id INTEGER PRIMARY KEY, v UNIQUE, w, fenced DEFAULT 0)",
    "we\"ird\n🦊's $table; --": "(id INTEGER PRIMARY KEY, v UNIQUE, w)",
    "_cdc_like": "(id INTEGER PRIMARY KEY, v UNIQUE, w)",
}
CLAUSES: Final = ("", " OR IGNORE", " OR REPLACE", " OR FAIL", " OR ABORT", " OR ROLLBACK")
CLAUSED: Final = (
    "INSERT{} INTO {t}(id, v, w) VALUES (5, 'e', 1)",
    "INSERT{} INTO {t}(id, v, w) VALUES (1, 'b', 1)",
    "INSERT{} INTO {t}(id, v, w) SELECT id + 1, v, 7 FROM {t}",
    "UPDATE{} {t} SET w = 9",
    "UPDATE{} {t} SET id = 2, v = 'c' WHERE id = 1",
)
OTHERS: Final = (
    "REPLACE INTO {t}(id, v, w) VALUES (9, 'a', 1)",
    "INSERT INTO {t}(id, v, w) VALUES (1, 'z', 1) ON CONFLICT DO NOTHING",
    "INSERT INTO {t}(id, v, w) VALUES (8, 'y', 1) RETURNING id",
    "UPDATE {t} SET w = o.id FROM parent AS o WHERE o.id = 1",
    "DELETE FROM {t} WHERE id = 2",
    "DELETE FROM {t}",
)
ELSEWHERE: Final = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, n);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE log(what);
CREATE VIEW shown AS SELECT id, n FROM parent;
CREATE TRIGGER through INSTEAD OF INSERT ON shown BEGIN INSERT INTO child VALUES (NEW.id, NEW.n); END;
CREATE TRIGGER kept BEFORE UPDATE ON parent BEGIN INSERT OR IGNORE INTO log VALUES ('u'); END;
CREATE VIRTUAL TABLE words USING fts5(body);
INSERT INTO parent VALUES (1, 'x'), (2, 'y');
INSERT INTO child VALUES (10, 1);
INSERT INTO log VALUES ('begun');
"""


@dataclass(frozen=True)
class Site:
    """A file with capture and a dormant fence, as an application in this process has it open."""

    config: Config
    app: apsw.Connection

    def content(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every ordinary table, those of ours included."""
        tables = self.app.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        ).fetchall()
        return {str(name): self.app.execute(f"SELECT * FROM {quote(str(name))}").fetchall() for (name,) in tables}

    def reads(self) -> None:
        """Have the application's connection look at the schema again: a write that cannot be compiled does not."""
        self.app.execute("SELECT what FROM log")

    def writes(self) -> bool:
        """Whether the application may write."""
        try:
            self.app.execute("UPDATE log SET what = what")
        except apsw.ConstraintError as error:
            return REFUSAL not in str(error)
        return True


def made(folder: Path, *, wal: bool = True, busy_timeout_seconds: float = 5.0) -> Site:
    app = application(folder / "app.db", wal=wal)
    app.execute(ELSEWHERE)
    for name, columns in KINDS.items():
        app.execute(f"CREATE TABLE {quote(name)}{columns}")
        app.execute(f"INSERT INTO {quote(name)}(id, v, w) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    config = make_config(folder, folder / "app.db", "postgresql://localhost/app", exclude=("left_out", "_cdc_like"))
    config = replace(config, source=replace(config.source, busy_timeout_seconds=busy_timeout_seconds))
    source_file.install(config)
    installed = fence.install(config)
    assert set(installed) == {*KINDS, "parent", "child", "log"}
    return Site(config, app)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = made(tmp_path)
    yield found
    found.app.close()


# --- what is refused --------------------------------------------------------------------------------------------------


def statements() -> list[str]:
    texts = [*(form.format(clause, t="{t}") for form, clause in product(CLAUSED, CLAUSES)), *OTHERS]
    return [text.replace("{t}", quote(name)) for name, text in product(KINDS, texts)]


@MODES
def test_no_statement_gets_past_it_and_each_is_told_why(tmp_path: Path, wal: bool) -> None:
    site = made(tmp_path, wal=wal)
    before = site.content()
    raised = fence.raise_for(site.config, 600)
    with Writer(site.config.source.path) as writer:
        settings = ("PRAGMA foreign_keys = ON", "PRAGMA recursive_triggers = ON", "PRAGMA trusted_schema = OFF")
        assert writer.run(*settings, "CREATE TEMP TABLE _cdc_state(id, fenced)") == [""] * 4
        for sql in statements():
            assert REFUSAL in writer.run(sql)[0], sql
        assert writer.run("BEGIN", "INSERT INTO shown VALUES (1, 1)", "COMMIT")[1].startswith(REFUSAL)
        fence.lift(site.config)
        assert site.content() == before
        answers = [writer.run("BEGIN", sql, "ROLLBACK")[1] for sql in statements()]
        assert not any(REFUSAL in answer for answer in answers)
        assert answers.count("") > len(answers) / 2
        assert site.content() == before
    assert fence.raise_for(site.config, 600).end == raised.end
    site.app.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM parent",
        "UPDATE parent SET id = 7 WHERE id = 1",
        "REPLACE INTO parent VALUES (1, 'z')",
        "UPDATE OR IGNORE parent SET n = 1",
        "INSERT INTO shown VALUES (5, 1)",
    ],
)
@pytest.mark.parametrize("only", ["parent", "child", "log"])
def test_what_a_statement_does_to_other_tables_is_refused_there_too(site: Site, sql: str, only: str) -> None:
    """With the fence of one table alone: each statement that reaches it fails as a whole, every other one is taken."""
    reached = {"parent": "INTO shown" not in sql}
    reached |= {"child": "parent SET n" not in sql, "log": sql.startswith("UPDATE")}
    for name, table in site.app.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        if FENCE_TRIGGER.fullmatch(str(name)) and table != only:
            site.app.execute(f"DROP TRIGGER {name}")
    site.app.execute("UPDATE _cdc_state SET fenced = 'never'")
    site.app.pragma("foreign_keys", True)
    before = site.content()
    if reached[only]:
        with pytest.raises(apsw.ConstraintError, match=REFUSAL):
            site.app.execute(sql)
        assert site.content() == before
    else:
        site.app.execute(sql)
        assert site.content() != before


def test_functions_of_the_application_do_not_open_it(site: Site) -> None:
    for name in ("julianday", "datetime", "strftime", "unixepoch", "ifnull", "max"):
        site.app.create_scalar_function(name, lambda *_: None)
    fence.raise_for(site.config, 600)
    assert not site.writes()


# --- when -------------------------------------------------------------------------------------------------------------


def test_it_is_dormant_until_it_is_raised_and_lifts_itself(site: Site) -> None:
    state = fence.look(site.config)
    assert (state.lacking, state.until, state.permanent) == ((), None, False)
    assert state.unfenceable == {"words": "a virtual table cannot carry triggers"}
    assert site.writes()
    begun = datetime.now(UTC)
    raised = fence.raise_for(site.config, 0.2)
    assert not site.writes()
    state = fence.look(site.config)
    assert (state.until, state.permanent, state.refuses) == (raised.until, False, True)
    assert begun + timedelta(seconds=0.2) <= raised.until
    while not site.writes():
        time.sleep(0.05)
    assert datetime.now(UTC) >= raised.until
    assert not fence.look(site.config).refuses
    with pytest.raises(FenceDown, match="lifted itself"):
        fence.keep(site.config, raised.end)


@pytest.mark.parametrize(
    "state",
    [
        "fenced = NULL",
        "fenced = 0",
        "fenced = julianday('now') + 1",
        "fenced = CURRENT_TIMESTAMP",
        "id = 7, fenced = 'never'",
    ],
)
def test_what_is_no_later_moment_refuses_nobody(site: Site, state: str) -> None:
    site.app.execute(f"UPDATE _cdc_state SET {state}")
    assert site.writes()


def test_raising_again_puts_it_off(site: Site) -> None:
    first = fence.raise_for(site.config, 60)
    second = fence.raise_for(site.config, 600)
    assert second.end == first.end
    assert second.until > first.until
    assert fence.look(site.config).until == second.until


def test_it_is_kept_for_good_and_lifted_again(site: Site) -> None:
    raised = fence.raise_for(site.config, 60)
    for _ in range(2):
        fence.keep(site.config, raised.end)
        state = fence.look(site.config)
        assert (state.refuses, state.permanent, state.until) == (True, True, None)
    with pytest.raises(SourceError, match="for good already"):
        fence.raise_for(site.config, 60)
    assert not site.writes()
    for _ in range(2):
        fence.lift(site.config)
        assert not fence.look(site.config).refuses
        assert site.writes()


def test_it_is_not_kept_once_anybody_wrote(site: Site) -> None:
    raised = fence.raise_for(site.config, 60)
    fence.lift(site.config)
    assert site.writes()
    again = fence.raise_for(site.config, 60)
    assert again.end.seq > raised.end.seq
    with pytest.raises(FenceDown, match=f"does not end at number {raised.end.seq}"):
        fence.keep(site.config, raised.end)
    assert not fence.look(site.config).permanent
    fence.keep(site.config, again.end)


def test_asking_and_doing_nothing_waits_for_no_writer(site: Site) -> None:
    site.app.execute("BEGIN IMMEDIATE")
    assert fence.install(site.config) == ()
    fence.lift(site.config)
    assert fence.look(site.config).whole
    site.app.execute("COMMIT")
    fence.remove(site.config)
    assert not fence.look(site.config).whole
    site.app.execute("BEGIN IMMEDIATE")
    fence.remove(site.config)


# --- writers in flight ------------------------------------------------------------------------------------------------


@MODES
def test_a_writer_that_does_not_end_is_named_and_nothing_changes(tmp_path: Path, wal: bool) -> None:
    site = made(tmp_path, wal=wal, busy_timeout_seconds=0.05)
    with Writer(site.config.source.path) as writer:
        assert writer.run("BEGIN IMMEDIATE", "INSERT INTO log VALUES ('open')") == ["", ""]
        with pytest.raises(
            SourceBusy, match=r"process \d+ \(\w+.* keeps a transaction on .*app.db open, for longer than"
        ):
            fence.raise_for(site.config, 60)
        assert not fence.look(site.config).refuses
        assert writer.run("COMMIT") == [""]
        fence.raise_for(site.config, 60)
        assert REFUSAL in writer.run("DELETE FROM log")[0]
    site.app.close()


def test_a_reader_is_waited_for_in_rollback_mode(tmp_path: Path) -> None:
    site = made(tmp_path, wal=False, busy_timeout_seconds=0.05)
    with Writer(site.config.source.path) as reader:
        assert reader.run("BEGIN", "SELECT * FROM log") == ["", ""]
        with pytest.raises(SourceBusy, match=r"process \d+ \("):
            fence.raise_for(site.config, 60)
        assert reader.run("COMMIT") == [""]
        assert site.writes()
    site.app.close()


RACING: Final = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
taken, refused = [], []
for number in range(int(sys.argv[2]), 10_000_000, 2):
    try:
        if number % 3:
            connection.execute("INSERT INTO log(what) VALUES (?)", (number,))
        else:
            with connection:
                connection.execute("BEGIN")
                connection.execute("INSERT INTO log(what) VALUES (?)", (number,))
        taken.append(number)
    except sqlite3.IntegrityError as error:
        assert "read-only now" in str(error), error
        refused.append(number)
    if len(taken) == 5:
        print("begun", flush=True)
    if len(refused) == 5:
        break
print(json.dumps([taken, refused]))
"""


@MODES
def test_what_two_racing_writers_were_told_is_what_is_there(tmp_path: Path, wal: bool) -> None:
    site = made(tmp_path, wal=wal)
    path = site.config.source.path
    site.app.close()
    writers = [
        subprocess.Popen([sys.executable, "-c", RACING, path, str(first)], stdout=subprocess.PIPE, text=True)
        for first in (1, 2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
    raised = fence.raise_for(site.config, 600)
    told = [json.loads(writer.communicate(timeout=60)[0].splitlines()[-1]) for writer in writers]
    app = application(path, wal=wal)
    there = {row[0] for row in app.execute("SELECT what FROM log WHERE what IS NOT 'begun'")}
    assert there == {number for taken, _ in told for number in taken}
    assert not there & {number for _, refused in told for number in refused}
    logged = app.execute(
        "SELECT count(*) FROM log JOIN _cdc_changelog AS c ON c.k1 = log.rowid AND c.op = 'I' "
        "JOIN _cdc_table USING (tid) WHERE name = 'log' AND what IS NOT 'begun' AND seq <= ?",
        (raised.end.seq,),
    ).get
    assert logged == len(there)
    fence.keep(site.config, raised.end)
    app.close()


ACTING: Final = """
import sys
from pathlib import Path
from cdc.config import load_config
from cdc.facts.changes import Position
from cdc.sqlite.fence import fence
config = load_config(Path(sys.argv[1]))
fence.raise_for(config, 600) if sys.argv[2] == "raise" else fence.keep(config, Position(int(sys.argv[3]), sys.argv[4]))
"""


@pytest.mark.parametrize("place", ["before", "after"])
def test_killed_around_a_commit_all_is_done_or_nothing(site: Site, place: str) -> None:
    file = write_config(site.config.state.dir.parent / "cdc.toml", site.config)

    def killed(*arguments: str) -> None:
        environment = {**os.environ, "CDC_CRASH_AT": f"fence.{place}_commit"}
        acting = subprocess.run([sys.executable, "-c", ACTING, file, *arguments], env=environment, check=False)
        assert acting.returncode == -signal.SIGKILL

    killed("raise")
    assert fence.look(site.config).refuses is (place == "after")
    assert site.writes() is (place == "before")
    end = fence.raise_for(site.config, 600).end
    killed("keep", str(end.seq), end.entry)
    assert fence.look(site.config).permanent is (place == "after")
    assert not site.writes()


# --- the schema -------------------------------------------------------------------------------------------------------


def test_a_table_that_lacks_its_fence_is_named_and_nothing_is_raised(site: Site) -> None:
    site.app.execute("CREATE TABLE late(a); DROP TRIGGER _cdc_fence_1_u")
    (damaged,) = (site.app.execute("SELECT tbl_name FROM sqlite_schema WHERE name = '_cdc_fence_1_i'").get,)
    assert set(fence.look(site.config).lacking) == {"late", damaged}
    with pytest.raises(FenceDown, match=r"have no fence: .*late"):
        fence.raise_for(site.config, 60)
    assert site.writes()
    assert set(fence.install(site.config)) == {"late", damaged}
    raised = fence.raise_for(site.config, 60)
    with pytest.raises(apsw.ConstraintError, match=REFUSAL):
        site.app.execute("INSERT INTO late VALUES (1)")
    site.app.execute("CREATE TABLE later(a)")
    with pytest.raises(FenceDown, match="have no fence: later"):
        fence.keep(site.config, raised.end)


def test_it_is_in_no_migrations_way(site: Site) -> None:
    site.app.execute("ALTER TABLE t RENAME TO moved")
    site.app.execute(
        "ALTER TABLE moved RENAME COLUMN w TO x; ALTER TABLE moved ADD COLUMN y; ALTER TABLE left_out DROP w"
    )
    site.app.execute("DROP TABLE replacing; DROP VIEW shown; VACUUM")
    assert fence.look(site.config).lacking == ()
    fence.raise_for(site.config, 60)
    with pytest.raises(apsw.ConstraintError, match=REFUSAL):
        site.app.execute("UPDATE moved SET x = 0")


def test_a_migration_gets_past_it_and_shows(site: Site) -> None:
    before = source_file.look(site.config).counter
    fence.remove(site.config)
    fence.install(site.config)
    raised = fence.raise_for(site.config, 60)
    assert before == raised.counter == fence.look(site.config).counter
    site.app.execute("ALTER TABLE t ADD COLUMN late DEFAULT 5")
    assert fence.look(site.config).counter == raised.counter + 1 == source_file.look(site.config).counter


def test_a_file_without_capture_gets_no_fence(tmp_path: Path) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(a)")
    config = make_config(tmp_path, tmp_path / "app.db", "postgresql://localhost/app")
    for attempt in (fence.install, lambda c: fence.raise_for(c, 60)):
        with pytest.raises(SourceError, match="not set up for replication"):
            attempt(config)
    assert fence.look(config).lacking == ("t",)
    assert not fence.look(config).refuses
    fence.lift(config)
    fence.remove(config)
    app.close()


def test_tables_of_a_module_that_is_not_known_here_are_left_alone(site: Site) -> None:
    sql = "CREATE VIRTUAL TABLE places USING unknown(a)"
    site.app.execute("CREATE TABLE places_data(a)")
    site.app.execute("PRAGMA writable_schema = ON")
    site.app.execute("INSERT INTO sqlite_schema VALUES ('table', 'places', 'places', 0, ?)", (sql,))
    state = fence.look(site.config)
    assert set(state.unfenceable) == {"places", "places_data", "words"}
    assert "unknown" in state.unfenceable["places_data"]
    assert state.whole


# --- with capture -----------------------------------------------------------------------------------------------------


def ours(connection: apsw.Connection) -> list[tuple[str, str]]:
    return objects_of_ours(connection)


def test_cleaning_up_takes_it_out_as_well(site: Site) -> None:
    fence.raise_for(site.config, 600)
    assert source_file.remove_capture(site.config)
    assert ours(site.app) == []
    assert site.writes()


def test_letting_go_of_capture_leaves_it_up(site: Site) -> None:
    fence.raise_for(site.config, 600)
    assert source_file.release_triggers(site.config) > 0
    assert not site.writes()
    assert fence.look(site.config).refuses


def test_removed_and_installed_again_it_is_dormant(site: Site) -> None:
    fence.keep(site.config, fence.raise_for(site.config, 600).end)
    fence.remove(site.config)
    assert site.writes()
    fence.install(site.config)
    assert site.writes()


def test_without_its_state_it_would_fail_every_write_and_is_taken_out(site: Site) -> None:
    site.app.execute("DROP TABLE _cdc_state")
    with pytest.raises(apsw.SQLError, match="no such table"):
        site.writes()
    assert source_file.relieve(site.config) == 3 * len(fence.look(site.config).lacking)
    site.reads()
    assert site.writes()
    source_file.install(site.config, continuing=Continuing("same", 100))
    assert len(fence.install(site.config)) == len(KINDS) + 3
    fence.raise_for(site.config, 60)
    assert not site.writes()


def test_without_a_changelog_it_stays_up(site: Site) -> None:
    fence.raise_for(site.config, 600)
    site.app.execute("DROP TABLE _cdc_changelog")
    assert source_file.relieve(site.config) > 0
    site.reads()
    assert not site.writes()


def test_rows_come_back_past_it_while_it_stays_up_for_everybody_else(site: Site) -> None:
    raised = fence.raise_for(site.config, 600)
    with opened_past_fence(site.config) as back:
        back.execute("INSERT INTO child VALUES (99, 4711); UPDATE parent SET n = 'back'; DELETE FROM t")
        assert not site.writes()
    assert site.app.execute("SELECT n FROM parent").fetchall() == [("back",), ("back",)]
    assert site.app.execute("SELECT what FROM log").fetchall() == [("begun",)]
    fence.keep(site.config, raised.end)
    assert not site.writes()


# --- with the daemon --------------------------------------------------------------------------------------------------


FOLLOWING: Final = ("compare whole tables", "follow a change of the file")


async def test_a_running_daemon_takes_its_coming_and_going_for_what_it_is(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, "CREATE TABLE t(a INTEGER PRIMARY KEY)", "CREATE TABLE u(b)") as pair:
        # As a version wrote it that knew of no fence.
        pair.app.execute("ALTER TABLE _cdc_state DROP COLUMN fence_steps")
        await pair.replica.sync()
        await pair.replica.close()
        before = await recorded(database, *FOLLOWING)
        with Daemon(pair.config) as daemon:
            for number, act in enumerate((fence.install, fence.look, fence.remove, fence.install)):
                act(pair.config)
                pair.app.execute("INSERT INTO t VALUES (?)", (number,))
                await wait_until_caught_up(pair.config, database, daemon=daemon)
            assert daemon.terminate() == 0
        assert await differences(pair.app, database) == []
        assert "compare whole tables" not in daemon.words()
        assert await recorded(database, *FOLLOWING) == before


async def test_a_change_that_went_unseen_is_not_hidden_by_it(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, "CREATE TABLE t(a INTEGER PRIMARY KEY)") as pair:
        sql = pair.app.execute("SELECT sql FROM sqlite_schema WHERE name = '_cdc_1_ai'").get
        pair.app.execute(f"DROP TRIGGER _cdc_1_ai; INSERT INTO t VALUES (7); {sql}")
        fence.install(pair.config)
        await pair.replica.sync()
        assert await pair.differences() == []
