"""The audit trail in Postgres: a chain for each source, beside the data and in the same transactions.

The newest number and hash stand in the stream's row, so writers take turns by its lock. What a batch did is recorded by
the statement that stores the position, with numbers that only that statement knows.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.audit.chain import AuditEntry, Head, Sealed, link
from cdc.audit.check import ChainCheck, Witness, last_words
from cdc.audit.trail import FILE
from cdc.errors import TargetStateLost
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("audit")
MOST_DROPPED: Final = 5_000  # entries in one transaction


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the chain of a source ends, how much of it the audit file has, and what is known of the file's end."""

    own: Head
    copied: int
    file: Head


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as it is stored: its text, and its number and hash in the chain."""

    head: Head
    text: str


class AuditTrail(RecordPart):
    """The chain of one source in Postgres."""

    async def append(self, entries: Sequence[AuditEntry], beyond: Head | None = None) -> None:
        """Append to the chain of a source, in the caller's transaction; lets the driver's errors through.

        `beyond` is an end that the chain is known to have had: what is missing up to there stays missing.
        """
        if not entries:
            return
        async with self._connection.transaction():
            end = await self._connection.fetchrow(SQL["end_for_update"], self._source_id)
            if end is None:
                raise no_row()
            head, sealed, numbers = Head(end["n"], end["hash"]), [], []
            if beyond is not None and beyond.n > head.n:
                head = beyond
            for entry in entries:
                head, sealed_entry = link(head, entry)
                sealed.append(sealed_entry)
                numbers.append(head.n)
            texts, hashes = [s.text for s in sealed], [s.hash for s in sealed]
            await self._connection.execute(SQL["append"], self._source_id, head.n, head.hash, numbers, texts, hashes)

    async def ends(self) -> Ends:
        """Where both chains end, as the stream's row remembers it; raises `TargetStateLost` where that row is gone."""
        with translated("reading the end of the audit trail"):
            row = await self._connection.fetchrow(SQL["ends"], self._source_id)
        if row is None:
            raise no_row()
        return Ends(
            Head(row["audit_n"], row["audit_hash"]),
            row["audit_copied"],
            Head(row["audit_file_n"], row["audit_file_hash"]),
        )

    async def examination(self, noted: Head) -> ChainCheck:
        """A check of the chain that knows its end, from the stream's row and as it was `noted` in the state folder."""
        return ChainCheck("entry", [beside_file(noted), Witness("cdc.stream", (await self.ends()).own)])

    async def stored(self) -> AsyncIterator[Sealed]:
        """Every entry of a source, the oldest first, as it is now."""
        with translated("reading the audit trail"):
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                async for row in self._connection.cursor(SQL["stored"], self._source_id, prefetch=1_000):
                    yield Sealed(row["text"], row["hash"])

    async def read_from(self, first: int, last: int, most: int) -> list[Recorded]:
        """The entry `first`, if it is there, and those after it up to `last`, at most so many."""
        with translated("reading the audit trail"):
            rows = await self._connection.fetch(SQL["read_from"], self._source_id, first, last, most)
        return [Recorded(Head(row["n"], row["hash"]), row["text"]) for row in rows]

    async def make_durable(self) -> int:
        """Wait until everything that is recorded is on the disk of Postgres; returns the number of the newest entry."""
        with translated("flushing the audit trail"):
            async with self._connection.transaction():
                await self._connection.execute("SET LOCAL synchronous_commit = on")
                newest: int = await self._connection.fetchval(SQL["touch"], self._source_id)
        return newest

    async def note_copied(self, steps: Sequence[AuditEntry], copied: Head, file: Head) -> None:
        """Record steps from the file, and note how far either place has the other's entries, in one transaction."""
        with translated("copying the audit trail"):
            async with self._connection.transaction():
                await self.append(steps)
                await self._connection.execute(SQL["note_copied"], self._source_id, copied.n, file.n, file.hash)

    async def trim(self, most_rows: int, copied: int) -> None:
        """Drop the oldest entries, a bounded number of them, when there are clearly more than `most_rows`.

        Never those that the file lacks. Tells in the chain what is dropped, and writes steps among it once more.
        """
        with translated("dropping old entries of the audit trail"):
            newest, oldest = await self._connection.fetchrow(SQL["bounds"], self._source_id) or (0, 0)
            # Not at every heartbeat, and then many at once.
            slack = min(MOST_DROPPED, most_rows // 10 + 1)
            if oldest is None or newest - oldest < most_rows + slack:
                return
            # The entry that was copied last stays: by it the next copying sees that nothing of the chain was changed.
            through = min(newest - most_rows, oldest + MOST_DROPPED, copied - 1)
            async with self._connection.transaction():
                rows = await self._connection.fetch(SQL["oldest_entries"], self._source_id, through)
                await self.append(last_words(Sealed(row["text"], row["hash"]) for row in rows))
                await self._connection.execute(SQL["drop_through"], self._source_id, through)


def beside_file(noted: Head) -> Witness:
    """The end of the chain in Postgres as it was noted in the state folder, beside the file."""
    return Witness(f"the state folder, which has a copy in {FILE},", noted)


def no_row() -> TargetStateLost:
    """The error of a source whose row, which knows where its chain ends, was deleted."""
    return TargetStateLost(
        "the row of this source in cdc.stream was deleted",
        remedy="it is made again by itself, or by `cdc schema`; then every row is compared",
    )
