"""Asks both databases, the state folder and the audit trail; what cannot be asked is missing, and said to be."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cdc.audit.chain import Head
from cdc.config import Config
from cdc.cutover import survey
from cdc.errors import CdcError, UsageError
from cdc.facts.phase import Phase
from cdc.observe import status as observe
from cdc.observe.picture import Limits
from cdc.observe.status import Status
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.record.record import Record
from cdc.postgres.record.status import ANSWER_SECONDS, never_started
from cdc.postgres.server.endpoint import Endpoint, reached
from cdc.report import trail
from cdc.report.facts import AuditFacts, KeptFacts, PlanFacts, ReportFacts, RowsFacts
from cdc.report.machine import read_machine
from cdc.report.rows import read_rows
from cdc.shadow.report import make_report
from cdc.shadow.requests import HttpRequest
from cdc.sqlite.snapshot.manifest import Manifest
from cdc.sqlite.snapshot.snapshot import older_than_newest

MOST_COMPARISONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Postgres:
    """What Postgres told; `remembers` is where the file of the audit trail ended."""

    server: str | None = None
    kept: KeptFacts | None = None
    error: str | None = None
    rows: RowsFacts = field(default_factory=RowsFacts)
    audit: AuditFacts = field(default_factory=AuditFacts)
    remembers: Head | None = None


async def gather(config: Config, config_file: Path) -> ReportFacts:
    """The facts of now. Never raises for a database that cannot be asked."""
    async with reached(config, ANSWER_SECONDS) as endpoint:
        limits = Limits(stale_after_hours=config.verify.stale_after_hours)
        status = await observe.gather(config, endpoint, limits)
        there = await _ask_postgres(config, endpoint, status)
        plan = await _plan(config, status)
    return ReportFacts(
        at=datetime.now(UTC),
        status=status,
        schema=config.target.schema,
        machine=read_machine(config, config_file, there.server),
        plan=plan,
        rows=there.rows,
        kept=there.kept,
        kept_error=there.error or status.target.error,
        audit=await _audit(config, there),
        snapshots=await asyncio.to_thread(_snapshots, config),
    )


async def _ask_postgres(config: Config, endpoint: Endpoint, status: Status) -> _Postgres:
    if not status.target.reachable or never_started(config):
        return _Postgres()
    try:
        connection = await endpoint.connect("report")
        try:
            return await _read(config, connection, status)
        finally:
            await hang_up(connection)
    except CdcError as error:
        return _Postgres(error=error.message)


async def _read(config: Config, connection: Connection, status: Status) -> _Postgres:
    version = connection.get_server_version()
    there = _Postgres(server=f"{version.major}.{version.minor}")
    stream = status.target.stream
    if stream is None:
        return there
    if status.target.gone:
        return replace(there, error=f"the schema cdc is not whole: {status.target.gone}")
    record = Record(connection, stream.source_id)
    return replace(
        there,
        kept=await _kept(config, record),
        rows=await read_rows(config, record, status.phase) if _has_rows(status) else RowsFacts(),
        audit=await trail.read_postgres(config, record),
        remembers=(await record.audit.ends()).file,
    )


def _has_rows(status: Status) -> bool:
    """Whether there are two sides to count."""
    return status.phase in {Phase.REPLICATE, Phase.CUTOVER} and status.source.reachable


async def _kept(config: Config, record: Record) -> KeptFacts:
    endpoints, places = await record.shadow.endpoints(), await record.shadow.places()
    return KeptFacts(
        verifications=tuple(await record.verifications.newest(MOST_COMPARISONS)),
        repaired=tuple(await record.repaired.by_table()),
        quarantine=tuple(await record.quarantine.list_rows()),
        shadow=make_report(
            endpoints, places, config.shadow, datetime.now(UTC), await asyncio.to_thread(_logged_reads, config)
        ),
        rehearsals=tuple(await record.rehearsals.past()),
        tombstones=tuple(await record.tombstones.counts(config.tombstones.kept_days)),
    )


def _logged_reads(config: Config) -> list[HttpRequest]:
    """What users asked for, of the access log that is configured; a log that cannot be read closes a gate by itself."""
    try:
        from cdc.shadow.http_plan import configured_reads  # noqa: PLC0415 (of an extra that need not be installed)

        return configured_reads(config.shadow)
    except (ModuleNotFoundError, UsageError):
        return []


async def _plan(config: Config, status: Status) -> PlanFacts:
    """The plan of what could come next, where both sides can be asked."""
    plans = {Phase.REPLICATE: survey.cutover_plan, Phase.CUTOVER: survey.rollback_plan}
    planned = plans.get(status.phase)
    if planned is None or status.unreachable:
        return PlanFacts()
    try:
        return PlanFacts(await planned(config))
    except CdcError as error:
        return PlanFacts(error=error.message)


async def _audit(config: Config, there: _Postgres) -> AuditFacts:
    """The file has the entries of both places; where it is gone, those of Postgres are told."""
    told = await asyncio.to_thread(trail.read_file, config, there.remembers)
    source = told if told.entries or told.batches else there.audit
    return replace(source, file=told.file, postgres=there.audit.postgres, error=told.error)


def _snapshots(config: Config) -> tuple[Manifest, ...]:
    """Those of this file that are complete, the oldest first."""
    folder = config.state.dir / "snapshots"
    return tuple(found.manifest for found in older_than_newest(folder, config.source.path, keep=0))
