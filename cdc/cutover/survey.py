"""What both databases, the state folder and the flag show before a switch; nothing is written anywhere."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from cdc.config import Config
from cdc.cutover import backward, forward
from cdc.cutover.coverage import uncovered
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.state import FlagState
from cdc.cutover.gates import CutoverFacts, GateLimits, RollbackFacts, cutover_gates, rollback_gates, written_to
from cdc.cutover.left_as_it_is import in_postgres_alone, partly, unchecked, unmoved_sequences, without_default
from cdc.cutover.long_writers import long_writers, long_writers_of_file
from cdc.cutover.no_way_back import no_way_back
from cdc.cutover.plan import SwitchPlan
from cdc.cutover.precedents import newest_rehearsal, usual_milliseconds
from cdc.cutover.surveyed import Surveyed
from cdc.errors import CdcError
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.identity.active_side import refuse_finalized
from cdc.observe.status import Status, gather
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.outbox.reading import Outbox
from cdc.postgres.outbox.uncarried import Uncarried
from cdc.postgres.record import stream_row
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.verified_tables import VerifiedTable
from cdc.postgres.server.endpoint import reached
from cdc.postgres.tables import catalogue
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.fence import fence

LAG_SECONDS: Final = 5.0


async def cutover_plan(config: Config) -> SwitchPlan:
    """The plan of a cutover as things stand; raises errors of a database that cannot be asked."""
    return await _planned(config, "cutover plan", _cutover_plan)


async def rollback_plan(config: Config) -> SwitchPlan:
    """The plan of a rollback as things stand; raises errors of a database that cannot be asked."""
    return await _planned(config, "rollback plan", _rollback_plan)


async def _planned(
    config: Config, purpose: str, plan: Callable[[Config, Status, Connection], Awaitable[SwitchPlan]]
) -> SwitchPlan:
    async with reached(config) as endpoint:
        status = await gather(config, endpoint)
        connection = await endpoint.connect(purpose)
        try:
            return await plan(config, status, connection)
        finally:
            await hang_up(connection)


async def survey(config: Config, status: Status, record: Record, look: Look) -> Surveyed:
    """Look at both sides over one connection."""
    state = await record.stream.read()
    if state is None or state.position is None:
        raise stream_row.never_loaded()
    maps = tuple((await current_tables(record, config, look.schema)).fed)
    targets = await catalogue.read_tables(record.connection, config.target.schema, [m.target for m in maps])
    shown = await asyncio.to_thread(fence.look, config)
    return Surveyed(status, look, state.phase, maps, targets, shown, await record.switch.read())


async def look_at_both(config: Config, status: Status, connection: Connection) -> tuple[Record, Surveyed]:
    """The same of the source that the file carries; raises `Finalized` where there is nothing to switch any more."""
    refuse_finalized(config)
    look = await asyncio.to_thread(source_file.look, config)
    if look.capture is None:
        raise stream_row.never_loaded()
    record = Record(connection, look.capture.source_id)
    return record, await survey(config, status, record, look)


async def _cutover_plan(config: Config, status: Status, connection: Connection) -> SwitchPlan:
    record, seen = await look_at_both(config, status, connection)
    if not (side := written_to(seen.phase.active, Side.SQLITE)).passed:
        return SwitchPlan(Side.POSTGRES, (side,), ())
    facts = CutoverFacts(
        now=datetime.now(UTC),
        active=seen.phase.active,
        replicates=seen.phase is Phase.REPLICATE,
        daemon_runs=status.daemon_runs,
        paused=status.pause is not None,
        lag_changes=status.lag_changes,
        lag_seconds=status.lag_seconds,
        waiting=_waiting(status, await _resyncing(record)),
        capture=tuple(f"{name} is not whole" for name in seen.look.damaged),
        unacknowledged=status.unacknowledged,
        prepared_at=seen.switch.prepared_at,
        unprepared=await _unprepared(config, record, seen),
        verified_at=_verified_at(status, seen, await record.verified.read()),
        differing=_differing(status),
        shadow_clean_since=status.target.shadow.clean_since if status.target.shadow else None,
        shadow_uncovered=await uncovered(config, record),
        snapshot_at=datetime.fromisoformat(status.snapshot.taken_at) if status.snapshot else None,
        no_way_back=await no_way_back(WriteGuard(record.connection, record.source_id), seen.maps, seen.targets),
        long_writers=(
            *await long_writers_of_file(config),
            *await long_writers(connection, seen.maps, await _altered(config, record, seen)),
        ),
        flag_problems=await asyncio.to_thread(flag_problems, config, seen.phase.active),
        rehearsal=await newest_rehearsal(config, record),
    )
    asked = config.cutover
    limits = GateLimits(
        LAG_SECONDS, asked.verified_within_hours, asked.shadow_clean_hours, asked.rehearsed_within_hours
    )
    return SwitchPlan(
        Side.POSTGRES,
        cutover_gates(facts, limits),
        forward.PLANNED,
        (
            *unchecked(config, seen),
            *without_default(seen),
            *await unmoved_sequences(config, connection, seen.maps),
            *partly(seen.maps),
        ),
        *await usual_milliseconds(record, Side.POSTGRES),
    )


async def _rollback_plan(config: Config, status: Status, connection: Connection) -> SwitchPlan:
    record, seen = await look_at_both(config, status, connection)
    if not (side := written_to(seen.phase.active, Side.POSTGRES)).passed:
        return SwitchPlan(Side.SQLITE, (side,), ())
    waiting = await Outbox(connection, record.source_id).lag()
    uncarried = Uncarried(connection, record.source_id)
    lost = await uncarried.count()
    facts = RollbackFacts(
        now=datetime.now(UTC),
        active=seen.phase.active,
        daemon_runs=status.daemon_runs,
        paused=status.pause is not None,
        waiting_changes=waiting.entries,
        oldest_at=waiting.oldest,
        uncarried=tuple(map(str, await uncarried.read())),
        fence=() if seen.fence.permanent and seen.fence.whole else ("it is not whole",),
        long_writers=await long_writers(connection, seen.maps, ()),
        flag_problems=await asyncio.to_thread(flag_problems, config, seen.phase.active),
    )
    return SwitchPlan(
        Side.SQLITE,
        rollback_gates(facts),
        backward.PLANNED,
        (*unchecked(config, seen), *await in_postgres_alone(config, connection, seen), *partly(seen.maps)),
        *await usual_milliseconds(record, Side.SQLITE),
        would_lose=f"{lost:,}",
    )


async def _resyncing(record: Record) -> tuple[str, ...]:
    state = await record.stream.read()
    return tuple(f"{name} is compared as a whole now" for name in state.resync) if state else ()


def _waiting(status: Status, resyncing: Sequence[str]) -> tuple[str, ...]:
    held = [f"{table.name} waits: {table.reason}" for table in status.waiting]
    held += [f"{table.source_table} waits: {table.reason}" for table in status.target.waiting]
    return (*held, *resyncing)


def _verified_at(status: Status, seen: Surveyed, verified: Mapping[str, VerifiedTable]) -> datetime | None:
    """Since when every row is known to be alike: prepared or verified, or compared by the daemon of itself."""
    whole = status.target.verification
    passes = [verified[m.source.name].since if m.source.name in verified else None for m in seen.maps]
    compared = [since for since in passes if since is not None]
    by_daemon = min(compared) if compared and len(compared) == len(passes) else None
    moments = (seen.switch.prepared_at, whole.finished_at if whole and whole.result == "equal" else None, by_daemon)
    return max((moment for moment in moments if moment is not None), default=None)


def _differing(status: Status) -> tuple[str, ...]:
    found = [f"rows of {', '.join(status.target.differing.names)}"] if status.target.differing else []
    return (*found, *(finding.words for finding in status.target.schema_findings))


async def _unprepared(config: Config, record: Record, seen: Surveyed) -> tuple[str, ...]:
    """What does not stand ready, though it was prepared perhaps."""
    if seen.switch.prepared_at is None:
        return ()
    found = [f"SQLite: no fence on {name}" for name in seen.fence.lacking]
    guards = await WriteGuard(record.connection, record.source_id).look(seen.maps)
    found += [
        f"Postgres: {', '.join(guard.missing)} of {name} missing" for name, guard in guards.items() if guard.missing
    ]
    keys = ApplicationKeys(record.connection, config.target.schema)
    found += [f"Postgres: key {key} has no twin" for key in await keys.unready(seen.maps)]
    if seen.switch.verified_seq is None or seen.look.oldest_seq > seen.switch.verified_seq:
        found.append("more was written since than the changelog keeps")
    missing = {m.source.name for m in seen.maps} - seen.switch.forms.keys()
    return (*found, *(f"{name} is new" for name in sorted(missing)))


async def _altered(config: Config, record: Record, seen: Surveyed) -> Sequence[TableMap]:
    """The tables whose keys are altered by a cutover: whoever reads one holds it up."""
    return await ApplicationKeys(record.connection, config.target.schema).altered(seen.maps)


def flag_problems(config: Config, active: Side) -> tuple[str, ...]:
    """Where writes are told to go to another side than the one that is written to."""
    if not config.cutover.flags:
        return ()
    found: list[str] = []
    with suppress(CdcError):
        standing = Flags(config).now()
        found = [f"{said.label}: {said.saying.problem}" for said in standing.said if said.saying.problem]
        if standing.writes is not active:
            found.append(f"writes are told to go to {standing.writes or 'both sides'}, and {active} is written to")
        return tuple(found)
    return ("it cannot be read",)


def flag_of(active: Side) -> FlagState:
    """What the flag says where nothing was moved by hand."""
    return FlagState(active, active)
