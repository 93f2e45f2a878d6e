"""What is written is on the disk only once it was flushed, and a new name only once its folder was."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Make a file or the names in a folder durable. Never for a live database: closing it would drop SQLite's locks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
