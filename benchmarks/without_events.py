"""The real command on a machine that has no file events left to give, so that it looks by its timer alone.

python -m benchmarks.without_events [ARGUMENTS OF cdc]
"""

import sys

from cdc.cli import main
from cdc.sqlite.connection import file_watch


def refuse() -> None:
    """What making an observer comes to when the user has used up the inotify instances."""
    raise OSError("inotify instance limit reached")


if __name__ == "__main__":
    setattr(file_watch, "Observer", refuse)  # noqa: B010 (mypy would want it to stay a class)
    sys.exit(main())
