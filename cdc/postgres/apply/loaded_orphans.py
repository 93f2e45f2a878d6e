"""Children without a parent among freshly loaded rows: SQLite may hold them, Postgres with its foreign keys may not."""

from collections.abc import Mapping, Sequence

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetForeignKey, TargetTable
from cdc.postgres.apply.fk_sql import delete_orphans
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl.foreign_keys import Link, links
from cdc.postgres.record.quarantine import orphans
from cdc.postgres.record.quarantine_writer import QuarantineWriter


async def remove(
    connection: Connection, quarantine: QuarantineWriter, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]
) -> int:
    """Move every orphan from the targets to quarantine; returns how many there were.

    Where a foreign key stands already there are none. Each table counts for itself, so that thousands of them need no
    more locks than a server has; done again, it goes on where it ended.
    """
    unchecked = [
        link for link in links(maps) if isinstance(link, Link) and not _stands(link, targets[link.child.target])
    ]
    removed = 0
    with translated("looking for orphans"):
        # An orphan that leaves may have been the parent of others.
        while unchecked:
            shrunk: set[str] = set()
            for link in unchecked:
                async with connection.transaction():
                    if count := await _remove(connection, quarantine, link, targets):
                        await quarantine.tell()
                        shrunk.add(link.child.target)
                        removed += count
            unchecked = [link for link in unchecked if link.parent.target in shrunk]
    return removed


def _stands(link: Link, child: TargetTable) -> bool:
    reference = (link.columns, link.parent.target, link.parent_columns)
    return any((key.columns, key.parent, key.parent_columns) == reference for key in child.foreign_keys)


async def _remove(
    connection: Connection, quarantine: QuarantineWriter, link: Link, targets: Mapping[str, TargetTable]
) -> int:
    target = targets[link.child.target]
    key = TargetForeignKey("", link.columns, link.parent.schema, link.parent.target, link.parent_columns)
    deleted = await connection.fetch(delete_orphans(target, link.child, key))
    await quarantine.put(link.child.source.name, orphans(key, deleted))
    return len(deleted)
