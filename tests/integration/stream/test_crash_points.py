"""Killed between any two steps of the main path and started again, the daemon ends with both databases equal.

Each case reaches its crash point in a real process; a point that is not reached fails the test, because then the
process ends in another way than by SIGKILL.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import pytest
from batch_accounting import trail_breaks
from comparison import Comparison
from harness import Daemon, application, make_config, up, wait_until_caught_up

from cdc.config import Config
from cdc.faults import CRASH_POINTS
from cdc.notes import pause_note
from cdc.stream.resync import request_resync

SCHEMA: Final = """
CREATE VIEW numbers(value) AS
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n;
CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE, body TEXT);
CREATE TABLE note(k TEXT PRIMARY KEY, v REAL, n INTEGER);
INSERT INTO parent SELECT value, 'parent ' || value FROM numbers WHERE value BETWEEN 1 AND 300;
INSERT INTO child SELECT value, 1 + value % 300, 'child ' || value FROM numbers WHERE value BETWEEN 1 AND 900;
CREATE TABLE spare(id INTEGER PRIMARY KEY, note_k TEXT NOT NULL REFERENCES note(k), t TEXT UNIQUE);
INSERT INTO spare SELECT value, 'note ' || value, 'spare ' || value FROM numbers WHERE value BETWEEN 1 AND 50;
INSERT INTO note SELECT 'note ' || value, value / 3.0, value FROM numbers WHERE value BETWEEN 1 AND 100;
CREATE TABLE dated(id INTEGER PRIMARY KEY, at DATETIME CHECK (at <> 1000), other);
CREATE INDEX by_at ON dated(at);
INSERT INTO dated(id) SELECT value FROM numbers WHERE value BETWEEN 1 AND 50;
"""
FEW: Final = """
BEGIN;
UPDATE parent SET name = 'renamed ' || id WHERE id % 50 = 0;
DELETE FROM note WHERE n % 10 = 3;
REPLACE INTO parent(id, name) VALUES (1001, 'parent 7');
UPDATE child SET parent_id = 1001 WHERE parent_id = 7;
INSERT INTO note VALUES ('new', 0.1, -1);
COMMIT;
"""
MANY: Final = """
BEGIN;
UPDATE child SET body = body || ' again', parent_id = 1 + (parent_id * 7) % 300;
DELETE FROM child WHERE id % 5 = 0;
INSERT INTO child SELECT value, 1 + value % 300, 'late ' || value FROM numbers WHERE value BETWEEN 2000 AND 2600;
INSERT INTO child VALUES (5000, 4711, 'an orphan');
UPDATE parent SET name = 'moved ' || id WHERE id % 2 = 0;
COMMIT;
"""
DRIFT: Final = """
ALTER TABLE note ADD COLUMN extra TEXT DEFAULT 'there from the start';
CREATE TABLE tag(name TEXT PRIMARY KEY, child_id INTEGER);
INSERT INTO tag VALUES ('one', 1), ('two', 2);
UPDATE note SET extra = 'set' WHERE n = 5;
"""
LEAVE: Final = """
ALTER TABLE child RENAME COLUMN body TO words;
UPDATE child SET words = 'set' WHERE id = 5;
ALTER TABLE spare RENAME TO kept;
INSERT INTO kept VALUES (1000, 'note 1', 'kept');
CREATE TABLE shorter(id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO shorter SELECT id, name FROM parent;
DROP TABLE parent;
ALTER TABLE shorter RENAME TO parent;
"""
LATE: Final = """
UPDATE dated SET at = id, other = 'o' || id;
"""
# The type that the first values decided does not hold the next one.
LATER: Final = """
UPDATE dated SET at = 'about noon' WHERE id = 7;
"""
PUSHED: Final = """
DELETE FROM child WHERE id = 7;
DROP TABLE _cdc_changelog; DROP TABLE _cdc_state; DROP TABLE _cdc_table; DROP TABLE _cdc_mark;
"""
# What a write that comes too late would bring back or overwrite.
MEANWHILE: Final = """
BEGIN;
DELETE FROM child WHERE parent_id IN (SELECT id FROM parent WHERE id % 7 = 0);
DELETE FROM parent WHERE id % 7 = 0;
UPDATE note SET v = -v;
DELETE FROM note WHERE k = 'new';
INSERT INTO note(k, v, n) VALUES ('meanwhile', 1.5, 77);
COMMIT;
"""
ROUNDS: Final = {"round_entries": 250}  # several rounds before a merge
PRUNING: Final = {"prune_entries": 1, "heartbeat_seconds": 0.05}


@dataclass(frozen=True)
class Case:
    """A point, what the application does to have it reached, and the command that reaches it.

    `work` is None when the point belongs to the first copy. `followed` says that it is followed before the command,
    `hurt` that the application cannot write until the daemon runs again, `resync` that a resync is asked for.
    """

    point: str
    work: str | None = None
    command: tuple[str, ...] = ("run", "--until-idle")
    options: Mapping[str, Any] = field(default_factory=dict)
    followed: bool = False
    hurt: bool = False
    resync: bool = False

    @property
    def name(self) -> str:
        how: dict[str | None, str] = {
            None: "first copy",
            FEW: "few",
            MANY: "many",
            DRIFT: "drift",
            LEAVE: "leave",
            PUSHED: "pushed",
        }
        how |= {LATE: "late", LATER: "later"}
        return f"{self.point} {how[self.work]}"


def _first(point: str) -> Case:
    return Case(point, command=("up", "--until-idle"))


RETYPING: Final = (
    "outgrown.before_noted",
    "outgrown.after_noted",
    "retype.before_way",
    "retype.after_way",
    "follow.before_capture",
    "follow.after_mapping",
    "apply.before_commit",
    "apply.after_commit",
    "follow.before_finished",
)
DROPPING: Final = ("schema", "--apply-pending")
RELEASING: Final = ("pause", "--release-triggers")
RESYNC: Final = ("load", "--resync", "--yes")
CASES: Final = [
    *map(_first, ("capture.before_commit", "capture.after_commit")),
    *map(_first, ("snapshot.before_manifest", "snapshot.after_manifest")),
    *map(_first, ("schema.before_commit", "schema.after_commit")),
    *map(_first, ("load.before_table_commit", "load.before_table_commit:2")),
    *map(_first, ("load.after_table_commit", "load.after_table_commit:2", "load.after_table_commit:3")),
    *map(_first, ("load.before_constraints", "load.before_position", "load.after_position")),
    Case("apply.before_commit", FEW),
    Case("apply.after_commit", FEW),
    Case("apply.after_stage", MANY, options=ROUNDS),
    Case("apply.after_stage:3", MANY, options=ROUNDS),
    Case("apply.before_merge", MANY, options=ROUNDS),
    Case("apply.after_merge", MANY, options=ROUNDS),
    Case("apply.before_commit", MANY),
    Case("apply.after_commit", MANY, options=ROUNDS),
    Case("follow.before_capture", DRIFT),
    Case("follow.after_capture", DRIFT),
    Case("follow.before_capture", LEAVE),
    Case("follow.after_mapping", LEAVE),
    Case("follow.before_finished", LEAVE),
    *[Case(f"leftover.before_commit:{time}", LEAVE) for time in (1, 2)],
    *[Case(f"leftover.after_commit:{time}", LEAVE) for time in (1, 2)],
    Case("apply.after_commit", LEAVE),
    Case("pending.before_commit", LEAVE, command=DROPPING, followed=True),
    Case("pending.after_commit", LEAVE, command=DROPPING, followed=True),
    *[Case(f"release.{place}_commit", FEW, command=RELEASING) for place in ("before", "after")],
    Case("relieve.before_commit", PUSHED, hurt=True),
    Case("relieve.after_commit", PUSHED),
    Case("continue.before_capture", PUSHED),
    Case("continue.before_position", PUSHED),
    Case("apply.after_stage", DRIFT),
    Case("apply.before_commit", DRIFT),
    Case("apply.after_commit", DRIFT),
    *[Case(point, work) for work in (LATE, LATER) for point in RETYPING],
    Case("apply.after_merge", LATER),
    Case("resync.before_adopt", MANY, command=RESYNC),
    Case("resync.before_position", MANY, command=RESYNC),
    Case("replaced.saved", MANY, resync=True),
    *[Case(f"trail.before_end:{time}", FEW) for time in (1, 2, 3)],
    *[Case(f"trail.before_note:{time}", MANY) for time in (1, 2)],
    Case("prune.before_commit", MANY, command=("run",), options=PRUNING),
    Case("prune.after_commit", MANY, command=("run",), options=PRUNING),
    Case("prune.before_commit:2", MANY, command=("run",), options=PRUNING),
]


def test_every_crash_point_has_a_case() -> None:
    # In tests/integration: sqlite/test_fence.py, cutover/test_kills.py, first_copy/test_helper_key.py and
    # tombstones/test_another_file.py.
    others = ("fence.", "switch.", "carry.", "cleanup.", "legacy.", "helper_key.", "tombstones.")
    elsewhere = {point for point in CRASH_POINTS if point.startswith(others)}
    assert {case.point.partition(":")[0] for case in CASES} == set(CRASH_POINTS) - elsewhere


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_killed_at_a_point_and_started_again_nothing_is_lost(case: Case, tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(SCHEMA)
    config = make_config(tmp_path, tmp_path / "app.db", database, **case.options)
    if case.work is not None:
        await up(config)
        if case.work == LATER:
            app.execute(LATE)
            await up(config)
        app.execute(case.work)
        if case.followed:
            await up(config)
        if case.resync:
            await request_resync(config)
    with Daemon(config, case.command, {"CDC_CRASH_AT": case.point}) as daemon:
        assert daemon.wait(30) == -signal.SIGKILL, f"{case.point} was not reached:\n{daemon.words()}"
    learn(app)
    if not case.hurt:
        app.execute(MEANWHILE)
    pause_note.let_go(config)  # where the command that died was to hold the daemon, as `cdc resume` does
    with Daemon(config, ("up",)) as daemon:
        await wait_until_caught_up(config, database, daemon=daemon)
        learn(app)
        app.execute("INSERT INTO note(k, v, n) VALUES ('after', 2.5, 78)")
        await expect_equal(app, config, database, daemon)
        assert daemon.terminate() == 0, daemon.words()
    assert await trail_breaks(config, database) == []
    app.close()


def learn(app: apsw.Connection) -> None:
    """Read something: by that a connection learns of a schema that others changed."""
    app.execute("SELECT count(*) FROM note").fetchall()


async def expect_equal(app: apsw.Connection, config: Config, dsn: str, daemon: Daemon) -> None:
    await wait_until_caught_up(config, dsn, daemon=daemon)
    target = await asyncpg.connect(dsn)
    try:
        found = await Comparison(app, target).differences()
    finally:
        await target.close()
    assert not found, "\n".join([*found[:20], daemon.words()])
