"""Whether the changelog goes on from what Postgres has, and what is done where it does not.

Where the file is surely the one that was followed, and only entries are missing, every table is compared as a whole:
that ends as the entries would have. Which of two files is the right one is for a person to say.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.errors import FileReplaced, SourceChanged
from cdc.facts.changes import Position
from cdc.faults import crash_point
from cdc.host.boot import boot_id
from cdc.postgres.record.record import Record
from cdc.postgres.record.sightings import Sighting
from cdc.sqlite.capture.own_tables import Continuing
from cdc.sqlite.changelog import errors, position_check
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.changelog.position_check import Standing
from cdc.sqlite.changelog.source_file import Look

# What a power cut can take of a file in WAL mode with `synchronous = NORMAL` was written since the system last wrote
# its log to the disk: half a minute where nothing else is set, ten at most on machines that let their disks sleep.
LOST_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class RememberedFile:
    """What Postgres remembers of a file: the last position, and what was seen in the minutes before, newest first."""

    path: Path
    last: Position
    seen: Sequence[Sighting]


def judge(look: Look, standing: Standing, remembered: RememberedFile, boot: str) -> str:
    """Why every table has to be compared, empty when the changelog goes on from what was applied last.

    Raises `SourceChanged` when a person has to say whether this is the right file.
    """
    last = remembered.last
    if look.capture is None or standing.newest is None or standing.oldest is None:
        return _judge_without_entries(look, remembered)
    if last in standing.held:
        return "" if standing.unbroken else "entries were deleted from the changelog before they were applied"
    if standing.oldest == 1 and not standing.begun and _is_same_file(look, remembered):
        return "the changelog was emptied, and written to since"  # it begins with an entry of ours, or is pruned
    if standing.begun and standing.oldest == last.seq + 1:
        return "the changelog had to be begun anew"
    if standing.oldest > last.seq:
        raise errors.target_behind(remembered.path, last.seq, standing.oldest)
    if _lost_its_end(look, standing, remembered, boot):
        return "SQLite lost its last commits, in a power cut for instance"
    if standing.taken:
        raise errors.went_its_own_way(remembered.path, last.seq)
    raise errors.entry_lost(remembered.path, last.seq)


def _judge_without_entries(look: Look, remembered: RememberedFile) -> str:
    """Entries, or all our tables, are gone. By what is left and by its inode the file is known for the same one."""
    if look.remains and _is_same_file(look, remembered):
        return "the changelog was emptied or dropped"
    if look.capture is None:
        raise no_capture(remembered.path)
    raise errors.emptied(remembered.path)


def _is_same_file(look: Look, remembered: RememberedFile) -> bool:
    return bool(remembered.seen) and look.traces.inode == remembered.seen[0].traces.inode


def _lost_its_end(look: Look, standing: Standing, remembered: RememberedFile, boot: str) -> bool:
    """Whether the file is the one that was followed, without what it was given last.

    An older state that somebody put in its place looks the same to SQLite, but lacks more than a power cut can take, or
    came while the machine ran on and left other traces.
    """
    if not _is_same_file(look, remembered):
        return False
    last_seen = remembered.seen[0]
    started_anew = bool(boot and last_seen.boot and boot != last_seen.boot)
    if not started_anew and not look.traces.lost_its_end_since(last_seen.traces):
        return False
    kept = [seen for seen in remembered.seen if seen.position in standing.held]
    lost = [seen for seen in remembered.seen if seen.position not in standing.held]
    return bool(kept) and all(seen.before_last_life <= LOST_SECONDS for seen in lost)


def no_capture(path: Path) -> FileReplaced:
    """The error of a file in which nothing says that it is the one that was followed."""
    return FileReplaced(
        f"{path} carries no capture any more: it was overwritten, replaced or restored",
        remedy="if this file is the right one, run `cdc load --resync`: it compares every row and goes on",
    )


async def look_back(config: Config, record: Record, look: Look, last: Position) -> str:
    """What `judge` says of the file as both databases show it now."""
    seen = await record.sightings.read()
    earlier = [sighting.position for sighting in seen]
    standing = await asyncio.to_thread(position_check.read, config, last, earlier)
    return judge(look, standing, RememberedFile(config.source.path, last, seen), boot_id())


async def is_the_followed_file(config: Config, record: Record, look: Look, last: Position) -> bool:
    """Whether it is surely the file that was followed until `last`, though entries of it may be missing."""
    try:
        await look_back(config, record, look, last)
    except SourceChanged:
        return False
    return True


class Continuity:
    """Judges and mends one source over one connection, which must hold its lock; `audit` records each step."""

    def __init__(self, config: Config, record: Record, audit: Tell) -> None:
        self._config = config
        self._record = record
        self._audit = audit

    async def ensure(self, look: Look, last: Position) -> Look:
        """The file as it is once its changelog goes on from the position; raises `SourceChanged` when it does not."""
        reason = await look_back(self._config, self._record, look, last)
        return await self._compare(look, last, reason) if reason else look

    async def _compare(self, look: Look, last: Position, reason: str) -> Look:
        """Have every table compared and go on from the newest entry; can be given again wherever it was cut short."""
        await self._audit("compare after a gap", why=reason)
        # Noted in Postgres before anything is done to the file: whatever cuts this short, the comparison is still due.
        tables = [table.name for table in look.schema.tables]
        await self._record.stream.request_resync(tables)
        crash_point("continue.before_capture")
        if look.capture is None or look.newest is None:
            continuing = Continuing(self._record.source_id, last.seq)
            look = await asyncio.to_thread(sqlite.install, self._config, look, continuing)
            # Capture was made anew, so what moved the counter is known.
            await self._record.stream.store_schema_version(look.counter)
        assert look.newest is not None
        crash_point("continue.before_position")
        await self._record.reposition(look.newest, tables)
        return look
