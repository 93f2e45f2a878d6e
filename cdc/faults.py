"""Named points between the steps of the main path where a test ends or stops the process, inert outside tests.

`CDC_CRASH_AT=name` kills the process with SIGKILL the first time the point is reached, `name:3` the third time.
`CDC_STALL_AT=name` blocks there for ever, whoever comes by. `CDC_FREEZE_AT=name` stops the whole process there by
SIGSTOP, also at a crash point. A point costs one comparison when its variable is not set.
"""

import os
import signal
import threading
import time
from typing import Final

CRASH_POINTS: Final = (
    "capture.before_commit",
    "capture.after_commit",
    "snapshot.before_manifest",
    "snapshot.after_manifest",
    "schema.before_commit",
    "schema.after_commit",
    "helper_key.added_first",  # before the first copy
    "helper_key.added",
    "load.before_table_commit",
    "load.after_table_commit",
    "load.before_constraints",
    "load.before_position",
    "load.after_position",
    "outgrown.before_noted",
    "outgrown.after_noted",
    "retype.before_way",
    "retype.after_way",
    "follow.before_capture",
    "follow.after_capture",
    "follow.after_mapping",
    "follow.before_finished",
    "leftover.before_commit",
    "leftover.after_commit",
    "pending.before_commit",
    "pending.after_commit",
    "release.before_commit",
    "release.after_commit",
    "relieve.before_commit",
    "relieve.after_commit",
    "continue.before_capture",
    "continue.before_position",
    "resync.before_adopt",
    "resync.before_position",
    "replaced.saved",
    "tombstones.accepted",
    "tombstones.saved",
    "tombstones.before_commit",
    "tombstones.after_commit",
    "apply.after_stage",
    "apply.before_merge",
    "apply.after_merge",
    "apply.before_commit",
    "apply.after_commit",
    "fence.before_commit",
    "fence.after_commit",
    "carry.before_commit",
    "carry.after_commit",
    "prune.before_commit",
    "prune.after_commit",
    "switch.step_begun",  # of every step of a cutover or a rollback, in their order
    "switch.step_done",
    "cleanup.after_sqlite",
    "cleanup.before_schema",
    "cleanup.after_postgres",
    "legacy.before_manifest",
    "legacy.before_removal",
    "legacy.after_restore",
    "trail.before_end",
    "trail.before_note",
)
STALL_POINTS: Final = (
    "loop.step",  # in the event loop: nothing else runs any more
    "sqlite.read",  # in the thread that reads SQLite: the event loop lives, and waits for it
    "snapshot.copy",  # in the thread that takes the snapshot, while `cdc up` makes the first copy
)
FREEZE_POINTS: Final = (
    "read.before_end",  # of any transaction that reads SQLite
    "changes.read",  # in the transaction that reads changes, while the daemon follows
)


class _Point:
    """A point chosen by an environment variable as `name` or `name:count`: reached when it was passed so often."""

    def __init__(self, variable: str) -> None:
        self._name, _, count = os.environ.get(variable, "").partition(":")
        self._passes_left = int(count or "1")

    def is_reached(self, name: str) -> bool:
        if name != self._name:
            return False
        self._passes_left -= 1
        return self._passes_left <= 0


_crash = _Point("CDC_CRASH_AT")
_stall = _Point("CDC_STALL_AT")
_freeze = _Point("CDC_FREEZE_AT")


def crash_point(name: str) -> None:
    """Die here, without clean-up, when this point was asked for; otherwise do nothing."""
    if _crash.is_reached(name):
        os.kill(os.getpid(), signal.SIGKILL)
    freeze_point(name)


def freeze_point(name: str) -> None:
    """Stand still here, every thread, until somebody lets this process go on, when this point was asked for."""
    if _freeze.is_reached(name):
        # To this thread: one that another thread takes lets this one run on for a moment.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def stall_point(name: str) -> None:
    """Stay here for ever when this point was asked for; otherwise do nothing."""
    while _stall.is_reached(name):
        time.sleep(1.0)
