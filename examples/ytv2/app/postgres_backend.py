"""The dashboard on Postgres: a pool of few connections."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg

from .backend import Refused, Row, Statement, Unavailable
from .dialect import POSTGRES, Dialect

CONNECTIONS = 5
PATIENCE_SECONDS = 10.0  # for a connection, and for a statement
# `InternalClientError` is what the driver may say of a connection that the server has just ended.
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class PostgresBackend:
    """A database that need not be there yet: the first request connects."""

    name = "postgres"

    def __init__(self, dsn: str, dialect: Dialect = POSTGRES) -> None:
        self.dialect = dialect
        self._dsn = dsn
        self._opening = asyncio.Lock()
        self._pool: Any = None

    async def read(self, *statements: Statement) -> list[Sequence[Row]]:
        """The rows of each statement, all of one state of the database."""
        async with self._transaction(isolation="repeatable_read", readonly=True) as connection:
            return [await _rows(connection, statement) for statement in statements]

    async def write(self, *statements: Statement) -> list[Sequence[Row]]:
        """Run the statements in one transaction."""
        async with self._transaction() as connection:
            return [await _rows(connection, statement) for statement in statements]

    async def close(self) -> None:
        """End every connection."""
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def _transaction(self, **kind: Any) -> AsyncIterator[Any]:
        try:
            pool = await self._connected()
            async with pool.acquire(timeout=PATIENCE_SECONDS) as connection, connection.transaction(**kind):
                yield connection
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.RaiseError) as error:
            raise Refused(str(error)) from error
        except _AWAY as error:
            raise Unavailable(str(error) or type(error).__name__) from error

    async def _connected(self) -> Any:
        async with self._opening:
            self._pool = self._pool or await asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=CONNECTIONS,
                statement_cache_size=0,  # columns come and go beneath it while the file is followed
                timeout=PATIENCE_SECONDS,
                command_timeout=PATIENCE_SECONDS,
                server_settings={"application_name": "ytv2"},
            )
        return self._pool


async def _rows(connection: Any, statement: Statement) -> Sequence[Row]:
    fetched = await connection.fetch(statement.sql, *map(_given, statement.values))
    return [{name: _plain(value) for name, value in row.items()} for row in fetched]


def _given(value: Any) -> Any:
    """A float goes to a `numeric` column as it is written, not with all its binary digits."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """`numeric` as SQLite gives it: a whole number, or a float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
