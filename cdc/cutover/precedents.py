"""What went before a switch: how long steps took in earlier ones or in rehearsals, and what the newest says."""

import asyncio
from collections.abc import Mapping

from cdc.config import Config
from cdc.cutover.gates import RehearsalFacts
from cdc.facts.side import Side
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog.recorded import schema_name


async def newest_rehearsal(config: Config, record: Record) -> RehearsalFacts | None:
    """The newest rehearsal, None where there was none."""
    if (made := await record.rehearsals.latest()) is None:
        return None
    same = made.schema_name == await asyncio.to_thread(schema_name, config)
    return RehearsalFacts(made.finished_at, made.result, same)


async def usual_milliseconds(record: Record, to: Side) -> tuple[Mapping[str, float], str]:
    """How long each step of a switch to a side usually took, and in what: `switches`, or `rehearsals` without any."""
    if usual := await record.switch.usual_milliseconds(to):
        return usual, "switches"
    made = await record.rehearsals.latest()
    return (made.usual_milliseconds(to), "rehearsals") if made else ({}, "")
