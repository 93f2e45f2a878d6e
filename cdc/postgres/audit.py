"""The audit trail's copy beside the replicated data, so that it survives the loss of the state folder."""

import json
from collections.abc import Iterable
from typing import Final

from cdc.audit import AuditEntry
from cdc.postgres.connection import Connection, translated
from cdc.postgres.statements import load

SQL: Final = load("audit")


async def record(connection: Connection, entry: AuditEntry, source_id: str | None) -> None:
    """Store an entry in `cdc.audit`, inside the caller's transaction when there is one."""
    with translated("writing the audit trail"):
        await connection.execute(SQL["record"], *_fields(entry, source_id))


async def record_missing(connection: Connection, entries: Iterable[AuditEntry], source_id: str | None) -> None:
    """Copy those entries of the audit file that Postgres does not have yet; lines that cannot be read are left out."""
    known = [_fields(entry, source_id) for entry in entries if entry.at]
    with translated("copying the audit trail"):
        await connection.executemany(SQL["record_missing"], known)


async def recent(connection: Connection, limit: int) -> list[AuditEntry]:
    """The newest `limit` entries of all sources, oldest first; empty when nothing was set up yet."""
    with translated("reading the audit trail"):
        if await connection.fetchval("SELECT to_regclass('cdc.audit') IS NULL"):
            return []
        rows = await connection.fetch(SQL["recent"], limit)
    return [
        AuditEntry(
            r["at"].isoformat(timespec="milliseconds"), r["actor"], r["action"], r["result"], json.loads(r["details"])
        )
        for r in reversed(rows)
    ]


def _fields(entry: AuditEntry, source_id: str | None) -> tuple[str | None, ...]:
    details = json.dumps(dict(entry.details))
    return (entry.at, source_id, entry.actor, entry.action, entry.result, details)
