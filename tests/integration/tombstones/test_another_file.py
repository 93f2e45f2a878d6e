"""Rows that come back with another file wait, with their children, until somebody accepts or refuses them."""

import asyncio
import json
import re
import shutil
import signal
from pathlib import Path

import apsw
import pytest
from harness import Daemon, value, wait_for
from installation import Installation

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.faults import CRASH_POINTS

TABLES = """
DROP TABLE t;
CREATE TABLE video(id TEXT PRIMARY KEY, title TEXT);
INSERT INTO video VALUES ('a', 'one'), ('b', 'two'), ('c', 'three');
CREATE TABLE summary(id INTEGER PRIMARY KEY, video TEXT REFERENCES video(id) ON DELETE CASCADE, words TEXT);
INSERT INTO summary VALUES (1, 'a', 'x'), (2, 'a', 'y'), (3, 'b', 'z');
"""
DELETED = "PRAGMA foreign_keys = ON; DELETE FROM video WHERE id = 'a'; INSERT INTO video VALUES ('d', 'four')"
ROWS = "SELECT 'video', id FROM video UNION ALL SELECT 'summary', id::text FROM summary ORDER BY 1, 2"


def overwritten(site: Installation, *, setting: str = "") -> None:
    """A file of before a deletion was copied over the one that is followed."""
    site.sql(TABLES)
    site.configure(*([setting] if setting else []))
    site.followed()
    shutil.copy(site.database, site.folder / "old.db")
    site.sql(DELETED)
    site.followed()
    copy_over(site)


def copy_over(site: Installation) -> None:
    for name in ("-wal", "-shm"):
        Path(f"{site.database}{name}").unlink(missing_ok=True)
    shutil.copy(site.folder / "old.db", site.database)


def accepted(site: Installation) -> str:
    """Overwritten, and the file accepted; returns what was said of it."""
    overwritten(site)
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.CRITICAL
    code, out, err = site.run("-q", "load", "--resync")
    assert code == ExitCode.OK, err
    site.run("-q", "run", "--until-idle")
    return out


def waiting(site: Installation) -> list[tuple[str, str]]:
    told = json.loads(site.run("tombstones", "--json")[1])["tombstones"]
    return sorted((stone["source_table"], stone["shown_key"]) for stone in told if stone["waits"])


BACK = [("summary", "1"), ("summary", "2"), ("video", "'a'")]
REST = [("summary", "3"), ("video", "b"), ("video", "c")]
ALL = sorted([("summary", "1"), ("summary", "2"), ("video", "a"), *REST])


def postgres(site: Installation) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []

    async def read(connection: object) -> None:
        rows.extend((row[0], row[1]) for row in await connection.fetch(ROWS))  # type: ignore[attr-defined]

    site.postgres(read)
    return sorted(rows)


def sqlite(site: Installation) -> int:
    connection = apsw.Connection(str(site.database))
    found = connection.execute("SELECT (SELECT count(*) FROM video) + (SELECT count(*) FROM summary)").get
    connection.close()
    return int(found)


def test_what_comes_back_is_said_first_and_waits(site: Installation) -> None:
    said = accepted(site)
    assert ["video", "3", "1", "0", "1", "1"] in [line.split() for line in said.splitlines()]
    assert "3 rows to add were deleted before" in said
    assert (waiting(site), postgres(site)) == (BACK, REST)
    assert site.status()["tombstones"] == {"standing": 4, "waiting": 3, "returned": 0}
    assert "came back with another file, and waits" in site.run("status", "--tombstones")[1]
    site.run("-q", "report", "--out", "page.html")
    document = json.loads((site.folder / "page.json").read_text(encoding="utf-8"))
    told = {table.pop("table"): table for table in document["document"]["tombstones"]}
    assert "2 keys deleted lately" in (site.folder / "page.html").read_text(encoding="utf-8")
    assert told["summary"].pop("newest_at") is not None
    assert told["summary"] == {"standing": 2, "waiting": 2, "returned": 0}
    site.sql("UPDATE video SET title = 'touched' WHERE id = 'a'; INSERT INTO summary VALUES (9, 'a', 'another child')")
    site.run("-q", "quarantine", "retry")
    site.run("-q", "run", "--until-idle")
    assert (waiting(site), postgres(site)) == (BACK, REST)
    assert site.run("-q", "verify")[0] == ExitCode.OK


def test_accepted_they_are_applied_and_their_children_as_well(site: Installation) -> None:
    accepted(site)
    site.sql("INSERT INTO summary VALUES (9, 'a', 'another child')")
    code, out, _ = site.run("tombstones", "accept", "--all")
    assert (code, out) == (ExitCode.OK, "3 tombstones ended; 3 rows that waited will be applied by the daemon\n")
    site.run("-q", "run", "--until-idle")
    assert (waiting(site), postgres(site)) == ([], sorted([*ALL, ("summary", "9")]))
    assert site.run("-q", "verify")[0] == ExitCode.OK


