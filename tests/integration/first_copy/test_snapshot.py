"""Phase 0: a copy taken while another process writes is one committed state, provable and restorable."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from cdc.errors import SnapshotError, SourceUnavailable
from cdc.sqlite.snapshot import snapshot
from cdc.sqlite.snapshot.online_copy import estimate_pause_seconds
from cdc.sqlite.snapshot.restore import rehearse, restore
from cdc.sqlite.snapshot.snapshot import Snapshot

ACCOUNTS = 100
TOTAL = ACCOUNTS * 1000
PATIENT = 60.0  # seconds a writer may be held up where the test is about something else

# The application: moves money about until its input is closed, then tells how often, or what went wrong.
APPLICATION = f"""
import random, select, sqlite3, sys
app = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
app.execute("PRAGMA synchronous = OFF")
done = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    app.execute("BEGIN IMMEDIATE")
    amount = random.randrange(100)
    for sign in (-1, 1):
        account = random.randrange({ACCOUNTS})
        app.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (sign * amount, account))
    app.execute("INSERT INTO transfer(amount) VALUES (?)", (amount,))
    app.execute("COMMIT")
    done += 1
    if done == 10:
        print("writing", flush=True)
print(done, flush=True)
"""

# Stands for cp on a file system that can share blocks; copies only if a writer cannot commit while it runs.
CP_THAT_SHARES_BLOCKS = """
import shutil, sqlite3, sys
option, _, source, to = sys.argv[1:]
assert option == "--reflink=always"
app = sqlite3.connect(source, timeout=0, isolation_level=None)
app.execute("BEGIN IMMEDIATE")
app.execute("DELETE FROM account WHERE id = 1")
try:
    app.execute("COMMIT")
except sqlite3.OperationalError:
    app.execute("ROLLBACK")
    app.close()
    shutil.copyfile(source, to)
else:
    sys.exit("a commit came in between")
"""

TAKE = """
import sys
from pathlib import Path
from cdc.sqlite.snapshot import snapshot
snapshot.take(Path(sys.argv[1]), Path(sys.argv[2]), max_writer_pause_seconds=60)
"""


def make_source(path: Path, mode: str = "delete", filler: int = 3000) -> Path:
    """A bank of 1000 for each account, and some 4 KiB for each row of filler."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("journal_mode", mode)
        connection.pragma("synchronous", "off")
        connection.execute(
            "BEGIN; CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
            "CREATE TABLE transfer(id INTEGER PRIMARY KEY, amount); CREATE TABLE filler(content);"
            'CREATE TABLE [odd "name](x); INSERT INTO [odd "name] VALUES (1), (2)'
        )
        connection.executemany("INSERT INTO account VALUES (?, 1000)", ((n,) for n in range(ACCOUNTS)))
        connection.executemany("INSERT INTO filler VALUES (zeroblob(4000))", (() for _ in range(filler)))
        connection.execute("COMMIT")
    return path


@contextmanager
def application(path: Path) -> Iterator[None]:
    """Another process that writes for as long as the block runs, and must not see any error."""
    command = [sys.executable, "-c", APPLICATION, str(path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield
        told, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert int(told) >= 10


def folded(*values: object) -> str:
    """A function that only the application brings."""
    return str(values[0]).casefold()


def ask(path: Path, query: str) -> object:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return connection.execute(query).get


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "app.db", filler=10)


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def taken(source: Path, snapshots: Path) -> Snapshot:
    return snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
def test_a_copy_taken_while_another_process_writes_is_one_committed_state(
    tmp_path: Path, snapshots: Path, mode: str
) -> None:
    source = make_source(tmp_path / "app.db", mode)
    with application(source):
        taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert ask(taken.database, "SELECT sum(balance) FROM account") == TOTAL
    assert taken.manifest.tables["transfer"] == ask(taken.database, "SELECT max(id) FROM transfer")
    snapshot.check(taken)


def test_the_application_goes_on_during_a_copy_in_wal_mode(tmp_path: Path, snapshots: Path) -> None:
    source = make_source(tmp_path / "app.db", "wal")
    with closing(apsw.Connection(str(source))) as app:

        def write(_done: int, _total: int) -> None:
            app.execute("INSERT INTO transfer(amount) VALUES (0)")
            assert app.last_insert_rowid() < 100, "each commit makes the copy start over"

        taken = snapshot.take(source, snapshots, max_writer_pause_seconds=0.0, progress=write)
        assert int(app.execute("SELECT count(*) FROM transfer").get) > 1
    assert taken.manifest.tables["transfer"] == 0


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, snapshots: Path) -> None:
    source = make_source(tmp_path / "app.db", "wal")
    told: list[tuple[int, int]] = []
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=0.0, progress=lambda *now: told.append(now))
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (taken.manifest.bytes, taken.manifest.bytes)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_the_copy_is_one_file_that_its_manifest_describes(tmp_path: Path, snapshots: Path, mode: str) -> None:
    source = make_source(tmp_path / "app.db", mode, filler=10)
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert sorted(path.name for path in taken.folder.iterdir()) == ["database.sqlite", "manifest.json"]
    assert ask(taken.database, "PRAGMA journal_mode") == "delete"
    told = json.loads((taken.folder / "manifest.json").read_text())
    assert list(told) == sorted(told)
    assert (told["journal_mode"], told["source"], told["integrity_check"]) == (mode, str(source), "ok")
    assert told["tables"] == {"account": ACCOUNTS, "filler": 10, 'odd "name': 2, "transfer": 0}
    assert (told["changelog_seq"], told["foreign_key_violations"], told["unchecked"]) == (None, 0, {})
    assert snapshot.open_snapshot(taken.folder) == taken


