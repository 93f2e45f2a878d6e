"""What is known of reports where one is verified: the entries that were written with them."""

import asyncio
from dataclasses import replace

from cdc.config import Config
from cdc.errors import CdcError
from cdc.postgres.connection.open import hang_up
from cdc.postgres.record.record import Record
from cdc.postgres.record.status import ANSWER_SECONDS, find_source_id, never_started
from cdc.postgres.server.endpoint import reached
from cdc.report import trail
from cdc.report.facts import AuditFacts
from cdc.report.verify import ACTION
from cdc.sqlite.changelog.lag import read_source


async def read_known(config: Config) -> AuditFacts:
    """The reports that the trail in the state folder knows, or else its copy in Postgres; never raises `CdcError`."""
    told = await asyncio.to_thread(trail.read_file, config, only=ACTION)
    if told.entries or never_started(config):
        return told
    try:
        async with reached(config, ANSWER_SECONDS) as endpoint, asyncio.timeout(ANSWER_SECONDS):
            connection = await endpoint.connect("report")
            try:
                source = await asyncio.to_thread(read_source, config.source)
                known = await find_source_id(connection, source.source_id, str(config.source.path))
                if known is None:
                    return told
                there = await trail.read_postgres(config, Record(connection, known), only=ACTION)
            finally:
                await hang_up(connection)
    except (CdcError, TimeoutError):
        return told
    return replace(there, file=told.file)
