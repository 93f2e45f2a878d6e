"""Views in Postgres: made only where they answer as SQLite does, known by their comment, dropped in time."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from cdc.audit.chain import entry
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.record.record import Record
from cdc.postgres.tables.hashed_rows import Sum, total
from cdc.postgres.tables.statement import EXISTS
from cdc.postgres.translate.views import MARK, TargetView
from cdc.sql_names import qualified

SQL: Final = load("views")
_REFUSALS: Final = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.QueryCanceledError,
)


class _Differs(Exception):
    """The view answers otherwise than in SQLite; raised within the savepoint that made it, so it is gone."""


async def attempt(connection: Connection, view: TargetView, answer: Sum, seconds: float) -> str | None:
    """Make a view in the caller's transaction, unless Postgres then answers otherwise than `answer`, which SQLite did.

    Returns why it was not made: `EXISTS`, or words for the operator.
    """
    with translated(f"making view {view.name}"):
        comment = await connection.fetchval(SQL["comment_of"], view.schema, view.name)
        if comment is not None:
            return EXISTS if comment == view.mark else "its name is taken in Postgres"
        try:
            async with connection.transaction():
                await _prove(connection, view, answer, seconds)
        except (_Differs, *_REFUSALS) as error:
            return f"Postgres refuses it: {error.args[0]}" if isinstance(error, _REFUSALS) else str(error)
    return None


async def _prove(connection: Connection, view: TargetView, answer: Sum, seconds: float) -> None:
    await connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
    await connection.execute(view.script)
    target_answer = await total(connection, view.schema, view.name, [c.target for c in view.columns])
    # A savepoint that is released leaves this in force for what follows in the transaction.
    await connection.execute("SET LOCAL statement_timeout = 0")
    if target_answer.rows != answer.rows:
        raise _Differs(f"it answers with {target_answer.rows} rows in Postgres and with {answer.rows} in SQLite")
    if target_answer != answer:
        raise _Differs("its rows have other values in Postgres than in SQLite")


async def tell(record: Record, outcomes: Mapping[str, str | None]) -> None:
    """Record which views were made (None), and why others were not."""
    entries = [
        entry("make view", "done", {"view": name})
        if why is None
        else entry("leave out view", "done", {"view": name, "why": why})
        for name, why in outcomes.items()
    ]
    if entries:
        with translated("telling of views"):
            async with record.connection.transaction():
                await record.audit.append(entries)
                for name in (name for name, why in outcomes.items() if why is None):
                    await record.made_views.note(name)


async def marks(connection: Connection, schema: str, targets: Sequence[str]) -> dict[str, str]:
    """The views of ours that read some target tables, with their marks; none before one that reads it."""
    with translated("looking at the views"):
        rows = await connection.fetch(SQL["ours"], schema, list(targets), MARK)
    return {row["name"]: row["comment"] for row in rows}


async def error_of(connection: Connection, schema: str, name: str) -> str | None:
    """What Postgres says when a view is asked for none of its rows; None when it answers."""
    with translated(f"asking view {name}"):
        try:
            async with connection.transaction():
                await connection.execute(f"SELECT * FROM {qualified(schema, name)} LIMIT 0")
        except _REFUSALS as error:
            return str(error.args[0])
    return None


async def drop_outdated(
    record: Record, schema: str, views: Sequence[TargetView], targets: Sequence[str]
) -> Mapping[str, str | None]:
    """Drop views of ours over some target tables that are not, or no longer so, among `views`.

    By name why one could not be dropped, None for those that were. Nobody else's view is dropped, nor dropped along.
    """
    kept = {view.name: view.mark for view in views}
    existing = await marks(record.connection, schema, targets)
    outdated = [name for name, mark in existing.items() if mark != kept.get(name)]
    return {name: await _drop(record, schema, name) for name in outdated}


async def _drop(record: Record, schema: str, name: str) -> str | None:
    with translated(f"dropping view {name}"):
        try:
            async with record.connection.transaction():
                await record.connection.execute(f"DROP VIEW {qualified(schema, name)}")
                await record.audit.append([entry("drop view", "done", {"view": name})])
                await record.made_views.forget(name)
        except asyncpg.DependentObjectsStillExistError as error:
            return str(error.detail)
    return None