def test_nobody_else_may_read_the_copy(taken: Snapshot) -> None:
    assert stat.S_IMODE(taken.folder.stat().st_mode) == 0o700


def test_the_position_of_the_changelog_travels_with_the_copy(source: Path, snapshots: Path) -> None:
    with closing(apsw.Connection(str(source))) as app:
        app.execute(
            "CREATE TABLE _cdc_changelog(seq INTEGER PRIMARY KEY, tid); INSERT INTO _cdc_changelog VALUES(41, 1)"
        )
    assert snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT).manifest.changelog_seq == 41


def test_rows_without_their_parent_are_counted_and_do_not_matter(source: Path, snapshots: Path) -> None:
    with closing(apsw.Connection(str(source))) as app:
        app.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES account(id))")
        app.execute("INSERT INTO child(parent) VALUES (-1), (-2), (1)")
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert taken.manifest.foreign_key_violations == 2


def test_tables_that_need_a_function_of_the_application_are_named_as_unchecked(source: Path, snapshots: Path) -> None:
    with closing(apsw.Connection(str(source))) as app:
        app.create_scalar_function("folded", folded, 1, deterministic=True)
        app.execute("CREATE TABLE own(name); CREATE INDEX own_name ON own(folded(name)); INSERT INTO own VALUES ('a')")
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert (taken.manifest.integrity_check, list(taken.manifest.unchecked)) == ("ok", ["own"])
    rehearse(taken)


FAULTY = """
    CREATE TABLE faulty(id INTEGER PRIMARY KEY, a TEXT, b INTEGER);
    INSERT INTO faulty(a, b) VALUES (NULL, 1), (NULL, 2), ('z', 3);
    PRAGMA writable_schema = on;
    UPDATE sqlite_schema SET sql = replace(replace(sql, 'a TEXT', 'a TEXT NOT NULL'), 'b INTEGER', 'b TEXT')
        WHERE name = 'faulty';
"""


def break_rules(source: Path, sql: str) -> None:
    """Rows that their table does not allow, and worse: as an application makes them that alters its schema by hand."""
    with closing(apsw.Connection(str(source))) as app:
        app.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        app.execute(sql)


def test_rows_that_break_what_their_table_declares_are_counted_and_refuse_no_snapshot(
    source: Path, snapshots: Path
) -> None:
    break_rules(source, FAULTY)
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert taken.manifest.integrity_check == "ok"
    assert taken.manifest.faults == {"NULL value in faulty.a": 2, "NUMERIC value in faulty.b": 3}
    rehearse(taken)


def test_damage_is_found_behind_any_number_of_rows_that_break_a_rule(source: Path, snapshots: Path) -> None:
    break_rules(
        source,
        f"{FAULTY}; CREATE INDEX by_balance ON account(balance); PRAGMA writable_schema = on;"
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX by_balance ON account(id)' WHERE name = 'by_balance';"
        # Tables are looked at in the order of a hash of their names, so rows that break a rule stand on both sides.
        + "".join(
            f"CREATE TABLE f{n}(v TEXT); INSERT INTO f{n} VALUES (NULL);"
            f"UPDATE sqlite_schema SET sql = 'CREATE TABLE f{n}(v TEXT NOT NULL)' WHERE name = 'f{n}';"
            for n in range(20)
        ),
    )
    with pytest.raises(SnapshotError, match="does not pass integrity_check: row 1 missing from index by_balance"):
        snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)


