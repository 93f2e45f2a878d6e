"""A repair deletes for those who say so, saves what it touches, and what comes back after it is called out."""

import asyncio
import contextlib
import csv
import json
import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from harness import Daemon, fetch, wait_for
from installation import ROOT, Installation

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.postgres.tables import csv_file
from cdc.verify import repair

TABLES = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL);
CREATE TABLE pair(a TEXT, b BLOB, c, PRIMARY KEY(a, b));
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
INSERT INTO item SELECT i, 'name ' || i, i / 3.0 FROM n;
INSERT INTO pair VALUES ('x', x'00ff', 1), ('y', x'', NULL);
"""
BENT = """
UPDATE item SET name = E'bent "by"\\nhand, or so', price = NULL WHERE id = 3;
UPDATE item SET name = '' WHERE id = 4;
DELETE FROM item WHERE id IN (5, 6);
INSERT INTO item VALUES (100, NULL, 0.1), (101, 'only here', 'NaN');
UPDATE pair SET c = 9 WHERE a = 'x';
INSERT INTO pair VALUES ('z', '\\x01', 3);
"""


@pytest.fixture
def followed(site: Installation) -> Installation:
    site.sql(TABLES)
    site.followed()
    return site


def rows(site: Installation, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in asyncio.run(fetch(site.dsn, sql))]


def saved(site: Installation) -> dict[str, Path]:
    """The files of repairs by table and what became of the rows, each its owner's alone."""
    folder = site.folder / ".cdc" / "repaired"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    return {".".join(file.name.split(".")[1:3]): file for file in files}


def repairs(site: Installation) -> dict[str, dict[str, object]]:
    entries = json.loads(site.run("audit", "--json")[1])["entries"]
    return {e["details"]["table"]: e["details"] for e in entries if e["action"] == "repair rows"}


def test_without_a_terminal_what_only_postgres_has_is_left(followed: Installation) -> None:
    followed.target_sql(BENT)
    code, out, _ = followed.run("verify", "--repair")
    assert code == ExitCode.DIFFERENCE
    assert "5 keys were logged again" in out
    assert "3 rows only in Postgres, left there: `cdc verify --repair --yes` deletes what only it has" in out
    assert followed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert rows(followed, "SELECT count(*), count(*) FILTER (WHERE id >= 100) FROM item") == [(22, 2)]
    code, out, _ = followed.run("verify", "--repair", "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["repaired"], told["left"]) == (1, 1, 0, 3)
    assert {kind: sum(t[kind] for t in told["tables"]) for kind in ("different", "missing", "extra")} == {
        "different": 0,
        "missing": 0,
        "extra": 3,
    }


def test_with_yes_everything_is_as_sqlite_has_it(followed: Installation) -> None:
    followed.target_sql(BENT)
    code, out, _ = followed.run("verify", "--repair", "--yes", "--json")
    told = json.loads(out)
    assert (code, told["repaired"], told["left"]) == (1, 8, 0)
    assert set(told["saved_to"]) == {str(file) for file in saved(followed).values()}
    assert followed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert followed.run("verify")[0] == ExitCode.OK


ANSWERS = {
    "no": (b"n\n", ExitCode.DIFFERENCE, (1, 1)),
    "nothing": (b"\n", ExitCode.DIFFERENCE, (1, 1)),
    "yes": (b"y\n", ExitCode.DIFFERENCE, (0, 1)),
    "Ctrl-C": (b"\x03", 128 + signal.SIGINT, (1, 0)),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_at_a_terminal_somebody_is_asked(followed: Installation, what: str) -> None:
    answer, code, left = ANSWERS[what]
    followed.target_sql("INSERT INTO item VALUES (100, 'only here', 1); DELETE FROM item WHERE id = 5")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "cdc", "-q", "verify", "--repair"],  # Ctrl-C comes from a terminal
        cwd=followed.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(theirs)
    said = b""
    while b"Delete them?" not in said:
        said += os.read(ours, 4096)
    assert b"1 row is only in Postgres and would be deleted there: item: 100" in said
    os.write(ours, answer)
    if what == "Ctrl-C":
        # Python looks for signals before it reads, not while it begins to: what comes just then waits for the next key.
        while not ended(process):
            os.write(ours, answer)
    assert process.wait(30) == code, said
    os.close(ours)
    assert followed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    there = "SELECT count(*) FILTER (WHERE id = 100), count(*) FILTER (WHERE id = 5) FROM item"
    assert rows(followed, there) == [left]


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ends within a second."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.poll() is not None


def test_every_row_that_it_touches_can_be_put_back(followed: Installation) -> None:
    followed.target_sql("ALTER TABLE item ADD note text, ADD twice float8 GENERATED ALWAYS AS (price * 2) STORED")
    followed.target_sql(BENT + "UPDATE item SET note = 'of others' WHERE id IN (3, 100)")
    before = {table: rows(followed, f"SELECT t::text FROM {table} t ORDER BY 1") for table in ("item", "pair")}
    assert followed.run("verify", "--repair", "--yes")[0] == ExitCode.DIFFERENCE
    assert followed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert rows(followed, "SELECT count(*), count(note) FROM item") == [(20, 1)]
    files = saved(followed)
    assert set(files) == {"item.changed", "item.deleted", "item.added", "pair.changed", "pair.deleted"}
    # As the page on parity says it: the rows go into a table beside, and from there over those of today.
    for table, key in (("item", "id"), ("pair", "a, b")):
        followed.target_sql(f"CREATE TABLE {table}_back (LIKE {table} INCLUDING GENERATED)")
        for kind in ("changed", "deleted"):
            with files[f"{table}.{kind}"].open() as file:
                names = ", ".join(next(csv.reader(file)))
            path = files[f"{table}.{kind}"]
            followed.target_sql(f"COPY {table}_back ({names}) FROM '{path}' WITH (FORMAT csv, HEADER)")
        followed.target_sql(f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table}_back)")
        followed.target_sql(f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}_back")
    followed.target_sql("DELETE FROM item WHERE id IN (5, 6)")
    assert files["item.added"].read_text() == '"key"\n"5"\n"6"\n'
    assert {t: rows(followed, f"SELECT t::text FROM {t} t ORDER BY 1") for t in ("item", "pair")} == before


