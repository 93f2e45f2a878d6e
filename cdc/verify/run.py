"""One comparison of both databases at one position, while the application writes and the daemon applies.

Postgres is read in one snapshot, which tells its position P. SQLite is read in short pages after that. A row that
changed meanwhile has an entry newer than P in the changelog: its key is in flight, is set aside, and is looked at again
once Postgres has passed it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from cdc.canonical.rules import Canonical
from cdc.config import Config
from cdc.errors import TargetError, UsageError
from cdc.facts.changes import Position
from cdc.facts.progress import Progress
from cdc.facts.row_key import decode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.check import same
from cdc.mapping.known import CurrentTables
from cdc.notes import end_note
from cdc.postgres.connection.refusals import is_refusal
from cdc.postgres.record import stream_row
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.verification import Verification
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables import catalogue
from cdc.postgres.tables.hashed_rows import TargetRows, letting_go, snapshot
from cdc.retry import retrying
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.changelog.verify_reader import Logged, Reader
from cdc.sqlite.connection.verify_scratch import Scratch
from cdc.verify.compare_table import Comparison
from cdc.verify.expectations import ask_both
from cdc.verify.report import TableReport, VerifyReport

ATTEMPTS: Final = 3  # a comparison that pruning overtook begins again
PASSES: Final = 5  # over the keys in flight, while the application keeps changing them
PATIENCE_SECONDS: Final = 10.0  # for Postgres to pass the keys in flight
LOOK_SECONDS: Final = 0.05
REPAIRED_KEYS: Final = 500  # logged in one transaction of ours, so that the application hardly waits


async def verify(config: Config, tables: Sequence[str] | None, repair: bool, progress: Progress) -> VerifyReport:
    """Compare the tables of these names, or all, and record the result in Postgres.

    With `repair`, keys that differ are entered into the changelog again, so that the daemon moves them. Raises
    `UsageError` for a table that is not replicated, and errors of either database.
    """

    async def once() -> VerifyReport:
        return await _verify(config, tables, repair, progress)

    return await retrying(once, attempts=ATTEMPTS)


async def _verify(config: Config, tables: Sequence[str] | None, repair: bool, progress: Progress) -> VerifyReport:
    started = datetime.now(UTC)
    look = await asyncio.to_thread(sqlite.look, config)
    if look.capture is None:
        if note := end_note.read(config):
            raise end_note.ended(config, note.since)
        raise TargetError(
            f"{config.source.path} carries no capture, so it cannot be said which state of it Postgres should show",
            remedy="see `cdc status`: it was never set up, or was replaced or restored",
        )
    async with connected(config, "verify") as connection:
        record = Record(connection, look.capture.source_id)
        state = await record.stream.read()
        if state is None or state.position is None:
            raise stream_row.never_loaded()
        now = await current_tables(record, config, look.schema)
        held = _held(look, now, tables)
        chosen = _chosen(now.fed, tables, held)
        scratch = await asyncio.to_thread(Scratch, config.state.dir)
        try:
            run = _Run(record, config, look, chosen, scratch)
            found = _in_order(look, (*await run.compare(progress), *held))
            repaired = await run.repair() if repair else 0
        finally:
            scratch.close()
        answers = await ask_both(record, config) if tables is None else ()
        ended = datetime.now(UTC)
        seen = run.position or state.position
        report = VerifyReport(started, ended, seen, found, repaired, _problems(look), answers, _skipped(config, chosen))
        await record.verifications.record(_row(report, complete=len(chosen) == len(now.fed)))
    return report


def _held(look: Look, now: CurrentTables, tables: Sequence[str] | None) -> tuple[TableReport, ...]:
    """What is said of tables that wait: nobody knows whether Postgres holds what they hold."""
    rekeyed = "its key is another now: the copy in Postgres stays as it was until `cdc schema --apply-pending`"
    problems = {w.name: f"it waits: {w.reason}; {w.remedy}" for w in look.schema.waiting}
    problems |= {m.source.name: rekeyed for m in now.rekeyed}
    wanted = None if tables is None else {name.lower() for name in tables}
    return tuple(
        TableReport(name, problem=why) for name, why in problems.items() if wanted is None or name.lower() in wanted
    )


def _in_order(look: Look, reports: Sequence[TableReport]) -> tuple[TableReport, ...]:
    """The tables as the file has them, and those that cannot be read at the end."""
    place = {table.name: n for n, table in enumerate(look.schema.tables)}
    return tuple(sorted(reports, key=lambda report: place.get(report.table, len(place))))


def _chosen(
    maps: Sequence[TableMap], tables: Sequence[str] | None, held: Sequence[TableReport]
) -> tuple[TableMap, ...]:
    if tables is None:
        return tuple(maps)
    known = {m.source.name.lower(): m for m in maps}
    waiting = {report.table.lower() for report in held}
    for name in tables:
        if name.lower() not in known.keys() | waiting:
            raise UsageError(f"table {name} is not replicated", remedy="see the tables with `cdc plan`")
    return tuple(known[name.lower()] for name in dict.fromkeys(tables) if name.lower() in known)


def _skipped(config: Config, maps: Sequence[TableMap]) -> tuple[str, ...]:
    """Columns of these tables that Postgres does not get, as `table.column`."""
    return tuple(
        f"{mapped.source.name}.{column.name}"
        for mapped in maps
        for column in mapped.source.columns
        if any(same(column.name, name) for name in config.options(mapped.source.name).skip)
    )


def _problems(look: Look) -> tuple[str, ...]:
    told = "capture of table {} is not whole: changes may go unseen until `cdc run` mends it"
    return tuple(told.format(name) for name in look.damaged)


def _row(report: VerifyReport, *, complete: bool) -> Verification:
    return Verification(
        started_at=report.started_at,
        finished_at=report.finished_at,
        seq=report.position.seq,
        tables=len(report.tables),
        complete=complete,
        matched=sum(t.matched for t in report.tables),
        different=sum(t.different for t in report.tables),
        missing=sum(t.missing for t in report.tables),
        extra=sum(t.extra for t in report.tables),
        pending=report.pending,
        quarantined=report.quarantined,
        repaired=report.repaired,
        result=report.result,
        names=tuple(t.table for t in report.tables),
    )


class _Run:
    """One comparison: `position` is where Postgres was when it was read."""

    def __init__(self, record: Record, config: Config, look: Look, maps: Sequence[TableMap], scratch: Scratch) -> None:
        self._record = record
        self._connection = record.connection
        self._config = config
        self._look = look
        self._maps = maps
        self._scratch = scratch
        self._comparisons: dict[str, Comparison] = {}
        self._reader: Reader
        self.position: Position | None = None

    async def compare(self, progress: Progress) -> tuple[TableReport, ...]:
        """All tables at one position, then again what was in flight."""
        unusable: dict[str, TableReport] = {}
        async with self._at_one_position() as at:
            self.position = at
            self._reader = await asyncio.to_thread(Reader, self._config, self._look, self._maps, at)
            try:
                targets = await catalogue.read_tables(
                    self._connection, self._config.target.schema, [m.target for m in self._maps]
                )
                for mapped in self._maps:
                    problem = await self._begin(mapped, targets.get(mapped.target))
                    if problem is not None:
                        unusable[mapped.source.name] = TableReport(mapped.source.name, problem=problem)
                        continue
                    await self._run_table(self._comparisons[mapped.source.name], progress)
                newest = await self._catch_up(at.seq)
            except BaseException:
                self._reader.close()
                raise
        try:
            await self._settle(newest, progress)
        finally:
            self._reader.close()
        names = [m.source.name for m in self._maps]
        return tuple(unusable[name] if name in unusable else self._comparisons[name].report() for name in names)

    async def repair(self) -> int:
        """Log every key that was found wrong again; returns how many."""
        logged = 0
        for name in self._comparisons:
            for encoded in self._scratch.found(name, REPAIRED_KEYS):
                keys = {name: [decode_key(key) for key in encoded]}
                logged += await asyncio.to_thread(sqlite.log_again, self._config, keys)
        return logged

    @asynccontextmanager
    async def _at_one_position(self) -> AsyncIterator[Position]:
        async with snapshot(self._connection):
            state = await self._record.stream.read()
            assert state is not None
            assert state.position is not None
            yield state.position

    async def _begin(self, mapped: TableMap, target: TargetTable | None) -> str | None:
        """Make the comparison of a table; returns why it cannot be made."""
        if target is None:
            return f"table {mapped.target} does not exist in Postgres"
        canonical = Canonical(mapped, target)
        if canonical.missing:
            return f"columns do not exist in Postgres: {', '.join(canonical.missing)}"
        rows = TargetRows(self._connection, self._record.source_id, mapped, target)
        made = Comparison(self._reader, self._scratch, mapped, canonical, rows)
        await self._know(made)
        self._comparisons[mapped.source.name] = made
        return None

    async def _know(self, comparison: Comparison) -> None:
        """Tell a comparison what is in quarantine at this moment."""
        held = await self._record.quarantine.keys_of(comparison.name)
        await asyncio.to_thread(comparison.know, held.get(comparison.name, []))

    async def _run_table(self, comparison: Comparison, progress: Progress) -> None:
        progress.start(f"comparing {comparison.name}", None)
        try:
            async with letting_go(self._connection):
                await comparison.run(progress.advance)
        except TargetError as error:
            # One value that the server cannot write as text is no reason to leave the other tables alone.
            if not is_refusal(error):
                raise
            comparison.failed = error.message
        progress.finish()

    async def _catch_up(self, passed: int) -> int:
        """Learn which keys were logged meanwhile, and judge nothing about them; returns the newest entry."""
        newest = await asyncio.to_thread(self._reader.news, self._note)
        for name in self._comparisons:
            self._scratch.land(name, passed)
            self._scratch.withdraw_flying(name)
        return newest

    def _note(self, entries: list[Logged]) -> None:
        changed = {entry.table for entry in entries}
        for name, comparison in self._comparisons.items():
            comparison.note(entry for entry in entries if entry.table == name)
            if changed.intersection(comparison.reads):
                comparison.unknown = True

    async def _settle(self, newest: int, progress: Progress) -> None:
        """Look again at what was in flight, for as long as the daemon makes headway, and only so many times."""
        for _ in range(PASSES):
            waiting = [c for c in self._comparisons.values() if c.unknown or self._scratch.in_flight(c.name)]
            if not waiting or not await self._passes(newest):
                return
            async with self._at_one_position() as at:
                for comparison in waiting:
                    await self._know(comparison)  # what was written meanwhile may have come there, or left it
                    if comparison.unknown:
                        await self._run_table(comparison, progress)
                    else:
                        async with letting_go(self._connection):
                            await comparison.recheck(at.seq)
                newest = await self._catch_up(at.seq)

    async def _passes(self, seq: int) -> bool:
        """Whether Postgres passes an entry soon; without a daemon only if it has already."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            state = await self._record.stream.read()
            if state is not None and state.position is not None and state.position.seq >= seq:
                return True
            late = asyncio.get_running_loop().time() > deadline
            if late or not await self._record.daemon_runs():
                return False
            await asyncio.sleep(LOOK_SECONDS)
