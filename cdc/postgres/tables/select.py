"""One query of an operator's, put to Postgres within a transaction that only reads."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Rows, the names of the columns with their types by the catalogue, and how long it took."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]
    seconds: float


async def ask(connection: Connection, name: str, sql: str, seconds: float) -> QueryAnswer:
    """All rows of a query; raises `TargetError` when Postgres refuses it, or when it takes longer.

    Inside a transaction of the caller's, who has it read only.
    """
    with translated(f"asking Postgres: {name}"):
        await connection.execute(f"SET LOCAL statement_timeout = {max(1, round(1000 * seconds))}")
        statement = await connection.prepare(sql)
        columns = [(attribute.name, attribute.type.name) for attribute in statement.get_attributes()]
        began = time.perf_counter()
        rows = await statement.fetch()
        return QueryAnswer(columns, [tuple(row) for row in rows], time.perf_counter() - began)
