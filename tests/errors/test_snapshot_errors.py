"""Snapshots that cannot be taken, cannot be trusted, or cannot be written back."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from error_assertions import refused
from harness import DEADLINE_SECONDS
from installation import ROOT, Installation, Outcome

from cdc.errors import ExitCode
from cdc.sqlite.snapshot import online_copy
from cdc.sqlite.snapshot.snapshot import take


@pytest.fixture
def taken(cut_off: Installation) -> Path:
    """The folder of a snapshot."""
    cut_off.sql("INSERT INTO t(v) VALUES (1), (2), (3)")
    assert cut_off.run("-q", "snapshot")[0] == ExitCode.OK
    return next(path for path in (cut_off.folder / ".cdc" / "snapshots").iterdir() if path.is_dir())


MANY_ROWS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90000) INSERT INTO t SELECT i, i FROM n
"""
# File systems of its own for a process, which an ordinary user may have as well.
ALONE = ("unshare", "--mount", "--user", "--map-root-user")


def restore(folder: Path) -> list[str]:
    return ["restore", str(folder), "--to", "back.db"]


# --- taking -----------------------------------------------------------------------------------------------------------


def test_a_copy_that_would_hold_the_writer_for_too_long(cut_off: Installation) -> None:
    cut_off.configure("[snapshot]\nmax_writer_pause_seconds = 0")
    refused(
        cut_off,
        ["snapshot"],
        "the snapshot of {source} {what}; {max_pause} seconds are allowed (in its rollback-journal mode a reader holds "
        "up every commit)",
        ExitCode.CRITICAL,
        changes=(".cdc",),
    )


def test_a_disk_without_room_for_the_copy(cut_off: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_copy, "_SPARE_BYTES", 1 << 60)
    refused(cut_off, ["snapshot"], "{folder} has {free} MiB free, the copy needs {needed} MiB", ExitCode.CRITICAL)


def test_a_disk_that_becomes_full_during_the_copy(cut_off: Installation) -> None:
    """On a disk of 300 KiB of its own, with the look beforehand taken away: what is free may be gone a moment later."""
    cut_off.sql(MANY_ROWS)
    cut_off.configure("[snapshot]\nmax_writer_pause_seconds = 60")
    (cut_off.folder / ".cdc" / "snapshots").mkdir(parents=True)
    program = (
        "import sys; from cdc.sqlite.snapshot import online_copy; online_copy._SPARE_BYTES = -(1 << 60); "
        "from cdc.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    disk = 'mount -t tmpfs -o size=300k tmpfs .cdc/snapshots && exec "$@"'

    def on_a_small_disk(*arguments: str) -> Outcome:
        done = subprocess.run(
            [*ALONE, "sh", "-c", disk, "sh", sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            cwd=cut_off.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    refused(cut_off, ["snapshot"], "the disk of {where} is full", ExitCode.CRITICAL, run=on_a_small_disk)


def test_a_folder_for_snapshots_that_is_a_file(cut_off: Installation) -> None:
    (cut_off.folder / ".cdc").mkdir()
    (cut_off.folder / ".cdc" / "snapshots").write_text("in the way")
    refused(cut_off, ["snapshot"], "{where} cannot be used: {error}", ExitCode.CRITICAL)


@contextmanager
def another_at_work(snapshots: Path) -> Iterator[None]:
    with (snapshots / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_two_snapshots_at_once(cut_off: Installation, taken: Path) -> None:
    with another_at_work(taken.parent):
        refused(
            cut_off,
            ["snapshot"],
            "another snapshot is being taken or rehearsed in {snapshots}",
            ExitCode.CRITICAL,
        )


def test_a_phase_before_its_snapshot(site: Installation) -> None:
    for command in (["schema"], ["load"]):
        refused(site, command, "there is no snapshot yet", ExitCode.CRITICAL)


def test_a_snapshot_from_before_capture(site: Installation, taken_without_capture: Path) -> None:
    for command in (["schema"], ["load"]):
        refused(site, command, "snapshot {id} was taken without capture", ExitCode.CRITICAL)


@pytest.fixture
def taken_without_capture(site: Installation) -> Path:
    return take(site.database, site.folder / ".cdc" / "snapshots", max_writer_pause_seconds=60).folder


# --- trusting ---------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_no_snapshot(cut_off: Installation) -> None:
    refused(
        cut_off,
        restore(cut_off.folder),
        "{folder} is not a complete snapshot: it has no manifest.json",
        ExitCode.CRITICAL,
    )


@pytest.mark.parametrize("content", ["{", '{"id": 5}'])
def test_a_manifest_that_cannot_be_understood(cut_off: Installation, taken: Path, content: str) -> None:
    (taken / "manifest.json").write_text(content)
    refused(cut_off, restore(taken), "{path} cannot be read: {error}", ExitCode.CRITICAL)


def test_a_snapshot_of_a_later_version(cut_off: Installation, taken: Path) -> None:
    manifest = json.loads((taken / "manifest.json").read_text())
    (taken / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    refused(cut_off, restore(taken), "{path} has format {format}, this version reads format 1", ExitCode.CRITICAL)


def test_a_snapshot_without_its_database(cut_off: Installation, taken: Path) -> None:
    (taken / "database.sqlite").unlink()
    refused(cut_off, restore(taken), "snapshot {folder} has lost its database.sqlite", ExitCode.CRITICAL)


@pytest.mark.parametrize("how", ["shorter", "one bit", "another row", "not even SQLite"])
def test_a_snapshot_that_is_not_what_was_taken(cut_off: Installation, taken: Path, how: str) -> None:
    database = taken / "database.sqlite"
    content = bytearray(database.read_bytes())
    match how:
        case "shorter":
            database.write_bytes(content[:-1])
        case "one bit":
            content[-1] ^= 1
            database.write_bytes(content)
        case "another row":
            connection = apsw.Connection(str(database))
            connection.execute("DELETE FROM t WHERE id = 1")
            connection.close()
        case _:
            database.write_bytes(b"x" * len(content))
    refused(cut_off, restore(taken), "snapshot {name} does not pass its checks: {what}", ExitCode.CRITICAL)


# --- writing back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["back.db", "back.db-wal", "back.db-journal"])
def test_nothing_is_overwritten(cut_off: Installation, taken: Path, name: str) -> None:
    (cut_off.folder / name).write_text("somebody's")
    refused(cut_off, restore(taken), "{path} exists already and is not overwritten", ExitCode.CRITICAL)


def test_a_snapshot_of_another_schema_is_not_brought_forward(site: Installation) -> None:
    site.followed()
    snapshot = next(file.parent for file in (site.folder / ".cdc" / "snapshots").rglob("manifest.json"))
    site.sql("ALTER TABLE t ADD COLUMN w")
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    command = ["restore", str(snapshot), "--to", str(site.folder / "restored.db"), "--with-changes"]
    template = "the application changed its schema since snapshot {id}: {tables}"
    refused(site, command, template, ExitCode.CRITICAL, changes=[".cdc", "rows of cdc."])
