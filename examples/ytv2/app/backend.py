"""What the dashboard knows of a database: statements run in one transaction, and two kinds of failure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .dialect import Dialect

Row = Mapping[str, Any]


class Statement(NamedTuple):
    """SQL with `$1`, `$2` and so on, which both databases understand, and their values."""

    sql: str
    values: tuple[Any, ...] = ()


class DatabaseError(Exception):
    """The database did not do what it was asked; `status` is the one to answer with."""

    status = 503


class Unavailable(DatabaseError):
    """It is locked, away or broken; the same may work later."""


class Refused(DatabaseError):
    """A constraint or a trigger said no, in its own words."""

    status = 409


class Backend(Protocol):
    """One database. Raises `DatabaseError` and nothing else of a driver's."""

    name: str
    dialect: Dialect

    async def read(self, *statements: Statement) -> list[Sequence[Row]]:
        """The rows of each statement, all of one state of the database."""

    async def write(self, *statements: Statement) -> list[Sequence[Row]]:
        """Run the statements in one transaction; the rows of their RETURNING."""

    async def close(self) -> None:
        """Let go of the database."""
