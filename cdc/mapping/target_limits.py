"""What Postgres cannot have of a table under the names and sizes that SQLite gives it. Pure.

It is no mistake of the configuration, so it stops nothing: the table waits until the operator or the application
changes it.
"""

import glob
from dataclasses import replace

from cdc.config import Config
from cdc.facts.source_schema import KeyKind, SourceSchema, Table, WaitingTable
from cdc.mapping.check import LONGEST_NAME_BYTES, MOST_COLUMNS, MOST_KEY_COLUMNS, is_kept
from cdc.mapping.names import column_options
from cdc.sql_names import heading, quote, toml_text


def unfit(table: Table, config: Config) -> WaitingTable | None:
    """Why Postgres cannot have the table as it is, or None; what the operator chose is judged elsewhere."""
    options = config.options(table.name)
    if (why := _name(table.name)) and not options.target:
        return WaitingTable(table.name, f"its name {why}", f"set `target` in {heading('tables', table.name)}")
    skipped = {name.lower() for name in options.skip}
    carried = [c.name for c in table.columns if c.name.lower() not in skipped]
    for name in carried:
        if (why := _column_name(name)) and not column_options(options, name).target:
            remedy = f"set `target` in {heading('tables', table.name, 'columns', name)}"
            return WaitingTable(table.name, f"the name of its column {quote(name)} {why}", remedy)
    count = len(carried) + (table.key.kind is KeyKind.ROWID and not options.target_key)  # the rowid is one more
    if count > MOST_COLUMNS:
        remedy = f"name the ones to leave out in `skip` of {heading('tables', table.name)}"
        return WaitingTable(
            table.name, f"it has {count} columns, and only {MOST_COLUMNS} can be replicated to Postgres", remedy
        )
    if table.key.kind is KeyKind.COLUMNS and len(table.key.columns) > MOST_KEY_COLUMNS and not options.target_key:
        reason = f"its key has {len(table.key.columns)} columns, and Postgres allows {MOST_KEY_COLUMNS}"
        return WaitingTable(table.name, reason, _other_key(table))
    return None


def _other_key(table: Table) -> str:
    if table.rowid_alias is None:
        return f"{leave_out(table.name)}: a WITHOUT ROWID table has no other key"
    return f'set `key = "rowid"` in {heading("tables", table.name)}'


def leave_out(table: str) -> str:
    """The remedy that always works; names in `exclude` are patterns."""
    return f"leave it out with `exclude = [{toml_text(glob.escape(table))}]` in [replicate]"


def _column_name(name: str) -> str:
    return "is one that Postgres or this tool keeps for itself" if is_kept(name) else _name(name)


def _name(name: str) -> str:
    if not name:
        return "is empty, which Postgres refuses"
    length = len(name.encode("utf-8", "surrogatepass"))
    return f"is {length} bytes long, and Postgres allows {LONGEST_NAME_BYTES}" if length > LONGEST_NAME_BYTES else ""


def without_readers_of_waiting(schema: SourceSchema) -> SourceSchema:
    """The schema in which tables wait whose expressions read a table that waits: changes there would go unseen."""
    waiting = {w.name.lower(): w for w in schema.waiting}
    tables = schema.tables
    # Until none is added: what reads a table that waits now waits as well, and others may read that one.
    while readers := {t.name: of for t in tables for name in t.reads if (of := waiting.get(name.lower()))}:
        for name, of in readers.items():
            waiting[name.lower()] = WaitingTable(name, f"an expression of it reads {of.name}, which waits", of.remedy)
        tables = tuple(t for t in tables if t.name not in readers)
    return replace(schema, tables=tables, waiting=tuple(sorted(waiting.values(), key=lambda w: w.name)))
