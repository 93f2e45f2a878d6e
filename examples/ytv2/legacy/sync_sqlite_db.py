"""An example of what has to go: it copies the whole database file to the dashboard, deleted videos and all.

Without arguments it does nothing.
"""

import shutil
import sys


def sync(source: str, target: str) -> None:
    """Put one file in the place of another, whatever was written there since."""
    shutil.copyfile(source, target)


if __name__ == "__main__" and len(sys.argv) == 3:
    sync(sys.argv[1], sys.argv[2])
