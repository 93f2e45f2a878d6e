"""Both places of the audit trail kept alike: each gets what it lacks from the other and remembers how the other ended.

Postgres is where batches are recorded, in the transaction that applies them; the file is where steps are recorded, also
while Postgres is away. The file is written in a thread, because a disk can take its time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.audit.actions import ACTIONS, ActionKind
from cdc.audit.chain import AuditEntry, Head, decode
from cdc.audit.check import BROKEN
from cdc.audit.trail import AuditFile
from cdc.config import Config
from cdc.errors import CdcError, ConfigError
from cdc.faults import crash_point
from cdc.postgres.record.audit import Recorded
from cdc.postgres.record.durable import Durable
from cdc.postgres.record.record import Record

MOST_AT_ONCE: Final = 5_000  # entries that are copied in one go
MOST_LINES: Final = 50_000  # of the file that are searched for steps that Postgres lacks
LAST_SECONDS: Final = 3.0  # for copying when the daemon ends
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """The file after it was written: its end, the end of Postgres' chain as far as the file has copies, the steps that
    Postgres lacks, and how the file did not end as Postgres remembers (None when it did).
    """

    end: Head
    copied: Head
    steps: tuple[AuditEntry, ...]
    broken: str | None


class AuditSync:
    """The trail of one source, for the daemon that holds the source's lock."""

    def __init__(self, config: Config, record: Record) -> None:
        self._folder = config.state.dir
        self._most_bytes = int(config.state.audit_megabytes * _MEGABYTE)
        self._most_rows = config.replicate.audit_rows
        self._record = record
        self._connection = record.connection
        self._durable = Durable()
        self._copied = Head()  # Postgres' chain as far as the file has it
        self._file = Head()  # the file as far as Postgres knows it
        self._writing: asyncio.Task[Written] | None = None

    async def open(self) -> None:
        """Find out how far either has the other's entries, and copy what is missing."""
        ends = await self._record.audit.ends()
        _, noted = await asyncio.to_thread(trail.ends, self._folder)
        self._file = ends.file
        self._copied = noted if noted.n >= ends.copied else Head(ends.copied)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Copy everything that there is, and wait until it is done."""
        await self._finish()
        while await self._begin(await self._record.audit.make_durable()):
            if not await self._finish():
                return

    async def sync(self) -> None:
        """Begin to copy what is new; what was begun before is finished by now, or else goes on.

        What a crash of Postgres could still take back is not copied yet.
        """
        if self._writing is not None and not self._writing.done():
            return
        await self._finish()
        durable = await self._durable.advance(self._connection)
        own = (await self._record.audit.ends()).own
        await self._durable.mark(self._connection, own.n)
        await self._begin(durable)
        if self._most_rows:
            await self._record.audit.trim(self._most_rows, self._copied.n)

    async def close(self) -> None:
        """Copy what can be copied in a short time before the connection is closed; the next daemon copies the rest."""
        if not self._connection.is_closed():
            with suppress(CdcError, TimeoutError):
                await asyncio.wait_for(self.catch_up(), LAST_SECONDS)
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=LAST_SECONDS)

    async def _begin(self, durable: int) -> bool:
        """Have written what Postgres recorded up to that number; False when neither side has anything new."""
        # With the one that was copied last: if that is not what it was, the chain in Postgres was changed since.
        recorded = await self._record.audit.read_from(self._copied.n, durable, MOST_AT_ONCE)
        if self._copied.hash and (not recorded or recorded[0].head != self._copied):
            self._tell_broken(f"entry {self._copied.n} in Postgres is gone, or is not the one that was copied")
            self._copied = Head(min(self._copied.n, durable))
        new = [entry for entry in recorded if entry.head.n > self._copied.n]
        end, _ = await asyncio.to_thread(trail.ends, self._folder)
        if not new and end == self._file:
            return False
        self._writing = asyncio.create_task(asyncio.to_thread(self._write, new, self._copied, self._file))
        return True

    async def _finish(self) -> bool:
        """Let Postgres know what was written, and give it the steps that it lacks; False when it could not be done."""
        writing, self._writing = self._writing, None
        if writing is None:
            return True
        try:
            written = await writing
        except ConfigError as error:
            # Postgres has it all: it is tried again, and changes flow meanwhile.
            logger.bind(error=error.message).warning("the audit file cannot be written")
            return False
        # Ended here, the file has copies that Postgres does not know of: the next daemon reads in the file how many.
        crash_point("trail.before_note")
        copies = [replace(step, copy_of=step.n) for step in written.steps]
        await self._record.audit.note_copied(copies, written.copied, written.end)
        self._copied, self._file = written.copied, written.end
        if written.broken:
            self._tell_broken(written.broken)
        return True

    def _tell_broken(self, words: str) -> None:
        logger.bind(words=words).warning("the audit trail is broken; see `cdc audit`")
        with suppress(ConfigError):
            trail.record(self._folder, BROKEN, "done", {"words": words})

    def _write(self, new: Sequence[Recorded], copied: Head, known_end: Head) -> Written:
        """In a thread: append what is new, look what others appended, and keep the file bounded."""
        # Not on the event loop, which has changes to move.
        decoded = ((recorded.head.n, decode(recorded.text)) for recorded in new)
        copies = [replace(entry, copy_of=n) for n, entry in decoded if entry and _is_original(entry)]
        reached = new[-1].head if new else copied
        with trail.opened(self._folder) as file:
            broken = _missing(file, known_end)
            file.go_on_after(known_end)
            file.append(copies, reached)
            lines = (decode(line.text) for line in file.newest(min(file.end.n - known_end.n, MOST_LINES)))
            steps = tuple(e for e in lines if e and (e.n or 0) > known_end.n and _is_original(e))
            if self._most_bytes:
                file.bound(self._most_bytes)
            return Written(file.end, reached, steps, broken)


def _is_original(entry: AuditEntry) -> bool:
    """Whether an entry belongs into the other place too: it is no copy itself, and not about this chain only."""
    action = ACTIONS.get(entry.action)
    return (
        entry.copy_of is None
        and "again" not in entry.details
        and (action is None or action.kind is not ActionKind.TRAIL)
    )


def _missing(file: AuditFile, known_end: Head) -> str | None:
    """In words, why the file is not the one whose end is known; None when it is."""
    if file.end.n < known_end.n:
        return f"the file ended with line {file.end.n}, but Postgres remembers line {known_end.n}"
    since = file.end.n - known_end.n + 1
    if known_end.n and since < MOST_LINES and all(trail.head_of(line) != known_end for line in file.newest(since)):
        return f"line {known_end.n} of the file is gone, or is not the one that Postgres remembers"
    return None
