"""Tables that cannot be read without what only the application brings: a collation, or a function.

A collation that is not known here is given no stand-in: an index sorted by another order would be searched in vain, and
rows would be missed without a sign. What needs no order is read without it.
"""

from collections.abc import Sequence
from typing import Final

import apsw

from cdc.config import Config
from cdc.facts.source_schema import Column, Table, WaitingTable
from cdc.mapping.names import same
from cdc.mapping.target_limits import leave_out
from cdc.sql_names import heading, quote, toml_text

COLLATIONS: Final = frozenset(["BINARY", "NOCASE", "RTRIM"])  # what every SQLite knows


def unreadable(connection: apsw.Connection, table: Table, config: Config) -> WaitingTable | None:
    """Why the rows of a table cannot be read here, or None."""
    if table.without_rowid and (names := _foreign_collations(table)):
        reason = f"its rows lie in an order that only the application knows (collation {', '.join(names)})"
        return WaitingTable(table.name, reason, leave_out(table.name))
    declared = [c for c in table.columns if c.primary_key]
    if config.adopts(table.name) and ordered_by_the_application(table, declared):
        reason = "its key is compared in a way that only the application knows, and adopted tables hold no rowid"
        return WaitingTable(table.name, reason, leave_out(table.name))
    skipped = config.options(table.name).skip
    computed = [c.name for c in table.columns if c.generated == "virtual"]
    read = [name for name in computed if not any(same(name, skip) for skip in skipped)]
    failing = {name: why for name in read if (why := _why(connection, table, name))}
    if not failing:
        return None
    listed = ", ".join(map(toml_text, failing))
    reason = f"its column {', '.join(failing)} cannot be read: {next(iter(failing.values()))}"
    remedy = f"leave that out with `skip = [{listed}]` in {heading('tables', table.name)}; or {leave_out(table.name)}"
    return WaitingTable(table.name, reason, remedy)


def ordered_by_the_application(table: Table, columns: Sequence[Column]) -> bool:
    """Whether rows cannot be found by these columns, because a collation of the application orders or compares them."""
    names = {c.name.lower() for c in columns}
    terms = (t for i in table.indexes if i.origin in ("pk", "u") for t in i.terms if (t.column or "").lower() in names)
    return not {*(c.collation for c in columns), *(t.collation for t in terms)} <= COLLATIONS


def _foreign_collations(table: Table) -> list[str]:
    """The collations of columns and of the key that SQLite does not bring."""
    terms = (term for index in table.indexes if index.origin == "pk" for term in index.terms)
    return sorted({*(c.collation for c in table.columns), *(t.collation for t in terms)} - COLLATIONS)


def _why(connection: apsw.Connection, table: Table, column: str) -> str | None:
    """Why SQLite cannot compute this column, found without reading a row."""
    try:
        connection.execute(f"SELECT {quote(column)} FROM {quote(table.name)} LIMIT 0", can_cache=False).fetchall()
    except apsw.SQLError as error:
        return str(error)
    return None
