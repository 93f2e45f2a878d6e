"""What accepting the file as it is now would do to Postgres, found out before anything is accepted.

Compared by the means of `cdc verify`, which share nothing with what moves rows.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.audit.trail import Detail
from cdc.canonical.rules import Canonical
from cdc.config import Config
from cdc.errors import CdcError, FileReplaced
from cdc.facts.progress import Progress, Silent
from cdc.facts.row_key import decode_key
from cdc.facts.source_schema import SourceSchema
from cdc.facts.table_map import TableMap
from cdc.faults import crash_point
from cdc.identity.active_side import require_sqlite_active
from cdc.identity.file_location import settle_path
from cdc.notes import end_note
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record import own_schema, stream_row
from cdc.postgres.record.known_tables import current_tables, map_wanted
from cdc.postgres.record.record import Record
from cdc.postgres.record.stream_row import StreamState
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.hashed_rows import TargetRows, snapshot
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.changelog.verify_reader import Reader
from cdc.sqlite.connection.verify_scratch import Scratch
from cdc.verify.compare_ranges import ComparedTable
from cdc.verify.compare_table import Comparison, note_news

LIMIT_ROWS: Final = 100  # of a table that may be deleted or changed without a question
LIMIT_SHARE: Final = 0.01  # or this part of it, whichever is more
MOST_NAMED: Final = 5  # tables
_KINDS: Final = ("added", "changed", "deleted", "returning")


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of a table's rows in Postgres; `problem` is why that is not known."""

    table: str
    held: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    returning: int = 0  # of those to add: their key was deleted lately, so they wait for somebody to decide
    problem: str | None = None

    @property
    def replaced(self) -> int:
        """Rows of Postgres that would not be there any more as they are."""
        return self.changed + self.deleted

    @property
    def much(self) -> bool:
        """Whether so much would be replaced, or comes back from the dead, that somebody should say yes."""
        return max(self.replaced, self.returning) > max(LIMIT_ROWS, LIMIT_SHARE * self.held)

    def words(self) -> str:
        """The table and its rows in one line."""
        counts = f"{self.deleted:,} rows to delete, {self.changed:,} to change, {self.added:,} to add"
        back = f", {self.returning:,} of these deleted before" if self.returning else ""
        return f"{self.table} ({counts}{back}, of {self.held:,})"


@dataclass(frozen=True, slots=True)
class ResyncForecast:
    """The changes by table. `ended` says that replication was ended on purpose, `installed` that capture was put in."""

    tables: tuple[Change, ...]
    ended: bool
    installed: bool

    @property
    def asks(self) -> bool:
        """Whether somebody should say yes: to much, and to anything where Postgres may have become the truth."""
        return any(t.much or (self.ended and (t.replaced or t.added)) for t in self.tables)

    def totals(self) -> dict[str, int]:
        """The rows of all tables, by what would become of them."""
        return {name: sum(getattr(t, name) for t in self.tables) for name in _KINDS}

    def words(self) -> str:
        """The first tables of which Postgres would have other rows, and how many."""
        return ", ".join([t.words() for t in self.tables if t.replaced or t.added][:MOST_NAMED])


async def foresee(config: Config, progress: Progress) -> ResyncForecast:
    """Compare the file with what Postgres holds; the daemon must not run. Raises errors of either database.

    Capture is in the file afterwards, because what is written meanwhile has to be known; `withdraw` takes it out again.
    """
    before, schema = await asyncio.to_thread(source_file.whose, config)
    async with connected(config, "resync") as connection:
        record, state = await followed(connection, config, before, schema)
        await lock_source(connection, record.source_id)
        installed = await asyncio.to_thread(source_file.install, config)
        ended = state.ended_at is not None or (before is None and end_note.read(config) is not None)
        forecast = ResyncForecast((), ended, before is None)
        try:
            tables = await _compare(record, config, installed, progress)
        except BaseException:
            await asyncio.to_thread(withdraw, config, forecast)
            raise
    return ResyncForecast(tables, forecast.ended, forecast.installed)


def withdraw(config: Config, forecast: ResyncForecast) -> None:
    """The resync is not to be: take capture out of the file again if `foresee` put it in."""
    if forecast.installed:
        with suppress(CdcError):  # it stays: capture that nobody reads is found by the next command
            source_file.remove_capture(config)


async def _compare(record: Record, config: Config, look: Look, progress: Progress) -> tuple[Change, ...]:
    assert look.newest is not None
    current = await current_tables(record, config, look.schema)
    maps = current.fed
    scratch = await asyncio.to_thread(Scratch, config.state.dir)
    try:
        reader = await asyncio.to_thread(Reader, config, look, maps, look.newest)
        try:
            async with snapshot(record.connection):
                comparisons = await _begin(record, config, maps, reader, scratch)
                for compared in comparisons.values():
                    progress.start(f"comparing {compared.name}", None)
                    await compared.run(progress.advance)
                    progress.finish()
            await asyncio.to_thread(reader.news, lambda entries: note_news(comparisons, entries))
            returning = {m.source.name: await _returning(record, config, m, reader) for m in maps}
        finally:
            reader.close()
        for name in comparisons:
            scratch.withdraw_flying(name)
        return tuple(
            _change(m.source.name, comparisons.get(m.source.name), returning.get(m.source.name, 0))
            for m in (*maps, *current.rekeyed)
        )
    finally:
        scratch.close()