def test_refused_they_leave_sqlite_too_and_what_they_were_is_kept(site: Installation) -> None:
    accepted(site)
    site.sql("INSERT INTO summary VALUES (9, 'a', 'another child')")
    code, out, err = site.run("-q", "tombstones", "refuse", "--all", "--yes")
    assert code == ExitCode.OK, err
    assert "deleted in SQLite: 3 rows of summary, 1 row of video" in out
    snapshot = out.split()[-1]
    assert (site.folder / ".cdc" / "snapshots" / snapshot).is_dir()
    assert sqlite(site) == 3
    site.run("-q", "run", "--until-idle")
    assert (waiting(site), postgres(site)) == ([], REST)
    assert site.run("-q", "quarantine", "list")[1] == "the quarantine is empty\n"
    assert site.run("-q", "verify")[0] == ExitCode.OK
    code, _, err = site.run("restore", str(site.folder / ".cdc" / "snapshots" / snapshot), "--to", "before.db")
    assert code == ExitCode.OK, err


@pytest.mark.parametrize("told_by", ["the preview", "tombstones", "quarantine list"])
@pytest.mark.parametrize("decision", ["accept", "refuse"])
def test_the_commands_that_are_printed_do_what_they_say(site: Installation, told_by: str, decision: str) -> None:
    preview = accepted(site)
    told = preview if told_by == "the preview" else site.run(*told_by.split())[1]
    (command,) = re.findall(rf"`cdc (tombstones {decision}[^`]*)`", " ".join(told.split()))
    asked = ["--yes"] if decision == "refuse" else []
    assert site.run("-q", *command.split(), *asked)[0] == ExitCode.OK
    site.run("-q", "run", "--until-idle")
    assert (waiting(site), postgres(site)) == ([], ALL if decision == "accept" else REST)


def test_one_of_them_can_be_chosen(site: Installation) -> None:
    accepted(site)
    assert site.run("-q", "tombstones", "accept", "--table", "video")[0] == ExitCode.OK
    assert site.run("-q", "tombstones", "refuse", "--key", "2", "--yes")[0] == ExitCode.OK
    site.run("-q", "run", "--until-idle")
    assert (waiting(site), postgres(site)) == ([("summary", "1")], sorted([("video", "a"), *REST]))
    assert site.run("tombstones", "refuse", "--table", "video")[:2] == (
        ExitCode.OK,
        "no row waits; nothing was deleted\n",
    )


def test_the_right_file_put_back_brings_back_nothing_unasked(site: Installation) -> None:
    """The rows that only the right file has were deleted by the comparison with the wrong one: they wait as well."""
    overwritten(site)
    shutil.move(site.database, site.folder / "wrong.db")
    shutil.copy(site.folder / "wrong.db", site.database)
    site.sql("INSERT INTO video VALUES ('e', 'only here')")
    assert site.run("-q", "load", "--resync")[0] == ExitCode.OK
    site.run("-q", "run", "--until-idle")
    shown = json.loads(site.run("tombstones", "--table", "video", "--json")[1])["tombstones"]
    assert {stone["shown_key"]: stone["cause"] for stone in shown} == {"'a'": "application", "'d'": "comparison"}


@pytest.mark.parametrize("point", [point for point in CRASH_POINTS if point.startswith("tombstones.")])
def test_killed_at_a_point_and_given_again_it_is_done(site: Installation, point: str) -> None:
    accepted(site)
    command = ("accept", "--all") if point == "tombstones.accepted" else ("refuse", "--all", "--yes")
    with Daemon(load_config(site.config_file), ("tombstones", *command), {"CDC_CRASH_AT": point}) as process:
        assert process.wait() == -signal.SIGKILL, process.words()
    site.run("-q", "run", "--until-idle")
    assert site.run("-q", "tombstones", *command)[0] == ExitCode.OK
    site.run("-q", "run", "--until-idle")
    assert waiting(site) == []
    assert postgres(site) == (ALL if command[0] == "accept" else REST)
    assert site.run("-q", "verify")[0] == ExitCode.OK


RESYNC = '[source]\npath = "app.db"\non_replaced = "resync"'


def test_a_daemon_takes_a_file_up_by_itself_while_it_runs(site: Installation) -> None:
    site.sql(TABLES)
    site.configure(RESYNC)
    site.followed()
    shutil.copy(site.database, site.folder / "old.db")
    with Daemon(load_config(site.config_file)) as daemon:
        site.sql(DELETED)
        until(daemon, site, "SELECT count(*) FROM video WHERE id = 'd'", 1)
        for name in ("-wal", "-shm"):
            Path(f"{site.database}{name}").unlink(missing_ok=True)
        (site.folder / "old.db").rename(site.database)
        until(daemon, site, "SELECT count(*) FROM cdc.tombstone WHERE waits", 3)
        assert daemon.terminate() == 0, daemon.words()
    assert postgres(site) == REST
    assert "take up a file" in site.run("audit", "--json")[1]


def until(daemon: Daemon, site: Installation, sql: str, wanted: int) -> None:
    async def so_many() -> bool:
        return bool(await value(site.dsn, sql) == wanted)

    asyncio.run(wait_for(so_many, sql, daemon=daemon))


def test_it_is_taken_up_at_the_start_as_well(site: Installation) -> None:
    overwritten(site, setting=RESYNC)
    code, _, err = site.run("-q", "run", "--until-idle")
    assert code == ExitCode.OK, err
    assert (waiting(site), postgres(site)) == (BACK, REST)
