"""The two databases of a move, and which of them applications may write to. Frozen, no I/O."""

from enum import StrEnum


class Side(StrEnum):
    """One of the two databases."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"

    @property
    def other(self) -> "Side":
        """The other one."""
        return Side.POSTGRES if self is Side.SQLITE else Side.SQLITE


class Writable(StrEnum):
    """Who accepts writes, as both databases show it; `cdc status` shows the value."""

    SQLITE = "SQLite"
    POSTGRES = "Postgres"
    NOBODY = "nobody"
    BOTH = "both"


def writable(*, sqlite_refuses: bool, postgres_open: bool) -> Writable:
    """Who accepts writes.

    Before a switch was prepared nothing guards Postgres, and nothing uses it: it counts as closed.
    """
    if sqlite_refuses:
        return Writable.POSTGRES if postgres_open else Writable.NOBODY
    return Writable.BOTH if postgres_open else Writable.SQLITE