def test_the_trail_names_keys_counts_and_files_and_no_value(followed: Installation) -> None:
    followed.target_sql(BENT)
    assert followed.run("verify", "--repair", "--yes")[0] == ExitCode.DIFFERENCE
    told, files = repairs(followed), saved(followed)
    assert {name: told["item"][name] for name in ("changed", "added", "deleted", "keys")} == {
        "changed": 2,
        "added": 2,
        "deleted": 2,
        "keys": ["3", "4", "5", "6", "100", "101"],
    }
    assert told["item"]["files"] == [str(files[f"item.{kind}"]) for kind in ("changed", "added", "deleted")]
    assert told["pair"]["keys"] == ["('x', x'00ff')", "('z', x'01')"]
    for word in ("bent", "only here"):
        assert word not in (followed.folder / ".cdc" / "audit.jsonl").read_text()


def test_nothing_is_logged_before_all_is_saved(followed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.target_sql(BENT)
    newest = newest_entry(followed)
    monkeypatch.setattr(csv_file, "ROOM_BYTES", 1 << 60)
    code, _, err = followed.run("verify", "--repair", "--yes")
    assert (code, "cannot be saved to" in err) == (ExitCode.CRITICAL, True)
    assert newest_entry(followed) == newest
    assert saved(followed) == {}


def newest_entry(site: Installation) -> object:
    import apsw  # noqa: PLC0415

    connection = apsw.Connection(str(site.database))
    try:
        return connection.execute("SELECT max(seq) FROM _cdc_changelog").get
    finally:
        connection.close()


def test_only_the_files_of_the_newest_repairs_are_kept(followed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "KEPT", 2)
    for number in range(3):
        followed.target_sql(f"UPDATE item SET name = 'x' WHERE id = {number + 1}")
        assert followed.run("verify", "--table", "item", "--repair")[0] == ExitCode.DIFFERENCE
        assert followed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert len(list((followed.folder / ".cdc" / "repaired").iterdir())) == 2


@contextmanager
def legacy_sync(dsn: str) -> Iterator["asyncio.Runner"]:
    """Somebody else's program, connected under its name for as long as the block lasts."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(dsn, server_settings={"application_name": "legacy-sync"}))
        runner.run(connection.execute("UPDATE item SET name = 'of legacy' WHERE id IN (7, 8)"))
        try:
            yield runner
        finally:
            runner.run(connection.close())


def test_who_writes_again_after_a_repair_is_named(followed: Installation) -> None:
    followed.target_sql(
        "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER bends BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION bend()"
    )
    followed.target_sql("UPDATE item SET name = 'first' WHERE id IN (7, 9)")
    code, out, _ = followed.run("verify", "--repair")
    assert (code, "differ again" in out) == (ExitCode.DIFFERENCE, False)
    # Logged and not moved yet: nothing came back.
    _, out, _ = followed.run("verify")
    assert ("differ again" in out, "0 rows differ" in out) == (False, False)
    assert "! item: trigger bends" in out  # it would bend what is written, until the daemon disables it
    assert followed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    with legacy_sync(followed.dsn):
        code, out, _ = followed.run("verify")
        assert code == ExitCode.DIFFERENCE
        assert "! item: 1 of them were repaired at 20" in out
        assert "and differ again: somebody else writes to this table" in out
        assert "connected to this database now: legacy-sync (role " in out
        told = json.loads(followed.run("verify", "--json")[1])["repaired_before"]
    assert told["item"]["rows"] == 1
    assert [s["name"] for s in told["item"]["writers"]["sessions"]] == ["legacy-sync"]


def test_the_alarm_of_the_daemon_names_them_as_well(followed: Installation) -> None:
    alarms = followed.folder / "alarms.txt"
    tell = json.dumps(["sh", "-c", f'echo "$CDC_ALERT_TEXT" >> {alarms}'])
    followed.configure("[verify]\nrolling_share = 1.0\nrolling_hours = 0.0002", f"[alerts]\ncommand = {tell}")
    with Daemon(load_config(followed.config_file)) as daemon:

        async def told() -> bool:
            return alarms.exists() and "legacy-sync (role" in alarms.read_text()

        followed.target_sql("UPDATE item SET name = 'first' WHERE id = 7")
        code, out, _ = followed.run("verify", "--repair")
        assert code == ExitCode.DIFFERENCE, out

        async def repaired() -> bool:
            return await fetch(followed.dsn, "SELECT FROM item WHERE id = 7 AND name = 'name 7'") != []

        asyncio.run(wait_for(repaired, "the repair", daemon=daemon))
        with legacy_sync(followed.dsn):
            asyncio.run(wait_for(told, "an alarm that names the program", daemon=daemon))
    words = next(line for line in alarms.read_text().splitlines() if "legacy-sync" in line)
    assert "2 rows of item differ; 1 of them were repaired at 20" in words
    assert "rows that were repaired differ again" in daemon.words()
