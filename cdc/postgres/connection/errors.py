"""The driver's errors in our words: what was being done, why it failed, and what helps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from cdc.errors import CdcError, TargetError, TargetHindered, TargetRefused, TargetSurprise, TargetUnavailable
from cdc.postgres.connection.sqlstate import Answer, judge

_BUG: Final = "this is a bug of this tool: please report it with the table's definition"
# What the driver says of a connection that was lost, whatever the server would have said.
LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,  # the driver lost track, for instance when a server shuts down right after a login
    ConnectionError,
    TimeoutError,
)


def reason_of(error: BaseException) -> str:
    """What an error says in a few words, also one that says nothing by itself."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the driver's errors into ours; `what` says what was being done, without row values."""
    try:
        yield
    except CdcError:
        raise
    except LOST as error:
        raise _lost(what, error) from error
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):
            raise TargetError(f"{what}: a value does not fit its column's type", remedy=_BUG) from error
        raise TargetUnavailable(
            f"{what}: the connection to Postgres is not usable: {error}", remedy="it is tried again by itself"
        ) from error
    except asyncpg.PostgresError as error:
        raise _by_code(what, error) from error


def _lost(what: str, error: BaseException) -> TargetUnavailable:
    return TargetUnavailable(
        f"{what}: the connection to Postgres failed: {reason_of(error)}", remedy="it is tried again by itself"
    )


def _by_code(what: str, error: asyncpg.PostgresError) -> TargetError:
    """Our error for what the server said. Its primary message names objects; its DETAIL may hold row values."""
    treatment, words = judge(error.sqlstate), error.args[0]
    match treatment.answer:
        case Answer.RECONNECT:
            return _lost(what, error)
        case Answer.WAIT:
            return TargetHindered(
                f"{what}: Postgres cannot do this now: {words}", remedy=f"it is tried again by itself{treatment.help}"
            )
        case Answer.REFUSED:
            return TargetRefused(
                f"{what}: not allowed in Postgres: {words}",
                remedy="grant the role of `dsn` that privilege, or use the tables' owner",
            )
        case Answer.POOLER:
            return behind_pooler(words)
        case Answer.ANEW:
            return TargetSurprise(f"{what}: Postgres refuses: {words}", remedy="see the server's log for the statement")


def behind_pooler(sign: str) -> TargetRefused:
    """The error of a connection whose statements do not all reach the same session of the server."""
    return TargetRefused(
        f"`dsn` in [target] leads to a connection pooler that gives each transaction another session: {sign}",
        remedy="let `dsn` name the server itself, or a pooler in session mode: the lock of a source, temporary tables "
        "and prepared statements belong to one session",
    )
