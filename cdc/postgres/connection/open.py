"""Connections to Postgres: opened with words for everything that can go wrong, and one lock a source."""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias
from weakref import WeakSet

import asyncpg
from asyncpg.connection import LoggedQuery

from cdc.config import TargetSection
from cdc.errors import TargetRefused, TargetUnavailable
from cdc.host.systemd import credential
from cdc.log import redact
from cdc.postgres.connection.dsn import holds_password, require_clear, where
from cdc.postgres.connection.errors import LOST, behind_pooler, reason_of, translated
from cdc.postgres.connection.liveness import SETTINGS, Watched, watch
from cdc.postgres.connection.sqlstate import Answer, judge

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
CONNECT_TIMEOUT_SECONDS: Final = 10.0
HANG_UP_SECONDS: Final = 1.0  # for a polite end of a connection; a server that hangs never answers it
OLDEST_VERSION: Final = 14
_HAS_TRANSACTION_TIMEOUT: Final = 17  # the first version that has one
# What a database or a role may have set otherwise, and what this tool relies on. A long merge is no statement to end.
_SESSION: Final = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "extra_float_digits": "1",  # reals as the shortest text that reads back as the same; 0 rounds them
}
PROBE: Final = "watchdog"  # the purpose of connections that only ask
_CREDENTIAL: Final = "cdc-password"
open_connections: Final["WeakSet[Watched]"] = WeakSet()
# Read by `source_lock`, to know a connection of our own that was lost by its lock.
backends: Final[deque[int]] = deque(maxlen=64)  # the server's processes behind the connections of this process


def password_for(target: TargetSection) -> str | None:
    """The password in `password_file`, else the unit's credential, without its line end.

    None where neither is given, and where the DSN or the environment says more: then the driver finds it there.
    """
    if target.password_file is not None:
        return _read_password(target.password_file)
    if "PGPASSWORD" in os.environ or "PGPASSFILE" in os.environ or holds_password(target.dsn):
        return None
    given = credential(_CREDENTIAL)
    return _read_password(given) if given else None


def _read_password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise TargetRefused(
            f"password file {file} cannot be read: {error.strerror}",
            remedy="check `password_file` in [target], or `LoadCredential=` in the unit",
        ) from None


async def connect(dsn: str, *, purpose: str, password: str | None = None) -> Connection:
    """An open connection named `cdc <purpose>`; raises `TargetUnavailable` or `TargetRefused` with the reason."""
    require_clear(dsn)
    connection = await _connect(dsn, purpose, password)
    await _refuse_unfit(connection, dsn)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            await _settle_session(connection, dsn, purpose, password)
    except TimeoutError as error:
        connection.terminate()
        raise _away(dsn, error) from None
    except BaseException:  # who is told to stop meanwhile leaves none behind either
        connection.terminate()
        raise
    open_connections.add(connection)
    backends.append(connection.backend)
    if purpose != PROBE:
        watch(connection, partial(_connect, dsn, PROBE, password))
    return connection


async def _settle_session(connection: Watched, dsn: str, purpose: str, password: str | None) -> None:
    """Learn which process of the server it is. A pooler in between names another one, and may lose our settings."""
    with translated("asking for the server's process"):
        connection.backend = int(await connection.fetchval(_first_words(connection)))
        if connection.backend == connection.get_server_pid() or purpose == PROBE:
            return
        for name, setting in _SESSION.items():
            await connection.execute("SELECT set_config($1, $2, false)", name, setting)
        other = await _connect(dsn, PROBE, password)
        try:
            # The pooler has given our session to whoever came next.
            async with other.transaction():
                if await other.fetchval("SELECT pg_backend_pid()") == connection.backend:
                    raise behind_pooler("two connections got the same one")
        finally:
            other.terminate()


def _first_words(connection: Watched) -> str:
    """Asks for the server's process, and sets what only newer servers know."""
    if connection.get_server_version().major < _HAS_TRANSACTION_TIMEOUT:
        return "SELECT pg_backend_pid()"
    return "SELECT pg_backend_pid(), set_config('transaction_timeout', '0', false)"