async def _begin(
    record: Record,
    config: Config,
    maps: Sequence[TableMap],
    reader: Reader,
    scratch: Scratch,
) -> dict[str, Comparison]:
    """A comparison for each table whose target has all columns, by source name, told which rows are in quarantine."""
    targets = await read_tables(record.connection, config.target.schema, [m.target for m in maps])
    quarantined = await record.quarantine.keys_of(None)
    comparisons = {}
    for mapped in maps:
        target = targets.get(mapped.target)
        if target is None or (canonical := Canonical(mapped, target)).missing:
            continue
        rows = TargetRows(record.connection, record.source_id, mapped, target)
        comparison = comparisons[mapped.source.name] = Comparison(
            ComparedTable(reader, scratch, mapped, canonical, rows)
        )
        await asyncio.to_thread(comparison.know, quarantined.get(mapped.source.name, []))
    return comparisons


async def _returning(record: Record, config: Config, mapped: TableMap, reader: Reader) -> int:
    """How many rows of a table the file has although their key was deleted lately."""
    found = 0
    async with record.connection.transaction():
        async for keys in record.tombstones.standing(mapped.source.name, config.tombstones.kept_days):
            # A tombstone of the time when the table had another key names no row of today.
            possible = [key for key in map(decode_key, keys) if len(key) == mapped.source_key_width]
            found += len(await asyncio.to_thread(reader.look_up, mapped, possible))
    return found


def _change(name: str, compared: Comparison | None, returning: int) -> Change:
    if compared is None:
        return Change(name, problem="it is not as it should be in Postgres: the daemon sees to that first")
    report = compared.report()
    rows = report.matched + report.different + report.extra
    return Change(name, rows, report.missing, report.different, report.extra, min(returning, report.missing))


async def request_resync(config: Config) -> list[str]:
    """Accept the file as it is now: the daemon will compare every row and go on from there. Returns the tables.

    For a file that was restored, replaced or overwritten on purpose. Nothing is taken out of Postgres before the
    daemon has read every row of the new file.
    """
    look = await asyncio.to_thread(source_file.install, config)
    assert look.capture is not None
    assert look.newest is not None
    new_id = look.capture.source_id
    async with connected(config, "resync") as connection:
        before, _ = await followed(connection, config, new_id, look.schema)
        # A running daemon goes by what it knew when it began: it would not see what is asked for here.
        await lock_source(connection, before.source_id)
        record = Record(connection, new_id)
        crash_point("resync.before_adopt")
        if before.source_id != new_id:
            # What was prepared for a cutover was so for the file before, and refuses writes in the name of another.
            await WriteGuard(connection, before.source_id).remove(config.cutover.wait_for_writers_seconds)
            await record.adopt(before.source_id)
        crash_point("resync.before_position")
        tables = [t.name for t in look.schema.tables]
        async with connection.transaction():
            await record.reposition(look.newest, tables)
            await record.stream.hold_returned()
            current = await current_tables(record, config, look.schema)
            await record.ownership.claim(config, current.fed)
    return tables


async def take_up(config: Config, replaced: FileReplaced) -> None:
    """Accept the file that is there now, as `on_replaced` says, where that asks nobody.

    Raises `FileReplaced` when a person should look at it: then Postgres is as it was, and the file as well.
    """
    forecast = await foresee(config, Silent())
    if forecast.asks:
        await asyncio.to_thread(withdraw, config, forecast)
        raise FileReplaced(
            f"the file is not taken up by itself, for too much would be replaced or come back: {forecast.words()}; "
            f"it was seen because {replaced.message}",
            remedy="if it is the right file, run `cdc load --resync`, which shows it table by table and asks; else put "
            "the file back that was followed",
        )
    await request_resync(config)
    details: dict[str, Detail] = {"why": replaced.message, **forecast.totals()}
    logger.bind(**details).warning("another file was taken up: see `cdc tombstones` for what waits")
    trail.record(config.state.dir, "take up a file", "done", details)


async def followed(
    connection: Connection, config: Config, source_id: str | None, schema: SourceSchema
) -> tuple[Record, StreamState]:
    """The stream that a file may carry on, by its id, else by its path; raises `TargetError` when there is none."""
    await own_schema.make_whole(connection)
    id_by_path = await stream_row.find_by_path(connection, str(config.source.path), config.target.schema)
    for record in (Record(connection, candidate) for candidate in (source_id, id_by_path) if candidate):
        if state := await record.stream.read():
            break
    else:
        record, state = Record(connection, source_id or ""), None
    await require_sqlite_active(config, state)
    if state is None or state.position is None:
        await record.ownership.require_free(config, await map_wanted(record, config, schema))
        raise stream_row.never_loaded()
    await settle_path(record, config, state.source_path)
    current = await current_tables(record, config, schema)
    await record.ownership.require_free(config, current.fed)
    return record, state
