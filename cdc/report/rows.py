"""The rows of every table in both databases, counted so that they can be compared where nothing moves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdc.config import Config
from cdc.errors import CdcError
from cdc.facts.phase import Phase
from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.outbox.reading import Outbox
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.tables import counts
from cdc.report.facts import RowsFacts, RowsInBoth
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.counted_rows import count_rows

ATTEMPTS: Final = 3  # an application that writes all the time leaves no moment at rest
BETWEEN_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class _PostgresRows:
    """One state of Postgres: its position, changes that are on their way back, rows and held rows by table."""

    seq: int | None
    outbox: int
    rows: Mapping[str, int]
    held: Mapping[str, int]


async def read_rows(config: Config, record: Record, phase: Phase) -> RowsFacts:
    """Count both sides, again where something moved in between; never raises `CdcError`."""
    try:
        look = await asyncio.to_thread(source_file.look, config)
        maps = (await current_tables(record, config, look.schema)).fed
        for _ in range(ATTEMPTS):
            facts = await _count(config, record, maps, phase)
            if facts.one_position:
                return facts
            await asyncio.sleep(BETWEEN_SECONDS)
    except CdcError as error:
        return RowsFacts(error=error.message)
    return facts


async def _count(config: Config, record: Record, maps: tuple[TableMap, ...], phase: Phase) -> RowsFacts:
    names = [mapped.source.name for mapped in maps]
    before = await asyncio.to_thread(count_rows, config, names)
    there = await _count_postgres(config, record, maps)
    rests = before.seq == there.seq
    if phase is Phase.CUTOVER:
        # SQLite logs nothing then, so that only its rows tell whether something came meanwhile.
        rests = rests and not there.outbox and before == await asyncio.to_thread(count_rows, config, names)
    tables = tuple(
        RowsInBoth(
            m.source.name,
            m.target,
            before.rows.get(m.source.name),
            there.rows.get(m.source.name),
            there.held.get(m.source.name, 0),
        )
        for m in maps
    )
    return RowsFacts(tables, one_position=rests)


async def _count_postgres(config: Config, record: Record, maps: tuple[TableMap, ...]) -> _PostgresRows:
    connection = record.connection
    with translated("counting rows"):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            state = await record.stream.read()
            waiting = await Outbox(connection, record.source_id).lag()
            rows = await counts.count_own(connection, maps)
            held = await record.quarantine.counts()
    position = state.position if state else None
    return _PostgresRows(position.seq if position else None, waiting.entries, rows, held)
