"""What `cdc status` asks Postgres: how far the stream is, what is in quarantine, and whether the daemon lives."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import asyncpg

from cdc.config import EMBEDDED, Config
from cdc.errors import TargetError
from cdc.facts.leftover import Leftover
from cdc.facts.phase import Phase
from cdc.facts.schema_finding import SchemaFinding
from cdc.facts.target_schema import SilentTrigger
from cdc.postgres.connection.dsn import where
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.connection.source_lock import lock_key
from cdc.postgres.connection.statements import load
from cdc.postgres.record import own_schema
from cdc.postgres.record.part import knows
from cdc.postgres.record.record import Record
from cdc.postgres.record.shadow import ShadowSummary
from cdc.postgres.record.tombstones import TombstoneCounts
from cdc.postgres.record.verification import Verification
from cdc.postgres.record.verified_tables import OldestVerified
from cdc.postgres.record.waiting_tables import Waiting
from cdc.postgres.server.embedded import find
from cdc.postgres.server.endpoint import Endpoint, embedded_folder

SQL: Final = load("status")
ANSWER_SECONDS: Final = 5.0  # who asks for the status wants an answer soon, if only that Postgres gives none


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows in quarantine for one reason, and how many of them the operator knows about."""

    rows: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The stream's row in words of the status; ages are in seconds."""

    source_id: str
    source_path: str
    phase: Phase
    seq: int | None
    snapshot_id: str | None
    changes: int
    applied_at: datetime | None
    heartbeat_age: float | None
    owner: str | None
    stopped_reason: str | None
    stopped_remedy: str | None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """How many targets refuse applications, how many take and note their writes, and what waits on its way back.

    `oldest_seconds` is how long the oldest entry has waited, None when none does; `uncarried` rows SQLite cannot hold.
    """

    fenced: int = 0
    open: int = 0
    entries: int = 0
    oldest_seconds: float | None = None
    uncarried: int = 0


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What Postgres told; `stream` is None before anything was set up, `error` is why it could not be asked."""

    where: str
    reachable: bool = False
    error: str | None = None
    remedy: str | None = None
    stream: StreamFacts | None = None
    daemon: str | None = None
    quarantine: Mapping[str, HeldRows] = field(default_factory=dict)
    verification: Verification | None = None
    differing: Verification | None = None  # of some tables, and not equal
    oldest: OldestVerified | None = None  # the table that was compared longest ago
    shadow: ShadowSummary | None = None  # None where nothing was asked
    leftovers: tuple[Leftover, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    schema_findings: tuple[SchemaFinding, ...] = ()
    silent_triggers: tuple[SilentTrigger, ...] = ()
    gone: str = ""  # of the schema `cdc`: what is not whole
    guard: GuardFacts = GuardFacts()
    tombstones: tuple[TombstoneCounts, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetFindings:
    """What Postgres told with a heartbeat: rows in quarantine by reason, and the last whole comparison.

    Moments are in seconds since 1970: `verified_at` is None with `verified` before the first whole comparison,
    `oldest_at` is since when every row of every table was compared in the background.
    """

    quarantine: Mapping[str, int]
    verified: str | None = None
    verified_at: float | None = None
    oldest_at: float | None = None


def target_name(config: Config) -> str:
    """The target for people: host, port and database, or the embedded server; never a password."""
    return EMBEDDED if config.target.embedded else where(config.target.dsn)


def never_started(config: Config) -> bool:
    """Whether the target is an embedded server that has not been made yet, so that nothing can be in it."""
    return config.target.embedded and not (embedded_folder(config) / "data").exists()


async def read_target(config: Config, target: Endpoint, source_id: str | None, *, daemon_runs: bool) -> TargetFacts:
    """What Postgres knows of the source, asked for a few seconds at most; never raises `TargetError`.

    Without an id the source is found by its path. An embedded server is left for a running daemon to start.
    """
    facts = TargetFacts(target_name(config))
    if never_started(config):
        return replace(facts, reachable=True)
    if config.target.embedded and daemon_runs and find(embedded_folder(config)) is None:
        return replace(facts, error="the embedded Postgres does not run now", remedy="wait: the daemon starts it")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await target.connect("status")
            try:
                with translated("reading the status"):
                    return await _read(connection, replace(facts, reachable=True), source_id, config)
            finally:
                await hang_up(connection)
    except TargetError as error:
        return replace(facts, error=error.message, remedy=error.remedy)
    except TimeoutError:
        return replace(
            facts,
            error=f"Postgres at {facts.where} did not answer within {ANSWER_SECONDS:.0f} seconds",
            remedy="see what the server is doing: it hangs, or is too busy to answer",
        )


async def findings(record: Record) -> TargetFindings:
    """What the daemon's own connection tells of quarantine and comparisons, for who watches it."""
    with translated("counting what is in quarantine"):
        (row,) = await record.connection.fetch(SQL["findings"], record.source_id)
    return TargetFindings(json.loads(row["quarantine"]), row["verified"], row["verified_at"], row["oldest_at"])


async def find_source_id(connection: Connection, source_id: str | None, path: str) -> str | None:
    """The source's id if Postgres knows it; without an id, that of the source last seen at this path."""
    with translated("looking for the source"):
        if not await knows(connection, "stream"):
            return None
        row = await connection.fetchrow(SQL["stream"], source_id, path)
    return str(row["source_id"]) if row else None


async def _read(connection: Connection, facts: TargetFacts, source_id: str | None, config: Config) -> TargetFacts:
    if not await knows(connection, "stream"):
        return facts
    row = await connection.fetchrow(SQL["stream"], source_id, str(config.source.path))
    if row is None:
        return facts
    stream = _stream(row)
    if lacking := await own_schema.missing(connection):
        return replace(facts, stream=stream, gone=own_schema.tables_of(lacking))
    record = Record(connection, stream.source_id)
    held = await connection.fetch(SQL["quarantine"], stream.source_id)
    return replace(
        facts,
        stream=stream,
        daemon=await connection.fetchval(load("lock")["holder"], lock_key(stream.source_id)),
        quarantine={r["reason"]: HeldRows(r["rows"], r["acknowledged"]) for r in held},
        verification=await record.verifications.latest(),
        differing=await record.verifications.differing(),
        oldest=await record.verified.oldest(),
        shadow=await record.shadow.summary(),
        leftovers=await record.leftovers.read(),
        waiting=await record.waiting.read(),
        schema_findings=await record.schema_findings.read(),
        silent_triggers=await record.disabled_triggers.silent(),
        guard=await _guards(connection, stream.source_id),
        tombstones=tuple(await record.tombstones.counts(config.tombstones.kept_days)),
    )


async def _guards(connection: Connection, source_id: str) -> GuardFacts:
    row = await connection.fetchrow(SQL["guards"], source_id)
    return GuardFacts(**row) if row else GuardFacts()


def _stream(row: asyncpg.Record) -> StreamFacts:
    facts = dict(row)
    return StreamFacts(**{**facts, "phase": Phase(facts["phase"])})
