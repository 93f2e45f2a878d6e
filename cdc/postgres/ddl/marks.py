"""The comments by which tables and views in Postgres are known as made by this tool, on their way out."""

from collections.abc import Sequence
from typing import Final

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.ddl import views
from cdc.postgres.ddl.schema_script import MARK
from cdc.sql_names import qualified

SQL: Final = load("removal")


async def marked(connection: Connection, schema: str, targets: Sequence[str]) -> list[str]:
    """The tables among `targets` and the views of ours that read them, as `table item`, `view recent`."""
    with translated("looking for comments of ours"):
        tables = [row[0] for row in await connection.fetch(SQL["marked"], schema, list(targets), MARK)]
    of_views = await views.marks(connection, schema, targets)
    return [*(f"table {name}" for name in tables), *(f"view {name}" for name in sorted(of_views))]


async def remove(connection: Connection, schema: str, targets: Sequence[str]) -> None:
    """Take these comments off, all or none."""
    async with connection.transaction():
        for place in await marked(connection, schema, targets):
            kind, _, name = place.partition(" ")
            with translated(f"taking the comment of {place} off"):
                await connection.execute(f"COMMENT ON {kind.upper()} {qualified(schema, name)} IS NULL")


async def unsettled(connection: Connection, schema: str, targets: Sequence[str]) -> list[str]:
    """Constraints that do not hold for every row yet, and indexes that are not used, in words."""
    with translated("looking at constraints and indexes"):
        return [row[0] for row in await connection.fetch(SQL["unsettled"], schema, list(targets))]
