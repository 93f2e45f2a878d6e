"""What the application dropped goes from Postgres as well when the operator says so: saved to a file, then dropped.

The daemon must be stopped or paused meanwhile: one that takes a column up again just now would write into nothing.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote as quote_name

from cdc.config import Config
from cdc.evolve import views
from cdc.facts.leftover import Leftover
from cdc.facts.source_schema import SourceSchema
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.identity.active_side import require_sqlite_active
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.ddl import drop_leftover
from cdc.postgres.record import stream_row
from cdc.postgres.record.known_tables import current_tables, read_known_tables
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.errors import not_set_up


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went from Postgres, how many rows of it were saved, and where."""

    what: str
    rows: int
    file: Path


async def render(config: Config) -> str:
    """The statements that `drop` would run, as text that psql runs; empty without leftovers."""
    source_id, source_schema = await _read_source(config)
    async with connected(config, "schema") as connection:
        leftovers = await _waiting(Record(connection, source_id), config, source_schema)
    return "".join(f"{drop_leftover.statement(leftover, config.target.schema)};\n" for leftover in leftovers)


async def drop(config: Config) -> list[Dropped]:
    """Save and drop every leftover that SQLite does not have again, in one transaction; returns what was dropped.

    Raises `AlreadyRunning` while a daemon is at work, `TargetError` when other objects depend on one of them,
    `TargetUnavailable` when somebody uses one of them for too long; then nothing was dropped.
    """
    source_id, source_schema = await _read_source(config)
    async with connected(config, "schema") as connection:
        await lock_source(connection, source_id)
        record = Record(connection, source_id)
        await require_sqlite_active(config, await record.stream.read())
        leftovers = await _waiting(record, config, source_schema)
        with translated("dropping what is left over"):
            async with connection.transaction():
                # Views of ours are made over what is fed only: whichever reads a leftover is outdated.
                current = await current_tables(record, config, source_schema)
                await views.drop_outdated(record, config, source_schema, current.fed)
                dropped = []
                for leftover in leftovers:
                    file = _file(config, leftover)
                    rows = await drop_leftover.drop(record, config.target.schema, leftover, file)
                    dropped.append(Dropped(str(leftover), rows, file))
                await record.leftovers.forget_gone(config.target.schema)
                crash_point("pending.before_commit")
        crash_point("pending.after_commit")
    return dropped


async def _read_source(config: Config) -> tuple[str, SourceSchema]:
    """The id that the file carries, and its schema as it is now."""
    look = await asyncio.to_thread(source_file.look, config)
    if look.capture is None:
        raise not_set_up(config.source.path)
    return look.capture.source_id, look.schema


async def _waiting(record: Record, config: Config, schema: SourceSchema) -> list[Leftover]:
    """The leftovers that stand in Postgres and that SQLite does not have again, without the columns of whole tables."""
    if await record.stream.read() is None:
        raise stream_row.never_loaded()
    known_tables = await read_known_tables(record, config)
    fed = known_tables.current(schema, config).places
    whole_tables = {leftover.target for leftover in known_tables.leftovers if leftover.column is None}
    waiting_tables = {table.name for table in schema.waiting}
    return [
        leftover
        for leftover in known_tables.leftovers
        if (leftover.target, leftover.column) not in fed
        and leftover.source_table not in waiting_tables  # it is taken up again when it can be
        and (leftover.column is None or leftover.target not in whole_tables)
        and _stands(leftover, known_tables.targets.get(leftover.target))
    ]


def _stands(leftover: Leftover, target: TargetTable | None) -> bool:
    return target is not None and (leftover.column is None or target.column(leftover.column) is not None)


def _file(config: Config, leftover: Leftover) -> Path:
    parts = [config.target.schema, leftover.target, *([leftover.column] if leftover.column else [])]
    name = ".".join(quote_name(part, safe=" ") for part in parts)
    return config.state.dir / "dropped" / f"{name}.{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.csv"
