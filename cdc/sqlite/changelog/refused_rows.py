"""Rows that somebody refused, deleted in the application's file as the application itself would delete them.

Its triggers run, and its foreign keys hold, whether or not it switches them on: a child that nobody deletes along would
be the next ghost. Capture logs it all, so what became of children is read from there.
"""

from collections import Counter
from collections.abc import Sequence

import apsw

from cdc.config import Config
from cdc.errors import SourceError
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues
from cdc.faults import crash_point
from cdc.sqlite.capture import triggers
from cdc.sqlite.changelog.source_file import opened
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import write_transaction
from cdc.sqlite.rows import select
from cdc.sqlite.schema.read import read_schema

TableKeys = Sequence[tuple[TableMap, Sequence[KeyValues]]]


def delete(config: Config, keys: TableKeys) -> dict[str, int]:
    """Delete the rows of these keys in one transaction; returns how many rows left, by table, cascades included.

    A key without a row is passed by. Raises `SourceError`, with nothing deleted, when rows refer to those that would go
    and their foreign keys do not say that they go along.
    """
    with opened(config) as connection, translated("deleting rows that were refused"):
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            with write_transaction(connection):
                connection.execute("PRAGMA defer_foreign_keys = ON")
                deleted = _delete(connection, config, keys)
                crash_point("tombstones.before_commit")
        except apsw.ConstraintError as error:
            raise SourceError(
                f"rows that were refused cannot be deleted in {config.source.path}, for others refer to them or its "
                f"triggers forbid it: {error}",
                remedy="nothing was deleted; delete in the application what refers to them, or keep them: `cdc "
                "tombstones accept --all`",
            ) from None
        crash_point("tombstones.after_commit")
        return deleted


def _delete(connection: apsw.Connection, config: Config, keys: TableKeys) -> dict[str, int]:
    capture = triggers.read_capture(connection, read_schema(connection, config).tables)
    names = {tid: table.name for tid, table in capture.tables.items()} if capture else {}
    before = connection.execute("SELECT max(seq) FROM _cdc_changelog").get or 0
    for mapped, of_table in keys:
        for key in of_table:
            rest, bound = select.with_key(mapped, key)
            connection.execute(f"DELETE {rest}", bound)
    entries = "SELECT tid, count(*) FROM _cdc_changelog WHERE seq > ? AND op = 'D' GROUP BY tid"
    return dict(Counter({names.get(tid, "other tables"): rows for tid, rows in connection.execute(entries, (before,))}))
