"""Filling a target table from the snapshot: rows are read, converted and copied in one transaction, with a note of it.

Rows that Postgres cannot hold go to quarantine on the way. What somebody else left in a table is saved to a file, or
refused.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Final

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import TargetError, TargetNotEmpty
from cdc.facts.changes import Rejection
from cdc.facts.progress import Progress
from cdc.facts.row_key import encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import KeyValues, Row
from cdc.faults import crash_point
from cdc.postgres.apply.copy import copy_accepted, copy_rows, make_empty
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.refusals import is_refusal
from cdc.postgres.record.quarantine import Held
from cdc.postgres.record.quarantine_writer import QuarantineWriter
from cdc.postgres.record.record import Record
from cdc.postgres.tables.counts import has_rows
from cdc.postgres.tables.csv_file import save_rows
from cdc.postgres.tables.shares import own_rows
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows import select
from cdc.sqlite.snapshot.snapshot import Snapshot
from cdc.values.converter import Converted, TableConverter, compile_converter

CHUNK_ROWS: Final = 256  # small enough for the server to work on one while the next is made
CHUNK_BYTES: Final = 4 * 1024 * 1024
MOST_HELD: Final = 10_000  # rejected rows that wait in memory to be written down

_Copy = Callable[[TableMap, TargetTable, "Feed"], Awaitable[int]]


class TableFiller:
    """Fills target tables from one snapshot, each in a transaction of its own, over the connection of `record`.

    `altered` counts the values that became others by a chosen outcome, by source table and target column.
    """

    def __init__(
        self, config: Config, record: Record, snapshot: Snapshot, quarantine: QuarantineWriter, progress: Progress
    ) -> None:
        self._config = config
        self._record = record
        self._connection = record.connection
        self._snapshot = snapshot
        self._quarantine = quarantine
        self._progress = progress
        # Opened once: each time, SQLite reads the whole schema, which takes long where there are thousands of tables.
        self._copied = open_copy(snapshot.database)
        self.altered: dict[str, dict[str, int]] = {}

    def close(self) -> None:
        """Close the snapshot."""
        self._copied.close()

    async def fill(self, mapped: TableMap, target: TargetTable | None) -> int:
        """Fill a table, whatever an earlier load of ours left in it; returns how many rows Postgres took."""
        if target is None:
            raise TargetError(f"table {mapped.target} is missing in Postgres", remedy="run `cdc schema` first")
        converter = compile_converter(mapped, target)
        try:
            count = await self._fill(mapped, target, converter, self._copy)
        except TargetError as error:
            if not is_refusal(error):
                raise
            # One statement for the whole table is fastest, and says nothing of which row it was.
            await self._quarantine.refresh()
            count = await self._fill(mapped, target, converter, self._copy_accepted)
        crash_point("load.after_table_commit")
        return count

    async def _fill(self, mapped: TableMap, target: TargetTable, converter: TableConverter, copy: "_Copy") -> int:
        name = mapped.source.name
        self._progress.start(name, self._snapshot.manifest.tables.get(name))
        chunks = select.chunks(self._copied, mapped, CHUNK_ROWS, CHUNK_BYTES)
        feed = Feed(chunks, converter, self._progress)
        try:
            with translated(f"loading {mapped.target}"):
                async with self._connection.transaction():
                    await self.settle_existing(mapped, target)
                    # In one transaction with the COPY, so that readers never see the table empty in between.
                    await make_empty(self._connection, mapped)
                    await self._quarantine.release_table(name)
                    count = await copy(mapped, target, feed)
                    await self._record.loaded.mark(name, self._snapshot.manifest.id, count)
                    crash_point("load.before_table_commit")
        finally:
            feed.close()
            self._progress.finish()
        if feed.altered:
            self.altered[name] = dict(feed.altered)
        return count

    async def settle_existing(self, mapped: TableMap, target: TargetTable) -> None:
        """Only what an earlier load of ours left may be there; rows of others are saved to a file first, or refused."""
        loaded_before = await self._record.loaded.was_loaded(mapped.source.name)
        if loaded_before or not await has_rows(self._connection, own_rows(mapped)):
            return
        if self._config.target.existing_rows == "refuse":
            raise TargetNotEmpty(
                f"table {target.schema}.{target.name} in Postgres has rows that this tool did not load",
                remedy='empty it, choose another `schema` in [target], or set `existing_rows = "replace"` there: they '
                "are saved to a file first",
            )
        # A load that is given again finds what it saved. A table of our making may be taken over several times.
        time = "" if mapped.adopted else f".{self._snapshot.manifest.id}"
        file = self._config.state.dir / "replaced" / f"{target.schema}.{target.name}{time}.csv"
        count = await save_rows(self._connection, target, file)
        trail.record(
            self._config.state.dir, "save rows", "done", {"table": target.name, "rows": count, "file": str(file)}
        )

    async def _copy(self, mapped: TableMap, target: TargetTable, feed: "Feed") -> int:
        count = 0
        while not feed.ended:
            count += await copy_rows(self._connection, mapped, target, feed.chunks())
            await self._quarantine.put(mapped.source.name, feed.take_held())
            await self._quarantine.tell()
        return count

    async def _copy_accepted(self, mapped: TableMap, target: TargetTable, feed: "Feed") -> int:
        """Chunk by chunk; the rows that Postgres refuses go to quarantine, as those that cannot be converted do."""
        count = 0
        async for converted in feed.converted():
            refused = await copy_accepted(self._connection, mapped, target, converted.rows)
            held = [Held(encode_key(converted.keys[place]), why) for place, why in refused.items()]
            await self._quarantine.put(mapped.source.name, [*feed.take_held(), *held])
            await self._quarantine.tell()
            count += len(converted.rows) - len(refused)
        return count


class Feed:
    """Chunks of a table from the snapshot, read and converted on the event loop: measured faster than in a thread.

    A COPY ends early when many rows were rejected, so that they can be written down before more are read.
    """

    def __init__(self, chunks: Generator[list[Row], None, None], converter: TableConverter, progress: Progress) -> None:
        self._chunks = chunks
        self._converter = converter
        self._progress = progress
        self._held: list[tuple[KeyValues, Rejection]] = []
        self.altered: Counter[str] = Counter()
        self.ended = False

    async def chunks(self) -> AsyncIterator[list[tuple[object, ...]]]:
        """The rows of converted chunks until the table ends, or until enough rows were rejected."""
        async for converted in self.converted():
            yield converted.rows
            if len(self._held) >= MOST_HELD:
                return

    async def converted(self) -> AsyncIterator[Converted]:
        """Converted chunks with their keys until the table ends."""
        for chunk in self._chunks:
            converted = self._converter.rows(chunk)
            self._held += converted.rejected
            self.altered.update(converted.altered)
            self._progress.advance(len(chunk))
            yield converted
        self.ended = True

    def take_held(self) -> list[Held]:
        """The rows rejected since the last call."""
        held, self._held = self._held, []
        return [Held(encode_key(key), why) for key, why in held]

    def close(self) -> None:
        """End the reading, wherever it is."""
        self._chunks.close()
