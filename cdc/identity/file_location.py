"""Where the file of a stream is now: it may be moved, but a copy of it must not feed the tables of the original.

A copy carries the same id and, until either goes on, the same changelog, so nothing inside tells the two apart.
"""

import asyncio
import os
from pathlib import Path

from loguru import logger

from cdc.audit import trail
from cdc.config import Config, SourceSection
from cdc.errors import SourceChanged
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog.lag import read_source


async def settle_path(record: Record, config: Config, registered: str) -> None:
    """Note a path that is another than the `registered` one; raises `SourceChanged` when the file is a copy."""
    path = config.source.path
    if registered == str(path):
        return
    if not await asyncio.to_thread(_same_file, Path(registered), path):
        if await asyncio.to_thread(is_copy, config, record.source_id, registered):
            raise SourceChanged(
                f"{path} is a copy of {registered}, which is what Postgres follows: both carry the same id",
                remedy=f"if it has taken the other's place, move {registered} away; to replicate it beside the other, "
                "run `cdc cleanup --capture-only` for the copy, which gets an id of its own with the next `cdc up`, "
                "and choose another `schema` in [target]",
            )
        logger.bind(before=registered, path=str(path)).info("the SQLite file has moved")
        trail.record(config.state.dir, "move", "done", {"before": registered, "path": str(path)})
    await record.stream.moved(str(path))


def is_copy(config: Config, source_id: str, registered: str) -> bool:
    """Whether another file with this id still is where the stream's file was, or may be: one that cannot be read."""
    original = Path(registered)
    if _same_file(original, config.source.path) or not os.path.lexists(original):
        return False
    facts = read_source(SourceSection(original))
    return facts.source_id == source_id or (facts.error is not None and original.exists())


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False