def collated(a: str, b: str) -> int:
    return (a.lower() > b.lower()) - (a.lower() < b.lower())


def test_a_table_under_a_collation_of_the_application_is_counted_and_its_pages_are_looked_at(
    source: Path, snapshots: Path
) -> None:
    with closing(apsw.Connection(str(source))) as app:
        app.create_collation("alike", collated)
        app.execute("CREATE TABLE own(name TEXT COLLATE alike PRIMARY KEY) WITHOUT ROWID")
        app.execute("INSERT INTO own VALUES ('B'), ('a'), ('C')")
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert taken.manifest.tables["own"] == 3
    assert taken.manifest.unchecked == {"own": "no such collation sequence: alike"}
    rehearse(taken)


def test_free_pages_are_looked_at_in_a_file_with_a_collation_of_the_application(source: Path, snapshots: Path) -> None:
    with closing(apsw.Connection(str(source))) as app:
        app.create_collation("alike", collated)
        app.execute("CREATE TABLE own(name TEXT COLLATE alike UNIQUE)")
        app.execute("CREATE TABLE big(v); INSERT INTO big VALUES (zeroblob(100000)); DROP TABLE big")
        app.pragma("journal_mode", "delete")
    with source.open("r+b") as file:
        file.seek(36)  # how many pages are free
        file.write((3).to_bytes(4, "big"))
    with pytest.raises(SnapshotError, match="does not pass integrity_check"):
        snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)


def test_a_damaged_source_gives_no_snapshot(source: Path, snapshots: Path) -> None:
    with closing(apsw.Connection(str(source))) as app:
        app.execute("CREATE INDEX by_balance ON account(balance)")
        app.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        app.pragma("writable_schema", "on")
        app.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX by_balance ON account(id)' WHERE name = 'by_balance'")
    with pytest.raises(SnapshotError, match="does not pass integrity_check"):
        snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert snapshot.latest(snapshots, source) is None


def test_a_missing_source_gives_no_snapshot(tmp_path: Path, snapshots: Path) -> None:
    with pytest.raises(SourceUnavailable):
        snapshot.take(tmp_path / "missing.db", snapshots, max_writer_pause_seconds=PATIENT)
    assert snapshot.latest(snapshots, tmp_path / "missing.db") is None


# --- the pause of a rollback-journal writer ---------------------------------------------------------------------------


def test_a_copy_that_would_hold_up_the_writer_for_too_long_is_refused(tmp_path: Path, snapshots: Path) -> None:
    source = make_source(tmp_path / "app.db")
    with pytest.raises(SnapshotError, match=r"hold up its writer for about \d+\.\d seconds; 0.001 seconds") as refused:
        snapshot.take(source, snapshots, max_writer_pause_seconds=0.001)
    for word in ("max_writer_pause_seconds", "[snapshot]", "stop the application", "WAL"):
        assert word in refused.value.remedy
    assert snapshot.latest(snapshots, source) is None


def test_a_copy_that_takes_longer_than_estimated_is_given_up(
    tmp_path: Path, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "app.db")
    clock = time.monotonic

    def an_hour_passes(_done: int, _total: int) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)

    with pytest.raises(SnapshotError, match="was given up because it held up its writer"):
        snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT, progress=an_hour_passes)
    assert snapshot.latest(snapshots, source) is None
    assert list(snapshots.glob("*Z-*")) == []


def test_no_pause_is_expected_in_wal_mode_and_more_for_a_larger_file_in_the_others(tmp_path: Path) -> None:
    assert estimate_pause_seconds(make_source(tmp_path / "wal.db", "wal")) == 0.0
    small = estimate_pause_seconds(make_source(tmp_path / "small.db", filler=1))
    assert 0.0 < small < estimate_pause_seconds(make_source(tmp_path / "large.db"))


