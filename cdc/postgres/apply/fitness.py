"""Whether what stands in Postgres for a table can take its rows; where it cannot, the table waits alone."""

from typing import Final

from cdc.errors import TargetMismatch
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl.schema_script import mark
from cdc.postgres.record.waiting_tables import SQL, Waiting
from cdc.sql_names import qualified, quote
from cdc.values.converter import compile_converter

_FILLS: Final = "the daemon then fills it"


async def unfit(connection: Connection, mapped: TableMap, target: TargetTable | None) -> Waiting | None:
    """Why the target of a table cannot take its rows, None when it can."""
    if target is None:
        return await _missing(connection, mapped)
    if guard := _guard(target):
        return Waiting(mapped.source.name, mapped.target, guard[0], f"{guard[1]}; {_FILLS}")
    try:
        AppliedTable(0, "", mapped, target, compile_converter(mapped, target))
    except TargetMismatch as error:
        return Waiting(mapped.source.name, mapped.target, error.message, f"{error.remedy}; {_FILLS}")
    return None


def _guard(target: TargetTable) -> tuple[str, str] | None:
    """What would keep our rows from being what we write, with its remedy."""
    name = qualified(target.schema, target.name)
    if target.rules:
        why = f"table {name} has rules, which rewrite what is written: {', '.join(target.rules)}"
        return why, "drop them, or make them triggers"
    if target.row_security:
        why = f"table {name} has row level security, which filters what the role of `dsn` sees and writes"
        return why, "connect as a role with BYPASSRLS, or as the table's owner, without FORCE ROW LEVEL SECURITY"
    return None


async def _missing(connection: Connection, mapped: TableMap) -> Waiting:
    name = qualified(mapped.schema, mapped.target)
    why, remedy = f"table {name} is missing in Postgres", "run `cdc schema`"
    if mapped.adopted:
        remedy = "make it again with your own migrations, or give it its name back"
    elif renamed := await connection.fetchval(SQL["renamed"], mapped.schema, mark(mapped)):
        why += f": it is called {renamed} now"
        remedy = f"ALTER TABLE {qualified(mapped.schema, renamed)} RENAME TO {quote(mapped.target)}"
    return Waiting(mapped.source.name, mapped.target, why, f"{remedy}; {_FILLS}")
