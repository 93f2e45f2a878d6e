"""Why Postgres will not have a row: a constraint says so, a value does not fit, or the row is larger than its limits.

https://www.postgresql.org/docs/current/limits.html. A limit is told apart from a constraint, because no change of
another row can ever make room: such a row is not tried again by itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg

from cdc.errors import TargetError
from cdc.facts.changes import Reason, Rejection
from cdc.postgres.connection.open import Connection

REFUSED: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
CONSTRAINT_REMEDY: Final = "correct the row in SQLite, or the constraint in Postgres, then `cdc quarantine retry`"

_TOO_LARGE: Final = "invalid memory alloc request size"
_LIMIT_REMEDY: Final = "make the row shorter in SQLite"
_REMEDIES: Final = {
    "index row": "make the value shorter in SQLite; or drop that index or constraint in Postgres, if it is not the "
    "primary key, and run `cdc quarantine retry`",
    "row is too big": "make its values shorter or NULL in SQLite; or leave columns out with `skip` in its section "
    "under [tables], then run `cdc quarantine retry`",
}


def is_refusal(error: BaseException) -> bool:
    """Whether Postgres refused a row, not the work as such; also for errors of ours that came of such a one."""
    cause = error if isinstance(error, asyncpg.PostgresError) else error.__cause__
    return isinstance(cause, REFUSED) or _is_too_large(cause)


def _is_too_large(cause: BaseException | None) -> bool:
    """Whether one value or row was more than a server can have in one piece: it calls that an internal error."""
    return isinstance(cause, asyncpg.InternalServerError) and str(cause).startswith(_TOO_LARGE)


def why_refused(error: BaseException) -> Rejection:
    """Reason and remedy for the quarantine, from the driver's error or one of ours that came of it."""
    cause = error if isinstance(error, asyncpg.PostgresError) else error.__cause__
    words = " ".join(str(cause.args[0]).split()) if cause and cause.args else str(error)
    if not (isinstance(cause, asyncpg.ProgramLimitExceededError) or _is_too_large(cause)):
        return Rejection("", Reason.CONSTRAINT, words, CONSTRAINT_REMEDY)
    remedy = next((advice for begins, advice in _REMEDIES.items() if words.startswith(begins)), _LIMIT_REMEDY)
    return Rejection("", Reason.LIMIT, words, remedy)


_Row = tuple[object, ...]


async def send_accepted(
    connection: Connection, rows: Sequence[_Row], send: Callable[[Sequence[_Row]], Awaitable[None]], first: int = 0
) -> dict[int, Rejection]:
    """Send the rows that Postgres takes, by halves until each that it refuses stands alone; returns those, by place.

    Each attempt is a savepoint of the caller's transaction. `first` is the place of the first row.
    """
    if not rows:
        return {}
    try:
        async with connection.transaction():
            await send(rows)
    except (TargetError, asyncpg.InternalServerError, *REFUSED) as error:
        if not is_refusal(error):
            raise
        if len(rows) == 1:
            return {first: why_refused(error)}
        middle = len(rows) // 2
        refused = await send_accepted(connection, rows[:middle], send, first)
        return refused | await send_accepted(connection, rows[middle:], send, first + middle)
    return {}
