"""Rehearsals of a cutover, as they were recorded in `cdc.rehearsal`: read for a report, whatever columns there are."""

import json
from typing import Any, Final

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.record import Record

SQL: Final = load("rehearsal")


async def read_rehearsals(record: Record) -> list[dict[str, Any]]:
    """Each as a JSON object by the names of its columns; none where there never was one."""
    with translated("reading the rehearsals"):
        if await record.connection.fetchval("SELECT to_regclass('cdc.rehearsal')") is None:
            return []
        return [json.loads(row[0]) for row in await record.connection.fetch(SQL["told"], record.source_id)]
