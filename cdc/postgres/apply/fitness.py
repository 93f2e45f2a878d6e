"""Whether what stands in Postgres for a table can take its rows; where it cannot, the table waits alone."""

from collections.abc import Sequence
from typing import Final

from cdc.errors import TargetMismatch
from cdc.facts.source_schema import KeyKind
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.target_limits import leave_out
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl.schema_script import mark
from cdc.postgres.record.waiting_tables import SQL, Waiting
from cdc.postgres.tables.counts import has_own_rows
from cdc.sql_names import heading, qualified, quote, toml_text
from cdc.values.converter import compile_converter

_FILLS: Final = "the daemon then fills it"


async def unfit(connection: Connection, mapped: TableMap, target: TargetTable | None) -> Waiting | None:
    """Why the target of a table cannot take its rows, None when it can."""
    if target is None:
        return await _missing(connection, mapped)
    if mapped.adopted and (lacking := _lacking(mapped, target)):
        return lacking
    if guard := _guard(target):
        return Waiting(mapped.source.name, mapped.target, guard[0], f"{guard[1]}; {_FILLS}")
    try:
        AppliedTable(0, "", mapped, target, compile_converter(mapped, target))
    except TargetMismatch as error:
        return Waiting(mapped.source.name, mapped.target, error.message, f"{error.remedy}; {_FILLS}")
    return None


async def awaited(connection: Connection, mapped: TableMap, *, there: bool, replaces: bool) -> Waiting | None:
    """Why an adopted table that was never fed has to wait: it is not there, or holds rows that are not ours to replace.

    `there` says whether the table stands, `replaces` that these may be replaced, once they are saved.
    """
    name, table = qualified(mapped.schema, mapped.target), mapped.source.name
    if not there:
        why = f"table {name} is not there, and the application's own migrations make it"
        remedy = (
            f"run them in Postgres, and the daemon takes it up by itself; or set `adopt = false` in "
            f"{heading('tables', table)}, or {leave_out(table)}, and `systemctl reload cdc`"
        )
        return Waiting(table, mapped.target, why, remedy)
    if replaces or not await has_own_rows(connection, mapped):
        return None
    why = f"table {name} holds rows already, which SQLite may not have"
    remedy = (
        f'empty it, and {_FILLS}; or set `existing_rows = "replace"` in [target] and start the daemon again: they are '
        "saved to a file first"
    )
    return Waiting(table, mapped.target, why, remedy, until_empty=True)


def outdated(mapped: TableMap, columns: Sequence[str]) -> Waiting:
    """Why an adopted table has to wait that has `columns` which the application dropped or renamed in SQLite."""
    name = qualified(mapped.schema, mapped.target)
    why = f"table {name} has {', '.join(columns)} still, which the application dropped or renamed in SQLite"
    remedy = "run its own migrations in Postgres, or drop or rename them there yourself, and the daemon goes on with it"
    return Waiting(mapped.source.name, mapped.target, why, remedy)


def _lacking(mapped: TableMap, target: TargetTable) -> Waiting | None:
    """Columns of the source that an adopted table has not, as long as a migration has run on one side only."""
    if mapped.source.key.kind is KeyKind.ROWID and not mapped.crosswalk and not target.column(mapped.key[0]):
        name = qualified(target.schema, target.name)
        why = f"table {name} has no column for the rowid, by which alone SQLite knows its rows"
        remedy = (
            f"set `helper_key = true` in {heading('tables', mapped.source.name)}, or "
            f"{leave_out(mapped.source.name)}, and `systemctl reload cdc`"
        )
        return Waiting(mapped.source.name, mapped.target, why, remedy)
    lacking = [c for c in mapped.columns if c.source and not target.column(c.target)]
    if not lacking:
        return None
    table, names = mapped.source.name, ", ".join(c.target for c in lacking)
    why = f"table {qualified(target.schema, target.name)} lacks {names}, which the application's own migrations make"
    remedy = f"run them in Postgres, and {_FILLS}"
    if not any(c.target in mapped.key for c in lacking):
        skipped = ", ".join(toml_text(str(c.source)) for c in lacking)
        remedy += f"; or add {skipped} to `skip` of {heading('tables', table)}, and `systemctl reload cdc`"
    return Waiting(table, mapped.target, why, remedy)


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
