"""The audit trail's copy beside the replicated data, so that it survives the loss of the state folder."""

import json
from typing import Final

from cdc.audit import AuditEntry
from cdc.postgres.connection import Connection, translated
from cdc.postgres.statements import load

SQL: Final = load("audit")


async def record(connection: Connection, entry: AuditEntry, source_id: str | None) -> None:
    """Store an entry in `cdc.audit`, inside the caller's transaction when there is one."""
    details = json.dumps(dict(entry.details))
    with translated("writing the audit trail"):
        await connection.execute(SQL["record"], entry.at, source_id, entry.actor, entry.action, entry.result, details)


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
