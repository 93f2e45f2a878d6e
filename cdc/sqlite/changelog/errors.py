"""The errors of a changelog that is not the one which a position belongs to."""

from pathlib import Path
from typing import Final

from cdc.errors import CaptureLost, FileReplaced, SourceChanged

_COMPARES: Final = "if this file is the right one, run `cdc load --resync`: it compares every row"


def entry_lost(path: Path, seq: int) -> FileReplaced:
    """The error of a changelog in which the entry at the position is missing or another one."""
    return FileReplaced(
        f"the changelog of {path} does not hold the entry that was applied last (number {seq}): the file was restored "
        "from a backup, replaced, or its changelog was edited",
        remedy=_COMPARES,
    )


def went_its_own_way(path: Path, seq: int) -> FileReplaced:
    """The error of a changelog that has another entry at the position."""
    return FileReplaced(
        f"the changelog of {path} does not hold the entry that was applied last, but another one of its number "
        f"({seq}): the file was overwritten by a copy that went its own way",
        remedy=_COMPARES,
    )


def target_behind(path: Path, seq: int, oldest: int) -> SourceChanged:
    """The error of a position that is older than all that the changelog still has to hold."""
    return SourceChanged(
        f"Postgres is behind: it has the changes up to number {seq}, and the changelog of {path} begins with number "
        f"{oldest}, for what came before was applied: Postgres was restored from an older backup, or is another "
        "database",
        remedy="if this Postgres and this file are the right ones, run `cdc load --resync`: it compares every row",
    )


def schema_changed() -> CaptureLost:
    """The error of a schema that is no longer the known one: it is looked at again before anything is applied."""
    return CaptureLost("the schema of the SQLite file changed", remedy="it is looked at by itself")


def emptied(path: Path) -> SourceChanged:
    """The error of a changelog without an entry."""
    return SourceChanged(
        f"the changelog of {path} is empty: somebody deleted its entries, also those that were not applied",
        remedy=_COMPARES,
    )


def broken_off() -> CaptureLost:
    """The error of a changelog that no longer goes on from the position: how it stands to it is looked at anew."""
    return CaptureLost("the changelog does not go on from what was applied last", remedy="it is looked at by itself")
