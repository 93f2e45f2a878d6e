"""Named crash points between the steps of the main path, inert outside tests.

`CDC_CRASH_AT=name` kills the process with SIGKILL the first time the point is reached, `name:3` the third time.
A point costs one comparison when the variable is not set.
"""

import os
import signal
from typing import Final

POINTS: Final = (
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
    "resync.before_adopt",
    "resync.before_position",
    "apply.after_stage",
    "apply.before_merge",
    "apply.after_merge",
    "apply.before_commit",
    "apply.after_commit",
    "prune.before_commit",
    "prune.after_commit",
)

_name, _, _count = os.environ.get("CDC_CRASH_AT", "").partition(":")
_left = int(_count or "1")


def crash_point(name: str) -> None:
    """Die here, without clean-up, when this point was asked for; otherwise do nothing."""
    if name == _name:
        _reached()


def _reached() -> None:
    global _left  # noqa: PLW0603 (a count down over the life of the process)
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
