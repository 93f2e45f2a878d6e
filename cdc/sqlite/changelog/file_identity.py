"""Which file a path names: another one that was moved over it is not the same."""

import os
from dataclasses import dataclass
from pathlib import Path

from cdc.errors import SourceChanged


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Which file a path names: a file moved over the path has another inode."""

    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "FileIdentity":
        """The identity of the file now at `path`; raises `SourceChanged` when there is none."""
        try:
            facts = os.stat(path)  # noqa: PTH116 (two microseconds on a path that is looked at with every read)
        except FileNotFoundError:
            raise SourceChanged(
                f"the SQLite file {path} is gone",
                remedy="put it back; if it moved for good, correct `path` in [source]",
            ) from None
        return cls(facts.st_dev, facts.st_ino)