def test_blocks_are_shared_where_the_file_system_can_and_no_commit_comes_in_between(
    tmp_path: Path, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    able = tmp_path / "bin" / "cp"
    able.write_text(f"#!{sys.executable}\n{CP_THAT_SHARES_BLOCKS}")
    able.chmod(0o755)
    monkeypatch.setenv("PATH", str(able.parent))
    source = make_source(tmp_path / "app.db")
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert taken.manifest.method == "reflink"
    assert ask(taken.database, "SELECT sum(balance) FROM account") == TOTAL


# --- finding and checking --------------------------------------------------------------------------------------------


def test_one_flipped_byte_is_found(taken: Snapshot) -> None:
    content = bytearray(taken.database.read_bytes())
    content[-100] ^= 1
    taken.database.write_bytes(content)
    with pytest.raises(SnapshotError, match="SHA-256") as failed:
        snapshot.check(taken)
    assert taken.manifest.id in failed.value.message


def test_a_copy_cut_short_is_found(taken: Snapshot) -> None:
    os.truncate(taken.database, 4096)
    with pytest.raises(SnapshotError, match="has 4096 bytes"):
        snapshot.check(taken)


def test_a_manifest_that_tells_other_rows_is_found(taken: Snapshot) -> None:
    manifest = taken.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"filler": 10', '"filler": 11'))
    with pytest.raises(SnapshotError, match="table filler has 10 rows, the manifest says 11"):
        snapshot.check(snapshot.open_snapshot(taken.folder))


@pytest.mark.parametrize("content", ["{", '{"format": 1}', '{"format": "x"}'])
def test_a_folder_with_a_manifest_that_makes_no_sense_is_no_snapshot(taken: Snapshot, content: str) -> None:
    (taken.folder / "manifest.json").write_text(content)
    with pytest.raises(SnapshotError, match="cannot be read"):
        snapshot.open_snapshot(taken.folder)
    assert snapshot.latest(taken.folder.parent, Path(taken.manifest.source)) is None


def test_the_latest_is_the_newest_complete_one_of_a_file(source: Path, snapshots: Path, tmp_path: Path) -> None:
    assert snapshot.latest(snapshots, source) is None
    older = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    newer = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert snapshot.latest(snapshots, source) == newer
    (newer.folder / "manifest.json").unlink()
    assert snapshot.latest(snapshots, source) == older
    other = snapshot.take(make_source(tmp_path / "other.db", "wal"), snapshots, max_writer_pause_seconds=PATIENT)
    assert snapshot.latest(snapshots, source) == older
    assert snapshot.latest(snapshots, tmp_path / "other.db") == other
    assert snapshot.older_than_newest(snapshots, source, 1) == []


def test_killed_before_the_manifest_leaves_nothing_to_find_and_the_next_sweeps_it(
    source: Path, snapshots: Path
) -> None:
    environment = {**os.environ, "CDC_CRASH_AT": "snapshot.before_manifest"}
    command = [sys.executable, "-c", TAKE, str(source), str(snapshots)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    (half_made,) = snapshots.glob("*Z-*")
    assert snapshot.latest(snapshots, source) is None
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    assert not half_made.exists()
    assert snapshot.latest(snapshots, source) == taken


def test_two_snapshots_are_not_taken_into_one_folder_at_a_time(tmp_path: Path, snapshots: Path) -> None:
    source = make_source(tmp_path / "app.db", "wal")

    def take_another(_done: int, _total: int) -> None:
        snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)

    with pytest.raises(SnapshotError, match="another snapshot is being taken"):
        snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT, progress=take_another)


# --- restoring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_restored_file_holds_the_same_in_the_journal_mode_of_the_source(
    tmp_path: Path, snapshots: Path, mode: str
) -> None:
    source = make_source(tmp_path / "app.db", mode, filler=10)
    taken = snapshot.take(source, snapshots, max_writer_pause_seconds=PATIENT)
    back = tmp_path / "back"
    back.mkdir()
    restore(taken, back / "app.db")
    assert [path.name for path in back.iterdir()] == ["app.db"]
    assert ask(back / "app.db", "PRAGMA journal_mode") == mode
    assert ask(back / "app.db", "SELECT sum(balance) FROM account") == TOTAL
    snapshot.check(taken)


@pytest.mark.parametrize("name", ["app.db", "app.db-wal", "app.db-journal"])
def test_nothing_that_exists_is_overwritten_or_replayed(taken: Snapshot, tmp_path: Path, name: str) -> None:
    back = tmp_path / "back"
    back.mkdir()
    (back / name).write_bytes(b"precious")
    with pytest.raises(SnapshotError, match="exists already") as refused:
        restore(taken, back / "app.db")
    assert "another name" in refused.value.remedy
    assert [(path.name, path.read_bytes()) for path in back.iterdir()] == [(name, b"precious")]


def test_a_damaged_snapshot_is_not_restored(taken: Snapshot, tmp_path: Path) -> None:
    os.truncate(taken.database, 4096)
    with pytest.raises(SnapshotError, match="does not pass its checks"):
        restore(taken, tmp_path / "back.db")
    assert list(tmp_path.glob("*back.db*")) == []


def test_a_rehearsal_proves_the_way_back_and_leaves_nothing(taken: Snapshot) -> None:
    before = sorted(taken.folder.parent.iterdir())
    rehearse(taken)
    assert sorted(taken.folder.parent.iterdir()) == before
