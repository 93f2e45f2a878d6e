"""Named points between the steps of the main path where a test ends or stops the process, inert outside tests.

`CDC_CRASH_AT=name` kills the process with SIGKILL the first time the point is reached, `name:3` the third time.
`CDC_STALL_AT=name` blocks there for ever, whoever comes by. A point costs one comparison when its variable is not set.
"""

import os
import signal
import time
from typing import Final

CRASH_POINTS: Final = (
    "capture.before_commit",
    "capture.after_commit",
    "snapshot.before_manifest",
    "snapshot.after_manifest",
    "schema.before_commit",
    "schema.after_commit",
    "load.before_table_commit",
    "load.after_table_commit",
    "load.before_constraints",
    "load.before_position",
    "load.after_position",
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
    "resync.before_adopt",
    "resync.before_position",
    "replaced.saved",
    "apply.after_stage",
    "apply.before_merge",
    "apply.after_merge",
    "apply.before_commit",
    "apply.after_commit",
    "prune.before_commit",
    "prune.after_commit",
    "trail.before_end",
    "trail.before_note",
)
STALL_POINTS: Final = (
    "loop.step",  # in the event loop: nothing else runs any more
    "sqlite.read",  # in the thread that reads SQLite: the event loop lives, and waits for it
    "snapshot.copy",  # in the thread that takes the snapshot, while `cdc up` makes the first copy
)


class _Point:
    """A point chosen by an environment variable as `name` or `name:count`: reached when it was passed so often."""

    def __init__(self, variable: str) -> None:
        self._name, _, count = os.environ.get(variable, "").partition(":")
        self._left = int(count or "1")

    def is_reached(self, name: str) -> bool:
        if name != self._name:
            return False
        self._left -= 1
        return self._left <= 0


_crash = _Point("CDC_CRASH_AT")
_stall = _Point("CDC_STALL_AT")


def crash_point(name: str) -> None:
    """Die here, without clean-up, when this point was asked for; otherwise do nothing."""
    if _crash.is_reached(name):
        os.kill(os.getpid(), signal.SIGKILL)


def stall_point(name: str) -> None:
    """Stay here for ever when this point was asked for; otherwise do nothing."""
    while _stall.is_reached(name):
        time.sleep(1.0)
