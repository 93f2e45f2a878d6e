"""The report of what Postgres keeps of shadow reads, and forgetting it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from cdc.config import Config
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.shadow.report import ShadowReport, make_report
from cdc.shadow.requests import HttpRequest
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.errors import not_set_up


async def read_report(config: Config, now: datetime, logged: Sequence[HttpRequest] = ()) -> ShadowReport:
    """What all shadow reads of the source came to; `logged` are requests of users that should have been compared."""
    async with _record(config) as record:
        return make_report(await record.shadow.endpoints(), await record.shadow.places(), config.shadow, now, logged)


async def forget(config: Config) -> None:
    """Begin anew."""
    async with _record(config) as record:
        await record.shadow.forget()


@asynccontextmanager
async def _record(config: Config) -> AsyncIterator[Record]:
    source_id, _ = await asyncio.to_thread(source_file.whose, config)
    if source_id is None:
        raise not_set_up(config.source.path)
    async with connected(config, "shadow reads") as connection:
        yield Record(connection, source_id)
