"""The end of the way back, step by step: nothing is ended before both are proven alike and a last snapshot is kept.

Applications write to Postgres all the time and are refused nothing. One transaction of Postgres shows one state of it;
SQLite becomes that state, every row is compared in it, and the last snapshot is a copy of it, for nobody else writes to
the fenced file. The dump comes after the end: only then are the tables without triggers of ours, which would be in it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from cdc.config import Config
from cdc.cutover.plan import PlannedStep
from cdc.cutover.steps import Step
from cdc.errors import SwitchError, SwitchUnequal
from cdc.facts.phase import Phase
from cdc.facts.progress import Progress
from cdc.first_copy.snapshots import take_last_snapshot
from cdc.mapping.reversible import carried_back
from cdc.notes import final_note
from cdc.notes.final_note import Dump, FinalNote
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection, hang_up, password_for
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record.record import Record
from cdc.postgres.server import dump
from cdc.postgres.server.dump import DumpPrograms
from cdc.postgres.server.endpoint import Endpoint
from cdc.postgres.tables import catalogue
from cdc.postgres.tables.hashed_rows import snapshot
from cdc.reverse.session import ReverseSession
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.verify_scratch import Scratch
from cdc.sqlite.snapshot.manifest import sha256_of
from cdc.sqlite.snapshot.snapshot import Snapshot, discard
from cdc.verify.compare_back import ReturningComparison
from cdc.verify.report import TableReport

CATCH_UP_ROUNDS: Final = 50
DUMPS: Final = "dumps"  # in the state folder

BEFORE: Final = (
    PlannedStep("try the dump", "Postgres", "nothing to undo"),
    PlannedStep("catch up", "SQLite", "nothing to undo"),
    PlannedStep("compare everything", "both", "nothing to undo"),
    PlannedStep("take the last snapshot", "SQLite", "remove it"),
    PlannedStep("end the way back", "Postgres", "nothing undoes it"),
)
AFTER: Final = (
    PlannedStep("take the guards off", "Postgres", "nothing undoes it"),
    PlannedStep("dump Postgres", "Postgres", "nothing to undo"),
)


class Ending:
    """All up to the end of the way back, in a session that holds the source's lock."""

    def __init__(
        self,
        config: Config,
        endpoint: Endpoint,
        session: ReverseSession,
        programs: DumpPrograms | None,
        progress: Progress,
        *,
        leave_behind: bool,
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._session = session
        self._programs = programs
        self._progress = progress
        self._leave_behind = leave_behind
        self._snapshot: Snapshot | None = None
        self._rows = 0

    def steps(self) -> tuple[Step, ...]:
        """What is done, in order."""
        works = (
            (self._try_dump, None),
            (self._catch_up, None),
            (self._compare, None),
            (self._take_snapshot, self._remove_snapshot),
            (self._end, None),
        )
        return tuple(
            Step(planned, do, undo, commits=do == self._end) for planned, (do, undo) in zip(BEFORE, works, strict=True)
        )

    async def _try_dump(self) -> str:
        if self._programs is None:
            return "not wanted"
        address = await self._endpoint.dsn()
        await dump.try_dump(self._programs, address, password_for(self._config.target), self._config.target.schema)
        return str(self._programs)

    async def _catch_up(self) -> str:
        rounds = 0
        while rounds < CATCH_UP_ROUNDS and await self._session.drain():
            rounds += 1
        return f"{rounds} rounds"

    async def _compare(self) -> str:
        """In one state of Postgres, of which SQLite gets all that it lacks: what differs then differs for certain."""
        moment = await self._endpoint.connect("finalize")
        try:
            with translated("preparing the session"):
                await moment.execute("SET idle_in_transaction_session_timeout = 0")  # it idles while SQLite is written
            async with snapshot(moment):
                exported = await moment.fetchval("SELECT pg_export_snapshot()")
                await self._session.carrier.carry(exported)
                if not self._leave_behind and (refused := await self._session.carrier.uncarried.read()):
                    raise SwitchError(
                        f"a row of Postgres cannot be held by SQLite, and so not by the last snapshot: {refused[0]}",
                        remedy="correct it in Postgres; or add --leave-behind, and the last snapshot is without it",
                    )
                tables = await self._compared(moment)
        finally:
            await hang_up(moment)
        _require_alike(tables)
        self._rows = sum(table.matched for table in tables)
        return f"{self._rows:,} rows"

    async def _compared(self, moment: Connection) -> tuple[TableReport, ...]:
        session, config = self._session, self._config
        look = await asyncio.to_thread(source_file.look, config)
        scratch = await asyncio.to_thread(Scratch, config.state.dir)
        try:
            record = Record(moment, session.record.source_id)
            maps = tuple(map(carried_back, session.maps))
            comparison = ReturningComparison(record, config, look, maps, scratch, session.position)
            return await comparison.compare(self._progress)
        finally:
            scratch.close()

    async def _take_snapshot(self) -> str:
        await self._session.follow_sequences()
        self._snapshot = await take_last_snapshot(self._config, self._progress)
        return self._snapshot.manifest.id

    async def _remove_snapshot(self) -> None:
        """Not where the way back has ended: whether a commit came through, a connection that was lost did not say."""
        if self._snapshot is None:
            return
        state = await self._session.record.stream.read()
        if state is not None and state.phase is not Phase.FINALIZED:
            await asyncio.to_thread(discard, self._snapshot)

    async def _end(self) -> str:
        """From the commit on there is no way back; what is known of it is in the state folder before."""
        assert self._snapshot is not None
        since, by = final_note.now()
        record, manifest = self._session.record, self._snapshot.manifest
        note = FinalNote(
            source=str(self._config.source.path),
            source_id=record.source_id,
            schema=self._config.target.schema,
            since=since,
            by=by,
            snapshot=manifest.id,
            snapshot_sha256=manifest.sha256,
            rows=self._rows,
            without_dump=self._programs is None,
        )
        await asyncio.to_thread(final_note.propose, self._config, note)
        with translated("ending the way back"):
            async with record.connection.transaction():
                await record.connection.execute("SET LOCAL synchronous_commit = on")
                await record.stream.enter(Phase.FINALIZED)
        return since


class AfterEnd:
    """What follows the end, by whoever holds the source's lock; each step may be given again."""

    def __init__(self, config: Config, endpoint: Endpoint, record: Record, programs: DumpPrograms | None) -> None:
        self._config = config
        self._endpoint = endpoint
        self._record = record
        self._programs = programs

    def steps(self) -> tuple[Step, ...]:
        """What is done, in order."""
        return tuple(Step(planned, do) for planned, do in zip(AFTER, (self._take_guards_off, self._dump), strict=True))

    async def _take_guards_off(self) -> str:
        """Applications write to tables that are theirs alone from now on."""
        note = await asyncio.to_thread(confirmed, self._config)
        config, record = self._config, self._record
        await WriteGuard(record.connection, record.source_id).remove(config.cutover.wait_for_writers_seconds)
        targets = await record.ownership.targets(config.target.schema)
        await ApplicationKeys(record.connection, config.target.schema).forget(targets)
        await asyncio.to_thread(final_note.amend, config, msgspec.structs.replace(note, guards_removed=True))
        return f"{len(targets)} tables"

    async def _dump(self) -> str:
        config, note = self._config, await asyncio.to_thread(confirmed, self._config)
        if self._programs is None:
            await asyncio.to_thread(final_note.amend, config, msgspec.structs.replace(note, without_dump=True))
            return "not wanted"
        file = Path(DUMPS) / f"{note.snapshot}.dump"
        whole, schema = config.state.dir / file, config.target.schema
        address = await self._endpoint.dsn()
        await dump.dump(self._programs, address, password_for(config.target), schema, whole)
        await dump.require_readable(self._programs, whole, schema, await self._tables())
        made = Dump(str(file), whole.stat().st_size, await asyncio.to_thread(sha256_of, whole))
        kept = msgspec.structs.replace(note, dump=made, without_dump=False)
        await asyncio.to_thread(final_note.amend, config, kept)
        return str(file)

    async def _tables(self) -> list[str]:
        """The tables of the source whose rows the dump must have; those of a partitioned one are its partitions'."""
        schema = self._config.target.schema
        targets = await self._record.ownership.targets(schema)
        there = await catalogue.read_tables(self._record.connection, schema, targets)
        return [name for name, table in there.items() if not table.partitioned]


def confirmed(config: Config) -> FinalNote:
    """The note of an end that was made; raises `SwitchError` when it is gone."""
    note, file = final_note.confirm(config), final_note.path(config)
    if note is None:
        raise SwitchError(
            f"the note {file} is gone, and with it which snapshot was the last one",
            remedy="put the state folder back from a backup; the snapshots are in it",
        )
    return note


def _require_alike(tables: Sequence[TableReport]) -> None:
    doubtful = [table for table in tables if table.differences or table.pending or table.problem]
    if not doubtful:
        return
    words = "; ".join(
        f"{table.table}: {table.problem or f'{table.differences + table.pending:,} rows'}" for table in doubtful
    )
    raise SwitchUnequal(
        f"rows are not alike in SQLite and Postgres, so the way back is not ended: {words}",
        remedy="`cdc verify` tells all of them; a row that is written in Postgres once more, unchanged too, is carried "
        "back again",
    )
