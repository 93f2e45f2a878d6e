"""What a first copy did, in one sentence that counts what is left out."""

from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from cdc.config import Config
from cdc.first_copy.loader import LoadReport
from cdc.postgres.record import stream_row
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.stream.quarantine_causes import HeldCause, causes, fed_tables


@dataclass(frozen=True, slots=True)
class FirstCopy:
    """Rows that Postgres holds, rows that wait in quarantine and by how many causes; tables that are filled next."""

    rows: int
    held: int
    causes: int
    to_fill: int


OnCopied = Callable[[FirstCopy], None]


async def what_was_copied(config: Config, report: LoadReport) -> FirstCopy:
    """A load with the causes of what it left out."""
    async with connected(config, "up") as connection:
        source_id = await stream_row.find_by_path(connection, str(config.source.path), config.target.schema)
        held = 0
        found: list[HeldCause] = []
        if source_id and report.quarantined:
            record = Record(connection, source_id)
            rows = await record.quarantine.list_rows()
            held, found = len(rows), causes(rows, (await fed_tables(record, config))[1])
    return FirstCopy(report.rows, held, len(found), len(report.left_to_stream))


def log_first_copy(copied: FirstCopy) -> None:
    """For a log that a program reads."""
    told = logger.bind(rows=copied.rows, quarantined=copied.held, causes=copied.causes, tables_to_fill=copied.to_fill)
    told.info("the first copy is done")
