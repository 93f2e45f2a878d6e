"""CHECKs that mean what SQLite's mean, made after the rows are there: so no row of theirs can end a load.

A row that breaks its own table's CHECK in SQLite as well goes to quarantine. Where Postgres finds more such rows than
SQLite does, or cannot compute the CHECK, it does not mean the same after all: then the CHECK gives way, not the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from cdc.facts.changes import Reason, Rejection
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl.indexes import constraint
from cdc.postgres.record.quarantine import Held
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.tables.source_key_sql import read_key, source_key
from cdc.postgres.tables.statement import Deviation, Made, Names, Statement, comment_on_check
from cdc.postgres.translate.expressions import Scope, columns_in, translate_condition
from cdc.postgres.translate.terms import Untranslatable
from cdc.sql_names import qualified

_NOT_COMPUTABLE: Final = (asyncpg.DataError, asyncpg.UndefinedFunctionError, asyncpg.DatatypeMismatchError)
_REMEDY: Final = "correct the row in SQLite, or drop the constraint in Postgres, then `cdc quarantine retry`"


@dataclass(frozen=True, slots=True)
class CheckConstraint:
    """A CHECK in both languages, and the statement that adds it to the target."""

    source: str
    condition: str
    statement: Statement


def checks(mapped: TableMap) -> Iterator[CheckConstraint | Deviation]:
    """The CHECKs of a table; one that were stricter than SQLite's would refuse rows that the application holds."""
    scope, names = Scope.of(mapped), Names()
    for check in mapped.source.checks:
        try:
            condition = translate_condition(check, scope)
        except Untranslatable as reason:
            yield Deviation(mapped.source.name, f"CHECK ({check})", f"it is left out: {reason}")
            continue
        name = names.take(_label(mapped, check), mapped.target, check)
        added = constraint(mapped, name, f"CHECK ({condition})", Made.CHECK)
        sql = f"{added.sql}; {comment_on_check(mapped.schema, mapped.target, name)}"
        yield CheckConstraint(check, condition, replace(added, sql=sql))


def _label(mapped: TableMap, check: str) -> str:
    """The name that Postgres itself would choose for a CHECK in a CREATE TABLE."""
    columns = {c.target for c in mapped.columns if c.source and c.source.lower() in columns_in(check)}
    return "_".join([mapped.target, *(columns if len(columns) == 1 else ()), "check"])


def breaks_check(check: str) -> Rejection:
    """Why a row waits that breaks a CHECK of its own table."""
    return Rejection("", Reason.CONSTRAINT, f"it breaks CHECK ({check}) of its own table", _REMEDY)


async def hold_breaking(
    connection: Connection,
    quarantine: QuarantineWriter,
    mapped: TableMap,
    target: TargetTable,
    check: CheckConstraint,
    in_sqlite: int,
) -> str | int:
    """Move the rows that break a CHECK to quarantine, in one transaction; returns how many.

    `in_sqlite` is how many break it there. Returns the reason instead when the CHECK has to give way; then no row went.
    """
    with translated(f"looking for the rows of {target.name} that break {check.statement.object}"):
        try:
            async with connection.transaction():
                keys = await _take_out(connection, mapped, target, check, in_sqlite)
                why = breaks_check(check.source)
                await quarantine.put(mapped.source.name, [Held(key, why) for key in keys])
                await quarantine.tell()
        except _NOT_COMPUTABLE as error:
            return f"Postgres cannot compute it: {error.args[0]}"
        except _MeansAnother as error:
            return f"{error.args[0]} rows break it in Postgres, and {in_sqlite} in SQLite"
    return len(keys)


async def _take_out(
    connection: Connection, mapped: TableMap, target: TargetTable, check: CheckConstraint, in_sqlite: int
) -> list[str]:
    key = source_key(target, mapped, "t")
    rows = await connection.fetch(
        f"DELETE FROM {qualified(target.schema, target.name)} AS t WHERE NOT ({check.condition}) RETURNING {key} AS key"
    )
    if len(rows) > in_sqlite:
        # Out of the transaction that deleted them, so that they stay.
        raise _MeansAnother(len(rows))
    return [read_key(row["key"]) for row in rows]


class _MeansAnother(Exception):
    """A translated CHECK refuses rows that SQLite takes."""