async def _connect(dsn: str, purpose: str, password: str | None) -> Watched:
    settings = {"application_name": application_name(purpose), **_SESSION, **SETTINGS}
    try:
        return await asyncpg.connect(
            dsn,
            password=password,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings=settings,
            connection_class=Watched,
        )
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise TargetRefused(
            f"Postgres at {where(dsn)} refused the login: {error}",
            remedy="check user and password (PGPASSWORD, PGPASSFILE, `password_file` or the unit's credential)",
        ) from None
    except asyncpg.InvalidCatalogNameError as error:
        raise TargetRefused(
            f"Postgres at {where(dsn)}: {error}", remedy="create the database, or correct `dsn` in [target]"
        ) from None
    except ssl.CertificateError as error:
        raise TargetRefused(
            f"Postgres at {where(dsn)} cannot show that it is the right server: {error.verify_message or error}",
            remedy="check that `sslrootcert` in `dsn` is the authority that signed its certificate, and that the "
            "certificate is for the host that `dsn` names",
        ) from None
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        # The driver may quote the DSN, password and all, and adds a hint on a line of its own.
        raise TargetRefused(
            f"`dsn` in [target] cannot be used: {redact(_in_one_line(error))}",
            remedy="write it as postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE, with the options that `psql` has; "
            "`sslmode=verify-full` needs `sslrootcert=FILE` as well",
        ) from None
    except (*LOST, asyncpg.InterfaceError, OSError, ssl.SSLError) as error:
        raise _away(dsn, error) from None
    except asyncpg.PostgresError as error:
        if judge(error.sqlstate).answer in (Answer.RECONNECT, Answer.WAIT):
            raise _away(dsn, error) from None
        raise TargetRefused(
            f"Postgres at {where(dsn)} cannot be used: {error}",
            remedy="check `dsn` in [target]; it must lead to the server itself, not to a connection pooler",
        ) from None


def _away(dsn: str, error: BaseException) -> TargetUnavailable:
    return TargetUnavailable(
        f"Postgres at {where(dsn)} cannot be reached: {reason_of(error)}",
        remedy="check that the server runs and that `dsn` in [target] names its host and port",
    )


async def show_life(connection: Connection, beat: Callable[[], None]) -> int:
    """From now on each statement that ends well over this connection calls `beat`. Returns the server's process."""

    def ended(statement: LoggedQuery) -> None:
        if statement.exception is None:
            beat()

    connection.add_query_logger(ended)
    assert isinstance(connection, Watched)
    return connection.backend


async def hang_up(connection: Connection) -> None:
    """Close a connection, with a good-bye if the server takes it soon; what it had not committed is rolled back."""
    # A server that hangs would never answer the good-bye. Without one it notices by itself, and undoes what was begun.
    try:
        async with asyncio.timeout(HANG_UP_SECONDS):
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def hang_up_all() -> None:
    """Cut every connection of this process at once: whoever waits for an answer over one gets an error instead."""
    for connection in list(open_connections):
        connection.terminate()


async def _refuse_unfit(connection: Connection, dsn: str) -> None:
    version, encoding = connection.get_server_version(), connection.get_settings().server_encoding
    if version.major < OLDEST_VERSION:
        await connection.close()
        raise TargetRefused(
            f"Postgres at {where(dsn)} is version {version.major}",
            remedy=f"use Postgres {OLDEST_VERSION} or newer",
        )
    if encoding != "UTF8":
        await connection.close()
        raise TargetRefused(
            f"the database at {where(dsn)} holds texts in {encoding}, which cannot hold every text of SQLite",
            remedy="make one with CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and name it in `dsn`",
        )


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def require_same_session(connection: Connection, process: int) -> None:
    """Raises `TargetRefused` when a statement was answered by another process of the server than this connection's."""
    if isinstance(connection, Watched) and connection.backend != process:
        raise behind_pooler("another one answers now")


def application_name(purpose: str) -> str:
    """What other operators see of a connection of this process."""
    return f"cdc {purpose} {owner()}"


def owner() -> str:
    """Who this process is, for other operators: host and process id."""
    return f"{socket.gethostname()[:20]}/{os.getpid()}"
